package lab

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"

	"github.com/pkg/sftp"
)

// sftpServer is OpenSSH's sftp-server: the protocol on stdin and stdout, the
// files those that the process may reach.
func sftpServer(p *process) int {
	h := &sftpFiles{p}
	stream := struct {
		io.Reader
		io.Writer
		io.Closer
	}{p.stdin, p.stdout, io.NopCloser(strings.NewReader(""))}
	server := sftp.NewRequestServer(stream, sftp.Handlers{FileGet: h, FilePut: h, FileCmd: h, FileList: h}, sftp.WithStartDirectory(p.dir))
	defer server.Close()
	if err := server.Serve(); err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, os.ErrDeadlineExceeded) {
		return p.fail(1, "%v", err)
	}
	return 0
}

type sftpFiles struct{ p *process }

func (s *sftpFiles) fs() *filesystem { return s.p.machine.fs }

func (s *sftpFiles) Fileread(r *sftp.Request) (io.ReaderAt, error) {
	return s.openFlags(r, os.O_RDONLY)
}

func (s *sftpFiles) Filewrite(r *sftp.Request) (io.WriterAt, error) {
	return s.openFlags(r, os.O_WRONLY)
}

func (s *sftpFiles) OpenFile(r *sftp.Request) (sftp.WriterAtReaderAt, error) {
	return s.openFlags(r, os.O_RDWR)
}

func (s *sftpFiles) openFlags(r *sftp.Request, flag int) (*file, error) {
	f := r.Pflags()
	// Not O_APPEND: the protocol writes at offsets.
	if f.Creat {
		flag |= os.O_CREATE
	}
	if f.Trunc {
		flag |= os.O_TRUNC
	}
	if f.Excl {
		flag |= os.O_EXCL
	}
	perm := fs.FileMode(0o666)
	if r.AttrFlags().Permissions {
		perm = r.Attributes().FileMode()
	}
	return s.fs().open(s.p.cred, r.Filepath, flag, perm&^s.p.umask)
}

func (s *sftpFiles) Filecmd(r *sftp.Request) error {
	f, c := s.fs(), s.p.cred
	switch r.Method {
	case "Setstat":
		return s.setstat(r)
	case "Rename":
		if _, err := f.stat(c, r.Target, false); err == nil {
			return syscall.EEXIST // as OpenSSH has it; PosixRename replaces
		}
		return f.rename(c, r.Filepath, r.Target)
	case "Rmdir":
		return f.remove(c, r.Filepath, true)
	case "Remove":
		return f.remove(c, r.Filepath, false)
	case "Mkdir":
		return f.mkdir(c, r.Filepath, 0o777&^s.p.umask)
	case "Link":
		return f.link(c, r.Filepath, r.Target)
	case "Symlink":
		return f.symlink(c, r.Filepath, r.Target)
	}
	return sftp.ErrSSHFxOpUnsupported
}

func (s *sftpFiles) PosixRename(r *sftp.Request) error {
	return s.fs().rename(s.p.cred, r.Filepath, r.Target)
}

func (s *sftpFiles) setstat(r *sftp.Request) error {
	f, c := s.fs(), s.p.cred
	flags, attrs := r.AttrFlags(), r.Attributes()
	if flags.Size {
		h, err := f.open(c, r.Filepath, os.O_WRONLY, 0)
		if err == nil {
			err = h.truncate(int64(attrs.Size))
		}
		if err != nil {
			return err
		}
	}
	if flags.UidGid {
		if err := f.chown(c, r.Filepath, true, int(attrs.UID), int(attrs.GID)); err != nil {
			return err
		}
	}
	if flags.Permissions {
		if err := f.chmod(c, r.Filepath, attrs.FileMode()); err != nil {
			return err
		}
	}
	if flags.Acmodtime {
		return f.touch(c, r.Filepath, attrs.ModTime())
	}
	return nil
}

type fileList []info

func (l fileList) ListAt(to []os.FileInfo, offset int64) (int, error) {
	if offset >= int64(len(l)) {
		return 0, io.EOF
	}
	n := 0
	for ; n < len(to) && int(offset)+n < len(l); n++ {
		to[n] = l[int(offset)+n]
	}
	if n < len(to) {
		return n, io.EOF
	}
	return n, nil
}

func (s *sftpFiles) Filelist(r *sftp.Request) (sftp.ListerAt, error) {
	if r.Method == "List" {
		list, err := s.fs().readDir(s.p.cred, r.Filepath)
		return fileList(list), err
	}
	return s.one(r, true)
}

func (s *sftpFiles) Lstat(r *sftp.Request) (sftp.ListerAt, error) { return s.one(r, false) }

func (s *sftpFiles) one(r *sftp.Request, follow bool) (sftp.ListerAt, error) {
	i, err := s.fs().stat(s.p.cred, r.Filepath, follow)
	if err != nil {
		return nil, err
	}
	return fileList{i}, nil
}

func (s *sftpFiles) Readlink(name string) (string, error) {
	return s.fs().readlink(s.p.cred, name)
}

func (s *sftpFiles) RealPath(name string) (string, error) {
	if !path.IsAbs(name) {
		name = path.Join(s.p.dir, name)
	}
	return s.fs().realpath(s.p.cred, name)
}
