package lab

import (
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"

	"golang.org/x/crypto/ssh"
	"golang.org/x/term"
	"mvdan.cc/sh/v3/syntax"
)

// relay copies both ways until both ends have nothing more to say.
func relay(ch ssh.Channel, peer net.Conn) {
	var work sync.WaitGroup
	work.Go(func() {
		_, _ = io.Copy(peer, ch)
		if tcp, ok := peer.(*net.TCPConn); ok {
			_ = tcp.CloseWrite()
		}
	})
	_, _ = io.Copy(ch, peer)
	_ = ch.CloseWrite()
	work.Wait()
}

// session serves the requests of one session channel: one program.
func (s *server) session(conn *ssh.ServerConn, ch ssh.Channel, requests <-chan *ssh.Request) {
	defer ch.Close()
	env := map[string]string{}
	terminal := false
	var done chan struct{}
	var running *process
	start := func(name, script string) {
		p, finish := s.program(conn, ch, terminal, name, env)
		running, done = p, make(chan struct{})
		switch name {
		case "sftp":
			p.args = []string{"sftp-server"}
		case "shell":
			p.args = []string{"bash"}
		default:
			p.args = []string{"bash", "-c", script}
		}
		s.machine.register(p)
		go func() {
			defer close(done)
			switch {
			case name == "sftp":
				finish(sftpServer(p))
			case name == "shell" && terminal:
				finish(interactive(p, ch))
			default:
				finish(sh(p))
			}
		}()
	}
	for req := range requests {
		ok := true
		var begin func() // after the reply: a program may be over before it is sent, and its channel closed
		var text struct{ Value string }
		switch req.Type {
		case "env":
			var v struct{ Name, Value string }
			ok = ssh.Unmarshal(req.Payload, &v) == nil && (v.Name == "LANG" || strings.HasPrefix(v.Name, "LC_"))
			if ok {
				env[v.Name] = v.Value
			}
		case "pty-req":
			terminal = true
		case "window-change":
		case "exec":
			if ok = running == nil && ssh.Unmarshal(req.Payload, &text) == nil; ok {
				begin = func() { start("exec", text.Value) }
			}
		case "shell":
			if ok = running == nil; ok {
				begin = func() { start("shell", "") }
			}
		case "subsystem":
			if ok = running == nil && ssh.Unmarshal(req.Payload, &text) == nil && text.Value == "sftp"; ok {
				begin = func() { start("sftp", "") }
			}
		case "signal":
			if sig, known := findSignal(text.Value); known && running != nil && ssh.Unmarshal(req.Payload, &text) == nil {
				running.kill(sig)
			}
		default:
			ok = false
		}
		if req.WantReply {
			_ = req.Reply(ok, nil)
		}
		if begin != nil {
			begin()
		}
	}
	if done == nil {
		return
	}
	// The client is gone. As under sshd, the program learns of it when it
	// reads or writes; with a terminal it is hung up.
	if terminal {
		running.kill(signal{1, "HUP"})
	}
	<-done
}

// interactive is a login shell at a terminal, for a person who looks around.
func interactive(p *process, ch io.ReadWriter) int {
	m := p.machine
	prompt := p.getenv("USER") + "@" + m.Name + ":$ "
	t := term.NewTerminal(ch, prompt)
	p.stdout, p.stderr = t, t
	fmt.Fprintf(t, "This is %s, a practice host of runai-prep lab: %s.\nIt lives in memory; break what you like.\n", m.Name, m.Illness)
	s, err := p.newShell("bash", nil, nil)
	if err != nil {
		return p.fail(2, "%v", err)
	}
	text := ""
	for p.ctx.Err() == nil {
		line, err := t.ReadLine()
		if err != nil {
			return s.status
		}
		text += line + "\n"
		t.SetPrompt(prompt)
		if _, err := s.parse(text); syntax.IsIncomplete(err) {
			t.SetPrompt("> ")
			continue
		}
		if !s.runText(text) {
			return s.status
		}
		text = ""
	}
	return s.status
}

// program makes the process for a session's program. What it returns beside
// tells the client how it ended.
func (s *server) program(conn *ssh.ServerConn, ch ssh.Channel, terminal bool, kind string, env map[string]string) (*process, func(int)) {
	m := s.machine
	c := cred{uid: 1000, gid: 1000, groups: []uint32{27}}
	if conn.User() == "root" {
		c = root
	}
	var errs io.Writer = ch.Stderr()
	if terminal {
		errs = ch
	}
	p := m.login(c, conn.User(), nil, nil, nil)
	out := &channelWriter{process: p, w: ch}
	p.stdout, p.stderr = out, &channelWriter{process: p, w: errs}
	for name, value := range env {
		p.env[name] = value
	}
	for name, value := range m.loginEnvironment() {
		p.env[name] = value
	}
	local, remote := conn.LocalAddr().(*net.TCPAddr), conn.RemoteAddr().(*net.TCPAddr)
	p.env["SSH_CONNECTION"] = fmt.Sprintf("%s %d %s %d", remote.IP, remote.Port, local.IP, local.Port)
	p.env["SSH_CLIENT"] = fmt.Sprintf("%s %d %d", remote.IP, remote.Port, local.Port)

	if terminal && kind == "shell" {
		return p, s.finish(p, ch, nil) // reads its terminal itself
	}
	r, w, err := os.Pipe()
	if err == nil {
		p.stdin = r
		go func() {
			_, _ = io.Copy(w, ch)
			_ = w.Close()
		}()
	}
	return p, s.finish(p, ch, r)
}

// finish tells the client how its program ended.
func (s *server) finish(p *process, ch ssh.Channel, stdin *os.File) func(status int) {
	return func(status int) {
		if sig, killed := killedBy(p.ctx); killed {
			_, _ = ch.SendRequest("exit-signal", false, ssh.Marshal(struct {
				Name string
				Core bool
				Text string
				Lang string
			}{Name: sig.name}))
		} else {
			_, _ = ch.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{uint32(status)}))
		}
		_ = ch.Close()
		if stdin != nil {
			_ = stdin.Close()
		}
		p.exit()
		p.session.leave()
	}
}

// A channelWriter kills the process with SIGPIPE when nobody reads any more.
type channelWriter struct {
	process *process
	w       io.Writer
}

func (c *channelWriter) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	if err != nil {
		c.process.kill(signal{13, "PIPE"})
	}
	return n, err
}

// loginEnvironment is what pam_env takes from /etc/environment.
func (m *Machine) loginEnvironment() map[string]string {
	text, _ := m.ReadFile("/etc/environment")
	vars := map[string]string{}
	for line := range strings.Lines(text) {
		line = strings.TrimPrefix(strings.TrimSpace(line), "export ")
		name, value, ok := strings.Cut(line, "=")
		if ok && !strings.HasPrefix(name, "#") {
			vars[name] = strings.Trim(value, `"'`)
		}
	}
	return vars
}
