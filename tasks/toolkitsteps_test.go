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
