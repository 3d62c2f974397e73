package remote

import (
	"bytes"
	"strings"
)

// A marker is a line by which the host's shell says where it stands. It begins
// with a random word, so that nothing printed in between can be taken for one.
type marker struct {
	kind   string // "g" its process group, "b" a section begins, "e" one ends
	fields []string
}

// A splitter tells markers from the text between them, however the stream is
// cut into pieces. A marker has a newline of its own before it, which is no
// part of the text.
type splitter struct {
	needle  []byte // newline, mark, blank
	pending []byte
	onText  func([]byte)
	onMark  func(marker)
}

func newSplitter(mark string, onText func([]byte), onMark func(marker)) *splitter {
	return &splitter{needle: []byte("\n" + mark + " "), onText: onText, onMark: onMark}
}

// maxMarker bounds a marker's line: a longer one is not ours.
const maxMarker = 256

// feed takes the next piece of the stream and reports the text and the markers
// that are complete by now, in their order.
func (s *splitter) feed(data []byte) {
	s.pending = append(s.pending, data...)
	for {
		at := bytes.Index(s.pending, s.needle)
		if at < 0 {
			s.text(len(s.pending) - s.begun())
			return
		}
		s.text(at)
		line := s.pending[len(s.needle):]
		end := bytes.IndexByte(line, '\n')
		switch {
		case end < 0 && len(line) <= maxMarker:
			return // the rest of the line is still to come
		case end < 0 || end > maxMarker:
			s.text(len(s.needle))
			continue
		}
		fields := strings.Fields(string(line[:end]))
		s.pending = line[end+1:]
		if len(fields) > 0 {
			s.onMark(marker{fields[0], fields[1:]})
		}
	}
}

// end says that the stream is over: what looked like the start of a marker is
// text.
func (s *splitter) end() { s.text(len(s.pending)) }

// begun is how much of the pending text's end may still become a marker.
func (s *splitter) begun() int {
	for n := min(len(s.pending), len(s.needle)-1); n > 0; n-- {
		if bytes.HasPrefix(s.needle, s.pending[len(s.pending)-n:]) {
			return n
		}
	}
	return 0
}

func (s *splitter) text(n int) {
	if n > 0 {
		s.onText(s.pending[:n])
		s.pending = s.pending[n:]
	}
}
