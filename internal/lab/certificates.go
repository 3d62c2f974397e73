package lab

import (
	"fmt"
	"io/fs"
	"slices"
	"strings"
)

// updateCA is update-ca-certificates: the bundle is the base one and every
// certificate of /usr/local/share/ca-certificates.
func updateCA(p *process) int {
	if p.cred.uid != 0 {
		fmt.Fprintln(p.stderr, "/usr/sbin/update-ca-certificates: 101: cannot create /etc/ssl/certs/ca-certificates.crt.new: Permission denied")
		return 2
	}
	m := p.machine
	bundle := "# 140 certificates of public authorities\n"
	old, _ := m.ReadFile("/etc/ssl/certs/ca-certificates.crt")
	added, removed := 0, 0
	var names []string
	files, _ := m.fs.readDir(root, "/usr/local/share/ca-certificates")
	for _, f := range files {
		if !strings.HasSuffix(f.name, ".crt") {
			continue
		}
		text, _ := m.ReadFile("/usr/local/share/ca-certificates/" + f.name)
		bundle += text
		link := strings.TrimSuffix(f.name, ".crt") + ".pem"
		names = append(names, link)
		if m.fs.symlink(root, "/usr/local/share/ca-certificates/"+f.name, "/etc/ssl/certs/"+link) == nil {
			added++
		}
	}
	links, _ := m.fs.readDir(root, "/etc/ssl/certs")
	for _, l := range links {
		if l.mode&fs.ModeSymlink != 0 && !slices.Contains(names, l.name) {
			_ = m.Remove("/etc/ssl/certs/" + l.name)
			removed++
		}
	}
	if bundle != old {
		m.must(m.WriteFile("/etc/ssl/certs/ca-certificates.crt", bundle, 0o644))
	}
	p.printf("Updating certificates in /etc/ssl/certs...\n%d added, %d removed; done.\nRunning hooks in /etc/ca-certificates/update.d...\ndone.\n", added, removed)
	return 0
}
