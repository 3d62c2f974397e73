package tasks

import (
	"fmt"
	"strings"
	"testing"

	"github.com/runai-prep/runai-prep/inventory"
)

// The mount that is seen at a path is the one the kernel's walk ends on, not
// the last line that names the path.
func TestVisible(t *testing.T) {
	parse := func(lines ...string) []mountInfo {
		var all []mountInfo
		for _, l := range lines {
			m, err := parseMountInfo(l)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, m)
		}
		return all
	}
	const (
		old     = "50 27 0:50 / /mnt/data rw - nfs4 old:/data rw,vers=4.2"
		onOld   = "51 50 0:51 / /mnt/data rw - nfs4 new:/data rw,vers=4.2"
		overMnt = "60 27 0:60 / /mnt rw - tmpfs tmpfs rw"
		onOver  = "61 60 0:61 / /mnt/data rw - nfs4 over:/data rw,vers=4.2"
		sibling = "70 27 0:70 / /mnt/data2 rw - nfs4 x:/data rw,vers=4.2"
		bind    = "80 27 0:50 /mnt/data /srv rw - ext4 /dev/sda1 rw"
		rootfs  = "27 1 0:19 / / rw - nfs4 boot:/root rw,vers=4.2"
		itself  = "27 27 0:1 / / rw - rootfs rootfs rw" // its own parent, as in an initramfs
		overlay = "28 27 0:70 / / rw - overlay overlay rw"
		onTop   = "52 28 0:50 / /mnt/data rw - nfs4 seen:/data rw,vers=4.2"
	)
	for name, c := range map[string]struct {
		mounts []mountInfo
		want   string
	}{
		"nothing":                       {parse(sibling, bind), ""},
		"one":                           {parse(old, sibling), "old:/data"},
		"stacked":                       {parse(old, onOld), "old:/data new:/data"},
		"stacked, listed the other way": {parse(onOld, old), "old:/data new:/data"},
		"hidden under a parent":         {parse(old, overMnt), ""},
		"hidden, and one on top":        {parse(old, overMnt, onOver), "over:/data"},
		"the root is NFS":               {parse(rootfs, old, onOld), "old:/data new:/data"},
		"the root is its own parent":    {parse(itself, old), "old:/data"},
		"hidden under another root":     {parse(rootfs, overlay, old), ""},
		"in another root":               {parse(onTop, rootfs, overlay, old), "seen:/data"},
	} {
		var got []string
		for _, m := range visible(c.mounts, "/mnt/data") {
			got = append(got, m.Source)
		}
		if s := strings.Join(got, " "); s != c.want {
			t.Errorf("%s: got %q, want %q", name, s, c.want)
		}
	}
}

func TestSameSource(t *testing.T) {
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"nas:/data", "nas:/data/", true},
		{"NAS.example.com:/data", "nas.example.com:/data", true},
		{"[fd00::1]:/data", "[fd00:0::1]:/data", true},
		{"[fd00::1]:/data", "fd00::1:/data", true},
		{"nas:/", "nas://", true},
		{"nas:/data", "nas:/data2", false},
		{"nas:/data", "nas2:/data", false},
		{"nas:/data", "nas.example.com:/data", false},
		{"/dev/sda1", "nas:/dev/sda1", false},
	} {
		if got := sameSource(c.a, c.b); got != c.same {
			t.Errorf("%s and %s: %v", c.a, c.b, got)
		}
	}
}

// What the kernel shows of a mount that was asked for with an option. The
// lines are those of Linux 6.1 for mounts of a Debian server.
func TestExpectations(t *testing.T) {
	const (
		v42 = "rw,relatime,vers=4.2,rsize=131072,wsize=131072,namlen=255,hard,proto=tcp,timeo=600,retrans=2,sec=sys,clientaddr=10.77.0.12,local_lock=none,addr=10.77.0.11"
		v3  = "ro,noatime,vers=3,rsize=131072,wsize=131072,namlen=255,soft,nolock,proto=tcp6,nconnect=4,timeo=50,retrans=2,sec=sys,mountaddr=10.77.0.11,mountvers=3,mountport=57491,mountproto=udp,local_lock=all,addr=10.77.0.11"
	)
	holds := map[string]map[string]bool{
		v42: {
			"hard": true, "soft": false, "rw": true, "ro": false, "relatime": true, "noatime": false,
			"nolock": true, "proto=tcp": true, "tcp": true, "udp": false, "rdma": false, "timeo=600": true, "timeo=150": false,
			"nconnect=1": true, "nconnect=4": false, "rsize=1048576": true, "rsize=65536": false,
			"sec=sys": true, "sec=krb5": false, "lookupcache=all": true, "actimeo=5": false, "acregmin=3": true,
			"port=2049": true, "nosuid": false, "suid": true, "fsc": false,
		},
		v3: {
			"soft": true, "ro": true, "rw": false, "noatime": true, "atime": false, "nolock": true, "lock": false,
			"proto=tcp": true, "nconnect=4": true, "nconnect=1": false, "timeo=50": true, "local_lock=all": true,
		},
	}
	for options, cases := range holds {
		m := mountInfo{Options: options}
		for option, want := range cases {
			e, ok := expect(option)
			if !ok {
				t.Errorf("%s is not compared", option)
			} else if got := e.holds(m); got != want {
				t.Errorf("%s in %s: %v", option, options, got)
			}
			// The probe's own quick answer may only err on the side of looking further.
			if ok && e.quick != "" && strings.Contains(","+options+",", ","+e.quick) && !e.holds(m) {
				t.Errorf("%s in %s: the probe takes %q for it", option, options, e.quick)
			}
		}
		for version, want := range map[string]bool{"3": options == v3, "4": options == v42, "4.2": options == v42, "4.1": false} {
			if got := expectVersion(version).holds(m); got != want {
				t.Errorf("version %s in %s: %v", version, options, got)
			}
		}
	}
	for _, option := range []string{"bg", "retry=1", "_netdev", "nofail", "x-systemd.requires=a", "defaults", "intr", "sec=sys:krb5"} {
		if _, ok := expect(option); ok {
			t.Errorf("%s is compared, though the kernel does not show it", option)
		}
	}
}

// Machines as they are sold, with the MemTotal that they were seen with.
func TestLeastMemTotal(t *testing.T) {
	const GiB = 1 << 30
	for _, c := range []struct {
		sold  inventory.Bytes
		seen  float64 // GiB
		count bool
	}{
		{4 * GiB, 3.83, true}, {4 * GiB, 3.62, true}, {4e9, 3.62, true},
		{4 * GiB, 3.3, false}, {4e9, 3.3, false}, {4 * GiB, 1.9, false},
		{8 * GiB, 7.6, true}, {8 * GiB, 7.2, false},
		{64 * GiB, 62.5, true}, {64 * GiB, 61, false}, {64e9, 62.5, true},
		{512 * GiB, 503, true}, {512 * GiB, 480, false},
	} {
		if got := inventory.Bytes(c.seen*GiB) >= leastMemTotal(c.sold); got != c.count {
			t.Errorf("%v with %v GiB seen: %v", c.sold, c.seen, got)
		}
	}
}

// What systemd, apt and the shells of a host would interpret is not there to
// be interpreted.
func TestCredentialsInURLs(t *testing.T) {
	var all strings.Builder
	for c := 0x20; c < 0x7f; c++ {
		fmt.Fprintf(&all, "%c", c)
	}
	w := proxyWish{http: "http://proxy:3128", username: all.String(), password: all.String() + "é"}
	url := strings.TrimPrefix(w.withCredentials(w.http), "http://")
	user, host, _ := strings.Cut(url, "@")
	if host != "proxy:3128" || strings.Trim(user, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~%:") != "" || strings.Count(user, ":") != 1 {
		t.Errorf("got %s", url)
	}
	if m := masked("set to http://" + url + " here"); strings.Contains(m, "%") || !strings.HasSuffix(m, "@proxy:3128 here") {
		t.Errorf("masked: %s", m)
	}
}
