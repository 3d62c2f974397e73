//go:build !unix

package lab

// A port would be held here, did we know how: see port_unix.go.
type port struct{}

func holdPort(int) *port { return nil }

func (p *port) release() {}

// Sys has no owner to tell here.
func (i info) Sys() any { return nil }
