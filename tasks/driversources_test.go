package tasks

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Of a file that a mirror serves, rpm gets the one key that is known by its
// fingerprint, and nothing where that is not in it; it is fetched by the proxy
// of the host's environment.
func TestRPMKey(t *testing.T) {
	gpg, err := exec.LookPath("gpg")
	if err != nil {
		t.Skip("gpg is not here")
	}
	for name, c := range map[string]struct {
		served   string
		fails    bool
		straight bool
	}{
		"the key":                  {served: wishedKey},
		"past the proxy":           {served: wishedKey, straight: true},
		"with a stranger's behind": {served: wishedKey + strangersKey},
		"with a stranger's before": {served: strangersKey + wishedKey},
		"a stranger's":             {served: strangersKey, fails: true},
		"no key":                   {served: "<html>", fails: true},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			put := func(name, text string, mode os.FileMode) string {
				path := filepath.Join(dir, name)
				if err := os.WriteFile(path, []byte(text), mode); err != nil {
					t.Fatal(err)
				}
				return path
			}
			served := put("served", c.served, 0o644)
			put("curl", fmt.Sprintf("#!/bin/sh\necho \"$https_proxy $no_proxy\" >%s/proxy\ncp %s \"$3\"\n", dir, served), 0o755)
			put("rpm", fmt.Sprintf("#!/bin/sh\ncp \"$2\" %s/trusted\n", dir), 0o755)
			environment := put("environment", "PATH=\"/usr/bin\"\nhttps_proxy=\"http://proxy.example:3128\"\nno_proxy=10.0.0.0/8", 0o644)
			script := strings.NewReplacer(cudaRPMPath, dir+"/pki/key", "/etc/environment", environment).Replace(rpmKeyScript("https://mirror.example/key", wishedPrint, cudaRPMPath, "", c.straight) + rpmTrustScript(cudaRPMPath))
			cmd := exec.Command("sh", "-c", script)
			cmd.Env = []string{"PATH=" + dir + ":" + os.Getenv("PATH"), "TMPDIR=" + dir, "HOME=" + dir}
			out, err := cmd.CombinedOutput()
			if (err != nil) != c.fails {
				t.Fatalf("%v\n%s", err, out)
			}
			if proxy, _ := os.ReadFile(filepath.Join(dir, "proxy")); string(proxy) != "http://proxy.example:3128 "+map[bool]string{true: "mirror.example,"}[c.straight]+"10.0.0.0/8\n" {
				t.Errorf("the proxy was %q", proxy)
			}
			trusted, err := os.ReadFile(filepath.Join(dir, "trusted"))
			if (err != nil) != c.fails {
				t.Fatalf("trusted: %v", err)
			}
			if left, _ := filepath.Glob(filepath.Join(dir, "tmp*")); left != nil {
				t.Errorf("left behind: %v", left)
			}
			if c.fails {
				return
			}
			show := exec.Command(gpg, "--homedir", t.TempDir(), "--with-colons", "--show-keys")
			show.Stdin = strings.NewReader(string(trusted))
			keys, err := show.Output()
			if err != nil {
				t.Fatal(err)
			}
			if n := strings.Count(string(keys), "pub:"); n != 1 || !strings.Contains(string(keys), wishedPrint) {
				t.Errorf("rpm trusts %d keys:\n%s", n, keys)
			}
		})
	}
}

// rpm is told to trust a key no longer, unless another repository's file holds it,
// too, or it does not trust it.
func TestRPMDistrust(t *testing.T) {
	if _, err := exec.LookPath("gpg"); err != nil {
		t.Skip("gpg is not here")
	}
	const erased = "-e --allmatches gpg-pubkey-bb2d434e\n"
	for name, c := range map[string]struct {
		other   string // what another file of keys holds
		trusted bool
		want    string // what rpm is told
	}{
		"its own":                   {trusted: true, want: erased},
		"beside a stranger's":       {other: strangersKey, trusted: true, want: erased},
		"another repository's, too": {other: strangersKey + wishedKey, trusted: true},
		"not trusted":               {},
	} {
		for _, shell := range testShells {
			if _, err := exec.LookPath(shell[0]); err != nil {
				continue
			}
			t.Run(name+" in "+shell[0], func(t *testing.T) {
				dir, keys := t.TempDir(), t.TempDir()
				put := func(path, text string, mode os.FileMode) string {
					if err := os.WriteFile(path, []byte(text), mode); err != nil {
						t.Fatal(err)
					}
					return path
				}
				key := put(filepath.Join(keys, "ours.pub"), wishedKey, 0o644)
				if c.other != "" {
					put(filepath.Join(keys, "other.pub"), c.other, 0o644)
				}
				put(filepath.Join(dir, "rpm"), fmt.Sprintf("#!/bin/sh\ncase $1 in -q) %t ;; *) echo \"$*\" >>%s/told ;; esac\n", c.trusted, dir), 0o755)
				cmd := exec.Command(shell[0], append(slices.Clone(shell[1:]), "-c", rpmDistrustScript(wishedPrint, key))...)
				cmd.Env = []string{"PATH=" + dir + ":" + os.Getenv("PATH"), "TMPDIR=" + dir, "HOME=" + dir}
				if out, err := cmd.CombinedOutput(); err != nil {
					t.Fatalf("%v\n%s", err, out)
				}
				if told, _ := os.ReadFile(filepath.Join(dir, "told")); string(told) != c.want {
					t.Errorf("rpm was told %q, want %q", told, c.want)
				}
				if left, _ := filepath.Glob(filepath.Join(dir, "tmp*")); left != nil {
					t.Errorf("left behind: %v", left)
				}
			})
		}
	}
}

// Made for this test; their secret parts are thrown away.
const (
	wishedPrint = "1986D9CAC0D677186A82B88A7DDF4C81BB2D434E"
	wishedKey   = `-----BEGIN PGP PUBLIC KEY BLOCK-----

mDMEawW1ZRYJKwYBBAHaRw8BAQdAFVyXtSjPyzUKCt2bK2zYYGUkzk+M3qqDNUP/
EHqrwFG0GnJpZ2h0IDxyaWdodEBleGFtcGxlLnRlc3Q+iJAEExYIADgWIQQZhtnK
wNZ3GGqCuIp930yBuy1DTgUCawW1ZQIbAwULCQgHAgYVCgkICwIEFgIDAQIeAQIX
gAAKCRB930yBuy1DTslaAQDHypYmdVx6rYBv9ww2Zd+fqfE4fgTlVWDmaWW68BIz
CQD+J4NV9FprmcZRAFWEbpC2Z6lcXJbj4j1RoDEbZnUJSQk=
=DmcN
-----END PGP PUBLIC KEY BLOCK-----
`
	strangersKey = `-----BEGIN PGP PUBLIC KEY BLOCK-----

mDMEawW1ZhYJKwYBBAHaRw8BAQdAYUU/Yyk0vmtD+1+/LuZGhuN0zsILCEGBMaU5
J9gYuhy0IHN0cmFuZ2VyIDxzdHJhbmdlckBleGFtcGxlLnRlc3Q+iJAEExYIADgW
IQRROGagLZUO0vP2t/qAE1YPc9Mx0QUCawW1ZgIbAwULCQgHAgYVCgkICwIEFgID
AQIeAQIXgAAKCRCAE1YPc9Mx0Q6eAP93GwZ5NKEGLLEDacPSRIuKT3U4798Ew530
2Ps9ub9PdQD/d279Njfm3hqLIMrhcCAoV3HoHBcY+2NwMVqPtiO6oAc=
=kIo7
-----END PGP PUBLIC KEY BLOCK-----
`
)
