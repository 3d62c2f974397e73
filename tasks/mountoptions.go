package tasks

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/runai-prep/runai-prep/inventory"
)

// An expectation is a wished option as the kernel shows it. Of what the kernel
// shows (its own defaults, what was negotiated) only what was wished is
// compared, and of what was wished only what the kernel shows: bg, retry=,
// x-systemd.… and the like are matters of fstab alone.
type expectation struct {
	option string // as wished
	quick  string // how it begins in mountinfo when it holds; empty: not so simple
	holds  func(mountInfo) bool
}

// flags are shown when set.
var flags = []string{
	"ro", "noatime", "nodiratime", "nosuid", "nodev", "noexec", "sync",
	"hard", "soft", "softerr", "softreval", "nocto", "noac", "noacl", "nordirplus",
	"nosharecache", "noresvport", "fsc",
}

// opposites are shown by the absence of another.
var opposites = map[string]string{
	"rw": "ro", "suid": "nosuid", "dev": "nodev", "exec": "noexec", "async": "sync",
	"atime": "noatime", "diratime": "nodiratime", "relatime": "noatime",
	"cto": "nocto", "ac": "noac", "acl": "noacl", "rdirplus": "nordirplus",
	"sharecache": "nosharecache", "resvport": "noresvport", "lock": "nolock", "nofsc": "fsc",
}

// values are shown with what they were set to, or, where a default is given
// here, not at all when set to that.
var values = map[string]string{
	"timeo": "", "retrans": "", "sec": "", "local_lock": "",
	"nconnect": "1", "port": "2049", "lookupcache": "all",
	"acregmin": "3", "acregmax": "60", "acdirmin": "30", "acdirmax": "60",
}

// expectations are those of a wish.
func expectations(m inventory.Mount) []expectation {
	var all []expectation
	if m.Version != "" {
		all = append(all, expectVersion(m.Version))
	}
	for _, o := range m.Options {
		if e, ok := expect(o); ok && !(m.Version != "" && isVersion(o)) {
			all = append(all, e)
		}
	}
	return all
}

func isVersion(option string) bool {
	name, _, _ := strings.Cut(option, "=")
	return name == "vers" || name == "nfsvers" || name == "minorversion"
}

// expectVersion takes 4 for any of 4.0, 4.1 and 4.2, as mount does.
func expectVersion(version string) expectation {
	return expectation{"vers=" + version, "vers=" + version, func(m mountInfo) bool {
		has, _ := m.option("vers")
		return has == version || version == "4" && strings.HasPrefix(has, "4.")
	}}
}

// expect is false for an option that the kernel does not show.
func expect(option string) (expectation, bool) {
	name, value, hasValue := strings.Cut(option, "=")
	shown := func(m mountInfo) bool { _, ok := m.option(name); return ok }
	switch {
	case slices.Contains(flags, option):
		return expectation{option, option, shown}, true
	case opposites[option] != "":
		name = opposites[option]
		return expectation{option: option, holds: func(m mountInfo) bool { return !shown(m) }}, true
	case option == "nolock":
		// Locks are part of version 4, which does not show the option.
		return expectation{option: option, holds: func(m mountInfo) bool {
			v, _ := m.option("vers")
			return v != "3" || shown(m)
		}}, true
	case !hasValue:
		switch option {
		case "tcp", "udp", "rdma":
			return expectProto(option, option), true
		}
		return expectation{}, false
	case name == "proto":
		return expectProto(option, value), true
	case name == "vers" || name == "nfsvers":
		return expectVersion(value), true
	case name == "rsize" || name == "wsize":
		// The server may grant less, never more; what it grants is shown.
		return expectation{option: option, holds: func(m mountInfo) bool {
			v, _ := m.option(name)
			has, err := strconv.Atoi(v)
			most, err2 := strconv.Atoi(value)
			return err == nil && err2 == nil && has <= most
		}}, true
	case name == "actimeo":
		return expectation{option: option, holds: func(m mountInfo) bool {
			for _, part := range []string{"acregmin", "acregmax", "acdirmin", "acdirmax"} {
				if e, _ := expect(part + "=" + value); !e.holds(m) {
					return false
				}
			}
			return true
		}}, true
	case name == "sec" && strings.Contains(value, ":"):
		return expectation{}, false // any of several
	}
	hidden, known := values[name]
	if !known {
		return expectation{}, false
	}
	if name == "lookupcache" && value == "positive" {
		value = "pos"
	}
	e := expectation{option: option, holds: func(m mountInfo) bool {
		has, ok := m.option(name)
		return has == value || !ok && value == hidden
	}}
	if value != hidden {
		e.quick = name + "=" + value + ","
	}
	return e, true
}

// expectProto takes tcp for tcp6 too: the address decides.
func expectProto(option, proto string) expectation {
	return expectation{option, "proto=" + proto, func(m mountInfo) bool {
		has, _ := m.option("proto")
		return has == proto || has == proto+"6"
	}}
}

// isDefault reports whether a mount is the same without the option.
func isDefault(option string) bool {
	switch option {
	case "hard", "tcp", "proto=tcp", "sec=sys", "timeo=600", "retrans=2", "local_lock=none":
		return true
	}
	name, value, ok := strings.Cut(option, "=")
	hidden, known := values[name]
	return opposites[option] != "" || ok && known && value == hidden
}

// fstabLine is the line for a wish.
func fstabLine(m inventory.Mount) string {
	return fmt.Sprintf("%s %s nfs %s 0 0", escapeMount(sourceOf(m)), escapeMount(m.Path), escapeMount(fstabOptions(m)))
}

// fstabOptions is the fourth field for a wish: the defaults that keep a host
// booting without the server, the version, what else was wished.
func fstabOptions(m inventory.Mount) string {
	options := []string{"_netdev", "nofail"}
	if m.Automount {
		options = append(options, "x-systemd.automount")
	}
	if m.Version != "" {
		options = append(options, "vers="+m.Version)
	}
	for _, o := range m.Options {
		if !slices.Contains(options, o) && !(m.Version != "" && isVersion(o)) {
			options = append(options, o)
		}
	}
	return strings.Join(options, ",")
}
