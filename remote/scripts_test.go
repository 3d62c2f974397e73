package remote

import (
	"os/exec"
	"strings"
	"testing"

	"mvdan.cc/sh/v3/syntax"
)

// Every shell reads what runs on the hosts, and so does the interpreter of the
// practice hosts.
func TestScriptsAreReadByEveryShell(t *testing.T) {
	scripts := map[string]string{
		"look at work": WorkProbe, "launch": launchScript, "wrap": wrapScript, "follow": aliveScript + followScript, "evict": aliveScript + evictScript,
		"keeper": keeperLine + " a b c d", "write": fileScript + prepareScript + roomScript, "replace": fileScript + replaceScript, "remove": fileScript + removeScript,
		"fence": (&Conn{lock: &Lock{id: "rpx"}}).fence(),
	}
	for _, manager := range []string{"apt", "dnf", "yum", "zypper"} {
		script, err := (&Packages{Manager: manager, Names: []string{"x"}, Replaces: true, Held: true}).script()
		must(t, err)
		scripts[manager] = script
	}
	for name, script := range scripts {
		if _, err := syntax.NewParser(syntax.Variant(syntax.LangPOSIX)).Parse(strings.NewReader(script), name); err != nil {
			t.Error(err)
		}
		if name == "keeper" && strings.Contains(script, "\n") {
			t.Error("the keeper is not one line")
		}
		for _, shell := range [][]string{{"dash", "-n"}, {"bash", "-n"}, {"busybox", "sh", "-n"}} {
			if _, err := exec.LookPath(shell[0]); err != nil {
				continue
			}
			cmd := exec.Command(shell[0], shell[1:]...)
			cmd.Stdin = strings.NewReader(script)
			if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
				t.Errorf("%s, %s: %v: %s", name, shell[0], err, out)
			}
		}
	}
}
