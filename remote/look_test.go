package remote

import (
	"context"
	"os"
	"testing"
	"time"
)

func TestLookAsEveryKindOfUser(t *testing.T) {
	s := startSSHD(t, sshdOptions{setup: "ln -s /bin/busybox /etc/busybox; printf '#!/bin/busybox sh\\nexec /bin/busybox sh \"$@\"\\n' >/etc/busybox-sh; chmod 755 /etc/busybox-sh; sed -i s,/bin/busybox-sh,/etc/busybox-sh, /etc/passwd"})
	for _, c := range []struct{ user, sudoPassword string }{
		{"root", ""}, {"toor", ""}, {"ops", ""}, {"ops", "not asked for"}, {"pw", password}, {"needstty", password}, {"ttyfree", ""},
		{"csh", ""}, {"fish", password}, {"noisy", ""}, {"busy", ""},
	} {
		t.Run(c.user+"/"+c.sudoPassword, func(t *testing.T) {
			for user, program := range map[string]string{"csh": "/bin/csh", "fish": "/usr/bin/fish", "busy": "/bin/busybox"} {
				if _, err := os.Stat(program); user == c.user && err != nil {
					t.Skipf("SKIP: needs %s (apt-get install tcsh fish busybox)", program)
				}
			}
			conn := dial(t, newDialer(t), withSudoPassword(s.target(t, c.user), c.sudoPassword))
			sections, err := conn.Look(context.Background(), "hello() { echo \"hello $1\"; }\n", []Probe{
				{Name: "who", Script: "hello world; id -u; echo oops >&2; exit 3"},
				{Name: "raw", Script: "printf 'a\\tb\\r\\n\\n'"},
				{Name: "syntax", Script: "if then ("},
				{Name: "stdin", Script: "cat; umask; pwd; echo $LC_ALL"},
				{Name: "inline", Script: "cat; echo oops >&2; set -f; set -- 1 2; IFS=:; cd /etc; (exit 4)", Inline: true},
				{Name: "tidied", Script: "x='a b'; for y in $x; do echo \"$y $# $(pwd)\" /et*; done", Inline: true},
			})
			if err != nil {
				t.Fatal(err)
			}
			want := []Section{
				{Name: "who", Out: "hello world\n0\n", Err: "oops\n", Exit: 3},
				{Name: "raw", Out: "a\tb\r\n\n"},
				{Name: "syntax", Exit: 2},
				{Name: "stdin", Out: "0022\n/\nC\n"},
				{Name: "inline", Err: "oops\n", Exit: 4},
				{Name: "tidied", Out: "a 0 / /etc\nb 0 / /etc\n"},
			}
			for i, w := range want {
				got := sections[i]
				if conn.elevation().pty {
					w.Err = "" // a terminal has one stream
				} else if w.Name == "syntax" && got.Err == "" {
					t.Error("no word about the syntax error")
				}
				if w.Name == "syntax" {
					got.Err = ""
					if got.Exit == 0 {
						t.Error("a syntax error exits 0")
					}
					got.Exit = 2
				}
				if at := time.Since(got.Clock); at < 0 || at > time.Minute {
					t.Errorf("%s: the controller had it at %v", got.Name, got.Clock)
				}
				if got.Began.IsZero() || got.Began.After(got.Clock) {
					t.Errorf("%s: asked for at %v, and had at %v", got.Name, got.Began, got.Clock)
				}
				got.Clock, got.Began = time.Time{}, time.Time{}
				if got != w {
					t.Errorf("got  %+v\nwant %+v", got, w)
				}
			}
		})
	}
}

func TestHungSectionSpoilsItselfAlone(t *testing.T) {
	s := startSSHD(t, sshdOptions{})
	conn := dial(t, newDialer(t), s.target(t, "ops"))
	begun := time.Now()
	sections, err := conn.Look(context.Background(), "", []Probe{
		{Name: "a", Script: "echo a"},
		{Name: "hangs", Script: "echo some; sleep 4711", Timeout: time.Second},
		{Name: "c", Script: "echo c"},
		{Name: "kills", Script: "echo here; kill -9 $$; exit", Timeout: time.Hour},
		{Name: "floods", Script: "while :; do echo flood flood flood flood flood flood; done", Timeout: time.Hour},
		{Name: "f", Script: "echo f"},
		{Name: "inline hangs", Script: "echo some; sleep 4711", Timeout: time.Second, Inline: true},
		{Name: "inline", Script: "echo inline", Inline: true},
		{Name: "inline exits", Script: "echo some; exit 5", Timeout: time.Hour, Inline: true},
		{Name: "inline ends", Script: "echo some; shift 2", Timeout: time.Hour, Inline: true},
		{Name: "k", Script: "echo k", Inline: true},
	})
	if err != nil {
		t.Fatal(err)
	}
	for i, w := range []Section{
		{Name: "a", Out: "a\n"},
		{Name: "hangs", Out: "some\n", Failure: "no answer within 1s"},
		{Name: "c", Out: "c\n"},
		{Name: "kills", Out: "here\n", Failure: "its shell ended early: exit status 137"},
		{Name: "floods", Failure: "output over 1 MiB"},
		{Name: "f", Out: "f\n"},
		{Name: "inline hangs", Out: "some\n", Failure: "no answer within 1s"},
		{Name: "inline", Out: "inline\n"},
		{Name: "inline exits", Out: "some\n", Failure: "its shell ended early: exit status 5"},
		{Name: "inline ends", Out: "some\n", Failure: "its shell ended early: exit status 2"},
		{Name: "k", Out: "k\n"},
	} {
		got := sections[i]
		if got.Name == "floods" {
			if len(got.Out) != maxSection {
				t.Errorf("kept %d bytes of the flood", len(got.Out))
			}
			got.Out = ""
		}
		if got.Name == "kills" || got.Name == "inline ends" {
			got.Err = "" // the login shell's "Killed", dash's complaint
		}
		if got.Clock.IsZero() != (w.Failure != "") {
			t.Errorf("%s: complete at %v", got.Name, got.Clock)
		}
		got.Clock, got.Began = time.Time{}, time.Time{}
		if got != w {
			t.Errorf("got  %+v\nwant %+v", got, w)
		}
	}
	if took := time.Since(begun); took > time.Minute {
		t.Errorf("took %v: a deadline other than the one second was waited for", took)
	}
	noProcess(t, s, "sleep 4711")
}

func TestLookIsBoundedInAll(t *testing.T) {
	s := startSSHD(t, sshdOptions{})
	conn := dial(t, newDialer(t), s.target(t, "root"))
	const size = 1_000_000
	var probes []Probe
	for range 11 {
		probes = append(probes, Probe{Name: "big", Script: "head -c 1000000 /dev/zero | tr '\\0' x", Timeout: time.Minute})
	}
	sections, err := conn.Look(context.Background(), "", probes)
	must(t, err)
	for i, section := range sections {
		whole := i < maxLook/size
		if whole && (section.Failure != "" || len(section.Out) != size) || !whole && section.Failure != "output over 8 MiB in all" {
			t.Errorf("%d: %d bytes, %q", i, len(section.Out), section.Failure)
		}
	}
}

func TestHostsWithoutAProperTimeout(t *testing.T) {
	for name, setup := range map[string]string{
		"none": "touch /run/none; mount --bind /run/none /usr/bin/timeout",
		"old":  "mount -t tmpfs tmpfs /usr/local; mkdir /usr/local/sbin; printf '#!/bin/sh\\necho \"timeout: invalid option -- k\" >&2; exit 1\\n' >/usr/local/sbin/timeout; chmod 755 /usr/local/sbin/timeout",
	} {
		t.Run(name, func(t *testing.T) {
			s := startSSHD(t, sshdOptions{setup: setup})
			conn := dial(t, newDialer(t), s.target(t, "root"))
			sections, err := conn.Look(context.Background(), "", []Probe{{Name: "a", Script: "sleep 4716", Timeout: time.Second}, {Name: "b", Script: "echo b"}})
			if err != nil || sections[0].Failure != "no answer within 1s" || sections[1].Out != "b\n" {
				t.Errorf("%+v %v", sections, err)
			}
			noProcess(t, s, "sleep 4716")
		})
	}
}
