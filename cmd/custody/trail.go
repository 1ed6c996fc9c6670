package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/custodylog/custody"
)

// defaultTrail is the directory of the trail where nothing else is said.
const defaultTrail = "custody-trail"

// trailDir returns the directory of the trail that the command is about.
func (p *program) trailDir() (string, error) {
	dir := p.trail
	if dir == "" {
		dir = os.Getenv("CUSTODY_TRAIL")
	}
	if dir == "" {
		dir = defaultTrail
	}
	if isURL(dir) {
		return "", withHint(fmt.Errorf("%s: reading a trail over HTTP is not in this version", dir), "give the directory of the trail; on another machine, run custody there")
	}
	return dir, nil
}

func isURL(s string) bool {
	return strings.HasPrefix(s, "http://") || strings.HasPrefix(s, "https://")
}

// trailFlag returns what has to be added to a command so that it is about the
// same trail.
func (p *program) trailFlag() string {
	if p.trail == "" {
		return ""
	}
	return " --trail " + p.trail
}

// openForReading opens the trail of the command, which somebody else may be
// writing.
func (p *program) openForReading() (*custody.Trail, error) {
	return p.open(&custody.Options{ReadOnly: true})
}

// prepare adds to options what the global flags say, and returns the trail's
// directory.
func (p *program) prepare(opts *custody.Options) (dir string, err error) {
	if dir, err = p.trailDir(); err != nil {
		return "", err
	}
	opts.KeyDir = p.keyDir
	if !opts.ReadOnly {
		opts.Redactor, err = p.redactor()
	}
	return dir, err
}

func (p *program) open(opts *custody.Options) (*custody.Trail, error) {
	dir, err := p.prepare(opts)
	if err != nil {
		return nil, err
	}
	t, err := custody.Open(dir, opts)
	if errors.Is(err, custody.ErrNotFound) {
		how := "custody init" + p.trailFlag() + " creates one"
		if p.trail == "" {
			how += "; --trail or CUSTODY_TRAIL names one that lies elsewhere"
		}
		return nil, withHint(err, "%s", how)
	}
	return t, err
}

// closing closes a trail and keeps the error unless there is one already.
func closing(t *custody.Trail, err *error) {
	if cerr := t.Close(); *err == nil {
		*err = cerr
	}
}
