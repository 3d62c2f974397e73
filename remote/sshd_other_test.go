//go:build !linux

package remote

import "os/exec"

func dieWithUs(*exec.Cmd) {}
