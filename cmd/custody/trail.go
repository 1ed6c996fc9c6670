package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"strings"
	"time"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/client"
	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/retention"
)

// trail is a trail in a directory, or on a server.
type trail interface {
	Origin() string
	FirstKey() string
	Size() uint64

	Record(context.Context, event.Event) (custody.Receipt, error)
	RecordBatch(context.Context, []event.Event) ([]custody.Receipt, error)
	Flush(context.Context) (int, error)

	Entry(ctx context.Context, index uint64) (custody.Entry, error)
	EntryByID(ctx context.Context, id string) (custody.Entry, error)
	Entries(context.Context, custody.Query) iter.Seq2[custody.Entry, error]
	Search(context.Context, custody.Search, func(custody.Entry) bool) (custody.Searched, error)
	Subscribe(context.Context, custody.Query) iter.Seq2[custody.Entry, error]
	Counts(ctx context.Context, since, until time.Time, every time.Duration) ([]custody.Count, error)
	Stats(context.Context) (custody.Stats, error)

	Checkpoint(context.Context) ([]byte, error)
	Published(context.Context) ([]byte, error)
	Prove(ctx context.Context, index uint64, opts custody.ProveOptions) (*evidence.Proof, error)
	ProveConsistency(ctx context.Context, old, latest []byte) (*evidence.ConsistencyProof, error)
	Bundle(context.Context, io.Writer, custody.BundleOptions) error
	Verify(context.Context, custody.VerifyOptions) (*custody.Report, error)

	Holds(context.Context) ([]custody.Hold, error)
	PlaceHold(context.Context, custody.Hold) (custody.Hold, error)
	ReleaseHold(ctx context.Context, id, by, reason string) (custody.Receipt, error)
	PlanErasure(context.Context, custody.Erasure) (*custody.ErasurePlan, error)
	Erase(context.Context, custody.Erasure) (*custody.ErasureReceipt, error)
	PlanRetention(context.Context, retention.Policy) (*custody.RetentionPlan, error)
	ApplyRetention(ctx context.Context, policy retention.Policy, by string) (*custody.RetentionRun, error)

	Close() error
}

var (
	_ trail = (*custody.Trail)(nil)
	_ trail = (*client.Trail)(nil)
)

// placeOf returns the directory of a trail, or its address.
func placeOf(t trail) string {
	switch t := t.(type) {
	case *custody.Trail:
		return t.Dir()
	case *client.Trail:
		return t.Address()
	}
	return t.Origin()
}

// defaultTrail is the directory of the trail where nothing else is said.
const defaultTrail = "custody-trail"

// trailPlace returns where the trail is that the command is about: a directory, or an
// address.
func (p *program) trailPlace() string {
	for _, place := range []string{p.trail, os.Getenv("CUSTODY_TRAIL")} {
		if place != "" {
			return place
		}
	}
	return defaultTrail
}

// remote reports whether the trail of the command is on a server.
func (p *program) remote() bool { return isAddress(p.trailPlace()) }

// trailDir returns the directory of the trail, for what has to have its files.
func (p *program) trailDir() (string, error) {
	place := p.trailPlace()
	if isAddress(place) {
		return "", withHint(fmt.Errorf("%s is on a server, and this needs the files of a trail", place), "run it on the server's machine, with --trail DATA/trails/NAME, where DATA is what custody serve --data names")
	}
	return place, nil
}

// needsFiles refuses a trail on a server, and says what to do instead.
func (p *program) needsFiles(instead string) error {
	_, err := p.trailDir()
	if err != nil && instead != "" {
		err = withHint(err, "%s", instead)
	}
	return err
}

func isURL(s string) bool {
	return strings.HasPrefix(s, "http://") || strings.HasPrefix(s, "https://")
}

// isAddress reports whether a trail is on a server.
func isAddress(s string) bool { return isURL(s) || strings.HasPrefix(s, "unix:") }

// trailFlag returns what has to be added to a command so that it is about the
// same trail.
func (p *program) trailFlag() string {
	if p.trail == "" {
		return ""
	}
	return " --trail " + p.trail
}

// openTrail opens the trail of the command for reading. Somebody else may be writing
// it.
func (p *program) openTrail(ctx context.Context) (trail, error) {
	return p.open(ctx, &custody.Options{ReadOnly: true})
}

// open opens the trail of the command.
func (p *program) open(ctx context.Context, opts *custody.Options) (trail, error) {
	if p.remote() {
		return p.openRemote(ctx, opts)
	}
	return p.openFiles(opts)
}

// openForReading opens the trail of the command for reading, which has to be in a
// directory.
func (p *program) openForReading() (*custody.Trail, error) {
	return p.openFiles(&custody.Options{ReadOnly: true})
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

// openFiles opens the trail of the command, which has to be in a directory.
func (p *program) openFiles(opts *custody.Options) (*custody.Trail, error) {
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
func closing(t trail, err *error) {
	if cerr := t.Close(); *err == nil {
		*err = cerr
	}
}
