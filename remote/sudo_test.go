package remote

import (
	"context"
	"strings"
	"testing"
)

func TestSudoSaysWhy(t *testing.T) {
	s := startSSHD(t, sshdOptions{})
	// /usr/bin without sudo.
	bare := startSSHD(t, sshdOptions{setup: "mkdir /run/bin; for f in sh env id cat dash bash timeout; do cp $(readlink -f $(command -v $f)) /run/bin/$f; done; mount --bind /run/bin /usr/bin"})
	for _, c := range []struct {
		name, user, sudoPassword string
		s                        *sshd
		stage                    Stage
		words                    []string
	}{
		{"password wanted", "pw", "", s, SudoStage, []string{"sudo wants a password for pw", "sudo { password"}},
		{"wrong password", "pw", "wrong", s, SudoStage, []string{"wrong password for pw"}},
		{"wrong password on a terminal", "needstty", "wrong", s, SudoStage, []string{"wrong password for needstty"}},
		{"not in sudoers", "nosudo", password, s, SudoStage, []string{"nosudo may not use sudo"}},
		{"not in sudoers, no password", "nosudo", "", s, SudoStage, []string{"sudo wants a password for nosudo"}},
		{"no sudo", "ops", "", bare, SudoStage, []string{"sudo is not installed"}},
		{"no shell", "gone", "", s, Session, []string{"login shell of gone", "not available"}},
		{"start-up file reads stdin", "swallow", "", s, Session, []string{"login shell"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			target := withSudoPassword(c.s.target(t, c.user), c.sudoPassword)
			if c.stage == Session && c.user == "gone" {
				target.Sudo.Enabled = false
			}
			conn := dial(t, newDialer(t), target)
			sections, err := conn.Look(context.Background(), "", []Probe{{Name: "x", Script: "id -u; echo done"}})
			if c.user == "swallow" && err == nil {
				// Whether a start-up file gets at the script is a matter of
				// timing; it must be whole or not run at all.
				if sections[0].Out != "0\ndone\n" {
					t.Errorf("half a script was run: %+v", sections)
				}
				return
			}
			wantError(t, err, c.stage, c.words...)
			if strings.Contains(err.Error(), password) {
				t.Error("the password shows")
			}
		})
	}
	t.Run("root by another name without sudo", func(t *testing.T) {
		conn := dial(t, newDialer(t), bare.target(t, "toor"))
		got, err := conn.Look(context.Background(), "", []Probe{{Name: "x", Script: "id -u"}})
		if err != nil || got[0].Out != "0\n" {
			t.Error(got, err)
		}
	})
	t.Run("not to be used", func(t *testing.T) {
		target := s.target(t, "nosudo")
		target.Sudo.Enabled = false
		conn := dial(t, newDialer(t), target)
		got, err := conn.Look(context.Background(), "", []Probe{{Name: "x", Script: "id -un"}})
		if err != nil || got[0].Out != "nosudo\n" {
			t.Error(got, err)
		}
	})
}

// The password must be in no process' arguments, and reach nobody but sudo.
func TestSudoPasswordStaysHidden(t *testing.T) {
	s := startSSHD(t, sshdOptions{})
	for _, user := range []string{"pw", "ops"} {
		conn := dial(t, newDialer(t), withSudoPassword(s.target(t, user), password))
		sections, err := conn.Look(context.Background(), "", []Probe{
			{Name: "argv", Script: "cat /proc/[0-9]*/cmdline | tr '\\0' ' '"},
			{Name: "environ", Script: "cat /proc/[0-9]*/environ"},
			{Name: "stdin", Script: "cat"},
		})
		must(t, err)
		for _, section := range sections {
			if strings.Contains(section.Out+section.Err, password) {
				t.Errorf("%s: %s shows the password", user, section.Name)
			}
		}
		if !strings.Contains(sections[0].Out, "sudo") {
			t.Errorf("saw no sudo: %+v", sections[0])
		}
	}
}
