package fleet

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/google/renameio/v2"

	"github.com/runai-prep/runai-prep/remote"
)

// PlanSchema names the version of the plan file.
const PlanSchema = "runai-prep.plan/1"

// A SavedPlan is a promise: apply does this, or what of it is left to do, and
// nothing else. It holds what the plan was made from and a fingerprint of each
// finding's steps, not the steps themselves, so that no secret is in it: apply
// reads the inventory and looks at the hosts again, and refuses when that leads
// elsewhere.
type SavedPlan struct {
	Schema    string              `json:"schema"`
	Created   time.Time           `json:"created"`
	Version   string              `json:"version"`
	Inventory string              `json:"inventory"` // absolute
	Vars      []string            `json:"vars"`      // name=value; none that is sensitive
	VarFiles  []string            `json:"var_files"` // absolute
	Limit     []string            `json:"limit"`
	Tasks     []string            `json:"tasks"`
	Hosts     map[string][]string `json:"hosts"` // by name: the fingerprints of what is to be done
}

// Fingerprints are those of the visits, by host name.
func Fingerprints(visits []*Visit) map[string][]string {
	prints := make(map[string][]string, len(visits))
	for _, v := range visits {
		prints[v.Host.Name] = v.fingerprints()
	}
	return prints
}

// fingerprints identify what a visit has pending, a finding each. Secrets do
// not enter them; what the host has beside, and whether it can be reached, does
// not either, for neither changes what would be done.
func (v *Visit) fingerprints() []string {
	prints := []string{}
	for _, p := range v.pending() {
		// Who uses a GPU changes by the minute, and is asked by a guard again.
		have := p.Have
		if !slices.ContainsFunc(p.Steps, func(s remote.Step) bool { return !asks(s) }) {
			have = ""
		}
		text, err := json.Marshal(struct {
			Task, Subject, Have, Want string
			Steps, Back, After, Undo  []remote.Step
		}{p.task, p.Subject, have, p.Want, p.Steps, p.Back, p.After, p.Undo})
		if err != nil {
			panic(fmt.Sprintf("a step is data, and encodes: %v", err))
		}
		sum := sha256.Sum256(text)
		prints = append(prints, hex.EncodeToString(sum[:]))
	}
	return prints
}

// within reports whether all that is to be done now was to be done before.
func within(now, before []string) bool {
	return !slices.ContainsFunc(now, func(print string) bool { return !slices.Contains(before, print) })
}

// Write saves the plan at path, whole or not at all, for its owner only.
func (p SavedPlan) Write(path string) error {
	p.Schema = PlanSchema
	text, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		return err
	}
	return renameio.WriteFile(path, append(text, '\n'), 0o600)
}

// ErrNoPlan is a file that is no plan, and so may be an inventory.
var ErrNoPlan = errors.New("not a saved plan")

// ReadPlan reads what Write wrote.
func ReadPlan(path string) (SavedPlan, error) {
	var p SavedPlan
	if info, err := os.Stat(path); err != nil {
		return p, err
	} else if info.IsDir() {
		return p, ErrNoPlan
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return p, err
	}
	if !bytes.HasPrefix(bytes.TrimSpace(text), []byte("{")) { // no inventory starts so
		return p, ErrNoPlan
	}
	if err := json.Unmarshal(text, &p); err != nil {
		return p, fmt.Errorf("%s: read the saved plan: %w", path, err)
	}
	if p.Schema != PlanSchema {
		return p, fmt.Errorf("%s: a file of schema %q, not a plan (%s)", path, p.Schema, PlanSchema)
	}
	return p, nil
}

// Refuse marks the visits that would not do what p promised, and returns
// their names.
func (p SavedPlan) Refuse(visits []*Visit) []string {
	var stale []string
	for _, v := range visits {
		if v.Err != nil || within(v.fingerprints(), p.Hosts[v.Host.Name]) {
			continue
		}
		stale = append(stale, v.Host.Name)
	}
	for name := range p.Hosts {
		if !slices.ContainsFunc(visits, func(v *Visit) bool { return v.Host.Name == name }) {
			stale = append(stale, name)
		}
	}
	slices.Sort(stale)
	return stale
}
