package remote

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// managerMercy is how long a package manager that is ended early may take to
// end what it is in the middle of. apt and rpm do so at a TERM; killed at once
// they leave half a package.
const managerMercy = 2 * time.Minute

// packageName is what a shell reads as one plain word, and no manager as an
// option.
var packageName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9.+_:~=^@/-]*$`)

// packageScript is what all managers' scripts share. $names, $optional, $gone, $release,
// $preferences, $stream and $limit are given, and as "yes" or nothing $replaces, $refresh,
// $downgrade, $held and $download.
//
// What a manager prints goes to the job's log at once, so that it can be
// followed; said reads it there.
const packageScript = `
set -f
began=$(date +%s)
left() { left=$((limit - $(date +%s) + began)); }
# run runs a program; what it printed is in $out, its end.
run() {
	log=$runai_prep_job/log
	from=$(stat -c %s "$log") || exit 1
	"$@" 2>&1
	s=$?
	out=$(tail -c +$((from+1)) "$log" | tail -c 65536)
	shown=yes
	return $s
}
# quietly is run for what only we read.
quietly() { out=$("$@" 2>&1); s=$?; shown=; return $s; }
# among: $1 is one of the words after it.
among() {
	w=$1; shift
	for v; do [ "$v" = "$w" ] && return 0; done
	return 1
}
# may: the package $1 may go. NVIDIA's container tools are no part of a driver.
may() {
	case $1 in
	linux-image-"$kernel"|linux-image-unsigned-"$kernel"|linux-modules-"$kernel"|kernel*-"${kernel%.*}"|kernel|kernel-core|kernel-default|kernel-uek)
		return 1 ;;
	esac
	among "$1" $gone && return 0
	[ -n "$replaces" ] || return 1
	case $1 in
	*nvidia-container*|*nvidia-docker*) return 1 ;;
	*nvidia*|*NVIDIA*|libcuda[0-9]*|cuda-drivers*|cuda-compat*|libnvcuvid*|libnvoptix*|libxnvctrl*) return 0 ;;
	esac
	return 1
}
kernel=$(uname -r)
# refuse says what must not go, and ends.
refuse() {
	printf 'not done: %s would also remove%s\n' "$1" "$2"
	exit 1
}
`

// install has the host's package manager install, as a job.
func (c *Conn) install(ctx context.Context, title string, p *Packages, said func(string)) error {
	script, err := p.script()
	if err != nil {
		return fmt.Errorf("%s: %w", title, err)
	}
	return c.runJob(ctx, title, script, p.limit(), managerMercy, said)
}

func (p *Packages) limit() time.Duration { return orDefault(p.Timeout, 15*time.Minute) }

func (p *Packages) script() (string, error) {
	if len(p.Names)+len(p.Remove) == 0 {
		return "", errors.New("no package is named")
	}
	words := slices.Concat(p.Names, p.Optional, p.Remove)
	for _, w := range []string{p.Release, p.Stream, strings.TrimPrefix(p.Preferences, "/")} {
		if w != "" {
			words = append(words, w)
		}
	}
	for _, n := range words {
		if !packageName.MatchString(n) {
			return "", fmt.Errorf("%q is no name of a package", n)
		}
	}
	for _, n := range p.Remove {
		if strings.ContainsAny(n, "=/~^") && p.Manager != "zypper" { // which can have several versions
			return "", fmt.Errorf("%q is not the bare name of a package to remove", n)
		}
	}
	managers := map[string]string{"apt": aptScript, "dnf": dnfScript, "yum": yumScript, "zypper": zypperScript}
	own, known := managers[p.Manager]
	switch {
	case !known:
		return "", fmt.Errorf("package manager %q is not known", p.Manager)
	case p.Release != "" && (p.Manager == "dnf" || p.Manager == "yum"):
		return "", fmt.Errorf("%s knows no release to take packages from", p.Manager)
	case p.Stream != "" && p.Manager != "dnf":
		return "", fmt.Errorf("%s knows no streams", p.Manager)
	case p.Preferences != "" && p.Manager != "apt":
		return "", fmt.Errorf("%s knows no preferences", p.Manager)
	}
	vars := fmt.Sprintf("names='%s' optional='%s' gone='%s' release='%s' preferences='%s' stream='%s' limit=%d\nreplaces=%s refresh=%s downgrade=%s held=%s download=%s\n",
		strings.Join(p.Names, " "), strings.Join(p.Optional, " "), strings.Join(p.Remove, " "), p.Release, p.Preferences, p.Stream, seconds(p.limit()),
		flag(p.Replaces), flag(p.Refresh), flag(p.Downgrade), flag(p.Held), flag(p.DownloadOnly))
	return vars + packageScript + own, nil
}
