package remote

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/pkg/sftp"
)

// fileTimeout bounds each part of writing one file, but for its content.
const fileTimeout = time.Minute

// maxFile bounds the content of one file.
const maxFile = 64 << 20

// fileScript are the functions that writing and removing share. $p is the
// file, $t the new one beside it.
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
# backup keeps the content from before our time, once.
backup() {
	[ -e "$p" ] || return 0
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
// mv touches the old one, and whatever fails takes the new one away.
const replaceScript = `(
digest "$t"
[ "$d" = "$new" ] || fail "the content arrived damaged"
if [ -e "$p" ]; then
	have=$(stat -c '%u:%g %a' "$p") || exit 1
	chown "${have%% *}" "$t" || exit 1
	chmod "${mode:-${have##* }}" "$t" || exit 1
	if [ -e /sys/fs/selinux/enforce ]; then chcon --reference="$p" "$t" || exit 1; fi
else
	chown 0:0 "$t" 2>/dev/null # fails for a user without root, whose file it is
	chmod "${mode:-0644}" "$t" || exit 1
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
[ -e "$p" ] || exit 0
unchanged || fail "$p has changed since the plan was made"
backup
rm -f "$p" || fail "$p cannot be removed: is it immutable (lsattr)?"
`

// settings of a file's script.
func fileVars(p string, vars ...string) (string, error) {
	word, err := pathWord(p)
	if err != nil {
		return "", err
	}
	return "p=" + word + "\n" + strings.Join(vars, "\n") + "\n" + fileScript, nil
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
	content, old := f.Data, "none"
	switch {
	case !f.Secret.IsZero():
		content, old = f.Secret.Reveal(), "any"
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
	vars, err := fileVars(f.Path, "old="+old, "new="+digestOf(content), "mode="+mode)
	if err != nil {
		return fmt.Errorf("%s: %w", title, err)
	}
	out, err := c.shell(ctx, title, vars+prepareScript, fileTimeout)
	if err != nil {
		return err
	}
	real, state, _ := strings.Cut(out, "\n")
	if strings.TrimSpace(state) == "as wished" {
		return c.settleMode(ctx, title, real, mode)
	}
	temp := path.Join(path.Dir(real), "."+path.Base(real)+".runai-prep-"+word())
	if vars, err = fileVars(real, "old="+old, "new="+digestOf(content), "mode="+mode, "verify="+quoteScript(f.Verify)); err != nil {
		return fmt.Errorf("%s: the host says that %s is %w", title, f.Path, err)
	}
	tempWord, err := pathWord(temp)
	if err != nil {
		return fmt.Errorf("%s: %w", title, err)
	}
	if err := c.upload(ctx, title, temp, []byte(content)); err != nil {
		c.discard(tempWord)
		return err
	}
	_, err = c.shell(ctx, title, "t="+tempWord+"\n"+vars+replaceScript, fileTimeout)
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
	vars, err := fileVars(r.Path, "old="+old)
	if err != nil {
		return fmt.Errorf("%s: %w", title, err)
	}
	_, err = c.shell(ctx, title, vars+removeScript, fileTimeout)
	return err
}

// upload makes a file that only root can read, by SFTP, or through a root
// shell where that is off.
func (c *Conn) upload(ctx context.Context, title, file string, content []byte) error {
	limit := fileTimeout + time.Duration(len(content)>>16)*time.Second // at 64 KiB a second
	if c.maySFTP() {
		err := c.uploadSFTP(ctx, limit, file, content)
		if err == nil || ctx.Err() != nil || c.current().lostCause() != nil {
			return wrap(title, err)
		}
		c.dialer.log().Debug("not by SFTP, content goes through the shell", "host", c.target.Name, "cause", err)
	}
	return c.uploadShell(ctx, title, limit, file, content)
}

func wrap(title string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", title, err)
}

func (c *Conn) maySFTP() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.noSFTP && !c.way.pty
}

// sftpServers are where the distributions keep it.
const sftpServers = "/usr/lib/openssh/sftp-server /usr/libexec/openssh/sftp-server /usr/lib/ssh/sftp-server " +
	"/usr/libexec/sftp-server /usr/lib/sftp-server /usr/libexec/ssh/sftp-server"

func (c *Conn) uploadSFTP(ctx context.Context, limit time.Duration, file string, content []byte) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	client, end, err := c.openSFTP(ctx, limit)
	if err != nil {
		c.mu.Lock()
		c.noSFTP = c.noSFTP || ctx.Err() == nil
		c.mu.Unlock()
		return err
	}
	stop := context.AfterFunc(ctx, end)
	defer func() {
		if stop() {
			end()
		}
	}()
	err = func() error {
		f, err := client.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL)
		if err != nil {
			return err
		}
		defer func() { _ = f.Close() }()
		if err := f.Chmod(0o600); err != nil { // before there is anything to read
			return err
		}
		if _, err := f.ReadFrom(bytes.NewReader(content)); err != nil {
			return err
		}
		return f.Close()
	}()
	if err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		_ = client.Remove(file)
	}
	return err
}

// openSFTP speaks SFTP with root's rights: the subsystem where the user is
// root or is to stay itself, else the host's sftp-server under sudo. end ends
// it, from any goroutine.
func (c *Conn) openSFTP(ctx context.Context, limit time.Duration) (client *sftp.Client, end func(), err error) {
	if !c.elevation().sudo {
		return c.subsystemSFTP(ctx)
	}
	line := "for f in " + sftpServers + `; do if [ -x "$f" ]; then ` +
		`if command -v timeout >/dev/null 2>&1; then exec timeout -k 5 ` + strconv.Itoa(seconds(limit)) + ` "$f"; else exec "$f"; fi; fi; done`
	p, err := c.beginLine(ctx, line)
	if err != nil {
		return nil, nil, err
	}
	select {
	case <-p.sent: // the protocol follows our line
	case <-ctx.Done():
		p.abandon()
		return nil, nil, context.Cause(ctx)
	}
	return c.pipeSFTP(ctx, &processStream{ctx: ctx, p: p}, p.stdin, p.abandon)
}

func (c *Conn) subsystemSFTP(ctx context.Context) (*sftp.Client, func(), error) {
	session, err := c.client().NewSession()
	if err != nil {
		return nil, nil, c.sessionError("open a session for SFTP", err)
	}
	end := func() { _ = session.Close() }
	in, _ := session.StdinPipe()
	out, _ := session.StdoutPipe()
	stop := context.AfterFunc(ctx, end)
	err = session.RequestSubsystem("sftp")
	if !stop() || err != nil {
		end()
		return nil, nil, fmt.Errorf("subsystem sftp: %w", orError(err, context.Cause(ctx)))
	}
	return c.pipeSFTP(ctx, out, in, end)
}

func orError(err, otherwise error) error {
	if err != nil {
		return err
	}
	return otherwise
}

// pipeSFTP waits for the server's greeting no longer than ctx allows.
func (c *Conn) pipeSFTP(ctx context.Context, out io.Reader, in io.WriteCloser, end func()) (*sftp.Client, func(), error) {
	stop := context.AfterFunc(ctx, end)
	client, err := sftp.NewClientPipe(out, in)
	if err != nil || !stop() {
		end()
		return nil, nil, fmt.Errorf("begin SFTP: %w", orError(err, context.Cause(ctx)))
	}
	return client, func() { end(); _ = client.Close() }, nil
}

// A processStream is a process' standard output as a reader.
type processStream struct {
	ctx  context.Context
	p    *process
	left []byte
}

func (s *processStream) Read(b []byte) (int, error) {
	for len(s.left) == 0 {
		e, err := s.p.next(s.ctx, nil)
		if err != nil {
			return 0, err
		}
		if e.fd == 0 {
			return 0, io.EOF
		}
		if e.fd == 1 {
			s.left = e.data
		}
	}
	n := copy(b, s.left)
	s.left = s.left[n:]
	return n, nil
}

// uploadShell sends the content to a root shell's standard input. The shell
// reads its one line byte by byte, so that the content is untouched.
func (c *Conn) uploadShell(ctx context.Context, title string, limit time.Duration, file string, content []byte) error {
	word1, err := pathWord(file)
	if err != nil {
		return fmt.Errorf("%s: %w", title, err)
	}
	mark := word()
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	p, err := c.beginLine(ctx, "umask 077; head -c "+strconv.Itoa(len(content))+" >"+word1+"; echo "+mark+" $?", content...)
	if err != nil {
		return fmt.Errorf("%s: %w", title, err)
	}
	defer p.close()
	var r result
	for {
		e, err := p.next(ctx, nil)
		switch {
		case err != nil:
			p.abandon()
			return fmt.Errorf("%s: %w", title, err)
		case e.fd == 1:
			r.out = appendTail(r.out, e.data, maxOutput)
		case e.fd == 2:
			r.errs = appendTail(r.errs, e.data, maxOutput)
		case e.lost && c.isLost():
			return fmt.Errorf("%s: %w", title, c.lostError())
		default:
			status, found := strings.CutPrefix(strings.TrimSpace(string(r.out)), mark+" ")
			if found && status == "0" {
				return nil
			}
			r.out = nil
			return commandError(title, r, max(e.exit, 1), "the content could not be written")
		}
	}
}
