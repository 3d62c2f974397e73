package fleet

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/google/renameio/v2"

	"github.com/runai-prep/runai-prep/internal/report"
)

// A State is where the controller remembers the last run of each command for
// an inventory: what `check` compares with, and whom `--limit @failed` means.
type State struct{ dir string }

// Any is the name of the last run, whichever command it was.
const Any = "last"

// OpenState uses dir; when it is empty, $XDG_STATE_HOME/runai-prep, or
// ~/.local/state/runai-prep. Nothing is created before Save.
func OpenState(dir string) (State, error) {
	if dir != "" {
		return State{dir}, nil
	}
	if base := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(base) {
		return State{filepath.Join(base, "runai-prep")}, nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return State{}, fmt.Errorf("find a folder for the state: %w (name one with --state)", err)
	}
	return State{filepath.Join(home, ".local", "state", "runai-prep")}, nil
}

func (s State) path(inventory, name string) string {
	if abs, err := filepath.Abs(inventory); err == nil {
		inventory = abs
	}
	sum := sha256.Sum256([]byte(inventory))
	return filepath.Join(s.dir, hex.EncodeToString(sum[:8])+"-"+name+".json")
}

// Ready makes the folder, so that nothing is done to hosts that could not be
// remembered.
func (s State) Ready() error {
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return fmt.Errorf("remember results: %w (name another folder with --state)", err)
	}
	return nil
}

// Save remembers r under name: a command, or Any.
func (s State) Save(name string, r report.Result) error {
	if err := s.Ready(); err != nil {
		return err
	}
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if err := renameio.WriteFile(s.path(r.Inventory, name), text, 0o600); err != nil {
		return fmt.Errorf("remember the result: %w", err)
	}
	return nil
}

// Last is what was last saved under name for inventory; nil when nothing was.
func (s State) Last(inventory, name string) (*report.Result, error) {
	path := s.path(inventory, name)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the last result: %w", err)
	}
	r, err := report.Read(bytes.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("read the last result: %s: %w (hint: delete the file to start anew)", path, err)
	}
	return &r, nil
}
