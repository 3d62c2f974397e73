package inventory

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
)

var mountSpec = spec[Mount]{
	{"server", func(m *Mount, in input) { m.Server = strings.Trim(in.text(nfsServer), "[]") }},
	{"export", func(m *Mount, in input) { m.Export = in.text(exportPath) }},
	{"version", func(m *Mount, in input) { m.Version = in.version(oneOf("3", "4", "4.0", "4.1", "4.2")) }},
	{"options", func(m *Mount, in input) { m.Options = in.options() }},
	{"automount", func(m *Mount, in input) { m.Automount = in.boolean() }},
}

func nfsServer(s string) error {
	if err := fstabWord(s); err != nil {
		return err
	}
	return address(strings.TrimSuffix(strings.TrimPrefix(s, "["), "]"))
}

func exportPath(s string) error {
	if err := fstabWord(s); err != nil {
		return err
	}
	return cleanPath(s)
}

// systemDirs are folders that a mount would hide, or that vanish at boot. The
// value says whether everything below is out of bounds too.
var systemDirs = map[string]bool{
	"/": false, "/bin": true, "/boot": true, "/dev": true, "/etc": true, "/home/root": false,
	"/lib": true, "/lib32": true, "/lib64": true, "/libx32": true, "/proc": true, "/root": false, "/run": true,
	"/sbin": true, "/sys": true, "/tmp": false, "/usr": false, "/usr/bin": true, "/usr/lib": true,
	"/usr/sbin": true, "/var": false, "/var/lib": false, "/var/lib/containerd": true, "/var/lib/dpkg": true,
	"/var/lib/rpm": true, "/var/lib/runai-prep": true, "/var/log": false, "/var/run": true, "/var/tmp": false,
}

func mountPath(s string) error {
	if err := fstabWord(s); err != nil {
		return err
	}
	if err := cleanPath(s); err != nil {
		return err
	}
	for dir := s; ; dir = path.Dir(dir) {
		below, system := systemDirs[dir]
		if system && (below || dir == s) {
			return fmt.Errorf("%q is part of the system: a mount would hide what the host needs to run; mount below /mnt, /srv or a folder of its own", s)
		}
		if dir == "/" {
			return nil
		}
	}
}

func mountOption(s string) error {
	if err := fstabWord(s); err != nil {
		return err
	}
	key, _, _ := strings.Cut(s, "=")
	switch {
	case strings.Contains(s, ","):
		return fmt.Errorf("%q holds a comma; write a list of strings, one for each option", s)
	case strings.HasPrefix(s, "-"):
		return fmt.Errorf("%q begins with a dash; write the option alone, as in fstab", s)
	case slices.Contains([]string{"remount", "bind", "rbind", "move", "loop"}, key):
		return fmt.Errorf("%q is not an option of a lasting NFS mount; remove it", s)
	}
	return nil
}

// contraries are options of which a mount has one at most.
var contraries = [][]string{
	{"hard", "soft", "softerr"}, {"ro", "rw"}, {"fg", "bg"}, {"tcp", "udp"}, {"lock", "nolock"}, {"ac", "noac"},
	{"exec", "noexec"}, {"suid", "nosuid"}, {"dev", "nodev"}, {"atime", "noatime"}, {"cto", "nocto"},
	{"intr", "nointr"}, {"sharecache", "nosharecache"}, {"resvport", "noresvport"}, {"auto", "noauto"},
	{"acl", "noacl"}, {"rdirplus", "nordirplus"}, {"vers", "nfsvers"}, {"async", "sync"},
}

// options are checked one by one and against each other.
func (in input) options() []string {
	list := in.texts(mountOption)
	has := map[string]string{}
	for _, o := range list {
		key, _, valued := strings.Cut(o, "=")
		if before, twice := has[key]; twice && valued {
			in.errorf(in.expr.Range(), "Conflicting options", "The options %q and %q contradict each other. Keep one.", before, o)
		}
		has[key] = o
	}
	for _, set := range contraries {
		var found []string
		for _, o := range set {
			if has[o] != "" {
				found = append(found, has[o])
			}
		}
		if len(found) > 1 {
			in.errorf(in.expr.Range(), "Conflicting options", "The options %s contradict each other. Keep one.", enumerate(found))
		}
	}
	if has["soft"] != "" {
		in.warnf(in.expr.Range(), "Soft mount", "With \"soft\" a slow server makes writes fail, and training data or checkpoints are damaged without a word. Use \"hard\" unless the mount is read-only.")
	}
	if has["bg"] != "" {
		in.warnf(in.expr.Range(), "Mount in the background", "systemd does not honour \"bg\" as mount does; the defaults _netdev and nofail keep a missing server from stopping the boot. Remove \"bg\".")
	}
	return list
}

// versionOption returns the option that names an NFS version, if one does.
func versionOption(options []string) string {
	for _, o := range options {
		key, _, _ := strings.Cut(o, "=")
		if key == "vers" || key == "nfsvers" || key == "minorversion" || key == "v3" || strings.HasPrefix(key, "v4") {
			return o
		}
	}
	return ""
}

// checkMount finds what only the whole of a mount shows.
func (l *loader) checkMount(m Mount, layers []*layer) {
	rng := layers[len(layers)-1].rng
	at := func(name string) hcl.Range {
		for _, la := range slices.Backward(layers) {
			if a, ok := la.attrs[name]; ok {
				return a.expr.Range()
			}
		}
		return rng
	}
	if m.Server == "" && !said(layers, "server") {
		l.errorf(rng, "Mount without server", "Nothing says from which server %q is mounted. Add server = ….", m.Path)
	}
	if m.Export == "" && !said(layers, "export") {
		l.errorf(rng, "Mount without export", "Nothing says which export of the server is mounted at %q. Add export = ….", m.Path)
	}
	if o := versionOption(m.Options); o != "" {
		if m.Version != "" {
			l.errorf(at("options"), "Conflicting options", "The option %q and version = %q both name an NFS version. Keep version.", o, m.Version)
		} else {
			l.warnf(at("options"), "Version among the options", "The option %q names an NFS version. Say version = … instead, so that the mount in use is compared with it.", o)
		}
	}
	has := func(o string) bool { return slices.Contains(m.Options, o) }
	if has("noauto") && !m.Automount && !has("x-systemd.automount") {
		l.errorf(at("options"), "Conflicting options", "With \"noauto\" the export is not mounted after a boot. Remove it, or say automount = true.")
	}
	if has("x-systemd.automount") && !m.Automount {
		l.warnf(at("options"), "Automount among the options", "Say automount = true instead of \"x-systemd.automount\", so that an idle mount is not taken for a missing one.")
	}
}

// said reports whether any layer has the attribute, be its value valid or not.
func said(layers []*layer, name string) bool {
	return overridden(layers, name) || slices.ContainsFunc(layers, func(l *layer) bool { return slices.Contains(l.broken, name) })
}

// saidEmpty reports whether the last word on a list is that it has no elements.
func saidEmpty(layers []*layer, name string) bool {
	for _, l := range slices.Backward(layers) {
		if at, ok := l.attrs[name]; ok {
			list, _ := at.value.Unmark()
			return list.CanIterateElements() && list.LengthInt() == 0
		}
	}
	return false
}
