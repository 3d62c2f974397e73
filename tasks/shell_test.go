package tasks

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/runai-prep/runai-prep/remote"
)

var testShells = [][]string{{"dash"}, {"busybox", "sh"}, {"bash", "--posix"}, {"bash"}}

// What show prints is what the file holds, in every shell.
func TestShowIsExact(t *testing.T) {
	folder := t.TempDir()
	contents := map[string]string{
		"empty": "", "newline": "\n", "plain": "a\nb\n", "unterminated": "a\nb",
		"crlf": "a\r\nb\r\n", "blanks": "  a\t \n\n\n\tb  \n", "shell": `\n \\ $x "q" 'q' %s -n` + "\n-e\n",
		"ours": "@file /x\n|y\n!absent\n", "latin1": "caf\xe9\n", "last blank line": "a\n\n",
	}
	for name, content := range contents {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("/nowhere", filepath.Join(folder, "dangling")); err != nil {
		t.Fatal(err)
	}
	for _, shell := range testShells {
		if _, err := exec.LookPath(shell[0]); err != nil {
			continue
		}
		look := func(path string) file {
			cmd := exec.Command(shell[0], shell[1:]...)
			cmd.Stdin = strings.NewReader(Prelude + "show " + quote(path) + "\n" + probeEnd)
			cmd.Env = append(os.Environ(), "LC_ALL=C") // as a look has it
			out, err := cmd.Output()
			if err != nil {
				t.Fatalf("%v: %v", shell, err)
			}
			blocks, err := readBlocks(remote.Section{Out: string(out)})
			if err != nil {
				t.Fatalf("%v: %v\n%s", shell, err, out)
			}
			return blocks[0].file()
		}
		for name, content := range contents {
			if f := look(filepath.Join(folder, name)); f.content != content || f.Presence != Present {
				t.Errorf("%v: %s: got %q (%s), want %q", shell, name, f.content, f.Presence, content)
			}
		}
		for path, want := range map[string]Presence{
			folder + "/none": Absent, folder + "/none/below": Absent, folder: Irregular, folder + "/dangling": Irregular, "/dev/null": Irregular,
		} {
			if f := look(path); f.Presence != want {
				t.Errorf("%v: %s is %s, want %s", shell, path, f.Presence, want)
			}
		}
	}
}

// A file of ours with a password tells whether it is as it was written.
func TestSigned(t *testing.T) {
	path := filepath.Join(t.TempDir(), "env")
	w := proxyWish{http: "http://p:1", noProxy: "x", username: "u", password: "p"}
	for _, c := range []struct{ content, want string }{
		{w.envFile(), "@signed " + path + "\n!intact\n@end\n"},
		{w.envFile() + "X=1\n", "@signed " + path + "\n!changed\n@end\n"},
		{"HTTP_PROXY=x\n", "@end\n"},
	} {
		if err := os.WriteFile(path, []byte(c.content), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, shell := range testShells {
			if _, err := exec.LookPath(shell[0]); err != nil {
				continue
			}
			cmd := exec.Command(shell[0], shell[1:]...)
			cmd.Stdin = strings.NewReader(Prelude + "signed " + quote(path) + "\n" + probeEnd)
			if out, err := cmd.Output(); err != nil || string(out) != c.want {
				t.Errorf("%v: got %q, %v; want %q", shell, out, err, c.want)
			}
		}
	}
}

// A new fstab is refused for what is new and wrong, and not for what was wrong
// before. The machine's own /etc/fstab is the old one, so only a fault that we
// bring ourselves can be told here; its own faults are in every new one.
func TestVerifyFstab(t *testing.T) {
	old, err := os.ReadFile(fstabPath)
	if err != nil {
		t.Skipf("this machine has no fstab: %v", err)
	}
	folder := t.TempDir()
	content := string(old)
	if !strings.HasSuffix(content, "\n") {
		content += "\n"
	}
	for name, c := range map[string]struct {
		add  string
		good bool
	}{
		"nothing":    {"", true},
		"ours":       {"nas.example.com:/export " + folder + " nfs _netdev,nofail,hard 0 0\n", true},
		"no target":  {"nas.example.com:/export " + folder + "/none nfs _netdev,nofail,hard 0 0\n", false},
		"two fields": {"nas.example.com:/export /mnt\n", false},
	} {
		path := filepath.Join(folder, "fstab")
		if err := os.WriteFile(path, []byte(content+c.add), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, shell := range testShells {
			if _, err := exec.LookPath(shell[0]); err != nil {
				continue
			}
			for _, search := range []string{os.Getenv("PATH"), withoutFindmnt(t)} {
				if name == "no target" && search != os.Getenv("PATH") {
					continue // only findmnt sees that
				}
				cmd := exec.Command(shell[0], append(shell[1:], "-s", path)...)
				cmd.Stdin = strings.NewReader(verifyFstab)
				cmd.Env = []string{"PATH=" + search, "LC_ALL=C"}
				if out, err := cmd.CombinedOutput(); (err == nil) != c.good {
					t.Errorf("%v: %s: %v\n%s", shell, name, err, out)
				}
			}
		}
	}
}

// withoutFindmnt is a search path with what the script needs and no findmnt.
func withoutFindmnt(t *testing.T) string {
	folder := t.TempDir()
	for _, name := range []string{"timeout", "grep"} {
		path, err := exec.LookPath(name)
		if err != nil {
			t.Skipf("%s is not here", name)
		}
		if err := os.Symlink(path, filepath.Join(folder, name)); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

// systemd's own program is the judge of what it calls a path.
func TestUnitOf(t *testing.T) {
	paths := []string{"/mnt/data", "/mnt/with-dash", "/mnt/.hidden", "/.root", "/a_b:c/d.e", "/mnt/ä"}
	for _, p := range paths {
		got := unitOf(p, ".automount")
		if out, err := exec.Command("systemd-escape", "--path", "--suffix=automount", p).Output(); err != nil {
			t.Logf("systemd-escape: %v", err)
		} else if want := strings.TrimSpace(string(out)); got != want {
			t.Errorf("%s: got %s, want %s", p, got, want)
		}
	}
}

// systemd is asked once, about the services of all probes; each is told of its
// own, also of one that goes by another name.
func TestServices(t *testing.T) {
	path := program(t, "systemctl", `echo "asked $*" >&2
printf 'ExecStart={ path=/bin/[n/a] * }\nId=docker.service\nActiveState=active\n\nExecStart={ path=/sbin/squid }\nId=squid.service\nActiveState=failed\n\nActiveState=active\nId=gdm.service\n'
exit 3
`)
	script := `hasUnit() { case $1 in docker | squid | display-manager) return 0 ;; esac; return 1; }
{ services unit ActiveState squid; } 2>/dev/null
services units ActiveState,Id docker display-manager
` + probeEnd
	eachShell(t, script, path, func(t *testing.T, blocks []block) {
		var said []string
		for _, b := range blocks {
			said = append(said, b.kind+": "+strings.Join(b.lines, " ")+fmt.Sprint(" ", b.exit()))
		}
		want := []string{"unit: ActiveState=failed 3", "units: Id=docker.service ActiveState=active  ActiveState=active Id=gdm.service 3"}
		if diff := cmp.Diff(want, said); diff != "" {
			t.Error(diff)
		}
	})
}
