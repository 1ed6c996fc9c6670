package benchmark

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"log/slog"
	"strconv"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/event"
)

// Origin names the trails that are made to be measured.
const Origin = "benchmark.invalid/trail"

// key signs them. Nobody relies on them, so it may be known.
var key = ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))

// Options returns how such a trail is opened.
func Options(async bool) *custody.Options {
	return &custody.Options{Signer: key, Async: async, Logger: slog.New(slog.DiscardHandler), DiskWarning: -1}
}

// TrailLog is a trail as a [Log].
type TrailLog struct {
	*custody.Trail
	async bool
}

// NewTrail makes a trail in dir and opens it.
func NewTrail(dir string, async bool) (*TrailLog, error) {
	if _, err := custody.Create(dir, custody.CreateOptions{Origin: Origin, Signer: key}); err != nil {
		return nil, err
	}
	t, err := custody.Open(dir, Options(async))
	if err != nil {
		return nil, err
	}
	return &TrailLog{t, async}, nil
}

// Append implements [Log]. A commit goes by the size in its checkpoint.
func (l *TrailLog) Append(ctx context.Context, events []event.Event) (commit uint64, err error) {
	var checkpoint []byte
	if len(events) == 1 {
		r, err := l.Record(ctx, events[0])
		if err != nil {
			return 0, err
		}
		checkpoint = r.Checkpoint
	} else {
		receipts, err := l.RecordBatch(ctx, events)
		if err != nil {
			return 0, err
		}
		checkpoint = receipts[len(receipts)-1].Checkpoint
	}
	if l.async {
		return 0, nil
	}
	_, rest, _ := bytes.Cut(checkpoint, []byte("\n"))
	size, _, _ := bytes.Cut(rest, []byte("\n"))
	return strconv.ParseUint(string(size), 10, 64)
}

// Flush implements [Log].
func (l *TrailLog) Flush(ctx context.Context) error {
	if !l.async {
		return nil
	}
	_, err := l.Trail.Flush(ctx)
	return err
}

// Raw returns the raw limit for what the trail wrote in a run that was the last.
func (l *TrailLog) Raw(ctx context.Context, s *Sample) (Raw, error) {
	const (
		sample       = 300
		recordHeader = 6 // see internal/segment
		frameHeader  = 44
	)
	n, sum := 0, 0
	for e, err := range l.Entries(ctx, custody.Query{Newest: true, Limit: sample}) {
		if err != nil {
			return Raw{}, err
		}
		n++
		sum += recordHeader + len(e.Envelope) + len(e.Salt) + len(e.Payload)
	}
	checkpoint, err := l.Checkpoint(ctx)
	perCommit := float64(frameHeader + len(checkpoint))
	return Raw{EventsPerCommit: s.perCommit(), BytesPerEvent: float64(sum)/float64(n) + perCommit/s.perCommit()}, err
}
