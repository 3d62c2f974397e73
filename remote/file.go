package remote

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path"
	"strings"
	"time"
)

// fileTimeout bounds each part of writing one file, but for its content.
const fileTimeout = time.Minute

// maxFile bounds the content of one file.
const maxFile = 64 << 20

// staleAfter is how old a new file beside another must be for nobody to be
// still at work on it: one grows while its content comes, and is checked and
// renamed, or taken away, within a minute after that.
const staleAfter = 2 * time.Minute

// tempMark is in the names of new files: ".fstab.runai-prep-" and a word.
const tempMark = ".runai-prep-"

// fileScript are the functions that writing and removing share. $p is the
// file, $t the new one beside it; $ours is set where the file is.
//
// A link is followed to the file it names, which is written in its place. No
// program is run that GNU and busybox do not share.
const fileScript = `
set -u
fail() { printf '%s\n' "$1" >&2; exit 1; }
resolve() {
	if [ -L "$p" ]; then p=$(readlink -f "$p") || fail "$p is a link into nowhere"; fi
	if [ -e "$p" ] && [ ! -f "$p" ]; then fail "$p is not a file"; fi
}
digest() { d=$(sha256sum <"$1") || fail "sha256sum $1 failed"; d=${d%% *}; }
# unchanged: the file is what the plan was made from.
unchanged() {
	case $old in
	any) return 0 ;;
	none) [ ! -e "$p" ] && return 0 ;;
	*) if [ -e "$p" ]; then digest "$p"; [ "$d" = "$old" ] && return 0; fi ;;
	esac
	return 1
}
# sweep takes away what was left beside the file by those who were killed: it
# may hold a password.
sweep() {
	for f in "${p%/*}/.${p##*/}` + tempMark + `"rp*; do
		if [ ! -L "$f" ] && [ -f "$f" ] && m=$(stat -c %Y "$f") && [ $(($(date +%s) - m)) -gt "$stale" ]; then rm -f "$f"; fi
	done
}
# backup keeps the content from before our time, once.
backup() {
	if [ -n "$ours" ] || [ ! -e "$p" ]; then return 0; fi
	case $p in /var/lib/runai-prep/*) return 0 ;; esac
	b=/var/lib/runai-prep/backup$p
	[ -e "$b" ] && return 0
	( umask 022; mkdir -p /var/lib/runai-prep ) && ( umask 077; mkdir -p "${b%/*}" ) &&
		cp -p "$p" "$b.$$" && mv -f "$b.$$" "$b" || { rm -f "$b.$$"; fail "cannot keep $p in $b"; }
}
`

// prepareScript says where the new file is to be built: its first line is the
// file itself, behind any link.
const prepareScript = `
resolve
sweep
if ! unchanged; then
	if [ "$new" != - ] && [ -e "$p" ]; then digest "$p"; [ "$d" = "$new" ] && { printf '%s\nas wished\n' "$p"; exit 0; }; fi
	if [ "$old" = none ]; then fail "$p is there by now; it was not when the plan was made"; fi
	if [ ! -e "$p" ]; then fail "$p is no more; it was there when the plan was made"; fi
	fail "$p has changed since the plan was made"
fi
mkdir -p "${p%/*}/" || exit 1
printf '%s\nto be written\n' "$p"
`

// replaceScript checks the new file and puts it in place. Nothing before the
// mv touches the old one, and whatever fails takes the new one away. The folder
// is not synced: no program does it everywhere, an older sync would sync all
// file systems and wait for a dead NFS server, and a crash leaves either file
// whole.
const replaceScript = `(
# root: it fails only for a user without root, whose file it is.
root() { chown 0:0 "$t" 2>/dev/null || [ "$(id -u)" != 0 ] || fail "chown 0:0 $t failed"; }
digest "$t"
[ "$d" = "$new" ] || fail "the content arrived damaged"
if [ -e "$p" ]; then
	have=$(stat -c '%u:%g %a' "$p") || exit 1
	if [ -n "$rooted" ]; then root; else chown "${have%% *}" "$t" || exit 1; fi
	chmod "${mode:-${have##* }}" "$t" || exit 1
	if [ -e /sys/fs/selinux/enforce ]; then chcon --reference="$p" "$t" || exit 1; fi
else
	root
	chmod "${mode:-$fresh}" "$t" || exit 1
fi
if [ -n "$verify" ]; then
	( set +u; set -- "$t"; eval "$verify" ) </dev/null || { s=$?; printf 'the new content was not accepted; nothing has changed\n' >&2; exit "$s"; }
fi
dd if=/dev/null of="$t" conv=notrunc,fsync 2>/dev/null || fail "cannot sync $t"
unchanged || fail "$p has changed just now"
backup
mv -f "$t" "$p" || fail "$p cannot be replaced: is it immutable (lsattr) or a mount of its own?"
if [ -e /sys/fs/selinux/enforce ] && [ "$old" = none ] && command -v restorecon >/dev/null; then restorecon "$p"; fi
exit 0
)
s=$?
rm -f "$t"
exit $s
`

const removeScript = `
resolve
sweep
[ -e "$p" ] || exit 0
unchanged || fail "$p has changed since the plan was made"
if [ -n "$verify" ]; then ( set +u; eval "$verify" ) </dev/null || exit; fi
backup
rm -f "$p" || fail "$p cannot be removed: is it immutable (lsattr)?"
`

// fileVars begins a script about a file: what it is to be told, and functions.
func fileVars(p string, ours bool, vars ...string) (string, error) {
	word, err := pathWord(p)
	if err != nil {
		return "", err
	}
	vars = append(vars, "p="+word, "ours="+flag(ours), fmt.Sprintf("stale=%d", seconds(staleAfter)))
	return strings.Join(vars, "\n") + "\n" + fileScript, nil
}

// flag is how a script is told yes.
func flag(set bool) string {
	if set {
		return "yes"
	}
	return ""
}

func pathWord(p string) (string, error) {
	if !path.IsAbs(p) || path.Clean(p) != p || p == "/" {
		return "", fmt.Errorf("%q is not an absolute, clean path of a file", p)
	}
	return Quote(p)
}

func digestOf(content string) string {
	sum := sha256.Sum256([]byte(content))
	return hex.EncodeToString(sum[:])
}

// write replaces a file, or makes it: beside it, synced, checked, renamed.
func (c *Conn) write(ctx context.Context, title string, f *File) error {
	content, old, fresh, secret := f.Data, "none", "0644", !f.Secret.IsZero()
	switch {
	case secret:
		content, old, fresh = f.Secret.Reveal(), "any", "0600"
	case f.Old != nil:
		old = digestOf(*f.Old)
	}
	if len(content) > maxFile {
		return fmt.Errorf("%s: more than %d MiB", title, maxFile>>20)
	}
	mode := ""
	if f.Mode != 0 {
		mode = fmt.Sprintf("%04o", unixMode(f.Mode))
	}
	wishes := []string{"old=" + old, "new=" + digestOf(content), "mode=" + mode, "fresh=" + fresh, "rooted=" + flag(secret)}
	vars, err := fileVars(f.Path, f.Ours, wishes...)
	if err != nil {
		return fmt.Errorf("%s: %w", title, err)
	}
	out, err := c.shell(ctx, title, c.fence()+vars+prepareScript, fileTimeout)
	if err != nil {
		return err
	}
	real, state, _ := strings.Cut(out, "\n")
	if strings.TrimSpace(state) == "as wished" {
		return c.settleMode(ctx, title, real, mode)
	}
	temp := path.Join(path.Dir(real), "."+path.Base(real)+tempMark+word())
	if vars, err = fileVars(real, f.Ours, append(wishes, "verify="+quoteScript(f.Verify))...); err != nil {
		return fmt.Errorf("%s: the host says that %s is %w", title, f.Path, err)
	}
	tempWord, err := pathWord(temp)
	if err != nil {
		return fmt.Errorf("%s: %w", title, err)
	}
	if err := c.upload(ctx, title, temp, contentOf(content)); err != nil {
		c.discard(tempWord)
		return err
	}
	_, err = c.shell(ctx, title, c.fence()+"t="+tempWord+"\n"+vars+replaceScript, fileTimeout)
	var refused *CommandError
	if err != nil && (!errors.As(err, &refused) || refused.Exit < 0) {
		c.discard(tempWord)
	}
	return err
}

// settleMode is for a file that has the wished content already.
func (c *Conn) settleMode(ctx context.Context, title, file, mode string) error {
	if mode == "" {
		return nil
	}
	word, err := pathWord(file)
	if err != nil {
		return fmt.Errorf("%s: %w", title, err)
	}
	_, err = c.shell(ctx, title, "chmod "+mode+" "+word, fileTimeout)
	return err
}

func unixMode(m os.FileMode) uint32 {
	bits := uint32(m.Perm())
	for flag, bit := range map[os.FileMode]uint32{os.ModeSetuid: 0o4000, os.ModeSetgid: 0o2000, os.ModeSticky: 0o1000} {
		if m&flag != 0 {
			bits |= bit
		}
	}
	return bits
}

// discard takes an unfinished file away as well as can be: the caller may have
// given up, and the connection may be gone.
func (c *Conn) discard(tempWord string) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_, _ = c.shell(ctx, "tidy up", "rm -f "+tempWord, 10*time.Second)
}

// remove takes a file away.
func (c *Conn) remove(ctx context.Context, title string, r *Removal) error {
	old := "any"
	if r.Old != nil {
		old = digestOf(*r.Old)
	}
	vars, err := fileVars(r.Path, r.Ours, "old="+old, "verify="+quoteScript(r.Verify))
	if err != nil {
		return fmt.Errorf("%s: %w", title, err)
	}
	_, err = c.shell(ctx, title, c.fence()+vars+removeScript, fileTimeout)
	return err
}
