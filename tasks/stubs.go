package tasks

import (
	"github.com/runai-prep/runai-prep/inventory"
	"github.com/runai-prep/runai-prep/remote"
)

func readProxy(s remote.Section) (Facts, error)         { return nil, nil }
func planProxy(h inventory.Host, facts Facts) []Finding { return nil }
func readNFS(s remote.Section) (Facts, error)           { return nil, nil }
func planNFS(h inventory.Host, facts Facts) []Finding   { return nil }
