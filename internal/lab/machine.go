package lab

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A Machine is one practice host, in memory. Its methods are what a person
// at its console could do; they are safe for concurrent use.
type Machine struct {
	Name    string
	Illness string // what is wrong with it, in a few words; "healthy"

	spec  spec
	fs    *filesystem
	world *world

	mu       sync.Mutex
	up       context.Context // ends at shutdown
	down     context.CancelCauseFunc
	bootID   string
	booted   time.Time
	boots    int
	procs    map[int]*process
	lastPID  int
	missing  map[string]bool
	locks    []*fileLock
	unlocked chan struct{} // closed, and another made, when a lock is given back

	units     map[string]*unit
	packages  map[string]*pkg // that are installed
	held      map[string]bool
	halfway   map[string]bool       // packages that were unpacked and not set up
	modules   map[string]moduleFile // that are loaded
	running   string                // the kernel
	kernelLog []string
	residents []resident // that the first boot starts
	sysctl    map[string]string
	swap      []string        // that is in use
	silent    map[string]bool // NFS servers that it does not reach, by address

	restart func() // what a reboot asks for; set by the fleet
}

// A spec is the hardware and the people of a machine.
type spec struct {
	distro  distro
	cpus    int
	memory  int64 // bytes that the kernel can use
	disk    int64 // bytes of the root filesystem
	user    string
	sudo    sudoMode
	secret  string // the user's password
	latency time.Duration
	address string // as the host sees itself: "10.77.1.11"

	denied []string // names to which the proxy does not let it through

	gpus       []gpu
	nvswitches int
	secureBoot string // on, off; empty: it has no EFI
}

type sudoMode int

const (
	sudoFree     sudoMode = iota // NOPASSWD
	sudoPassword                 // asks
	sudoNone                     // not in the sudoers file
)

// A world is what is around the machines: shared by a fleet, never changed.
type world struct {
	images  map[string]*image
	servers map[string]map[string]bool // NFS servers that answer, to what they export
	hosts   map[string]string          // names that resolve, to addresses
	proxies map[string]bool            // "proxy.example.com:3128" that let everything through
	outside *outside                   // what the proxies let through
}

func newMachine(name, illness string, s spec, w *world) *Machine {
	m := &Machine{Name: name, Illness: illness, spec: s, world: w,
		unlocked: make(chan struct{}), procs: map[int]*process{}, missing: map[string]bool{}, units: map[string]*unit{},
		packages: map[string]*pkg{}, held: map[string]bool{}, halfway: map[string]bool{}, modules: map[string]moduleFile{}, sysctl: map[string]string{}, silent: map[string]bool{}}
	m.fs = &filesystem{machine: m, ino: 1 << 20, nextID: 30}
	m.fs.mounts = baseMounts(w.images[s.distro.name])
	for name, version := range s.distro.installed {
		m.packages[name] = &pkg{name: name, version: version}
	}
	m.running = s.distro.kernel
	m.settle()
	return m
}

// settle writes what differs between machines of a distribution.
func (m *Machine) settle() {
	m.put("/etc/hostname", m.Name+"\n")
	m.put("/etc/hosts", "127.0.0.1 localhost\n127.0.1.1 "+m.Name+"\n::1 localhost ip6-localhost ip6-loopback\n")
	m.put("/etc/machine-id", fmt.Sprintf("%032x\n", fingerprint(m.Name)))
	if u := m.spec.user; u != "root" {
		m.put("/etc/passwd", m.spec.distro.passwd+u+":x:1000:1000:"+u+":/home/"+u+":/bin/bash\n")
		m.put("/etc/group", m.spec.distro.group+u+":x:1000:\n")
		m.must(m.fs.mkdir(root, "/home/"+u, 0o755))
		m.must(m.fs.chown(root, "/home/"+u, true, 1000, 1000))
	}
}

func fingerprint(s string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return h
}

// must is for what can only fail by a mistake in this package.
func (m *Machine) must(err error) {
	if err != nil {
		panic(fmt.Sprintf("lab: %s: %v", m.Name, err))
	}
}

// put writes a file as root, with the directories above it.
func (m *Machine) put(p, data string) { m.must(m.WriteFile(p, data, 0o644)) }

// boot starts the machine: everything in memory is new, the disk stays.
func (m *Machine) boot() {
	m.mu.Lock()
	m.up, m.down = context.WithCancelCause(context.Background())
	m.booted = time.Now()
	m.boots++
	m.bootID = uuid()
	clear(m.procs)
	m.locks = nil
	m.lastPID = 400 + rand.IntN(200)
	m.modules, m.kernelLog = map[string]moduleFile{}, nil
	for _, mod := range m.spec.distro.modules {
		m.modules[mod] = moduleFile{name: mod}
	}
	residents := m.residents
	m.residents = nil
	m.mu.Unlock()
	m.fs.unmountNetwork()
	m.fs.clearTmp()
	m.bootKernel()
	m.bootSettings()
	m.reloadUnits()
	m.startEnabled()
	m.mountAll(true)
	for _, r := range residents {
		m.spawn(r)
	}
}

// restartSoon is what a program asks for that reboots the machine.
func (m *Machine) restartSoon() {
	if m.restart != nil {
		m.restart()
	}
}

// shutdown ends every process.
func (m *Machine) shutdown() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.down(signal{15, "TERM"})
	for pid, p := range m.procs {
		delete(m.procs, pid)
		if p.done != nil {
			go p.end(143) // takes the lock of its session only
		}
	}
}

// life is the context that ends with the machine's boot.
func (m *Machine) life() context.Context {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.up
}

func uuid() string {
	var b [16]byte
	_, _ = randomBytes(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// allot gives a process its id, before anybody can see it.
func (m *Machine) allot(p *process) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.lastPID++; m.lastPID >= 1<<22 {
		m.lastPID = 400
	}
	p.pid = m.lastPID
	if p.group == 0 {
		p.group = p.pid
	}
	if p.sid == 0 {
		p.sid = p.pid
	}
}

// register puts a process into the table, where others see it: from now on
// only its group changes, under the lock.
func (m *Machine) register(p *process) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.procs[p.pid] = p
}

// lead makes a process the leader of a group of its own.
func (m *Machine) lead(p *process) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p.group = p.pid
}

func (m *Machine) unregister(p *process) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.procs[p.pid] == p {
		delete(m.procs, p.pid)
	}
}

func (m *Machine) process(pid int) *process {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.procs[pid]
}

func (m *Machine) addJob(p *process) {
	p.done = make(chan struct{})
	p.session.jobs.Add(1)
	m.register(p)
}

// job is a background job that is still alive.
func (m *Machine) job(pid string) *process {
	n, _ := strconv.Atoi(pid)
	p := m.process(n)
	if p == nil || p.done == nil || p.ctx.Err() != nil {
		return nil
	}
	return p
}

// wait waits for the end of a background job.
func (m *Machine) wait(ctx context.Context, pid string) (status int, ok bool) {
	n, _ := strconv.Atoi(pid)
	p := m.process(n)
	if p == nil || p.done == nil {
		return 0, false
	}
	select {
	case <-p.done:
		m.unregister(p) // as a zombie is reaped
		return p.status, true
	case <-ctx.Done():
		return 0, false
	}
}

// signal sends a signal to a process (pid > 0) or a group (pid < 0), and
// reports how many there were.
func (m *Machine) signal(from cred, pid int, s signal) (found, allowed int) {
	m.mu.Lock()
	var targets []*process
	for _, p := range m.procs {
		if (p.pid == pid || p.group == -pid) && (p.done == nil || p.ctx.Err() == nil) {
			found++
			if from.uid == 0 || from.uid == p.cred.uid {
				targets = append(targets, p)
			}
		}
	}
	m.mu.Unlock()
	for _, p := range targets {
		if s.number == 0 || s.name == "CONT" || s.name == "STOP" {
			continue
		}
		if p.done != nil {
			p.end(128 + s.number)
		}
		p.kill(s)
	}
	return found, len(targets)
}

func (m *Machine) miss(what string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.missing[what] = true
}

// Missing lists the programs, and options of programs, that were asked for
// and are not there.
func (m *Machine) Missing() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var list []string
	for name := range m.missing {
		list = append(list, name)
	}
	slices.Sort(list)
	return list
}

// BootID is /proc/sys/kernel/random/boot_id, without the newline.
func (m *Machine) BootID() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.bootID
}

// Boots counts the boots since the fleet started, from 1.
func (m *Machine) Boots() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.boots
}

// ReadFile reads a file of the machine as root.
func (m *Machine) ReadFile(name string) (string, error) {
	text, err := m.fs.readFile(root, name)
	if err != nil {
		return "", &fs.PathError{Op: "read", Path: m.Name + ":" + name, Err: err}
	}
	return string(text), nil
}

func (f *filesystem) readFile(c cred, name string) ([]byte, error) {
	h, err := f.open(c, name, os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(h)
}

// WriteFile writes a file of the machine as root, and makes the directories
// above it. A file that is there keeps its mode.
func (m *Machine) WriteFile(name, data string, mode fs.FileMode) error {
	if err := m.mkdirs(path.Dir(name)); err != nil {
		return err
	}
	h, err := m.fs.open(root, name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, mode)
	if err == nil {
		_, err = h.Write([]byte(data))
	}
	if err != nil {
		return &fs.PathError{Op: "write", Path: m.Name + ":" + name, Err: err}
	}
	return nil
}

func (m *Machine) mkdirs(dir string) error {
	if dir == "/" || dir == "." {
		return nil
	}
	if i, err := m.fs.stat(root, dir, true); err == nil && i.IsDir() {
		return nil
	}
	if err := m.mkdirs(path.Dir(dir)); err != nil {
		return err
	}
	return m.fs.mkdir(root, dir, 0o755)
}

// Remove removes a file of the machine, as root.
func (m *Machine) Remove(name string) error {
	if err := m.fs.remove(root, name, false); err != nil {
		return &fs.PathError{Op: "remove", Path: m.Name + ":" + name, Err: err}
	}
	return nil
}

// Run runs a shell script as root, as if typed at the console, and returns
// what it printed on both outputs and its exit status.
func (m *Machine) Run(script string) (string, int) {
	var out lockedBuffer
	p := m.login(root, "root", nil, &out, &out)
	defer p.session.leave()
	defer p.exit()
	p.args = []string{"sh", "-c", script}
	m.register(p)
	status := sh(p)
	if s, killed := killedBy(p.ctx); killed {
		status = 128 + s.number
	}
	return out.String(), status
}

// login makes the process of a user who has just come in. It is for the caller
// to register it, once it knows its program.
func (m *Machine) login(c cred, user string, in io.Reader, out, errs io.Writer) *process {
	ctx, cancel := context.WithCancel(m.life())
	home := "/root"
	if user != "root" {
		home = "/home/" + user
	}
	p := &process{machine: m, session: &session{over: cancel}, ppid: 1, cred: c, args: []string{"-sh"}, dir: home, umask: maskDef,
		stdin: in, stdout: out, stderr: errs,
		env: map[string]string{"HOME": home, "USER": user, "LOGNAME": user, "SHELL": "/bin/bash", "PATH": loginPath}}
	if c.uid == 0 {
		p.env["PATH"] = rootPath
	}
	p.session.jobs.Store(1)
	p.ctx, p.kill = context.WithCancelCause(ctx)
	p.become(c)
	m.allot(p)
	return p
}

const (
	loginPath = "/usr/local/bin:/usr/bin:/bin:/usr/games"
	rootPath  = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
)

// A lockedBuffer is written to by the jobs of a script at the same time.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Clone(l.b.String())
}
