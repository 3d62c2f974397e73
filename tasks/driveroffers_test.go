package tasks

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What a Debian 12 host with a driver, security and trixie said: the version
// that is installed stands behind three asterisks.
func TestPolicyOfWhatIsInstalled(t *testing.T) {
	r := driverReader{f: &driverFacts{Packages: []driverPackage{{Name: "nvidia-kernel-dkms", Version: "535.309.01-0+deb12u1"}}}}
	blocks, err := parseBlocks(`@policy
|nvidia-kernel-dkms:
|  Installed: 535.309.01-0+deb12u1
|  Candidate: 550.163.01-2
|  Version table:
|     550.163.01-2 1001
|        100 http://10.77.0.1/debian trixie/non-free amd64 Packages
| *** 535.309.01-0+deb12u1 500
|        500 http://10.77.0.1/debian-security bookworm-security/non-free amd64 Packages
|        100 /var/lib/dpkg/status
|nvidia-smi:
|  Installed: (none)
|  Candidate: 550.163.01-1
|  Version table:
|     550.163.01-1 500
|        500 http://10.77.0.1:8000 ./ Packages
@end
`)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.policy(blocks[0]); err != nil {
		t.Fatal(err)
	}
	want := []driverOffer{
		{Name: "nvidia-kernel-dkms", Version: "550.163.01-2", From: "trixie/non-free", Best: true},
		{Name: "nvidia-kernel-dkms", Version: "535.309.01-0+deb12u1", From: "bookworm-security/non-free"},
		{Name: "nvidia-smi", Version: "550.163.01-1", From: "http://10.77.0.1:8000", Best: true},
	}
	if diff := cmp.Diff(want, r.f.Offers); diff != "" {
		t.Error(diff)
	}
	if from := r.f.Packages[0].From; from != "bookworm-security/non-free" {
		t.Errorf("it came from %q", from)
	}
}
