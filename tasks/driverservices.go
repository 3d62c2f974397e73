package tasks

import (
	"strings"
	"time"

	"github.com/runai-prep/runai-prep/remote"
)

func (f *driverFacts) unit(name string) *driverUnit {
	for i := range f.Units {
		if f.Units[i].Name == name {
			return &f.Units[i]
		}
	}
	return nil
}

// persistenced keeps the driver loaded and the GPUs initialised when nothing
// uses them: without it, each first use takes seconds, and settings are lost.
func (p *driverPlan) persistenced() change {
	const name = "nvidia-persistenced"
	if !p.f.Systemd || len(p.f.GPUs) == 0 || p.w.verify {
		return change{}
	}
	c := p.service(name)
	u := p.f.unit(name)
	switch {
	case c.State == Unmet:
	case u == nil && p.installing() && !p.to.runfile:
		c.State = Pending
		if p.f.ID == "ubuntu" {
			p.persistenceMode(&c, "/usr/bin/nvidia-persistenced --user nvidia-persistenced --no-persistence-mode --verbose")
		}
		c.Steps = append(c.Steps, enable(name))
	case u == nil && (p.w.Source == "runfile" || p.f.Runfile != ""):
		c.State = Pending
		p.write(&c, "/etc/systemd/system/"+name+".service", persistencedUnit)
		c.Steps = append(c.Steps, daemonReload(), enable(name))
	case u == nil:
		for _, row := range packagingsOf(p.f, p.w.Source) {
			for _, pkg := range row.set(false).loose {
				if c.State == OK && p.offered(pkg) {
					c.State = Pending
					c.Steps = []remote.Step{p.install(remote.Packages{Names: []string{pkg}}), enable(name)}
				}
			}
		}
		if c.State == OK {
			c.unmet("install " + name)
		}
	case strings.Contains(u.Command, "--no-persistence-mode"):
		// Ubuntu's service runs, and leaves the mode off.
		c.Have = "running, and told to leave persistence mode off"
		c.State = Pending
		p.persistenceMode(&c, u.Command)
		c.Steps = append(c.Steps, remote.Step{
			Title: "restart " + name,
			Run:   &remote.Command{Script: "systemctl restart " + name + ".service", Timeout: 2 * time.Minute},
		})
	case !u.Active || !u.Enabled:
		c.State, c.Steps = Pending, []remote.Step{enable(name)}
	}
	return c
}

// persistenceMode has the service run its command with the mode on. That of
// Ubuntu's packages is known before they are there.
func (p *driverPlan) persistenceMode(c *change, command string) {
	command = strings.Replace(command, "--no-persistence-mode", "--persistence-mode", 1)
	p.write(c, "/etc/systemd/system/nvidia-persistenced.service.d/runai-prep.conf",
		"# Written by runai-prep: persistence mode is on.\n[Service]\nExecStart=\nExecStart="+command+"\n")
	c.Steps = append(c.Steps, daemonReload())
}

// persistencedUnit is for NVIDIA's own installer, which brings the program and
// no service.
const persistencedUnit = `# Written by runai-prep.
[Unit]
Description=NVIDIA Persistence Daemon

[Service]
Type=forking
ExecStart=/usr/bin/nvidia-persistenced --persistence-mode
ExecStopPost=/bin/rm -rf /var/run/nvidia-persistenced

[Install]
WantedBy=multi-user.target
`

// fabricManager makes the GPUs behind an NVSwitch usable at all; CUDA does not
// start without it.
func (p *driverPlan) fabricManager() change {
	const name = "nvidia-fabricmanager"
	if p.f.NVSwitches == 0 || !p.f.Systemd || p.w.verify {
		return change{}
	}
	c := p.service(name)
	c.Want = p.wantText() + ", " + c.Want
	if v := p.fabricVersion(); v != "" {
		c.Have = v + ", " + c.Have
	}
	u := p.f.unit(name)
	switch {
	case c.State == Unmet:
	case p.installing() || u != nil && (!u.Active || !u.Enabled):
		c.State, c.Steps = Pending, []remote.Step{enable(name)}
	case u == nil:
		c.unmet("install the fabric manager of the driver's version")
	}
	return c
}

// fabricVersion is that of the installed fabric manager.
func (p *driverPlan) fabricVersion() string {
	for _, i := range p.f.Packages {
		if strings.HasPrefix(i.Name, "nvidia-fabricmanager") && !strings.Contains(i.Name, "-dev") || i.Name == "nvidia-fabric-manager" {
			return driverVersion(i.Version)
		}
	}
	return ""
}

// service is the finding for a unit that must run now and after a boot.
func (p *driverPlan) service(name string) change {
	c := p.finding(name, "running, now and after a boot")
	u := p.f.unit(name)
	switch {
	case u == nil:
		c.Have = "not installed"
	case u.Masked:
		c.Have = "masked"
		c.unmet("somebody has seen to it that it cannot run: systemctl unmask " + name)
	case u.Active && u.Enabled:
		c.Have = "running"
	case u.Active:
		c.Have = "running, and not started at a boot"
	case u.Enabled:
		c.Have = "not running"
	default:
		c.Have = "not running, and not started at a boot"
	}
	if p.no != "" && p.reason != "" && (u == nil || !u.Active || !u.Enabled) {
		c.unmet("see nvidia driver")
	}
	return c
}

func enable(name string) remote.Step {
	return remote.Step{Title: "systemctl enable --now " + name, Run: &remote.Command{
		Script: "systemctl enable " + name + ".service && systemctl restart " + name + ".service", Timeout: 3 * time.Minute,
	}}
}
