//go:build unix

package remote

import (
	"io/fs"
	"os"
	"syscall"
)

// ownedByUs: OpenSSH minds the mode of our own files only.
func ownedByUs(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(stat.Uid) == os.Getuid()
}
