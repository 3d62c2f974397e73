//go:build !linux

package recording

import "errors"

// exchange would swap two paths at once.
func exchange(string, string) error { return errors.ErrUnsupported }
