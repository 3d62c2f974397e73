package lab

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"strings"
)

// sudo behaves as the real one does without a terminal.
func sudo(p *process) int {
	set, args, unknown := options(p.args[1:], "-n -S -k -K -v -H -E -i -s -b -l -A --non-interactive --stdin --preserve-env --list", "-p -u -g -C -D --prompt --user")
	if unknown != "" {
		return p.lacks(unknown)
	}
	m := p.machine
	invoker := m.userName(p.cred.uid)
	if p.cred.uid != 0 {
		switch m.spec.sudo {
		case sudoNone:
			if !p.askPassword(set, invoker) {
				return 1
			}
			return p.sudoSays("%s is not in the sudoers file.", invoker)
		case sudoPassword:
			if !p.askPassword(set, invoker) {
				return 1
			}
		}
	}
	vars := map[string]string{"HOME": "/root", "USER": "root", "LOGNAME": "root", "SHELL": "/bin/bash", "MAIL": "/var/mail/root",
		"PATH":      "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"SUDO_USER": invoker, "SUDO_UID": fmt.Sprint(p.cred.uid), "SUDO_GID": fmt.Sprint(p.cred.gid), "SUDO_COMMAND": strings.Join(args, " ")}
	for _, kept := range []string{"LANG", "LC_ALL", "TERM", "COLORTERM", "DISPLAY"} {
		if v, ok := p.env[kept]; ok {
			vars[kept] = v
		}
	}
	if isSet(set, "-E", "--preserve-env") {
		merged := maps.Clone(p.env)
		maps.Copy(merged, vars)
		vars = merged
	}
	for len(args) > 0 {
		name, value, ok := strings.Cut(args[0], "=")
		if !ok || strings.Contains(name, "/") {
			break
		}
		vars[name], args = value, args[1:]
	}
	to := cred{}
	if user := set["-u"] + set["--user"]; user != "" && user != "root" {
		uid, ok := m.lookupID("/etc/passwd", strings.TrimPrefix(user, "#"))
		if !ok {
			fmt.Fprintf(p.stderr, "sudo: unknown user %s\nsudo: error initializing audit plugin sudoers_audit\n", user)
			return 1
		}
		to = cred{uid: uint32(uid), gid: uint32(uid)}
		vars["USER"], vars["LOGNAME"], vars["HOME"] = user, user, "/home/"+user
	}
	switch {
	case isSet(set, "-v", "-k", "-K", "-l", "--list") && len(args) == 0:
		return 0
	case isSet(set, "-i", "-s"):
		if len(args) > 0 {
			args = []string{"sh", "-c", strings.Join(args, " ")}
		} else {
			args = []string{"sh"}
		}
	case len(args) == 0:
		fmt.Fprintln(p.stderr, "usage: sudo -h | -K | -k | -V\nusage: sudo [-ABbEHnPS] [-u user] [command [arg ...]]")
		return 1
	}
	c := p.child(p.ctx, args)
	defer c.exit()
	c.become(to)
	c.env = vars
	if isSet(set, "-i") {
		c.dir = vars["HOME"]
	}
	if _, status := m.lookPath(to, p.dir, vars["PATH"], args[0]); status != 0 {
		m.miss(args[0])
		return p.sudoSays("%s: command not found", args[0])
	}
	c.args[0] = args[0]
	return c.start(func(format string, a ...any) { p.sudoSays(format, a...) })
}

func (p *process) sudoSays(format string, a ...any) int {
	fmt.Fprintf(p.stderr, "sudo: %s\n", fmt.Sprintf(format, a...))
	return 1
}

// askPassword is sudo's way of asking: with -S on stderr and stdin, three
// times.
func (p *process) askPassword(set map[string]string, user string) bool {
	prompt, given := set["-p"]
	if long, ok := set["--prompt"]; ok {
		prompt, given = long, true
	}
	if !given {
		prompt = "[sudo] password for " + user + ": "
	}
	prompt = strings.NewReplacer("%u", user, "%U", "root", "%p", user, "%h", p.machine.Name, "%H", p.machine.Name, "%%", "%").Replace(prompt)
	switch {
	case isSet(set, "-n", "--non-interactive"):
		p.sudoSays("a password is required")
		return false
	case !isSet(set, "-S", "--stdin"):
		p.sudoSays("a terminal is required to read the password; either use the -S option to read from standard input or configure an askpass helper")
		p.sudoSays("a password is required")
		return false
	}
	tries := 0
	for tries < 3 {
		_, _ = io.WriteString(p.stderr, prompt)
		password, err := readPassword(p.stdin)
		if err != nil && password == "" {
			if tries == 0 {
				p.sudoSays("no password was provided")
				p.sudoSays("a password is required")
			} else {
				p.sudoSays("no password was provided")
				p.sudoSays("%d incorrect password attempt%s", tries, map[bool]string{true: "s"}[tries > 1])
			}
			return false
		}
		if password == p.machine.spec.secret {
			return true
		}
		if tries++; tries < 3 {
			_, _ = io.WriteString(p.stderr, "Sorry, try again.\n")
		}
	}
	p.sudoSays("3 incorrect password attempts")
	return false
}

// readPassword reads one line and not a byte beyond it: the rest is for the
// command.
func readPassword(in io.Reader) (string, error) {
	if in == nil {
		return "", io.EOF
	}
	var line []byte
	b := make([]byte, 1)
	for len(line) < 1024 {
		n, err := in.Read(b)
		if n == 1 {
			if b[0] == '\n' {
				return string(line), nil
			}
			line = append(line, b[0])
		}
		if err != nil {
			return string(line), err
		}
	}
	return "", errors.New("line too long")
}
