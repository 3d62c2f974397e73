package fleet

import (
	"testing"

	"github.com/runai-prep/runai-prep/remote"
	"github.com/runai-prep/runai-prep/tasks"
)

// Two tasks that change other lines of one file both find it as they leave it.
func TestTogether(t *testing.T) {
	write := func(task, old, data string) planned {
		return planned{task, tasks.Finding{Steps: []remote.Step{{Title: "write /etc/fstab", Write: &remote.File{Path: "/etc/fstab", Old: &old, Data: data}}}}}
	}
	const was = "/dev/sda1 / ext4\n/dev/sda2 none swap\n"
	plan := together([]planned{
		write("nfs", was, was+"nas:/a /a nfs\n"),
		write("nfs", was+"nas:/a /a nfs\n", was+"nas:/a /a nfs\nnas:/b /b nfs\n"),
		write("kubernetes", was, "/dev/sda1 / ext4\n# /dev/sda2 none swap\n"),
		write("kubernetes", "/dev/sda1 / ext4\n# /dev/sda2 none swap\n", "/dev/sda1 / xfs\n# /dev/sda2 none swap\n"),
	})
	content := was
	for i, p := range plan {
		w := p.Steps[0].Write
		if *w.Old != content {
			t.Fatalf("step %d is made for %q, and will find %q", i, *w.Old, content)
		}
		content = w.Data
	}
	if want := "/dev/sda1 / xfs\n# /dev/sda2 none swap\nnas:/a /a nfs\nnas:/b /b nfs\n"; content != want {
		t.Errorf("in the end %q, want %q", content, want)
	}
	// Both change one line: the second is left to be refused.
	plan = together([]planned{write("nfs", was, "/dev/sda1 / xfs\n"), write("kubernetes", was, "/dev/sda1 / btrfs\n/dev/sda2 none swap\n")})
	if w := plan[1].Steps[0].Write; *w.Old != was {
		t.Errorf("merged what cannot be: %q", w.Data)
	}
}
