package report

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/runai-prep/runai-prep/tasks"
)

// What another profile changes for three hundred hosts is said once for those
// for which it is the same.
func TestUpgradeText(t *testing.T) {
	plan := func(to bool) Result {
		const by = "runai-2.20: "
		var hosts []Host
		for i := 1; i <= 300; i++ {
			found := []Finding{cpus()}
			if !to {
				found = append(found, From("egress", tasks.Finding{Subject: "hub.docker.com:443", State: tasks.Unmet, Have: "no answer from hub.docker.com:443", Want: "reached"}))
			} else {
				if i > 20 {
					found = append(found, From("resources", tasks.Finding{Subject: "disk", State: tasks.Unmet, Have: fmt.Sprintf("%d GB", 20+i/100), Want: "50GB or more", Why: by + "System node"}))
				}
				for _, e := range []string{"registry.k8s.io:443", "docker.io:443"} {
					found = append(found, From("egress", tasks.Finding{Subject: e, State: tasks.Unmet, Have: "no answer from " + e, Want: "reached to run", Why: by + e}))
				}
				if i > 150 {
					found[0].Warning = "10 are recommended"
				}
			}
			hosts = append(hosts, host(fmt.Sprintf("gpu-%03d", i), "gpu", i%250+1, found...))
		}
		hosts[7].Findings, hosts[7].Error = nil, "no answer"
		r := sample("plan", hosts...)
		state := tasks.Finding{Subject: "kubelet versions", State: tasks.OK, Have: "1.29, 1.30", Want: "one on all hosts", Why: by + "Kubernetes"}
		if to {
			state.Warning = "they differ"
		}
		r.Fleet = []FleetFinding{{Finding: From("kubernetes", state)}}
		r.Finish()
		return r
	}
	u := CompareProfiles(plan(false), plan(true))
	var b bytes.Buffer
	if err := u.Text(&b, "runai-2020", "runai-2.20", TextOptions{}); err != nil {
		t.Fatal(err)
	}
	golden(t, "upgrade.txt", b.Bytes())
	if len(u.Hosts) != 299 || u.ExitCode() != ExitUnknown {
		t.Errorf("the document has %d hosts, and the exit code is %d", len(u.Hosts), u.ExitCode())
	}
}
