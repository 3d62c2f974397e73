package tasks

import (
	"fmt"
	"slices"
	"strings"
)

// policy reads what apt-cache policy prints: for each package what is
// installed, what apt would take, and the versions with their repositories.
//
//	nvidia-smi:
//	  Installed: (none)
//	  Candidate: 535.261.03-1~deb12u1
//	  Version table:
//	     535.261.03-1~deb12u1 500
//	        500 http://deb.debian.org/debian bookworm/non-free amd64 Packages
func (r *driverReader) policy(b block) error {
	if exit := b.exit(); exit != 0 {
		return fmt.Errorf("apt-cache policy: exit status %d", exit)
	}
	var name, candidate, version string
	for _, line := range b.lines {
		fields := strings.Fields(line)
		indent := len(line) - len(strings.TrimLeft(line, " "))
		switch {
		case len(fields) == 0:
		case indent == 0:
			name, candidate, version = strings.TrimSuffix(fields[0], ":"), "", ""
		case fields[0] == "Candidate:" && len(fields) > 1:
			candidate = fields[1]
		case indent <= 2 && fields[0] != "***": // Installed, Version table, Package pin
		case indent <= 5:
			if fields[0] == "***" {
				fields = fields[1:]
			}
			if len(fields) > 0 {
				version = fields[0]
			}
		case len(fields) >= 2 && version != "":
			// "100 /var/lib/dpkg/status" is that it is installed.
			if strings.HasPrefix(fields[1], "/var/lib/dpkg/") {
				continue
			}
			from := fields[1]
			if len(fields) >= 3 {
				from = fields[2]
				if from == "/" || strings.HasPrefix(from, "./") || !strings.Contains(from, "/") || strings.Trim(from, "./") == "" {
					from = shortAddress(fields[1]) // a flat repository has neither suite nor component
				}
			}
			o := driverOffer{Name: name, Version: version, From: from, Best: version == candidate}
			if !slices.Contains(r.f.Offers, o) {
				r.f.Offers = append(r.f.Offers, o)
			}
			for i := range r.f.Packages {
				if p := &r.f.Packages[i]; p.Name == name && p.Version == version && p.From == "" {
					p.From = from
				}
			}
		}
	}
	return nil
}

// shortAddress is where a repository is, without the credentials that a URL
// may hold.
func shortAddress(uri string) string { return strings.TrimSuffix(maskedAddress(uri), "/") }

// rpms reads what dnf repoquery prints: name, version, repository.
func (r *driverReader) rpms(b block) error {
	if exit := b.exit(); exit != 0 {
		return r.noOffers("dnf repoquery", exit)
	}
	for _, line := range b.lines {
		if strings.TrimSpace(line) == "" {
			continue
		}
		fields := strings.Split(line, "\t")
		if len(fields) != 3 {
			return fmt.Errorf("%q is not a package that dnf has", clip(line, 80))
		}
		r.offer(fields[0], fields[1], fields[2])
	}
	r.best()
	return nil
}

func (r *driverReader) offer(name, version, from string) {
	o := driverOffer{Name: name, Version: strings.TrimPrefix(version, "0:"), From: from}
	if !slices.Contains(r.f.Offers, o) {
		r.f.Offers = append(r.f.Offers, o)
	}
}

// best marks the newest of each name, which a manager of rpm's takes by itself.
func (r *driverReader) best() {
	best := make(map[string]int)
	for i, o := range r.f.Offers {
		if j, ok := best[o.Name]; !ok || olderVersion(r.f.Offers[j].Version, o.Version) {
			best[o.Name] = i
		}
	}
	for _, i := range best {
		r.f.Offers[i].Best = true
	}
}

// olderVersion compares the numbers of two versions, as the probe's shell does.
func olderVersion(a, b string) bool {
	digit := func(r rune) bool { return r >= '0' && r <= '9' }
	other := func(r rune) bool { return !digit(r) }
	x, y := strings.FieldsFunc(a, other), strings.FieldsFunc(b, other)
	for i := 0; i < max(len(x), len(y)); i++ {
		var p, q string
		if i < len(x) {
			p = strings.TrimLeft(x[i], "0")
		}
		if i < len(y) {
			q = strings.TrimLeft(y[i], "0")
		}
		if len(p) != len(q) {
			return len(p) < len(q)
		}
		if p != q {
			return p < q
		}
	}
	return false
}

// noOffers: a manager that finds nothing in its cache fails as one that cannot
// look does; both come to the same, that nothing is known of what there is.
func (r *driverReader) noOffers(what string, exit int) error {
	if exit == 124 || exit == 137 {
		return fmt.Errorf("%s: no answer within 40s", what)
	}
	r.f.Offers = nil
	return nil
}

// yum reads its table of available packages: "name.arch version repository",
// where a long name or version stands on a line of its own.
func (r *driverReader) yum(b block) error {
	// 1 is that it found nothing.
	if exit := b.exit(); exit > 1 || exit < 0 {
		return r.noOffers("yum list", exit)
	}
	var fields []string
	for _, line := range b.lines {
		if strings.HasSuffix(line, "Packages") {
			continue
		}
		fields = append(fields, strings.Fields(line)...)
		if len(fields) < 3 {
			continue
		}
		name, _, _ := cutLast(fields[0], ".")
		r.offer(name, fields[1], fields[2])
		fields = nil
	}
	r.best()
	return nil
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

// zypper reads its table "S | Name | Type | Version | Arch | Repository".
func (r *driverReader) zypper(b block) error {
	// 104 is that it found nothing; 106 that a repository had to be left out.
	if exit := b.exit(); exit != 0 && exit != 104 && exit != 106 {
		return r.noOffers("zypper search", exit)
	}
	for _, line := range b.lines {
		columns := strings.Split(line, "|")
		if len(columns) != 6 {
			continue
		}
		for i := range columns {
			columns[i] = strings.TrimSpace(columns[i])
		}
		if columns[2] != "package" || strings.HasPrefix(columns[5], "(") { // "(System Packages)" is what is installed
			continue
		}
		r.offer(columns[1], columns[3], columns[5])
	}
	r.best()
	return nil
}

// streams reads dnf's table of the module nvidia-driver: name, stream, profiles.
func (r *driverReader) streams(b block) {
	s := &r.f.Sources
	for _, line := range b.lines {
		fields := strings.Fields(line)
		if len(fields) < 2 || fields[0] != "nvidia-driver" {
			continue
		}
		stream := fields[1]
		for _, mark := range fields[2:] {
			if mark == "[e]" {
				stream += "[e]"
			}
			if !strings.HasPrefix(mark, "[") {
				break
			}
		}
		if !slices.Contains(s.Streams, stream) {
			s.Streams = append(s.Streams, stream)
		}
	}
	s.Modular = len(s.Streams) > 0
}

// sources reads the files that tell a package manager of its repositories.
func (r *driverReader) sources() {
	s := &r.f.Sources
	for _, at := range sortedFiles(r.f.files) {
		f := r.f.files[at]
		switch {
		case f.Presence != Present:
		case strings.HasSuffix(at, ".repo"):
			s.repositories = append(s.repositories, parseRepo(at, f.content)...)
		case strings.HasPrefix(at, "/etc/apt/sources.list") && strings.HasSuffix(at, ".list"):
			s.repositories = append(s.repositories, parseSourcesList(at, f.content)...)
		case strings.HasSuffix(at, ".sources"):
			s.repositories = append(s.repositories, parseDeb822(at, f.content)...)
		}
	}
	for _, p := range s.repositories {
		if p.disabled {
			continue
		}
		if slices.Contains(p.parts, "non-free") {
			s.NonFree = true
		}
		// A mirror may be anywhere.
		ours := slices.Contains([]string{cudaAptPath, cudaDnfPath, cudaZypPath}, p.file)
		if s.CUDA == "" && (ours || strings.Contains(p.uri, "/compute/cuda/repos/")) {
			s.CUDA = shortAddress(p.uri)
		}
	}
}

func sortedFiles(files map[string]file) []string {
	var all []string
	for at := range files {
		all = append(all, at)
	}
	slices.Sort(all)
	return all
}

// parseSourcesList reads apt's one-line format: deb [options] uri suite parts.
func parseSourcesList(at, content string) []repository {
	var all []repository
	for line := range strings.Lines(content) {
		line, _, _ = strings.Cut(line, "#")
		rest, ok := strings.CutPrefix(strings.TrimSpace(line), "deb ")
		if !ok {
			continue
		}
		p := repository{file: at}
		rest = strings.TrimSpace(rest)
		if strings.HasPrefix(rest, "[") {
			options, after, ok := strings.Cut(rest[1:], "]")
			if !ok {
				continue
			}
			rest = after
			for _, o := range strings.Fields(options) {
				if v, ok := strings.CutPrefix(o, "signed-by="); ok {
					p.signedBy = v
				}
			}
		}
		fields := strings.Fields(rest)
		if len(fields) < 2 {
			continue
		}
		p.uri, p.suite, p.parts = fields[0], fields[1], fields[2:]
		all = append(all, p)
	}
	return all
}

// parseDeb822 reads apt's other format: fields, an empty line between sources.
// Each pair of an address and a suite is one repository.
func parseDeb822(at, content string) []repository {
	var all []repository
	fields, last := make(map[string]string), ""
	flush := func() {
		if slices.Contains(strings.Fields(fields["types"]), "deb") {
			for _, uri := range strings.Fields(fields["uris"]) {
				for _, suite := range strings.Fields(fields["suites"]) {
					all = append(all, repository{
						file: at, uri: uri, suite: suite, parts: strings.Fields(fields["components"]),
						signedBy: strings.TrimSpace(fields["signed-by"]), disabled: strings.TrimSpace(fields["enabled"]) == "no",
					})
				}
			}
		}
		fields, last = make(map[string]string), ""
	}
	for line := range strings.Lines(content) {
		line = strings.TrimRight(line, "\n\r")
		switch {
		case strings.TrimSpace(line) == "":
			flush()
		case strings.HasPrefix(line, "#"):
		case line[0] == ' ' || line[0] == '\t':
			fields[last] += "\n" + line
		default:
			key, value, _ := strings.Cut(line, ":")
			last = strings.ToLower(strings.TrimSpace(key))
			fields[last] = strings.TrimSpace(value)
		}
	}
	flush()
	return all
}

// parseRepo reads the files of dnf, yum and zypper: sections of assignments.
func parseRepo(at, content string) []repository {
	var all []repository
	for line := range strings.Lines(content) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") && strings.HasSuffix(line, "]") {
			all = append(all, repository{file: at, id: line[1 : len(line)-1]})
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if !ok || len(all) == 0 || strings.HasPrefix(line, "#") {
			continue
		}
		p, value := &all[len(all)-1], strings.TrimSpace(value)
		switch strings.TrimSpace(key) {
		case "baseurl":
			p.uri = value
		case "mirrorlist", "metalink":
			if p.uri == "" {
				p.uri = value
			}
		case "enabled":
			p.disabled = value == "0" || strings.EqualFold(value, "false") || strings.EqualFold(value, "no")
		case "gpgkey":
			p.signedBy = value
		}
	}
	return all
}
