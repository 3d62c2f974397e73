package tasks

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The machine's own apt refuses a repository that another key has signed, or
// nobody, and then nothing is left behind. NVIDIA's is signed with a subkey of the
// key that is known by its fingerprint.
func TestAptKey(t *testing.T) {
	for _, program := range []string{"gpg", "apt-get", "/usr/lib/apt/apt-helper"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip(program + " is not here")
		}
	}
	if os.Getuid() != 0 {
		t.Skip("apt-get update is for root")
	}
	home, err := os.MkdirTemp("", "gpg") // short: gpg's agent has a socket there
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = exec.Command("gpgconf", "--homedir", home, "--kill", "all").Run() // it ends with its folder, too
		_ = os.RemoveAll(home)
	})
	gpg := func(stdin string, args ...string) string {
		t.Helper()
		cmd := exec.Command("gpg", append([]string{"--homedir", home, "--batch", "--quiet", "--passphrase", ""}, args...)...)
		cmd.Stdin = strings.NewReader(stdin)
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("gpg %v: %v", args, err)
		}
		return string(out)
	}
	gpg("", "--quick-gen-key", "toolkit <toolkit@localhost>", "ed25519", "sign", "never")
	var key string
	for line := range strings.Lines(gpg("", "--with-colons", "--list-keys")) {
		if fields := strings.Split(line, ":"); fields[0] == "fpr" {
			key = fields[9]
		}
	}
	release := fmt.Sprintf("Suite: stable\nDate: Tue, 24 Nov 2026 12:00:00 +0000\nSHA256:\n %x 0 Packages\n", sha256.Sum256(nil))
	signed := gpg(release, "--clearsign")
	gpg("", "--quick-add-key", key, "ed25519", "sign", "never") // from now on it is the one that signs
	bySubkey := gpg(release, "--clearsign")
	public := gpg("", "--armor", "--export")

	for _, c := range []struct {
		name, key string
		files     map[string]string // by the end of their path
		want      string            // what is said; empty: the key is taken
	}{
		{"its key", key, map[string]string{"/gpgkey": public, "/InRelease": signed, "/Packages": ""}, ""},
		{"a subkey of its key", key, map[string]string{"/gpgkey": public, "/InRelease": bySubkey, "/Packages": ""}, ""},
		{"another key", toolkitKey, map[string]string{"/gpgkey": public, "/InRelease": signed, "/Packages": ""}, "the repository is not signed with " + toolkitKey},
		{"signed by nobody", key, map[string]string{"/gpgkey": public, "/Release": release, "/Packages": ""}, "the repository is not signed with " + key},
		{"changed since it was signed", key, map[string]string{"/gpgkey": public, "/InRelease": strings.Replace(signed, "stable", "stabel", 1), "/Packages": ""}, "the repository is not signed with " + key},
		{"no key", key, map[string]string{"/InRelease": signed, "/Packages": ""}, "404"},
		{"no repository", key, map[string]string{"/gpgkey": public}, "cannot be read"},
	} {
		for i, shell := range testShells {
			if _, err := exec.LookPath(shell[0]); err != nil || i > 0 && c.key == key && c.want != "" {
				continue // apt takes its second; what the other shells would add is little
			}
			t.Run(c.name+" in "+shell[0], func(t *testing.T) {
				server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					text, ok := c.files[r.URL.Path[strings.LastIndexByte(r.URL.Path, '/'):]]
					if !ok {
						http.NotFound(w, r)
						return
					}
					_, _ = w.Write([]byte(text)) // apt notices what is missing
				}))
				defer server.Close()
				dir := t.TempDir()
				cmd := exec.Command(shell[0], append(slices.Clone(shell[1:]), "-c", strings.ReplaceAll(aptKeyScript(server.URL, c.key), filepath.Dir(toolkitKeyPath), dir+"/keys"))...)
				cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "TMPDIR=" + dir, "HOME=" + dir, "LC_ALL=C", "no_proxy=127.0.0.1"}
				out, err := cmd.CombinedOutput()
				if (err == nil) != (c.want == "") || !strings.Contains(string(out), c.want) {
					t.Errorf("%v, want %q\n%s", err, c.want, out)
				}
				got, _ := os.ReadFile(filepath.Join(dir, "keys", filepath.Base(toolkitKeyPath)))
				if (string(got) == public) != (c.want == "") {
					t.Errorf("the key is %q", got)
				}
				if left, _ := filepath.Glob(filepath.Join(dir, "tmp.*")); left != nil || err != nil && got != nil {
					t.Errorf("left behind: %v, %q", left, got)
				}
			})
		}
	}
}

// CRI-O is told of NVIDIA's runtime with what is set for the one that it wraps.
func TestCRIODropIn(t *testing.T) {
	const path = "/etc/crio/crio.conf.d/"
	for name, c := range map[string]struct {
		files map[string]string
		want  map[string]any // of the runtime, beside its path and type; nil: a fault
	}{
		"the default's": {map[string]string{
			"/etc/crio/crio.conf": "[crio.runtime]\ndefault_runtime = 'runc'\n[crio.runtime.runtimes.runc]\nmonitor_path = '/a'\n",
			path + "10-crio.conf": "[crio.runtime]\ndefault_runtime = 'kata'\n[crio.runtime.runtimes.kata]\nruntime_type = 'vm'\nmonitor_path = '/b'\n",
		}, map[string]any{"monitor_path": "/b"}},
		"a later file's table, whole": {map[string]string{
			path + "10-crio.conf": "[crio.runtime.runtimes.crun]\nmonitor_path = '/a'\nruntime_root = '/run/crun'\n",
			path + "20-site.toml": "[crio.runtime.runtimes.crun]\nmonitor_path = '/b'\nallowed_annotations = ['x']\n",
		}, map[string]any{"monitor_path": "/b", "allowed_annotations": []any{"x"}}},
		"runc's before crun's": {map[string]string{
			path + "10-crio.conf": "[crio.runtime.runtimes.crun]\nmonitor_path = '/a'\n[crio.runtime.runtimes.runc]\nmonitor_path = '/b'\n",
		}, map[string]any{"monitor_path": "/b"}},
		"nothing is set":      {nil, map[string]any{}},
		"a file with a fault": {map[string]string{path + "10-crio.conf": "[crio\n"}, nil},
	} {
		f := &kubernetesFacts{Toolkit: &toolkitFacts{}, files: map[string]file{}}
		for at, content := range c.files {
			f.files[at] = file{Path: at, Presence: Present, content: content}
		}
		content, _, err := f.crioDropIn()
		if c.want == nil {
			if err == nil || !strings.Contains(err.Error(), path+"10-crio.conf cannot be read") {
				t.Errorf("%s: %v\n%s", name, err, content)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		c.want["runtime_path"], c.want["runtime_type"] = "/usr/bin/nvidia-container-runtime", "oci"
		doc, err := parseTOML(content)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c.want, tomlAt(doc, "crio", "runtime", "runtimes", "nvidia")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		f.files[crioDropInPath] = file{Path: crioDropInPath, Presence: Present, content: content}
		if !f.told("crio") {
			t.Errorf("%s: what was written is not read back:\n%s", name, content)
		}
	}
}
