package main

import (
	"os"
	"slices"
	"sync"
	"time"
)

// fresh is what files hold, read again when they have changed. Where the new ones cannot
// be used, what the old ones held stays.
type fresh[T any] struct {
	files  []string
	read   func() (T, error) // with errors that name the file
	report func(error)       // is told once of new ones that cannot be used

	mu      sync.Mutex
	value   T
	since   []time.Time // when the files were changed last
	problem string      // that was reported last
}

func newFresh[T any](report func(error), read func() (T, error), files ...string) (*fresh[T], error) {
	f := &fresh[T]{files: files, read: read, report: report}
	var err error
	if f.since, err = f.changed(); err != nil {
		return nil, err
	}
	if f.value, err = read(); err != nil {
		return nil, err
	}
	return f, nil
}

// changed returns when the files were changed last.
func (f *fresh[T]) changed() ([]time.Time, error) {
	var all []time.Time
	for _, name := range f.files {
		info, err := os.Stat(name)
		if err != nil {
			return nil, err
		}
		all = append(all, info.ModTime())
	}
	return all, nil
}

// get returns what the files hold.
func (f *fresh[T]) get() T {
	f.mu.Lock()
	defer f.mu.Unlock()
	changed, err := f.changed()
	if err == nil && slices.EqualFunc(changed, f.since, time.Time.Equal) {
		return f.value
	}
	var value T
	if err == nil {
		value, err = f.read()
	}
	if err != nil {
		if f.problem != err.Error() {
			f.problem = err.Error()
			f.report(err)
		}
		return f.value
	}
	f.value, f.since, f.problem = value, changed, ""
	return f.value
}
