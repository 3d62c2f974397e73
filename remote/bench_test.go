package remote

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"
)

// BenchmarkLook compares a whole look, from dial to close, with the least that
// the same login can cost: ssh HOST true. Both are run in turn, so that a busy
// machine slows both.
func BenchmarkLook(b *testing.B) {
	s := startSSHD(b, sshdOptions{})
	target := s.target(b, "ops")
	b.Setenv("SSH_AUTH_SOCK", "")
	d := &Dialer{ConfigFile: os.DevNull}
	defer func() { _ = d.Close() }()
	var probes []Probe
	for i := range 8 {
		probes = append(probes, Probe{Name: fmt.Sprint(i), Script: "while read -r line; do echo \"$line\"; done </proc/self/mountinfo"})
	}
	var ours, theirs time.Duration
	for b.Loop() {
		begun := time.Now()
		c, err := d.Dial(context.Background(), target)
		must(b, err)
		_, err = c.Look(context.Background(), "", probes)
		must(b, err)
		_ = c.Close()
		ours += time.Since(begun)

		begun = time.Now()
		cmd := exec.Command("ssh", "-F", "none", "-i", target.IdentityFiles[0], "-o", "UserKnownHostsFile="+target.KnownHosts[0],
			"-o", "IdentitiesOnly=yes", "-p", fmt.Sprint(s.port), "ops@127.0.0.1", "true")
		if out, err := cmd.CombinedOutput(); err != nil {
			b.Fatalf("%v: %s", err, out)
		}
		theirs += time.Since(begun)
	}
	b.ReportMetric(float64(ours.Milliseconds())/float64(b.N), "look-ms/op")
	b.ReportMetric(float64(theirs.Milliseconds())/float64(b.N), "ssh-true-ms/op")
	b.ReportMetric(ours.Seconds()/theirs.Seconds(), "ratio")
}
