package remote

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"
)

// aptScript installs without a question, and without what nobody asked for:
// recommendations would bring daemons onto machines that somebody else keeps,
// removals would break them, and needrestart would restart running work.
//
// The first try is made from the package lists as they are. They are fetched
// anew only when that fails for want of a package, and an interrupted dpkg is
// finished first where it says that it was interrupted.
const aptScript = `
export DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 APT_LISTCHANGES_FRONTEND=none
try() {
	out=$(apt-get -y -q -o DPkg::Lock::Timeout=600 -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold \
		--no-install-recommends --no-remove install "$@" 2>&1)
	s=$?
	return $s
}
try "$@" && exit 0
case $out in *"dpkg was interrupted"*)
	dpkg --force-confdef --force-confold --configure -a 2>&1 || exit
	try "$@" && exit 0 ;;
esac
case $out in *"Unable to locate package"*|*"no installation candidate"*|*"nable to fetch"*|*"Failed to fetch"*|*"404 "*|*"is not available"*|*"unmet dependencies"*)
	up=$(apt-get -q -o DPkg::Lock::Timeout=600 update 2>&1) || printf '%s\n' "$up"
	try "$@" && exit 0 ;;
esac
printf '%s\n' "$out"
exit $s
`

const dnfScript = captured + `captured dnf -y --setopt=install_weak_deps=False install "$@"
exit $s
`

const yumScript = captured + `captured yum -y install "$@"
exit $s
`

// captured runs a program so that it finishes its work although the connection
// is lost: its output goes to the shell, and no pipe breaks under it.
const captured = `
captured() { out=$("$@" 2>&1); s=$?; printf '%s\n' "$out"; }
`

// managerMercy is how long a package manager that is ended early may take to
// end what it is in the middle of. apt and rpm do so at a TERM; killed at once
// they leave half a package.
const managerMercy = 2 * time.Minute

// zypper's 102 and 103 say that a reboot or a restart is advisable.
const zypperScript = captured + `
export ZYPP_LOCK_TIMEOUT=600
captured zypper --non-interactive install --no-recommends "$@"
case $s in 102|103) s=0 ;; esac
exit $s
`

var packageName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9.+_:~=^@/-]*$`)

// lockHeld are the words of managers that do not wait for another one's lock
// themselves, as apt before 1.9.11 does not.
var lockHeld = regexp.MustCompile(`Could not get lock|Unable to acquire the dpkg frontend lock|System management is locked`)

func (c *Conn) install(ctx context.Context, title string, p *Packages) error {
	if len(p.Names) == 0 {
		return fmt.Errorf("%s: no package is named", title)
	}
	for _, n := range p.Names {
		if !packageName.MatchString(n) {
			return fmt.Errorf("%s: %q is no name of a package", title, n)
		}
	}
	script := "set -- " + strings.Join(p.Names, " ") + "\n"
	switch p.Manager {
	case "apt":
		script += aptScript
	case "dnf":
		script += dnfScript
	case "yum":
		script += yumScript
	case "zypper":
		script += zypperScript
	default:
		return fmt.Errorf("%s: package manager %q is not known", title, p.Manager)
	}
	limit := orDefault(p.Timeout, 15*time.Minute)
	end := time.Now().Add(limit)
	for {
		_, err := c.shellWithMercy(ctx, title, script, time.Until(end).Round(time.Second), managerMercy)
		var failed *CommandError
		if err == nil || !errors.As(err, &failed) || !lockHeld.MatchString(failed.Stderr) || time.Until(end) < 10*time.Second {
			return err
		}
		select {
		case <-time.After(5 * time.Second):
		case <-ctx.Done():
			return fmt.Errorf("%s: %w", title, context.Cause(ctx))
		}
	}
}
