package tasks

import "github.com/runai-prep/runai-prep/inventory"

func planDriver(h inventory.Host, facts Facts) []Finding { return nil }
