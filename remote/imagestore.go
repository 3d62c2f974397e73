package remote

import (
	"context"
	"sync"
	"time"
)

// An imageStore holds what was read of images in this run, by digest and
// architecture.
type imageStore struct {
	mu      sync.Mutex
	reading map[string]*imageReading
}

// An imageReading is one that somebody has begun.
type imageReading struct {
	done  chan struct{}
	found *imageConfig // once done; nil: it failed
}

// readingLimit is how long a host waits for what another one reads. Then it
// reads for itself: the way of the other one may be stuck.
const readingLimit = time.Second

// once returns what has been read, or reads.
func (s *imageStore) once(ctx context.Context, key string, read func() (*imageConfig, error)) (*imageConfig, error) {
	s.mu.Lock()
	begun := s.reading[key]
	mine := begun == nil
	if mine {
		if s.reading == nil {
			s.reading = map[string]*imageReading{}
		}
		begun = &imageReading{done: make(chan struct{})}
		s.reading[key] = begun
	}
	s.mu.Unlock()
	if !mine {
		select {
		case <-begun.done:
		case <-time.After(readingLimit):
		case <-ctx.Done():
		}
		s.mu.Lock()
		found := begun.found
		s.mu.Unlock()
		if found != nil {
			return found, nil
		}
		return read()
	}
	found, err := read()
	s.mu.Lock()
	defer s.mu.Unlock()
	if begun.found = found; err != nil {
		delete(s.reading, key)
	}
	close(begun.done)
	return found, err
}
