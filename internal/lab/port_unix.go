//go:build unix

package lab

import "syscall"

// A port is held without anybody listening, so that connections to it are
// refused and nobody else is given it meanwhile.
type port struct{ fd int }

// holdPort holds a port of loopback; nil where that cannot be done, for it is
// only a precaution.
func holdPort(number int) *port {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		return nil
	}
	syscall.CloseOnExec(fd)
	_ = syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1)
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Port: number, Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		_ = syscall.Close(fd)
		return nil
	}
	return &port{fd}
}

func (p *port) release() {
	if p != nil {
		_ = syscall.Close(p.fd)
	}
}

// Sys is what the shell interpreter and pkg/sftp take the owner from.
func (i info) Sys() any { return &syscall.Stat_t{Uid: i.uid, Gid: i.gid} }
