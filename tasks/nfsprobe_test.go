package tasks

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/interp"
	"mvdan.cc/sh/v3/syntax"

	"github.com/runai-prep/runai-prep/inventory"
	"github.com/runai-prep/runai-prep/remote"
)

// eachShell runs a script after Prelude in every shell that is here, and in
// the interpreter of the practice hosts.
func eachShell(t *testing.T, script, path string, check func(t *testing.T, blocks []block)) {
	t.Helper()
	for _, shell := range append(slices.Clone(testShells), []string{"mvdan"}) {
		t.Run(strings.Join(shell, " "), func(t *testing.T) {
			ctx, stop := context.WithTimeout(t.Context(), 30*time.Second)
			defer stop()
			env := []string{"LC_ALL=C", "PATH=" + path}
			var out, errs bytes.Buffer
			if shell[0] == "mvdan" {
				parsed, err := syntax.NewParser(syntax.Variant(syntax.LangPOSIX)).Parse(strings.NewReader(Prelude+script), "look")
				if err != nil {
					t.Fatal(err)
				}
				// Background jobs write to it at the same time.
				shared, err := os.Create(filepath.Join(t.TempDir(), "errors"))
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = shared.Close() }()
				r, err := interp.New(interp.StdIO(nil, &out, shared), interp.Env(expand.ListEnviron(env...)))
				if err != nil {
					t.Fatal(err)
				}
				if err := r.Run(ctx, parsed); err != nil {
					t.Fatal(err)
				}
				said, err := os.ReadFile(shared.Name())
				if err != nil {
					t.Fatal(err)
				}
				errs.Write(said)
			} else {
				program, err := exec.LookPath(shell[0])
				if err != nil {
					t.Skip("not here")
				}
				cmd := exec.CommandContext(ctx, program, shell[1:]...)
				cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.Env = strings.NewReader(Prelude+script), &out, &errs, env
				if err := cmd.Run(); err != nil {
					t.Fatalf("%v\n%s%s", err, out.String(), errs.String())
				}
			}
			blocks, err := readBlocks(remote.Section{Name: "nfs", Out: out.String()})
			if err != nil || errs.Len() > 0 {
				t.Fatalf("%v\n%s%s", err, out.String(), errs.String())
			}
			check(t, blocks)
		})
	}
}

// program puts a script of ours before the programs of this machine.
func program(t *testing.T, name, script string) (path string) {
	t.Helper()
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, name), []byte("#!/bin/sh\n"+script), 0o700); err != nil {
		t.Fatal(err)
	}
	return folder + ":/usr/sbin:/usr/bin:/sbin:/bin"
}

// Nodes of clusters have thousands of mounts. Cutting lines off one by one took
// minutes for so many.
func TestBars(t *testing.T) {
	const many = 20_000
	script := `text=$(i=0; while [ $i -lt ` + fmt.Sprint(many) + ` ]; do echo "$i 27 0:43 / /mnt/* rw - nfs4 [fd00::1]:/data  rw"; i=$((i + 1)); done)
echo @many
bars "$text"
echo @blank
bars "a$nl$nl *$nl$nl"
echo @first
bars "${nl}b"
` + probeEnd
	eachShell(t, script, os.Getenv("PATH"), func(t *testing.T, blocks []block) {
		if lines := blocks[0].lines; len(lines) != many || lines[7] != "7 27 0:43 / /mnt/* rw - nfs4 [fd00::1]:/data  rw" {
			t.Errorf("got %d lines, the eighth is %q", len(lines), lines[min(7, len(lines)-1)])
		}
		if got := fmt.Sprintf("%q %q", blocks[1].lines, blocks[2].lines); got != `["a" "" " *" ""] ["" "b"]` {
			t.Errorf("got %s", got)
		}
	})
}

func TestIdle(t *testing.T) {
	const mounts = `27 1 254:0 / / rw - ext4 /dev/vda rw
30 27 0:30 / /net rw - autofs auto.net rw
31 27 0:31 / /mnt/idle rw - autofs systemd-1 rw
32 27 0:32 / /mnt/used rw - autofs systemd-1 rw
33 32 0:33 / /mnt/used rw - nfs4 nas:/x rw
34 27 0:34 / /mnt/again rw - nfs4 nas:/x rw
35 34 0:35 / /mnt/again rw - autofs systemd-1 rw
36 30 0:36 / /net/nas rw - nfs4 nas:/ rw
37 27 0:37 /mnt/bind /srv rw - autofs systemd-1 rw
38 27 0:38 / /mnt/with\040blank rw - autofs systemd-1 rw`
	want := map[string]bool{
		"/net": true, "/net/other/data": true, "/net/nas/data": false,
		"/mnt/idle": true, "/mnt/idle/sub": true, "/mnt/idle2": false,
		"/mnt/used": false, "/mnt/used/sub": false,
		"/mnt/again": true, "/mnt/bind": false, "/": false, "/var/lib": false,
		`/mnt/with\040blank/sub`: true,
	}
	script := "mounts=" + quote(mounts) + "\n"
	for path := range want {
		script += "echo " + quote("@at "+path) + "; if idle " + quote(path) + "; then echo '!idle'; fi\n"
	}
	script = strings.ReplaceAll(script, `echo '@at /mnt/with\040`, `printf '%s\n' '@at /mnt/with\040`)
	eachShell(t, script+probeEnd, os.Getenv("PATH"), func(t *testing.T, blocks []block) {
		for _, b := range blocks {
			if got := b.noted("idle"); got != want[b.rest] {
				t.Errorf("%s: %v", b.rest, got)
			}
		}
	})
}

// Eight exports of one server that is dead: those after the first are waited
// for at the same time. The timeout here hangs, as it were, until all of them
// have started.
func TestEightDeadPaths(t *testing.T) {
	const dead = 8
	var script strings.Builder
	script.WriteString("mounts=\n" + probePaths + "look_at")
	for i := range dead {
		fmt.Fprintf(&script, " -/mnt/dead%d", i)
	}
	script.WriteString("\n" + probeEnd)
	path := program(t, "timeout", `
[ "$2" = KILL ] || exit 1
cd "${0%/*}" || exit 1
shift 7 # -s KILL N sh -c SCRIPT sh
if [ $# = `+fmt.Sprint(dead)+` ]; then
	rm -f started.*
	echo "@path ${1#?}"
	exit 137
fi
: >"started.${1##*/}"
n=0
while set -- started.* && [ $# -lt `+fmt.Sprint(dead-1)+` ]; do
	n=$((n + 1))
	[ "$n" -lt 200 ] || exit 0
	sleep 0.02
done
exit 137
`)
	eachShell(t, script.String(), path, func(t *testing.T, blocks []block) {
		hung := 0
		for _, b := range blocks {
			if b.kind == "path" && readPath(b).hung {
				hung++
			}
		}
		if hung != dead {
			t.Errorf("%d of %d are known to hang: %v", hung, dead, blocks)
		}
	})
}

// Why a path cannot be looked at is told apart: only a stale handle is stale.
func TestPathErrors(t *testing.T) {
	folder := t.TempDir()
	if err := os.WriteFile(folder+"/file", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(folder+"/folder", 0o700); err != nil {
		t.Fatal(err)
	}
	// What coreutils and busybox say; the words are those of the C library.
	path := program(t, "ls", `
case $3 in
*/stale) echo "ls: cannot access '$3': Stale file handle" >&2; exit 2 ;;
*/stale-busybox) echo "ls: $3: Stale NFS file handle" >&2; exit 1 ;;
*/denied) echo "ls: cannot access '$3': Permission denied" >&2; exit 2 ;;
esac
exec /bin/ls "$@"
`)
	script := "mounts=\n" + probePaths + "look_at"
	for _, name := range []string{"+/stale", "^/stale-busybox", "+/denied", "+/file", "+/folder", "^/absent", "^/file/sub"} {
		script += " " + quote(name[:1]+folder+name[1:])
	}
	eachShell(t, script+"\n"+probeEnd, path, func(t *testing.T, blocks []block) {
		got := make(map[string]pathFacts)
		for _, b := range blocks {
			if b.kind == "path" {
				got[strings.TrimPrefix(b.rest, folder+"/")] = readPath(b)
			}
		}
		for name, want := range map[string]func(pathFacts) bool{
			"stale":         func(p pathFacts) bool { return p.stale && p.fault == "" },
			"stale-busybox": func(p pathFacts) bool { return p.stale && p.fault == "" },
			"denied":        func(p pathFacts) bool { return !p.stale && strings.HasSuffix(p.fault, ": Permission denied") },
			"file":          func(p pathFacts) bool { return p.irregular && p.fault == "" },
			"folder":        func(p pathFacts) bool { return !p.absent && p.fault == "" && p.physical == folder+"/folder" },
			"absent":        func(p pathFacts) bool { return p.absent && p.nearest == folder },
			"file/sub":      func(p pathFacts) bool { return strings.HasSuffix(p.fault, ": Not a directory") },
		} {
			if !want(got[name]) {
				t.Errorf("%s: %+v", name, got[name])
			}
		}
	})
}

// Mounts that left the inventory are found by the ledger, with what somebody
// else mounted on and below them, whatever their paths are spelt like.
func TestFormerMounts(t *testing.T) {
	folder := t.TempDir()
	files := map[string]string{
		ledgerPath("nfs"): ledgerHead +
			"mount\t/mnt/with blank\tnas:/x /mnt/with\\040blank nfs _netdev,nofail 0 0\n" +
			"mount\t/mnt/a#b\tnas:/y /mnt/a#b nfs _netdev,nofail 0 0\n" +
			"mount\t/mnt/gone\tnas:/z /mnt/gone nfs _netdev,nofail 0 0\n" +
			"mount\t/mnt/data\tnas:/w /mnt/data nfs _netdev,nofail 0 0\n",
		"/proc/self/mountinfo": `27 1 254:0 / / rw - ext4 /dev/vda rw
40 27 0:40 / /mnt/with\040blank rw - nfs4 nas:/x rw
41 40 8:1 / /mnt/with\040blank rw - ext4 /dev/sda1 rw
42 41 8:2 / /mnt/with\040blank/below rw - xfs /dev/sdb1 rw
43 27 0:43 / /mnt/a\043b rw - nfs4 nas:/y rw
44 27 0:44 / /var/lib/kubelet/pods/1 rw - nfs4 nas:/pv rw
45 27 0:45 / /mnt/data rw - nfs4 nas:/w rw
`,
		fstabPath: "nas:/w /mnt/data nfs _netdev,nofail 0 0",
	}
	h := inventory.Host{Settings: &inventory.Settings{Mounts: []inventory.Mount{{Path: "/mnt/data", Server: "nas", Export: "/w"}}}}
	h.Sudo.Enabled = true
	probe := NFS.Probe(h)
	for name, content := range files {
		path := filepath.Join(folder, filepath.Base(name))
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		// Only as a file that is read: the names of blocks stay.
		probe = strings.ReplaceAll(probe, "<"+name, "<"+path)
		probe = strings.ReplaceAll(probe, "-r "+name, "-r "+path)
		probe = strings.ReplaceAll(probe, "-e "+name, "-e "+path)
		probe = strings.ReplaceAll(probe, "slurp "+name, "slurp "+path)
		probe = strings.ReplaceAll(probe, `"$@" `+name, `"$@" `+path)
	}
	eachShell(t, probe, os.Getenv("PATH"), func(t *testing.T, blocks []block) {
		var mounts, holders []string
		for _, b := range blocks {
			switch b.kind {
			case "mounts":
				for _, l := range b.lines {
					mounts = append(mounts, l[:2])
				}
			case "holders":
				holders = append(holders, b.rest)
			}
		}
		if got := strings.Join(mounts, " "); got != "27 40 41 42 43 45" {
			t.Errorf("it sees the mounts %s", got)
		}
		if got := strings.Join(holders, "|"); got != "/mnt/with blank|/mnt/a#b" {
			t.Errorf("it sees who uses %s", got)
		}
	})
}

// The kernel is the judge of which mounts of other namespaces go along with
// ours: one as systemd makes it for a service, and one as a container has it.
func TestHoldersElsewhere(t *testing.T) {
	for _, name := range []string{"unshare", "mount", "umount", "mkfifo", "sed"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Skipf("%s is not here", name)
		}
	}
	unshare := []string{"-m", "--propagation", "private"}
	if os.Getuid() != 0 {
		unshare = append(unshare, "-r")
	}
	if out, err := exec.Command("unshare", append(unshare, "true")...).CombinedOutput(); err != nil {
		t.Skipf("no mount namespaces here: %s", out)
	}
	for _, shell := range testShells {
		if _, err := exec.LookPath(shell[0]); err != nil {
			continue
		}
		folder := t.TempDir()
		at := folder + "/mnt"
		script := Prelude + probeHolders + `
cd ` + folder + ` || exit 1
mkdir mnt auto || exit 1
mkfifo ready || exit 1
# The writer before may not have closed yet: then there is nothing to read.
await() { until read x <ready; do :; done; }
mount --make-rshared / && mount -t tmpfs nas:/x mnt || exit 1
# The same once more, on what waits for its first use.
mount -t tmpfs systemd-1 auto && mount --bind mnt auto || exit 1
unshare -m --propagation slave sh -c 'echo >ready; cd /; exec sleep 100' </dev/null >/dev/null &
service=$!
await
unshare -m --propagation private sh -c 'echo >ready; cd /; exec sleep 100' </dev/null >/dev/null &
pod=$!
await
(cd mnt && echo >../ready && exec sleep 100) </dev/null >/dev/null &
work=$!
await
printf '@file %s\n!absent\n' ` + ledgerPath("nfs") + `
mounts=$(grep -e ' / rw' -e ' ` + at + ` ' -e ' ` + folder + `/auto ' /proc/self/mountinfo | sed 's/ - tmpfs nas/ - nfs4 nas/')
echo @mounts
bars "$mounts"
holders ` + at + `
kill "$work"
wait "$work" 2>/dev/null
umount mnt || exit 1
printf '@service %s\n' "$service"
grep ' ` + at + ` ' "/proc/$service/mountinfo" >/dev/null && echo '!keeps'
printf '@pod %s\n' "$pod"
grep ' ` + at + ` ' "/proc/$pod/mountinfo" >/dev/null && echo '!keeps'
printf '@work %s\n' "$work"
kill "$service" "$pod"
` + probeEnd
		cmd := exec.Command("unshare", append(slices.Clone(unshare), shell...)...)
		cmd.Stdin = strings.NewReader(script)
		cmd.Env = []string{"LC_ALL=C", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
		var errs bytes.Buffer
		cmd.Stderr = &errs
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%v: %v\n%s%s", shell, err, out, errs.String())
		}
		facts, err := readNFS(remote.Section{Name: "nfs", Out: string(out)})
		if err != nil {
			t.Fatalf("%v: %v\n%s", shell, err, out)
		}
		blocks, _ := readBlocks(remote.Section{Name: "nfs", Out: string(out)})
		pids := make(map[string]string)
		for _, b := range blocks {
			if b.kind == "service" || b.kind == "pod" || b.kind == "work" {
				pids[b.kind] = b.rest
				if keeps := b.kind == "pod"; b.kind != "work" && b.noted("keeps") != keeps {
					t.Errorf("%v: %s keeps the mount: %v", shell, b.kind, !keeps)
				}
			}
		}
		// Their names are those of the shell until they have become sleep.
		f := facts.(*nfsFacts)
		if got := f.holders[at]; len(got) != 1 || !strings.HasPrefix(got[0], pids["work"]+" (") {
			t.Errorf("%v: holders are %q, want %s\n%s", shell, got, pids["work"], out)
		}
		if got := f.containers(at); len(got) != 1 || !strings.HasPrefix(got[0], pids["pod"]+" (") {
			t.Errorf("%v: containers are %q, want %s\n%s", shell, got, pids["pod"], out)
		}
	}
}
