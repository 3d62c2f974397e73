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
	if m.spec.distro.manager != "apt" {
		return updateCATrust(p)
	}
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

// updateCATrust is EL's update-ca-trust, and what SUSE has in its place.
func updateCATrust(p *process) int {
	if p.cred.uid != 0 {
		return p.fail(1, "Permission denied")
	}
	bundle := "# 140 certificates of public authorities\n"
	anchors, file := "/etc/pki/ca-trust/source/anchors", "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem"
	if p.machine.spec.distro.manager == "zypper" {
		anchors, file = "/etc/pki/trust/anchors", "/var/lib/ca-certificates/ca-bundle.pem"
	}
	files, _ := p.machine.fs.readDir(root, anchors)
	for _, f := range files {
		text, _ := p.machine.ReadFile(anchors + "/" + f.name)
		bundle += text
	}
	p.machine.put(file, bundle)
	return 0
}
