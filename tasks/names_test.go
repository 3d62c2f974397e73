package tasks

import (
	"testing"

	"github.com/runai-prep/runai-prep/inventory"
)

// An inventory may speak of every task, to ignore what it finds.
func TestInventoryKnowsTheTasks(t *testing.T) {
	for _, task := range All {
		if !inventory.KnownTask(task.Name) {
			t.Errorf("the inventory does not know the task %s", task.Name)
		}
	}
}
