package custody

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/evidence/bundle"
	"github.com/custodylog/custody/internal/storage"
)

// eventSchema is the JSON Schema of payloads.
//
//go:embed docs/event.schema.json
var eventSchema []byte

// BundleOptions says what an evidence bundle is about.
type BundleOptions struct {
	// Query says which events: by text fields, by one type at most, by time of the
	// entry and by index. Newest and Limit do not apply, the times at which events
	// happened may not be given.
	Query Query

	// Text is the question in the words of a person.
	Text string

	// Policy is a trust policy (C2SP tlog-policy) to go with the bundle; nil: none.
	Policy []byte

	// Program names the program that makes the bundle. Default: this library.
	Program string
}

// Bundle writes an evidence bundle: a zip file with the events that a query asks for,
// proofs, and all that somebody needs who has never heard of the trail to check them
// (docs/format/bundle.md). It is proved against the newest checkpoint that covers what
// it needs and that witnesses cosigned or an authority time-stamped, else the newest.
// What is written was checked. It fails with ErrNotFound when no event matches.
func (t *Trail) Bundle(ctx context.Context, w io.Writer, opts BundleOptions) error {
	b := bundler{t: t, opts: opts}
	c, err := b.contents(ctx)
	if err != nil {
		return err
	}
	return bundle.Write(w, c)
}

// bundler collects what a bundle is made of.
type bundler struct {
	t    *Trail
	opts BundleOptions

	asked    evidence.Ranges // events asked for
	explain  evidence.Ranges // events that tell of removals and holds
	adjacent evidence.Ranges // entries beside the range
	fields   map[string]string
}

func (b *bundler) contents(ctx context.Context) (*bundle.Contents, error) {
	q := &b.opts.Query
	if err := b.scope(q); err != nil {
		return nil, err
	}
	c := &bundle.Contents{Scope: bundle.Scope{Text: b.opts.Text, Fields: map[string]string{}, Since: bundle.Time{Time: q.Since}, Until: bundle.Time{Time: q.Until}},
		Policy: b.opts.Policy, Schema: eventSchema, Created: b.t.opts.now(), Program: b.opts.Program, Hashes: b.t.hashes(ctx)}
	if c.Program == "" {
		c.Program = "custody " + Version()
	}
	if c.Scope.Text == "" {
		c.Scope.Text = b.question()
	}
	for pointer, value := range b.fields {
		c.Scope.Fields[strings.TrimPrefix(pointer, "/")] = value
	}
	span, err := b.span(ctx)
	if err != nil {
		return nil, err
	}
	if err := b.find(ctx, span); err != nil {
		return nil, err
	}
	if c.Removals, err = b.removals(ctx, span); err != nil {
		return nil, err
	}
	if c.Holds, err = b.holds(ctx, span); err != nil {
		return nil, err
	}
	if err := b.checkpoint(ctx, c, &span); err != nil {
		return nil, err
	}
	c.Range = bundle.Span{From: span.First, To: span.Last + 1}
	if c.Keys, c.Rotations, err = b.keys(ctx, c.Checkpoint); err != nil {
		return nil, err
	}
	c.Entries = b.entries(ctx, c.Range)
	return c, nil
}

// scope takes the fields out of the query.
func (b *bundler) scope(q *Query) error {
	q.Newest, q.Limit = false, 0
	// Times of entries, and of bundles, are in whole microseconds.
	for _, bound := range []*time.Time{&q.Since, &q.Until} {
		if !bound.IsZero() {
			*bound = bound.Add(time.Microsecond - time.Nanosecond).Truncate(time.Microsecond)
		}
	}
	if !q.OccurredSince.IsZero() || !q.OccurredUntil.IsZero() {
		return errors.New("bundle: when events happened is what their producers say; ask for the time at which they were recorded")
	}
	if len(q.Types) > 1 {
		return errors.New("bundle: it is about one type of event at most")
	}
	b.fields = map[string]string{}
	for _, m := range q.members() {
		if *m.value != "" {
			b.fields["/"+m.name] = *m.value
		}
	}
	for _, typ := range q.Types {
		b.fields["/event_type"] = string(typ)
	}
	return nil
}

// question puts the query into words.
func (b *bundler) question() string {
	var words []string
	for pointer, value := range b.fields {
		words = append(words, strings.TrimPrefix(pointer, "/")+" = "+value)
	}
	slices.Sort(words)
	text := "all events of the range"
	if len(words) > 0 {
		text = "the events with " + strings.Join(words, " and ")
	}
	if first := b.t.First(); first > b.opts.Query.From {
		text += fmt.Sprintf(" (the entries before %d were pruned under a retention policy)", first)
	}
	return text
}

// span returns the range of indices that the query comes to.
func (b *bundler) span(ctx context.Context) (evidence.Range, error) {
	q := &b.opts.Query
	size := b.t.Size()
	span := evidence.Range{First: max(q.From, b.t.First()), Last: size}
	if q.To > 0 {
		span.Last = min(q.To, size)
	}
	first := func(sel storage.Selection, otherwise uint64) (uint64, error) {
		for i, err := range b.t.store.Select(ctx, sel) {
			return i, b.t.closed(err)
		}
		return otherwise, nil
	}
	var err error
	if !q.Since.IsZero() {
		at, serr := first(storage.Selection{To: size, Since: q.Since}, size)
		span.First, err = max(span.First, at), serr
	}
	if err == nil && !q.Until.IsZero() {
		at, serr := first(storage.Selection{To: size, Since: q.Until}, size)
		span.Last, err = min(span.Last, at), serr
	}
	if err == nil && span.First >= span.Last {
		err = fmt.Errorf("bundle: %w: the trail has no entry there", ErrNotFound)
	}
	span.Last--
	return span, err
}

// find finds the events asked for, and the neighbours of the range where it is one of
// time: that they are outside shows that the range is whole.
func (b *bundler) find(ctx context.Context, span evidence.Range) error {
	q := b.opts.Query
	q.From, q.To = span.First, span.Last+1
	for e, err := range b.t.Entries(ctx, q) {
		if err != nil {
			return err
		}
		ok, err := e.HasFields(b.fields)
		if err != nil {
			return err
		}
		if ok {
			b.asked.Add(e.Index)
		}
	}
	if len(b.asked) == 0 {
		return fmt.Errorf("bundle: %w: no event of the trail matches", ErrNotFound)
	}
	if len(b.fields) == 0 && !q.Since.IsZero() && span.First > b.t.First() {
		b.adjacent = evidence.Ranges{{First: span.First - 1, Last: span.First - 1}}
	}
	if len(b.fields) == 0 && !q.Until.IsZero() && span.Last+1 < b.t.Size() {
		b.adjacent = b.adjacent.Union(evidence.Ranges{{First: span.Last + 1, Last: span.Last + 1}})
	}
	return nil
}

// removals returns what was removed of the range, and what was pruned before it that
// the question would reach.
func (b *bundler) removals(ctx context.Context, span evidence.Range) ([]bundle.Removal, error) {
	all, err := b.t.Removals(ctx)
	if err != nil {
		return nil, err
	}
	reaches := b.opts.Query.From < span.First && span.First == b.t.First()
	var found []bundle.Removal
	for _, r := range all {
		concerns := len(r.Entries.Between(span.First, span.Last+1)) > 0
		if r.Minimum > 0 {
			concerns = reaches
		}
		if concerns {
			found = append(found, bundle.Removal{Entries: bundle.Set{Ranges: r.Entries}, Event: r.Event, Minimum: r.Minimum, Type: string(r.Type)})
			b.explain.Add(r.Event)
		}
	}
	return found, nil
}

// holds returns the legal holds in force that cover entries of the range.
func (b *bundler) holds(ctx context.Context, span evidence.Range) ([]bundle.Hold, error) {
	covered, err := b.t.covered(ctx, evidence.Ranges{span})
	if err != nil {
		return nil, err
	}
	var found []bundle.Hold
	for _, c := range covered {
		found = append(found, bundle.Hold{Entries: bundle.Set{Ranges: c.Entries}, Event: c.Hold.Index, ID: c.Hold.ID})
		b.explain = b.explain.Union(evidence.RangesOf([]uint64{c.Hold.Index}))
	}
	return found, nil
}

// checkpoint chooses the checkpoint to prove against. A range that goes on to the end
// of the trail ends where the checkpoint does.
func (b *bundler) checkpoint(ctx context.Context, c *bundle.Contents, span *evidence.Range) error {
	needed := b.asked.Union(b.explain).Union(b.adjacent)
	size := needed[len(needed)-1].Last + 1
	if b.opts.Query.To > 0 || !b.opts.Query.Until.IsZero() {
		size = max(size, span.Last+1)
	}
	for _, kind := range []string{attachedStamped, attachedCosigned} {
		sizes, err := b.t.store.Attached(kind)
		if err != nil {
			return err
		}
		if len(sizes) == 0 || sizes[len(sizes)-1] < size {
			continue
		}
		at := sizes[len(sizes)-1]
		if c.Checkpoint, err = b.t.store.Attachment(kind, at); err != nil {
			return err
		}
		if kind == attachedStamped {
			token, err := b.t.store.Attachment(attachedTimestamp, at)
			if err != nil && !errors.Is(err, ErrNotFound) {
				return err
			}
			if err == nil {
				c.Timestamps = []bundle.TimestampToken{{Name: "tsa", Token: token}}
			}
		}
		span.Last = min(span.Last, at-1)
		return nil
	}
	var err error
	if c.Checkpoint, err = b.t.Checkpoint(ctx); err != nil {
		return err
	}
	newest, err := evidence.PeekCheckpoint(c.Checkpoint)
	if err == nil && newest.Size < size {
		err = fmt.Errorf("bundle: %w: the newest checkpoint covers %d entries, and %d are needed", ErrNotFound, newest.Size, size)
	}
	return err
}

// keys returns the keys up to the one that signed a checkpoint, and how each passed to
// the next.
func (b *bundler) keys(ctx context.Context, signed []byte) (keys []string, rotations [][]byte, err error) {
	c, err := evidence.PeekCheckpoint(signed)
	if err != nil {
		return nil, nil, err
	}
	keys = []string{b.t.meta.Key}
	for e, err := range b.t.Entries(ctx, Query{Types: []event.Type{event.KeyRotated}, To: c.Size}) {
		if err != nil {
			return nil, nil, err
		}
		ev, err := e.Event()
		if err != nil {
			return nil, nil, err
		}
		current, err := evidence.ParseVerifier(keys[len(keys)-1])
		if err != nil {
			return nil, nil, err
		}
		if next, _, err := evidence.OpenRotation(statementOf(&ev), current); err == nil {
			keys, rotations = append(keys, next), append(rotations, statementOf(&ev))
		}
	}
	return keys, rotations, nil
}

// entries yields the entries to disclose: of those that are not asked for and do not
// explain anything, no payload.
func (b *bundler) entries(ctx context.Context, span bundle.Span) iter.Seq2[bundle.Item, error] {
	return func(yield func(bundle.Item, error) bool) {
		asked := b.asked.Between(span.From, span.To)
		var r storage.Record // one for all: it keeps the block that neighbours are in
		for i := range asked.Union(b.explain).Union(b.adjacent).All() {
			e, err := b.t.entryAt(ctx, i, &r)
			item := bundle.Item{Index: i, Entry: e.Envelope, Asked: asked.Contains(i)}
			if item.Asked || b.explain.Contains(i) {
				item.Salt, item.Payload = e.Salt, e.Payload
			}
			if !yield(item, err) || err != nil {
				return
			}
		}
	}
}
