package fleet

import (
	"fmt"
	"slices"
	"strings"

	"github.com/runai-prep/runai-prep/tasks"
)

// Select returns the tasks of all that are named in only (all of them when it
// is empty) and not in skip. An unknown name is an error that lists the names.
func Select(all []tasks.Task, only, skip []string) ([]tasks.Task, error) {
	names := make([]string, len(all))
	for i, t := range all {
		names[i] = t.Name
	}
	for _, n := range slices.Concat(only, skip) {
		if !slices.Contains(names, n) {
			return nil, fmt.Errorf("there is no task %q (yet); the tasks are %s", n, strings.Join(names, ", "))
		}
	}
	var selected []tasks.Task
	for _, t := range all {
		if (len(only) == 0 || slices.Contains(only, t.Name)) && !slices.Contains(skip, t.Name) {
			selected = append(selected, t)
		}
	}
	if len(selected) == 0 {
		return nil, fmt.Errorf("no task is left to do; the tasks are %s", strings.Join(names, ", "))
	}
	return selected, nil
}
