package remote

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"
	"sync/atomic"
	"time"
)

// uploadSpare is what is left of a host's disk beside an uploaded file.
const uploadSpare = 64 << 20

// roomScript says, after prepareScript, how many bytes are free where the file
// is to be. df looks at the one file system alone.
const roomScript = `
free=
{ read -r x; read -r x x x free x; } <<END
$(df -P -k "${p%/*}/")
END
case $free in ''|*[!0-9]*) fail "cannot tell the free space of ${p%/*}/" ;; esac
[ "$free" -ge "$need" ] || fail "not enough space in ${p%/*}/: $((free/1024)) MiB are free, $((need/1024)) MiB are needed"
`

// uploadFile brings a large file to the host: beside its place, verified,
// renamed. What the host has already is not sent again.
func (c *Conn) uploadFile(ctx context.Context, title string, u *Upload, said func(string)) error {
	f, err := os.Open(u.From)
	if err != nil {
		return fmt.Errorf("%s: %w", title, err)
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("%s: %w", title, err)
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s: %s is not a file", title, u.From)
	}
	size := info.Size()
	sum := sha256.New()
	if _, err := io.Copy(sum, &interruptible{ctx, f}); err != nil {
		return fmt.Errorf("%s: read %s: %w", title, u.From, err)
	}
	digest := hex.EncodeToString(sum.Sum(nil))
	if u.SHA256 != "" && !strings.EqualFold(u.SHA256, digest) {
		return fmt.Errorf("%s: %s has the SHA-256 sum %s, wanted %s", title, u.From, digest, strings.ToLower(u.SHA256))
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("%s: %w", title, err)
	}

	mode := "0644"
	if u.Mode != 0 {
		mode = fmt.Sprintf("%04o", unixMode(u.Mode))
	}
	wishes := []string{"old=any", "new=" + digest, "mode=" + mode, "fresh=0600", "rooted=yes", "verify=", fmt.Sprintf("need=%d", (size+uploadSpare)>>10)}
	vars, err := fileVars(u.Path, true, wishes...)
	if err != nil {
		return fmt.Errorf("%s: %w", title, err)
	}
	patience := fileTimeout + time.Duration(size>>22)*time.Second // to read or sync it at 4 MiB a second
	out, err := c.shell(ctx, title, c.fence()+vars+`if [ -f "$p" ]; then digest "$p"; if [ "$d" = "$new" ]; then printf '%s\nas wished\n' "$p"; exit 0; fi; fi`+prepareScript+roomScript, patience)
	if err != nil {
		return err
	}
	real, state, _ := strings.Cut(out, "\n")
	if strings.TrimSpace(state) == "as wished" {
		tell(said, "the host has it already")
		return c.settleMode(ctx, title, real, mode)
	}
	temp := path.Join(path.Dir(real), "."+path.Base(real)+tempMark+word())
	if vars, err = fileVars(real, true, wishes...); err != nil {
		return fmt.Errorf("%s: the host says that %s is %w", title, u.Path, err)
	}
	tempWord, err := pathWord(temp)
	if err != nil {
		return fmt.Errorf("%s: %w", title, err)
	}
	progress := &progress{from: f, size: size, said: said}
	stop := progress.show()
	err = c.upload(ctx, title, temp, content{size, progress.begin})
	stop()
	if err != nil {
		c.discard(tempWord)
		return err
	}
	_, err = c.shell(ctx, title, c.fence()+"t="+tempWord+"\n"+vars+replaceScript, patience)
	var refused *CommandError
	if err != nil && (!errors.As(err, &refused) || refused.Exit < 0) {
		c.discard(tempWord)
	}
	return err
}

func tell(said func(string), line string) {
	if said != nil {
		said(line)
	}
}

// An interruptible is a reader until ctx ends.
type interruptible struct {
	ctx context.Context
	r   io.Reader
}

func (i *interruptible) Read(b []byte) (int, error) {
	if i.ctx.Err() != nil {
		return 0, context.Cause(i.ctx)
	}
	return i.r.Read(b)
}

// A progress is a file on its way.
type progress struct {
	from io.ReadSeeker
	size int64
	said func(string)
	sent atomic.Int64
}

func (p *progress) Read(b []byte) (int, error) {
	n, err := p.from.Read(b)
	p.sent.Add(int64(n))
	return n, err
}

// begin starts anew: another way to the host may be tried.
func (p *progress) begin() (io.Reader, error) {
	p.sent.Store(0)
	_, err := p.from.Seek(0, io.SeekStart)
	return p, err
}

// show tells how far it is, every other second, until it is stopped.
func (p *progress) show() (stop func()) {
	if p.said == nil {
		return func() {}
	}
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(2 * time.Second)
		defer tick.Stop()
		for {
			select {
			case <-end:
				return
			case <-tick.C:
				p.said(p.String())
			}
		}
	}()
	return func() {
		close(end)
		<-ended
		p.said(p.String())
	}
}

func (p *progress) String() string {
	return fmt.Sprintf("uploaded %d of %d MB", p.sent.Load()/1e6, p.size/1e6)
}
