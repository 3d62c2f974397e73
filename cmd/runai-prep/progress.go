package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"

	"charm.land/bubbles/v2/spinner"
	tea "charm.land/bubbletea/v2"

	"github.com/runai-prep/runai-prep/internal/fleet"
)

// look visits the hosts while a person watches.
func (a *app) look(ctx context.Context, e *expedition, keep bool) []*fleet.Visit {
	var visits []*fleet.Visit
	if e.recorder != nil {
		e.fleet.Connect = e.recorder.Over(e.fleet.Connect)
	}
	a.watch(e, len(e.hosts), func() { visits = e.fleet.Look(ctx, e.hosts, keep) })
	return visits
}

// watch shows what the fleet is at while work runs: a line that counts and the
// hosts under way. It needs a terminal, and shows nothing without one.
func (a *app) watch(e *expedition, total int, work func()) {
	if !isTerminal(a.stderr) || a.common.verbose || os.Getenv("TERM") == "dumb" {
		e.fleet.Progress = nil
		work()
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	p := tea.NewProgram(progress{total: total, spinner: spinner.New()}, tea.WithContext(ctx),
		tea.WithOutput(a.stderr), tea.WithInput(nil), tea.WithoutSignalHandler())
	e.fleet.Progress = func(event fleet.Event) { p.Send(event) }
	var ended sync.WaitGroup
	ended.Go(func() {
		defer cancel() // or events would wait for a program that could not start
		if _, err := p.Run(); err != nil {
			slog.Debug("no progress is shown", "error", err) // a courtesy: the work goes on
		}
	})
	work()
	p.Send(over{})
	ended.Wait()
	e.fleet.Progress = nil
}

// over ends the program with nothing of it left on the screen.
type over struct{}

// progress is a summary line and a window of active hosts, which scales where
// a bar for each host does not.
type progress struct {
	total, done int
	active      []fleet.Event // in the order they became active
	spinner     spinner.Model
	width       int // of the terminal; 0: not known yet
	quit        bool
}

// window is how many active hosts are shown.
const window = 6

func (p progress) Init() tea.Cmd { return p.spinner.Tick }

func (p progress) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case fleet.Event:
		at := slices.IndexFunc(p.active, func(e fleet.Event) bool { return e.Host == msg.Host })
		switch {
		case msg.Doing == "":
			p.done++
			if at >= 0 {
				p.active = slices.Delete(slices.Clone(p.active), at, at+1)
			}
		case at >= 0:
			p.active = slices.Clone(p.active)
			p.active[at] = msg
		default:
			p.active = append(slices.Clone(p.active), msg)
		}
	case tea.WindowSizeMsg:
		p.width = msg.Width
	case over:
		p.quit = true
		return p, tea.Quit
	case spinner.TickMsg:
		var cmd tea.Cmd
		p.spinner, cmd = p.spinner.Update(msg)
		return p, cmd
	}
	return p, nil
}

func (p progress) View() tea.View {
	if p.quit {
		return tea.NewView("")
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s %d of %s done\n", p.spinner.View(), p.done, count(p.total, "host"))
	for i, e := range p.active {
		if i == window {
			fmt.Fprintf(&b, "  … and %d more\n", len(p.active)-window)
			break
		}
		// What a package manager prints is wider than many a terminal.
		line := []rune(fmt.Sprintf("  %s: %s", e.Host, e.Doing))
		if p.width > 0 && len(line) > p.width {
			line = append(line[:p.width-1], '…')
		}
		b.WriteString(string(line) + "\n")
	}
	return tea.NewView(b.String())
}
