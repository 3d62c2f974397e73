package lab

import (
	"slices"
	"strings"
)

// debianRepository is a component of a suite of Debian or Ubuntu.
func debianRepository(uri, suite, component, label, archive string, packages ...*pkg) *repository {
	origin, rest, _ := strings.Cut(label, ":")
	version, _, _ := strings.Cut(rest, "/")
	r := &repository{uri: uri, suite: suite, component: component, label: label, packages: packages,
		release: map[string]string{"n": suite, "a": archive, "o": strings.Split(origin, "-")[0], "l": origin, "v": version}}
	for _, p := range packages {
		p.repo = r
	}
	return r
}

func debianRepositories() []*repository {
	main := debianPackages(map[string]string{
		"nfs-common": "1:2.6.2-4+deb12u1", "libnfsidmap1": "1:2.6.2-4+deb12u1", "rpcbind": "1.2.6-6+b1", "keyutils": "1.6.3-2",
		"containerd": "1.6.20~ds1-1+deb12u1", "runc": "1.1.5+ds1-1+deb12u1", "docker.io": "20.10.24+dfsg1-1+deb12u1",
		"squid": "5.7-2+deb12u2", "curl": "7.88.1-10+deb12u12", "jq": "1.6-2.1",
	})
	main = append(main, debianToolchain("3.0.10-8+deb12u1", "4:12.2.0-3", "4.3-4.1")...)
	main = append(main, debianHeaders("6.1.0-37-amd64", "6.1.140-1"), debianHeaders("6.1.0-38-amd64", "6.1.147-1"),
		&pkg{name: "linux-headers-amd64", version: "6.1.140-1", section: "kernel", depends: []string{"linux-headers-6.1.0-37-amd64"}})
	const uri, security = "deb.debian.org/debian", "security.debian.org/debian-security"
	stable := func(suite, component string, packages ...*pkg) *repository {
		return debianRepository(uri, suite, component, "Debian:12.15/oldstable", "oldstable", packages...)
	}
	safe := func(component string, packages ...*pkg) *repository {
		return debianRepository(security, "bookworm-security", component, "Debian-Security:12/oldstable-security", "oldstable-security", packages...)
	}
	nonFree, firmware := nvidiaDebian("535.261.03", "1")
	contrib := debianContrib()
	for _, p := range nonFree {
		if strings.HasPrefix(p.name, "nvidia-open-kernel-dkms") {
			contrib = append(contrib, p)
		}
	}
	nonFree = slices.DeleteFunc(nonFree, func(p *pkg) bool { return slices.Contains(contrib, p) })
	newer, newerFirmware := nvidiaDebian("535.309.01", "0+deb12u1")
	// As in the real one, the open modules of a security update are missing.
	newer = slices.DeleteFunc(newer, func(p *pkg) bool { return strings.HasPrefix(p.name, "nvidia-open-kernel") })
	gone, goneFirmware := nvidiaDebian("535.183.01", "1~deb12u1")
	return []*repository{
		stable("bookworm", "main", main...), stable("bookworm", "contrib", contrib...),
		stable("bookworm", "non-free", nonFree...), stable("bookworm", "non-free-firmware", firmware...),
		stable("bookworm-updates", "main"), stable("bookworm-updates", "contrib"), stable("bookworm-updates", "non-free"), stable("bookworm-updates", "non-free-firmware"),
		safe("main"), safe("contrib"), safe("non-free", newer...), safe("non-free-firmware", newerFirmware...),
		// What nobody offers any more.
		debianRepository("snapshot", "bookworm", "non-free", "", "", append(gone, goneFirmware...)...),
	}
}

func ubuntuRepositories() []*repository {
	main := debianPackages(map[string]string{
		"nfs-common": "1:2.6.1-1ubuntu1.2", "libnfsidmap1": "1:2.6.1-1ubuntu1.2", "rpcbind": "1.2.6-2build1", "keyutils": "1.6.1-2ubuntu3",
		"containerd": "1.7.27-0ubuntu1~22.04.1", "runc": "1.2.5-0ubuntu1~22.04.1", "docker.io": "27.5.1-0ubuntu3~22.04.2",
		"squid": "5.9-0ubuntu0.22.04.4", "curl": "7.81.0-1ubuntu1.20", "jq": "1.6-2.1ubuntu3.1",
	})
	const kernel = "5.15.0-143-generic"
	main = append(main, debianToolchain("2.8.7-2ubuntu2.2", "4:11.2.0-1ubuntu1", "4.3-4.1build1")...)
	main = append(main, debianHeaders(kernel, "5.15.0-143.153"))
	suite := func(uri, suite, component string, packages ...*pkg) *repository {
		return debianRepository(uri, suite, component, "Ubuntu:22.04/"+suite, suite, packages...)
	}
	var drivers []*pkg
	for _, version := range []string{"470.256.02", "535.261.03", "550.163.01", "570.158.01"} {
		drivers = append(drivers, nvidiaUbuntu(version, kernel)...)
	}
	const uri, security = "archive.ubuntu.com/ubuntu", "security.ubuntu.com/ubuntu"
	all := []*repository{
		suite(uri, "jammy", "main", main...), suite(uri, "jammy", "restricted", nvidiaUbuntu("450.248.02", kernel)...),
		suite(uri, "jammy-updates", "restricted", drivers...),
		suite("snapshot", "jammy-updates", "restricted", nvidiaUbuntu("535.183.01", kernel)...),
	}
	for _, s := range []string{"jammy universe", "jammy multiverse", "jammy-updates main", "jammy-updates universe", "jammy-updates multiverse"} {
		name, component, _ := strings.Cut(s, " ")
		all = append(all, suite(uri, name, component))
	}
	for _, component := range []string{"main", "restricted", "universe", "multiverse"} {
		all = append(all, suite(security, "jammy-security", component))
	}
	return all
}

// debianPackages is what the packages of Debian and its kin hold, at the
// versions given.
func debianPackages(versions map[string]string) []*pkg {
	all := map[string]*pkg{
		"nfs-common": {
			section:  "net",
			depends:  []string{"keyutils", "libnfsidmap1", "rpcbind"},
			programs: []string{"/usr/sbin/mount.nfs", "/usr/sbin/mount.nfs4", "/usr/sbin/umount.nfs", "/usr/sbin/umount.nfs4", "/usr/sbin/showmount", "/usr/sbin/nfsstat"},
			units:    map[string]string{"nfs-client.target": "[Unit]\nDescription=NFS client services\n\n[Install]\nWantedBy=multi-user.target\n"},
		},
		"libnfsidmap1": {section: "libs"},
		"keyutils":     {section: "admin", programs: []string{"/usr/bin/keyctl"}},
		"rpcbind": {
			section:  "net",
			programs: []string{"/usr/sbin/rpcbind", "/usr/sbin/rpcinfo"},
			units:    map[string]string{"rpcbind.service": service("RPC bind portmap service", "/sbin/rpcbind -f -w")},
		},
		"runc": {section: "admin", programs: []string{"/usr/sbin/runc"}},
		"containerd": {
			section:  "admin",
			depends:  []string{"runc"},
			programs: []string{"/usr/bin/containerd", "/usr/bin/ctr", "/usr/bin/containerd-shim-runc-v2"},
			units:    map[string]string{"containerd.service": service("containerd container runtime", "/usr/bin/containerd")},
		},
		"docker.io": {
			section:  "admin",
			depends:  []string{"containerd", "runc"},
			programs: []string{"/usr/bin/docker", "/usr/sbin/dockerd"},
			units:    map[string]string{"docker.service": service("Docker Application Container Engine", "/usr/sbin/dockerd -H fd://")},
		},
		"squid": {
			section:  "web",
			programs: []string{"/usr/sbin/squid"},
			units:    map[string]string{"squid.service": service("Squid Web Proxy Server", "/usr/sbin/squid --foreground -sYC")},
		},
		"curl": {section: "web", programs: []string{"/usr/bin/curl"}},
		"jq":   {section: "utils", programs: []string{"/usr/bin/jq"}},
	}
	var list []*pkg
	for name, p := range all {
		p.name, p.version = name, versions[name]
		list = append(list, p)
	}
	return list
}
