package recording

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/runai-prep/runai-prep/internal/fleet"
	"github.com/runai-prep/runai-prep/inventory"
	"github.com/runai-prep/runai-prep/remote"
)

// A Recording is one that is played back.
type Recording struct {
	About About
	dir   string
	sums  map[string]string // by host, as the recording calls it
	names map[string]string // what the recording calls a host, where that is masked and known
	plain *strings.Replacer // takes masks off; nil: there are none, or no table
	mu    sync.Mutex
	other map[string][]string // by task: hosts of which it now asks otherwise
	masks *masks
}

// missing is the path of a file that makes a folder a recording.
type missing string

func (m missing) Error() string { return "there is no " + string(m) }

// Open reads what a recording says of itself. Where the table of its masks is
// beside it, the masks are taken off again.
func Open(dir string) (*Recording, error) {
	r, err := openMasked(dir)
	if errors.As(err, new(missing)) {
		return nil, fmt.Errorf("%w (hint: name the folder that plan, check or facts has written with --record)", err)
	}
	if err != nil {
		return nil, err
	}
	return r, r.unmask()
}

// openMasked is Open that leaves the masks as they are.
func openMasked(dir string) (*Recording, error) {
	r := &Recording{dir: dir, sums: map[string]string{}, names: map[string]string{}, other: map[string][]string{}, masks: newMasks(nil, nil)}
	text, err := readFile(dir, aboutFile, maxAbout)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read the recording: %w", missing(filepath.Join(dir, aboutFile)))
	}
	if err == nil {
		err = decode(text, &r.About)
	}
	switch {
	case err != nil:
		return nil, fmt.Errorf("read the recording %s: %s: %w", dir, aboutFile, err)
	case r.About.Schema != Schema:
		return nil, fmt.Errorf("read the recording %s: its schema is %q, and this program reads %q", dir, clip(r.About.Schema), Schema)
	}
	for _, e := range r.About.Hosts {
		if _, err := fileOf(e.Name); err != nil {
			return nil, fmt.Errorf("read the recording %s: %w", dir, err)
		}
		if _, twice := r.sums[e.Name]; twice {
			return nil, fmt.Errorf("read the recording %s: the host %q is there twice", dir, e.Name)
		}
		r.sums[e.Name] = e.SHA256
	}
	return r, nil
}

// unmask reads the table of the masks, where it is.
func (r *Recording) unmask() error {
	if len(r.About.Masked) < 2 {
		return nil
	}
	text, err := os.ReadFile(tableOf(r.dir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var table maskTable
	if err == nil {
		err = decode(text, &table)
	}
	switch {
	case err != nil:
		return fmt.Errorf("read the table of masks %s: %w", tableOf(r.dir), err)
	case table.Schema != Schema:
		return fmt.Errorf("read the table of masks %s: its schema is %q, and this program reads %q", tableOf(r.dir), clip(table.Schema), Schema)
	case table.RunID != r.About.RunID:
		return fmt.Errorf("the table of masks %s is of another recording, that of run %q (hint: move it away, or bring the one of run %q)", tableOf(r.dir), clip(table.RunID), clip(r.About.RunID))
	}
	for value, mask := range table.Masks {
		if value != "" && mask != "" {
			r.names[value] = mask
		}
	}
	// Longest first: name-1.invalid must not be found in name-11.invalid.
	values := slices.SortedFunc(maps.Keys(r.names), func(a, b string) int { return cmpLonger(r.names[a], r.names[b]) })
	var pairs []string
	for _, value := range values {
		pairs = append(pairs, r.names[value], value)
	}
	r.plain = strings.NewReplacer(pairs...)
	return nil
}

func cmpLonger(a, b string) int {
	if len(a) != len(b) {
		return len(b) - len(a)
	}
	return strings.Compare(a, b)
}

// Against tells the recording of the inventory that it is played back for.
func (r *Recording) Against(hosts []inventory.Host) { r.masks = newMasks(nil, hosts) }

// Connect takes the place of a connection.
func (r *Recording) Connect(_ context.Context, h inventory.Host) (fleet.Conn, error) {
	name := h.Name
	if mask := r.names[name]; mask != "" {
		name = mask
	}
	want, ok := r.sums[name]
	if !ok {
		return nil, &remote.Error{Stage: "recording", Err: errors.New("the host is not in it"), Hint: "record it anew, with this host in the inventory"}
	}
	kept, err := r.read(name, want)
	if err != nil {
		return nil, &remote.Error{Stage: "recording", Err: err, Hint: "the file is not as it was recorded: ask for it again, or record anew"}
	}
	if kept.Error != "" && kept.Address == "" {
		return nil, seen{kept.Error, kept.Hint}
	}
	return &replayed{r, h.Name, kept}, nil
}

// read reads a host's file.
func (r *Recording) read(name, want string) (host, error) {
	var h host
	file, err := fileOf(name)
	if err != nil {
		return h, err
	}
	text, err := readFile(r.dir, file, maxHost)
	switch {
	case err != nil:
		return h, fmt.Errorf("%s: %w", file, err)
	case sum(text) != want:
		return h, fmt.Errorf("%s: its sum is not the one that %s has", file, aboutFile)
	}
	return h, r.parse(file, name, text, &h)
}

// parse reads the text of a host's file into h.
func (r *Recording) parse(file, name string, text []byte, h *host) error {
	if err := decode(text, h); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	if r.plain != nil {
		off := r.plain.Replace
		h.Name, h.Address, h.Error, h.Hint = off(h.Name), off(h.Address), off(h.Error), off(h.Hint)
		name = off(name)
		for _, s := range h.Sections {
			for _, list := range [][]string{s.Out, s.Err, s.Reached, s.Cluster} {
				for i := range list {
					list[i] = off(list[i])
				}
			}
		}
	}
	if err := h.check(name); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return nil
}

// readFile reads a regular file below dir, of at most that many bytes.
func readFile(dir, name string, most int64) ([]byte, error) {
	root, err := os.OpenRoot(dir) // no link leads out of it
	if err != nil {
		return nil, err
	}
	defer root.Close()
	if info, err := root.Stat(filepath.FromSlash(name)); err != nil {
		return nil, err
	} else if !info.Mode().IsRegular() {
		return nil, errors.New("it is no file")
	}
	f, err := root.Open(filepath.FromSlash(name))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(text)) > most {
		err = fmt.Errorf("it is larger than %d MiB", most>>20)
	}
	return text, err
}

// decode reads one JSON document and nothing after it.
func decode(text []byte, into any) error {
	d := json.NewDecoder(strings.NewReader(string(text)))
	if err := d.Decode(into); err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
			return errors.New("it ends in the middle")
		}
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("there is more after the document")
	}
	return nil
}

// seen is an error that was recorded, in its own words.
type seen struct{ text, hint string }

func (s seen) Error() string { return s.text }

// As gives the hint to whom looks for one.
func (s seen) As(target any) bool {
	at, ok := target.(**remote.Error)
	if ok {
		*at = &remote.Error{Err: errors.New(s.text), Hint: s.hint}
	}
	return ok
}

// replayed is a host of a recording in the place of a connection.
type replayed struct {
	recording *Recording
	name      string
	host      host
}

func (c *replayed) Address() string { return c.host.Address }
func (c *replayed) Close() error    { return nil }

func (c *replayed) Look(_ context.Context, _ string, probes []remote.Probe) ([]remote.Section, error) {
	if c.host.Error != "" {
		return nil, seen{c.host.Error, c.host.Hint}
	}
	var sections []remote.Section
	for _, p := range probes {
		i := slices.IndexFunc(c.host.Sections, func(s section) bool { return s.Name == p.Name })
		if i < 0 {
			sections = append(sections, remote.Section{Name: p.Name, Failure: "it is not in the recording"})
			continue
		}
		kept := c.host.Sections[i]
		s := kept.section()
		if kept.Asked != asked(p, c.recording.masks) {
			c.recording.asksOtherwise(p.Name, c.name)
			s.Reached = reached(p.Endpoints, kept.Reached)
		}
		sections = append(sections, s)
	}
	return sections, nil
}

// reached is how the way to the endpoints went, of those that were tried when
// the recording was made; what was tried and is asked no more follows.
func reached(now []remote.Endpoint, kept []string) string {
	byKey := map[string]string{}
	var order []string
	for _, line := range kept {
		var r remote.Reached
		if json.Unmarshal([]byte(line), &r) != nil {
			continue
		}
		k := keyOf(r)
		byKey[k] = line
		order = append(order, k)
	}
	var b strings.Builder
	for _, e := range now {
		r := asReached(e)
		k := keyOf(r)
		if line, ok := byKey[k]; ok {
			b.WriteString(line + "\n")
			delete(byKey, k)
			continue
		}
		r.Barrier, r.Said = remote.Lost, "it is not in the recording"
		line, _ := json.Marshal(r)
		b.Write(append(line, '\n'))
	}
	for _, k := range order {
		if line, ok := byKey[k]; ok {
			b.WriteString(line + "\n")
		}
	}
	return b.String()
}

// asReached is an endpoint as Reached names it: address, proxy, whose way.
func asReached(e remote.Endpoint) remote.Reached {
	r := remote.Reached{Endpoint: net.JoinHostPort(e.Host, strconv.Itoa(e.Port)), Of: e.Of}
	if e.Proxy != nil {
		r.Through = net.JoinHostPort(e.Proxy.Host, strconv.Itoa(e.Proxy.Port))
	}
	return r
}

// keyOf is what tells one way from the others of a section. Images have theirs
// in common with others of their registry.
func keyOf(r remote.Reached) string {
	key := []string{r.Endpoint, r.Through, r.Of}
	if r.Image != nil {
		key = append(key, r.Image.Name)
	}
	return strings.Join(key, "\x00")
}

func (r *Recording) asksOtherwise(task, host string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !slices.Contains(r.other[task], host) {
		r.other[task] = append(r.other[task], host)
	}
}

// Notes are what a reader of the result should know: where the inventory now
// asks otherwise than when the recording was made. Empty where it does not.
func (r *Recording) Notes() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.plain == nil && len(r.About.Masked) > 1 {
		return []string{"the recording has masks in the place of " + strings.Join(r.About.Masked[1:], ", ") + ": what the inventory says of them does not agree with it"}
	}
	var notes []string
	for task, hosts := range r.other {
		notes = append(notes, fmt.Sprintf("%s asks otherwise of %s than when it was recorded: what was not looked at then is not known", task, inventory.Compact(hosts)))
	}
	slices.Sort(notes)
	return notes
}

var errReplay = errors.New("a recording cannot be changed")

// Lock fails: a recording is only looked at.
func (c *replayed) Lock(context.Context, remote.Holder, time.Duration, func(remote.Work)) (io.Closer, error) {
	return nil, errReplay
}

// Follow fails, likewise.
func (c *replayed) Follow(context.Context, func(string)) (*remote.JobResult, error) {
	return nil, errReplay
}

// Do fails, likewise.
func (c *replayed) Do(context.Context, remote.Step, func(string)) error { return errReplay }
func (c *replayed) Settle(context.Context, func(string))                {}
