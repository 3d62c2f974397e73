package tasks

import (
	"bytes"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/interp"
	"mvdan.cc/sh/v3/syntax"

	"github.com/runai-prep/runai-prep/internal/secret"
	"github.com/runai-prep/runai-prep/inventory"
	"github.com/runai-prep/runai-prep/remote"
)

// everything is a host for which every branch of a probe is written.
func everything() inventory.Host {
	return inventory.Host{Name: "gpu-01", Settings: &inventory.Settings{
		Resources: inventory.Resources{
			MinCPUs:   inventory.Wish[int]{Value: 1, Why: "inventory.hcl:1"},
			MinMemory: inventory.Wish[inventory.Bytes]{Value: 1 << 20, Why: "inventory.hcl:2"},
			MinDisk:   inventory.Wish[inventory.Bytes]{Value: 1 << 20, Why: "inventory.hcl:3"},
			DiskPath:  "/var/lib/it's not there",
		},
		Proxy: &inventory.Proxy{
			HTTPProxy: "http://proxy.example.com:3128", HTTPSProxy: "http://proxy.example.com:3128",
			Username: "runai", Password: secret.New(`p@ss'w"rd$(x)%`),
			NoProxy: []string{"10.0.0.0/8", "mirror.example.com"}, Why: "inventory.hcl:4",
		},
		Squid: &inventory.Squid{
			Port: 3128, Clients: []string{"10.0.0.0/8"}, Why: "inventory.hcl:8",
			Allow: []inventory.Endpoint{{Host: "quay.io", Port: 443}, {Host: "registry.example.com", Port: 5000}},
		},
		Registries: []inventory.Registry{
			{Name: "registry.example.com:5000", MirrorOf: []string{"docker.io", "quay.io"}, Why: "inventory.hcl:7"},
		},
		Driver: &inventory.Driver{
			Constraint: ">= 535.104, < 536, >= 384.81", Source: "distro", Flavor: "auto", Reboot: "when-needed", Hold: true,
			Busy: "refuse", RequireGPU: true, NonFree: true, Why: "inventory.hcl:7",
		},
		Kubernetes: &inventory.Kubernetes{
			Version: inventory.Wish[string]{Value: ">= 1.28", Why: "inventory.hcl:9"}, ControlPlane: true, Swap: inventory.Wish[string]{Value: "off"}, Why: "inventory.hcl:9",
		},
		Toolkit: &inventory.Toolkit{Why: "inventory.hcl:10"},
		Mounts: []inventory.Mount{
			{Path: "/mnt/data", Server: "nas.example.com", Export: "/export/data", Version: "4.1", Options: []string{"hard", "noatime"}, Why: "inventory.hcl:5"},
			{Path: "/mnt/with blank", Server: "fd00::1", Export: "/it's", Why: "inventory.hcl:6"},
		},
	}}
}

// inOneShell is a probe as it runs in a look: in the shell in which others ran
// before it, which have left a value in every variable that it reads.
func inOneShell(probe string) string {
	left := ""
	for _, name := range regexp.MustCompile(`\$\{?#?([a-z_]\w*)`).FindAllStringSubmatch(Prelude+probe, -1) {
		if !strings.Contains(Prelude, "\n"+name[1]+"=") && !strings.HasPrefix(Prelude, name[1]+"=") { // those are set for all
			left += name[1] + "=left\n"
		}
	}
	return Prelude + left + "eval " + quote(probe) + " </dev/null\n"
}

// run looks with one shell on the machine that the tests run on.
func run(t *testing.T, shell []string, task Task, h inventory.Host) remote.Section {
	t.Helper()
	if shell[0] == "mvdan" {
		return interpret(t, task, h)
	}
	cmd := exec.Command(shell[0], shell[1:]...)
	cmd.Stdin = strings.NewReader(inOneShell(task.Probe(h)))
	cmd.Env = []string{"LC_ALL=C", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	s := remote.Section{Name: task.Name}
	if err := cmd.Run(); err != nil {
		s.Exit = cmd.ProcessState.ExitCode()
	}
	s.Out, s.Err = out.String(), errs.String()
	return s
}

// interpret looks with the interpreter of the practice hosts.
func interpret(t *testing.T, task Task, h inventory.Host) remote.Section {
	t.Helper()
	script, err := syntax.NewParser(syntax.Variant(syntax.LangPOSIX)).Parse(strings.NewReader(Prelude+task.Probe(h)), "look")
	if err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	r, err := interp.New(interp.StdIO(nil, &out, &errs), interp.Env(expand.ListEnviron("LC_ALL=C", "PATH="+os.Getenv("PATH"))))
	if err != nil {
		t.Fatal(err)
	}
	s := remote.Section{Name: task.Name}
	if err := r.Run(t.Context(), script); err != nil {
		s.Failure = err.Error()
	}
	s.Out, s.Err = out.String(), errs.String()
	return s
}

// What changes while one shell is asked after the other: room on the disk, free
// memory, the time.
var (
	freeBlocks = regexp.MustCompile(`(\|\d+ \d+) \d+ (.*)`)
	moments    = regexp.MustCompile(`(?m)^(@available |@date |!up )[0-9. ]+`)
)

// Every shell that hosts have says the same, and what it says is understood.
func TestShellsAgree(t *testing.T) {
	for _, task := range All {
		first := ""
		for _, shell := range append(testShells, []string{"mvdan"}) {
			if _, err := exec.LookPath(shell[0]); err != nil && shell[0] != "mvdan" {
				t.Logf("%s is not here", shell[0])
				continue
			}
			s := run(t, shell, task, everything())
			s.Out = freeBlocks.ReplaceAllString(s.Out, "$1 1 $2")
			s.Out = moments.ReplaceAllString(s.Out, "${1}1")
			if s.Err != "" {
				t.Errorf("%s: %v: standard error:\n%s", task.Name, shell, s.Err)
			}
			if _, err := task.Read(s); err != nil {
				t.Errorf("%s: %v: %v\n%s", task.Name, shell, err, s.Out)
			}
			if first == "" {
				first = s.Out
			} else if s.Out != first {
				t.Errorf("%s: %v says\n%s\nand the first shell said\n%s", task.Name, shell, s.Out, first)
			}
		}
		if testing.Verbose() {
			t.Logf("%s:\n%s", task.Name, first)
		}
	}
}
