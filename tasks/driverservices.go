package tasks

import (
	"slices"
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
		c.Steps = append(c.Steps, enable(name, false))
	case u == nil && (p.w.Source == "runfile" || p.f.Runfile != ""):
		c.State = Pending
		p.write(&c, "/etc/systemd/system/"+name+".service", persistencedUnit)
		c.Steps = append(c.Steps, daemonReload(), enable(name, false))
	case u == nil:
		for _, row := range packagingsOf(p.f, p.w.Source) {
			for _, pkg := range row.set(false).loose {
				if c.State == OK && p.offered(pkg) {
					c.State = Pending
					c.Steps = []remote.Step{p.install(remote.Packages{Names: []string{pkg}}), enable(name, false)}
				}
			}
		}
		if c.State == OK {
			c.unmet("install " + name)
		}
	case strings.Contains(u.Command, "--no-persistence-mode"):
		// Ubuntu's service leaves the mode off. One that runs switches it on when
		// it is asked, which no running work notices.
		c.Have += ", and told to leave persistence mode off"
		c.State = Pending
		p.persistenceMode(&c, u.Command)
		if !u.Active || !u.Enabled {
			c.Steps = append(c.Steps, enable(name, u.Active))
		}
		if u.Active {
			c.Steps = append(c.Steps, remote.Step{
				Title: "nvidia-smi --persistence-mode=1",
				Run:   &remote.Command{Script: "timeout -k 5 90 nvidia-smi --persistence-mode=1", Timeout: 2 * time.Minute},
			})
		}
	case !u.Active || !u.Enabled:
		c.State, c.Steps = Pending, []remote.Step{enable(name, u.Active)}
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

const fabricManagerUnit = "nvidia-fabricmanager"

// fabricManager makes the GPUs behind an NVSwitch usable at all; CUDA does not
// start without it.
func (p *driverPlan) fabricManager() change {
	const name = fabricManagerUnit
	if p.f.NVSwitches == 0 || !p.f.Systemd {
		return change{}
	}
	c := p.service(name)
	c.Want = p.wantText() + ", " + c.Want
	v := p.fabricVersion()
	if v != "" {
		c.Have = v + ", " + c.Have
	}
	u := p.f.unit(name)
	switch {
	case c.State == Unmet:
	case p.w.verify && p.reason != "":
		c.unmet("see nvidia driver")
	case p.w.verify && v != "" && v != p.has.version:
		c.unmet("install the fabric manager of the driver's version")
	case p.w.verify && u != nil && (!u.Active || !u.Enabled):
		c.unmet("systemctl enable --now " + name)
	case p.installing(): // it was stopped, if it ran
		c.State, c.Steps = Pending, []remote.Step{enable(name, false)}
	case u != nil && (!u.Active || !u.Enabled):
		c.State, c.Steps = Pending, []remote.Step{enable(name, u.Active)}
	case u == nil:
		c.unmet("install the fabric manager of the driver's version")
	}
	return c
}

// fabricVersion is that of the installed fabric manager.
func (p *driverPlan) fabricVersion() string {
	for _, i := range p.f.Packages {
		if fabricPackage.MatchString(i.Name) {
			return driverVersion(i.Version)
		}
	}
	return ""
}

// service is the finding for a unit that must run now and after a boot.
func (p *driverPlan) service(name string) change {
	c := p.finding(name, "running, now and after a boot")
	c.Aside = true
	u := p.f.unit(name)
	switch {
	case u == nil:
		c.Have = "not installed"
	case u.Masked:
		c.Have = "masked"
		c.unmet("somebody has seen to it that it cannot run: systemctl unmask " + name)
	case u.Active && u.Enabled:
		c.Have = "running"
	case u.Begins:
		c.Have = "starting, or failing again and again"
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

// enable has a service started by each boot, and now. One that runs is not
// restarted: CUDA ends with the fabric manager.
func enable(name string, active bool) remote.Step {
	title, script := "systemctl enable "+name, "systemctl enable "+name+".service"
	if !active {
		// One that has failed too often is not started again before that is forgotten.
		title = "systemctl enable --now " + name
		script += " || exit 1\nsystemctl reset-failed " + name + ".service 2>/dev/null\nsystemctl start " + name + ".service"
	}
	return remote.Step{Title: title, Run: &remote.Command{Script: script, Timeout: 3 * time.Minute}}
}

// services are started again when the driver is back: those that stop for it,
// those that an apply that was cut off has left stopped, and where there was no
// driver to run with, those that a boot would start.
func (p *driverPlan) services() change {
	if !p.f.Systemd || p.w.verify || p.no != "" && p.reason != "" {
		return change{}
	}
	c := p.finding("nvidia services", "running, with the wished driver")
	c.Aside = true
	names := p.stopped()
	var have, boot []string
	if len(names) > 0 {
		have = append(have, strings.Join(names, ", ")+": running, and will stop while the driver is replaced")
	}
	for _, name := range names {
		c.drops = append(c.drops, stoppedEntry(name))
	}
	for _, u := range p.f.Units {
		e := stoppedEntry(u.Name)
		if p.f.ledger.has(e) {
			c.drops = append(c.drops, e)
		}
		switch {
		case u.Active || u.Masked || !ownUnit(u.Name) || slices.Contains(names, u.Name):
		case p.f.ledger.has(e):
			names = append(names, u.Name)
			have = append(have, u.Name+": not running, since it was stopped for a driver")
		case u.Enabled && p.route != stay && u.Name != "nvidia-persistenced" && u.Name != fabricManagerUnit: // which have findings of their own
			boot = append(boot, u.Name)
			have = append(have, u.Name+": not running")
		}
	}
	if have == nil {
		return change{}
	}
	c.State, c.Have = Pending, strings.Join(have, "; ")
	if len(names) > 0 {
		c.Steps = append(c.Steps, startUnits(names))
	}
	if len(boot) > 0 {
		c.Steps = append(c.Steps, startUnits(boot))
	}
	return c
}
