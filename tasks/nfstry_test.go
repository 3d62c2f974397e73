package tasks

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/runai-prep/runai-prep/inventory"
)

var tried = inventory.Mount{Server: "nas", Export: "/export", Path: "/mnt/data"}

// The trial is carried out, or not and it says so, or fails with the reason; in
// no case does it mount where others see it.
func TestTry(t *testing.T) {
	const (
		folder  = "mkdir -p /var/lib/runai-prep"
		private = "mount --make-rprivate /"
		mounts  = "mount -t nfs -o OPTIONS -- nas:/export /var/lib/runai-prep"
	)
	for _, c := range []struct {
		name           string
		unshare, mount string // what they do; no unshare: there is none
		said           string // and, after a blank, the exit status
		did            []string
	}{
		{"mounted", `shift; exec "$@"`, "", " 0", []string{folder, private, mounts, "umount -- /var/lib/runai-prep"}},
		{"no unshare", "", "", "nas:/export was not tried: there is no program unshare, which would keep it out of sight 0", nil},
		{"no namespace", "echo 'unshare: unshare failed: Operation not permitted' >&2; exit 1", "",
			"nas:/export was not tried: no mount namespace can be made: unshare: unshare failed: Operation not permitted 0", nil},
		{"shared", `shift; exec "$@"`, `case $1 in --make-rprivate) echo 'mount: bad option' >&2; exit 32 ;; esac`,
			"nas:/export was not tried, for all would see it: a mount namespace of its own cannot be made private: mount: bad option 1", []string{folder, private}},
		{"mounted already", `shift; exec "$@"`, `case $1 in -t) echo 'mount.nfs: /x is busy or already mounted' >&2; exit 32 ;; esac`,
			"nas:/export was not tried: mount.nfs: /x is busy or already mounted 0", []string{folder, private, mounts}},
		{"not exported", `shift; exec "$@"`, `case $1 in -t) echo 'mount.nfs: reason given by server: No such file or directory' >&2; exit 32 ;; esac`,
			"mount.nfs: reason given by server: No such file or directory no such export, nor a folder of one: nas exports /data 1", []string{folder, private, mounts}},
	} {
		t.Run(c.name, func(t *testing.T) {
			programs, log := t.TempDir(), filepath.Join(t.TempDir(), "log")
			for name, script := range map[string]string{
				"timeout": `shift 3; exec "$@"`, "showmount": "echo '/data *'", "true": "", "unshare": c.unshare,
				"mount": `echo "mount $*" >>` + log + "\n" + c.mount, "umount": `echo "umount $*" >>` + log, "mkdir": `echo "mkdir $*" >>` + log,
			} {
				if name == "unshare" && script == "" {
					continue
				}
				if err := os.WriteFile(filepath.Join(programs, name), []byte("#!/bin/sh\n"+script+"\n"), 0o700); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.Symlink("/bin/sh", filepath.Join(programs, "sh")); err != nil {
				t.Fatal(err)
			}
			script := "said=$( ( " + tryMount(tried).Run.Script + ") 2>&1 )\nexit=$?\necho @try\n" + `bars "$said $exit"` + "\n" + probeEnd
			eachShell(t, script, programs, func(t *testing.T, blocks []block) {
				if got := strings.Join(blocks[0].lines, " "); got != c.said {
					t.Errorf("it says %q, want %q", got, c.said)
				}
				text, _ := os.ReadFile(log) // not there: nothing was done
				_ = os.Remove(log)
				did := strings.FieldsFunc(strings.ReplaceAll(string(text), fstabOptions(tried)+",fg,retry=0", "OPTIONS"), func(r rune) bool { return r == '\n' })
				if !slices.Equal(did, c.did) {
					t.Error(cmp.Diff(c.did, did))
				}
			})
		})
	}
}

// The kernel is the judge of who sees the trial where unshare, as before
// util-linux 2.27, leaves the new namespace sharing its mounts with the host.
func TestTryOutOfSight(t *testing.T) {
	outer := []string{"-m", "--propagation", "private"}
	if os.Getuid() != 0 {
		outer = append(outer, "-r")
	}
	if out, err := exec.Command("unshare", append(outer, "mount", "--make-rshared", "/")...).CombinedOutput(); err != nil {
		t.Skipf("no mount namespaces here: %v: %s", err, out)
	}
	programs := t.TempDir()
	for name, script := range map[string]string{
		"unshare": `shift; exec /usr/bin/unshare -m --propagation unchanged "$@"`,
		"mount":   `case $1 in -t) exec /bin/mount -t tmpfs nas "$7" ;; esac; exec /bin/mount "$@"`,
		"umount":  ": # so that it stays, where it was seen",
	} {
		if err := os.WriteFile(filepath.Join(programs, name), []byte("#!/bin/sh\n"+script+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	look := "\ngrep ' /var/lib/runai-prep .* - tmpfs nas' /proc/self/mountinfo && exit 1\nexit 0\n"
	try := tryMount(tried).Run.Script
	for _, shell := range testShells {
		if _, err := exec.LookPath(shell[0]); err != nil {
			continue
		}
		run := func(try string) (string, error) {
			cmd := exec.Command("unshare", append(slices.Clone(outer), shell...)...)
			cmd.Stdin = strings.NewReader("/bin/mount --make-rshared / && /bin/mount -t tmpfs x /var/lib || exit 1\n(" + try + ") || exit 1" + look)
			cmd.Env = []string{"LC_ALL=C", fmt.Sprintf("PATH=%s:/usr/sbin:/usr/bin:/sbin:/bin", programs)}
			var out bytes.Buffer
			cmd.Stdout, cmd.Stderr = &out, &out
			err := cmd.Run()
			return out.String(), err
		}
		if out, err := run(try); err != nil || out != "" {
			t.Errorf("%v: %v\n%s", shell, err, out)
		}
		if out, err := run(strings.Replace(try, "mount --make-rprivate / || exit 99", "", 1)); err == nil || !strings.Contains(out, "tmpfs nas") {
			t.Errorf("%v: without make-rprivate it is not seen, so that this test tells nothing: %v\n%s", shell, err, out)
		}
	}
}
