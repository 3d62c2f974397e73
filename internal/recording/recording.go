// Package recording keeps what hosts printed when they were looked at, and
// plays it back in the place of a connection: to plan in CI without a network,
// and to hand evidence to somebody who may not log in.
//
// A recording is a folder: record.json says of what, when and with which tasks
// it was made; hosts/NAME.json holds the sections of one host, line by line.
//
//	recording.go  the format, and its bounds
//	write.go      a Recorder beside the connections
//	read.go       a Recording in their place
//	mask.go       what is not written down; names.go which names there are,
//	              nametree.go where they are in a text
//
// What is in a recording is a stranger's: it may come from a mail. A host that
// is not in it is unreachable, and a section that is not in it is unknown.
package recording

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"path"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/runai-prep/runai-prep/remote"
)

// Schema names the version of the format.
const Schema = "runai-prep.recording/1"

const (
	aboutFile = "record.json"
	hostsDir  = "hosts"
)

// Bounds of what is read.
const (
	maxAbout    = 64 << 20  // 100,000 hosts
	maxHost     = 128 << 20 // eight MiB of sections, escaped at their worst
	maxSection  = 2 << 20
	maxSections = 100
)

// About is what a recording says of itself.
type About struct {
	Schema       string   `json:"schema"`
	Version      string   `json:"version"` // of the program
	RunID        string   `json:"run_id"`
	Started      string   `json:"started"`   // RFC 3339
	Inventory    string   `json:"inventory"` // the name of its file or folder
	Requirements string   `json:"requirements"`
	Tasks        []string `json:"tasks"`
	Masked       []string `json:"masked"` // what was masked: secrets always
	Hosts        []entry  `json:"hosts"`
}

// An entry is one host of a recording.
type entry struct {
	Name   string `json:"name"`
	SHA256 string `json:"sha256"` // of its file
}

// A host is one host's file.
type host struct {
	Schema   string    `json:"schema"`
	Name     string    `json:"name"`
	Address  string    `json:"address,omitempty"` // host:port; empty: it was never connected
	Error    string    `json:"error,omitempty"`   // why there are no sections
	Hint     string    `json:"hint,omitempty"`
	Sections []section `json:"sections,omitempty"`
}

// A section is a remote.Section, with a line of output on a line of the file.
type section struct {
	remote.Section
	Out     []string `json:"out,omitempty"`
	Err     []string `json:"err,omitempty"`
	Reached []string `json:"reached,omitempty"`
	Cluster []string `json:"cluster,omitempty"`
	// Asked is a sum of the probe and its endpoints: an inventory that has
	// changed since may ask for more than was looked at.
	Asked string `json:"asked,omitempty"`
}

// sectionOf is the section of a probe.
func sectionOf(s remote.Section, asked string) section {
	kept := section{Section: s, Out: lines(s.Out), Err: lines(s.Err), Reached: lines(s.Reached), Cluster: lines(s.Cluster), Asked: asked}
	kept.Section.Out, kept.Section.Err, kept.Section.Reached, kept.Section.Cluster = "", "", "", ""
	return kept
}

// section is what a probe printed, as it was printed.
func (s section) section() remote.Section {
	whole := s.Section
	for text, lines := range map[*string][]string{&whole.Out: s.Out, &whole.Err: s.Err, &whole.Reached: s.Reached, &whole.Cluster: s.Cluster} {
		*text = strings.Join(lines, "\n")
	}
	return whole
}

// lines splits so that joining gives the same again.
func lines(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(text, "\n")
}

var nameRE = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$`)

// fileOf is the path of a host's file in a recording. Names are an
// inventory's; one that could lead elsewhere is none.
func fileOf(name string) (string, error) {
	if len(name) > 200 || !nameRE.MatchString(name) {
		return "", fmt.Errorf("%q is no name of a host", name)
	}
	return path.Join(hostsDir, name+".json"), nil
}

// check refuses what no recorder has written.
func (h host) check(name string) error {
	switch {
	case h.Schema != Schema:
		return fmt.Errorf("its schema is %q, and this program reads %q", clip(h.Schema), Schema)
	case h.Name != name:
		return fmt.Errorf("it is of a host %q", clip(h.Name))
	case len(h.Sections) > maxSections:
		return fmt.Errorf("it has %d sections", len(h.Sections))
	case h.Error == "" && len(h.Sections) == 0:
		return errors.New("it says neither what was seen nor why not")
	case h.Error == "" && h.Address == "":
		return errors.New("it does not say where the host was reached")
	}
	seen := map[string]bool{}
	for _, s := range h.Sections {
		whole := s.section()
		switch {
		case s.Name == "" || seen[s.Name]:
			return fmt.Errorf("the section %q is there twice, or has no name", clip(s.Name))
		case len(whole.Out) > maxSection || len(whole.Err) > maxSection || max(len(whole.Reached), len(whole.Cluster)) > maxSection:
			return fmt.Errorf("the section %q is larger than any that is recorded", clip(s.Name))
		case s.Exit < -1 || s.Exit > 255:
			return fmt.Errorf("the section %q has the exit status %d", clip(s.Name), s.Exit)
		case !utf8.ValidString(whole.Out + whole.Err + whole.Reached + whole.Cluster):
			return fmt.Errorf("the section %q is not UTF-8", clip(s.Name))
		}
		seen[s.Name] = true
	}
	return nil
}

// asked is the sum of what a probe asks.
func asked(p remote.Probe, masks *masks) string {
	var b strings.Builder
	b.WriteString(p.Script)
	for _, e := range p.Endpoints {
		b.WriteByte(0)
		b.WriteString(keyOf(asReached(e)))
	}
	if p.Cluster != nil { // which it is, is the controller's
		b.WriteString("\x00cluster")
	}
	sum := sha256.Sum256([]byte(masks.secret(b.String())))
	return hex.EncodeToString(sum[:8])
}

func sum(text []byte) string {
	s := sha256.Sum256(text)
	return hex.EncodeToString(s[:])
}

// clip keeps a stranger's words short enough for an error.
func clip(s string) string {
	if len(s) > 60 {
		s = strings.ToValidUTF8(s[:60], "") + "…"
	}
	return remote.Safe(s)
}
