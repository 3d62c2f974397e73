package recording

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/runai-prep/runai-prep/internal/fleet"
	"github.com/runai-prep/runai-prep/internal/report"
	"github.com/runai-prep/runai-prep/inventory"
	"github.com/runai-prep/runai-prep/remote"
)

// A Recorder writes down what hosts print. The folder is there once Close has
// ended well, and whole; before that, and if it has not, what was there stays.
type Recorder struct {
	dir, work string
	about     About
	masks     *masks
	mu        sync.Mutex
	looked    map[string]look // by host
	doubtful  []string        // hosts of which a replay may differ
}

// A look is a host's file: its sum, and which names were known when it was written.
type look struct {
	sum     string
	changes int
}

// Create begins a recording at dir: a folder that is not there, is empty, or is
// a recording, which it replaces. hosts are all of the inventory: their secrets
// are masked, and what else mask says.
func Create(dir string, about About, hosts []inventory.Host, mask []string) (*Recorder, error) {
	dir = filepath.Clean(dir)
	if err := replaceable(dir); err != nil {
		return nil, err
	}
	parent, base := filepath.Split(dir)
	work, err := os.MkdirTemp(filepath.Clean(parent+"."), "."+base+".new-")
	if err != nil {
		return nil, fmt.Errorf("make the recording: %w", err)
	}
	if err := os.Mkdir(filepath.Join(work, hostsDir), 0o700); err != nil {
		return nil, errors.Join(err, os.RemoveAll(work))
	}
	about.Schema, about.Masked = Schema, append([]string{"secrets"}, mask...)
	r := &Recorder{dir: dir, work: work, about: about, masks: newMasks(mask, hosts), looked: map[string]look{}}
	r.about.Inventory = r.masks.text(filepath.Base(about.Inventory))
	return r, nil
}

// replaceable refuses a folder that holds anything but a recording.
func replaceable(dir string) error {
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist), err == nil && len(entries) == 0:
		return nil
	case err != nil:
		return fmt.Errorf("make the recording: %w", err)
	}
	if _, err := openMasked(dir); err != nil {
		return fmt.Errorf("%s is there and is no recording, so it is not replaced: %w", dir, err)
	}
	for _, e := range entries {
		if n := e.Name(); n != aboutFile && n != hostsDir {
			return fmt.Errorf("%s holds %s beside a recording, so it is not replaced (hint: name a folder of its own)", dir, n)
		}
	}
	return nil
}

// Over returns a Connect that keeps what the hosts of another one print.
func (r *Recorder) Over(connect func(context.Context, inventory.Host) (fleet.Conn, error)) func(context.Context, inventory.Host) (fleet.Conn, error) {
	return func(ctx context.Context, h inventory.Host) (fleet.Conn, error) {
		c, err := connect(ctx, h)
		if err != nil {
			return nil, err
		}
		return &recorded{c, r, h.Name}, nil
	}
}

// recorded is a connection of which a Recorder keeps the looks.
type recorded struct {
	fleet.Conn
	recorder *Recorder
	name     string
}

func (c *recorded) Look(ctx context.Context, prelude string, probes []remote.Probe) ([]remote.Section, error) {
	sections, err := c.Conn.Look(ctx, prelude, probes)
	if err != nil {
		return nil, err
	}
	h := host{Name: c.name, Address: c.Address()}
	for _, s := range sections {
		sum := ""
		if i := slices.IndexFunc(probes, func(p remote.Probe) bool { return p.Name == s.Name }); i >= 0 {
			sum = asked(probes[i], c.recorder.masks)
		}
		h.Sections = append(h.Sections, sectionOf(s, sum))
	}
	if err := c.recorder.write(h); err != nil {
		return nil, fmt.Errorf("record: %w", err)
	}
	return sections, nil
}

// write writes a host's file.
func (r *Recorder) write(h host) error {
	name := h.Name
	h.Name = r.masks.host(name)
	file, err := fileOf(h.Name)
	if err != nil {
		return err
	}
	for _, s := range h.Sections {
		r.masks.learn(s)
	}
	r.masks.learnPlainly(h.Error + " " + h.Hint)
	if slices.ContainsFunc(h.Sections, r.masks.doubtful) {
		r.mu.Lock()
		r.doubtful = append(r.doubtful, name)
		r.mu.Unlock()
	}
	changes := r.masks.changes()
	h.Schema, h.Address, h.Error, h.Hint = Schema, r.masks.text(h.Address), r.masks.text(h.Error), r.masks.text(h.Hint)
	for i, s := range h.Sections {
		h.Sections[i] = r.masks.section(s)
	}
	return r.put(name, file, h, changes)
}

// put puts a host's file into the folder.
func (r *Recorder) put(name, file string, h host, changes int) error {
	text, err := encode(h)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(r.work, filepath.FromSlash(file)), text, 0o600); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.looked[name] = look{sum(text), changes}
	return nil
}

// maskAgain masks names in a host's file that were told after it was written.
func (r *Recorder) maskAgain(name string) error {
	changes := r.masks.changes()
	if was, ok := r.looked[name]; !ok || was.changes == changes {
		return nil
	}
	file, err := fileOf(r.masks.host(name))
	if err != nil {
		return err
	}
	text, err := readFile(r.work, file, maxHost)
	if err != nil {
		return err
	}
	var h host
	if err := decode(text, &h); err != nil {
		return err
	}
	h.Error, h.Hint = r.masks.names(h.Error), r.masks.names(h.Hint)
	for i, s := range h.Sections {
		h.Sections[i].Failure = r.masks.names(s.Failure)
		for _, list := range [][]string{s.Out, s.Err, s.Reached, s.Cluster} {
			for i, line := range list {
				list[i] = r.masks.names(line)
			}
		}
	}
	return r.put(name, file, h, changes)
}

// Close completes the recording with the hosts that could not be looked at, and
// puts it in its place. Where the table that undoes the masks was written, it
// says so: it stays with whoever recorded.
func (r *Recorder) Close(visits []*fleet.Visit) (table string, err error) {
	defer r.Abort()
	for _, v := range visits {
		name := v.Host.Name
		if v.Err != nil {
			h := host{Name: name, Address: v.Address, Error: v.Err.Error()}
			if at := (*remote.Error)(nil); errors.As(v.Err, &at) {
				h.Hint = at.Hint
			}
			if err := r.write(h); err != nil {
				return "", fmt.Errorf("record %s: %w", name, err)
			}
		}
	}
	for _, v := range visits {
		name := v.Host.Name
		if err := r.maskAgain(name); err != nil {
			return "", fmt.Errorf("record %s: %w", name, err)
		}
		r.about.Hosts = append(r.about.Hosts, entry{r.masks.host(name), r.looked[name].sum})
	}
	text, err := encode(r.about)
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(filepath.Join(r.work, aboutFile), text, 0o600); err != nil {
		return "", fmt.Errorf("complete the recording: %w", err)
	}
	if len(r.masks.what) > 0 {
		table = tableOf(r.dir)
		text, err := encode(maskTable{Schema, r.about.RunID, r.masks.of})
		if err != nil {
			return "", err
		}
		if err := os.WriteFile(table, text, 0o600); err != nil {
			return "", fmt.Errorf("write the table of masks: %w", err)
		}
	} else if err := os.Remove(tableOf(r.dir)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("remove the table of masks of the former recording: %w", err)
	}
	if err := replace(r.work, r.dir); err != nil {
		return "", fmt.Errorf("put the recording in its place: %w", err)
	}
	return table, nil
}

// Doubtful are the hosts, by name, in whose recording something else than a
// secret may be masked as one, so that a replay may differ there.
func (r *Recorder) Doubtful() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Compact(slices.Sorted(slices.Values(r.doubtful)))
}

// replace puts the folder work in the place of dir: at once where the system can,
// so that there is always a whole one.
func replace(work, dir string) error {
	if exchange(work, dir) == nil {
		return os.RemoveAll(work) // it is the former one now
	}
	old := work + ".old"
	switch err := os.Rename(dir, old); {
	case err == nil:
		if err := os.Rename(work, dir); err != nil {
			return errors.Join(err, os.Rename(old, dir))
		}
		return os.RemoveAll(old)
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	return os.Rename(work, dir)
}

// Abort removes what was not completed.
func (r *Recorder) Abort() { _ = os.RemoveAll(r.work) } // after Close there is nothing

// tableOf is where the table of the masks of a recording is: beside it, so that
// who sends the folder does not send the table.
func tableOf(dir string) string { return strings.TrimSuffix(filepath.Clean(dir), "/") + ".masks.json" }

// A maskTable undoes the masks of one recording, that of its run.
type maskTable struct {
	Schema string            `json:"schema"`
	RunID  string            `json:"run_id"`
	Masks  map[string]string `json:"masks"` // by value
}

func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	err := report.Encode(&b, v)
	return b.Bytes(), err
}
