package producers

import (
	"bytes"
	"cmp"
	"encoding/json"
	"slices"
	"time"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/evidence"
)

// Principal is the principal of the events that are recorded of gaps. Only events of
// it count as such: what others call gap_detected is a claim.
const Principal = "custody:producers"

const (
	maxSeq      = 1 << 53 // numbers beyond are not looked at: JSON readers may not agree on them
	maxStreams  = 4096    // that are remembered; of more, those are forgotten that the principal with the most has not used for longest
	maxTold     = 1000    // holes that one event tells of
	maxReported = 1000    // ranges that were reported missing and may come yet
	maxPending  = 1000    // repeats of one stream that wait to be told; of more, up to which entry they go
)

// Config says how patient to be. Zero means the default.
type Config struct {
	// Grace is how long events that are under way may take: a number that has not come
	// by then is missing. Default: 10 s.
	Grace time.Duration

	// Silence is after how many of its intervals a producer that sent heartbeats
	// is silent. Default: 3.
	Silence int
}

func (c Config) withDefaults() Config {
	if c.Grace <= 0 {
		c.Grace = 10 * time.Second
	}
	if c.Silence <= 0 {
		c.Silence = 3
	}
	return c
}

// streamKey names a sequence of numbers: one run of one producer.
type streamKey struct {
	Principal string `json:"principal,omitempty"`
	Source    string `json:"source,omitempty"`
	Run       string `json:"run,omitempty"`
}

// mark is an entry of the trail.
type mark struct {
	Index uint64    `json:"index"`
	Time  time.Time `json:"time"`
}

// wait is how something that may have to be told waits: until it is due, and then until
// everything was seen that was in the trail at that moment. It is not stored.
type wait struct {
	due   time.Duration
	until uint64 // size of the trail when it was due; 0: it was not
	told  bool   // an event is recorded, and was not seen yet
}

// over reports whether the waiting has an end, seen being the number of entries that
// were seen and size that of those there are.
func (w *wait) over(now time.Duration, seen, size uint64) bool {
	if w.told || now < w.due {
		return false
	}
	if w.until == 0 {
		w.until = max(size, 1)
	}
	return seen >= w.until
}

// hole is a run of numbers that have not come.
type hole struct {
	From   uint64 `json:"from"`             // the first
	To     uint64 `json:"to"`               // the number after the last
	Before *mark  `json:"before,omitempty"` // the entry with the number before; nil: there is none
	After  mark   `json:"after"`            // the first entry with a higher number

	wait `json:"-"`
}

// repeat is an entry with a number that another entry had.
type repeat struct {
	Seq uint64 `json:"seq"`
	At  mark   `json:"at"`
}

// stream is what is known of one run of one producer.
type stream struct {
	streamKey
	First   uint64 `json:"first"`             // numbers below it are not looked at
	Next    uint64 `json:"next"`              // the number after the highest one; 0: none came
	High    mark   `json:"high"`              // the entry with the highest one
	Session string `json:"session,omitempty"` // session of that
	Last    mark   `json:"last"`              // the entry that was heard last

	Open     []hole          `json:"open,omitempty"`     // by number
	Earlier  []hole          `json:"earlier,omitempty"`  // of numbers that were begun anew
	Reported evidence.Ranges `json:"reported,omitempty"` // missing, as events say
	Filled   evidence.Ranges `json:"filled,omitempty"`   // came after that, and no event says so yet
	Repeats  []repeat        `json:"repeats,omitempty"`  // no event says so yet
	Restarts []repeat        `json:"restarts,omitempty"` // no event says so yet

	Interval int64 `json:"interval_ms,omitempty"` // between heartbeats; 0: there are none
	Silent   *mark `json:"silent,omitempty"`      // it is silent since, as an event says
	Resumed  *mark `json:"resumed,omitempty"`     // it spoke again, and no event says so yet

	filled, repeats, restarts, silence, resumed wait
}

// tracker finds gaps in what producers send. It sees the entries of one trail in their
// order, its own events among them: which gaps were told is known from these alone.
type tracker struct {
	cfg     Config
	next    uint64 // the entry to be seen next
	streams map[streamKey]*stream

	// whole says that the first number of a stream that is new is known: nothing that
	// came before was pruned or erased.
	whole bool
	// forgot says the contrary of the streams of some principals: they have had so many
	// that some were forgotten.
	forgot map[string]bool

	replay uint64 // entries before it were there when the tracker began
	blind  bool   // one of those is gone, or its payload, and the last was not seen yet
}

func newTracker(cfg Config) *tracker {
	return &tracker{cfg: cfg.withDefaults(), streams: map[streamKey]*stream{}, whole: true, forgot: map[string]bool{}}
}

// concerns reports whether the event of an entry may be one of a stream. It need not be
// decoded otherwise, which is most of what following costs.
func (t *tracker) concerns(e *custody.Entry) bool {
	return e.Payload == nil || len(t.streams) > 0 || e.Type == event.GapDetected || e.Type == event.Heartbeat ||
		bytes.Contains(e.Payload, []byte(`"source_seq"`))
}

// see takes in the next entry; ev is nil where its payload is not held. now is a
// monotonic clock.
func (t *tracker) see(index uint64, at time.Time, ev *event.Event, now time.Duration) {
	t.look(index, at, ev, now)
	if t.blind && t.next >= t.replay {
		// What is missing may be in what is gone.
		for _, s := range t.streams {
			s.Open, s.Earlier = nil, nil
		}
		t.blind = false
	}
}

func (t *tracker) look(index uint64, at time.Time, ev *event.Event, now time.Duration) {
	if index > t.next { // what is between was pruned
		t.whole, t.blind = false, t.blind || t.next > 0
	}
	t.next = index + 1
	if ev == nil {
		t.blind, t.whole = t.blind || index < t.replay, t.whole && index >= t.replay
		return
	}
	if ev.Type == event.GapDetected && ev.Principal == Principal {
		t.told(ev, now)
		return
	}
	key := streamKey{ev.Principal, ev.Source, ev.SourceRun}
	s := t.streams[key]
	if ev.SourceSeq == nil && ev.Type != event.Heartbeat && s == nil {
		return
	}
	if s == nil {
		s = t.add(key)
	}
	here := mark{index, at}
	s.Last, s.silence = here, wait{due: now + t.patience(s)}
	if s.Silent != nil && s.Resumed == nil {
		s.Resumed, s.resumed = &here, wait{due: now}
	}
	if ev.SourceSeq != nil && *ev.SourceSeq < maxSeq {
		t.number(s, *ev.SourceSeq, here, ev.SessionID, now)
	}
	switch {
	case ev.Type == event.Heartbeat:
		s.Interval = intervalOf(ev)
		s.silence.due = now + t.patience(s)
	case ev.Type == event.SessionEnded && ev.SessionID != "" && ev.SessionID == ev.SourceRun:
		s.Interval = 0
	}
}

// intervalOf returns the interval that a heartbeat names, in milliseconds; 0 for the
// last one.
func intervalOf(ev *event.Event) int64 {
	if final, _ := ev.Details["final"].(bool); final {
		return 0
	}
	n, _ := ev.Details["interval_ms"].(json.Number)
	ms, err := n.Int64()
	if err != nil || ms <= 0 {
		return 0
	}
	const longest = 366 * 24 * 3600 * 1000
	return min(ms, longest)
}

// patience is how long a producer may be silent.
func (t *tracker) patience(s *stream) time.Duration {
	return time.Duration(s.Interval) * time.Millisecond * time.Duration(t.cfg.Silence)
}

// add returns a new stream, and forgets one where there are too many: the oldest of the
// principal with the most, so that nobody can make the gaps of another one forgotten.
func (t *tracker) add(key streamKey) *stream {
	if len(t.streams) >= maxStreams {
		count := map[string]int{}
		for k := range t.streams {
			count[k.Principal]++
		}
		var oldest *stream
		for _, s := range t.streams {
			if oldest == nil || cmp.Or(cmp.Compare(count[oldest.Principal], count[s.Principal]), cmp.Compare(s.Last.Index, oldest.Last.Index)) < 0 {
				oldest = s
			}
		}
		delete(t.streams, oldest.streamKey)
		t.forgot[oldest.Principal] = true
	}
	s := &stream{streamKey: key}
	t.streams[key] = s
	return s
}

// number takes in the number of an entry.
func (t *tracker) number(s *stream, n uint64, here mark, session string, now time.Duration) {
	known := s.Next > 0
	switch {
	case !known && (n <= 1 || !t.whole || t.forgot[s.Principal]):
		s.First, s.Next = n, n+1
	case !known:
		s.First, s.Next = 1, n+1
		s.Open = []hole{{From: 1, To: n, After: here, wait: wait{due: now + t.cfg.Grace}}}
	case n == s.Next:
		s.Next++
	case n > s.Next && cut(&s.Earlier, n, here):
		return // it is late, and of the numbers before
	case n > s.Next:
		before := s.High
		s.Open = append(s.Open, hole{From: s.Next, To: n, Before: &before, After: here, wait: wait{due: now + t.cfg.Grace}})
		s.Next = n + 1
	default:
		t.late(s, n, here, session, now)
		return
	}
	s.High, s.Session = here, session
}

// late takes in a number that is below the highest.
func (t *tracker) late(s *stream, n uint64, here mark, session string, now time.Duration) {
	switch {
	case cut(&s.Open, n, here), cut(&s.Earlier, n, here):
	case s.Reported.Contains(n):
		one := evidence.Ranges{{First: n, Last: n}}
		if len(s.Filled) == 0 {
			s.filled = wait{due: now + t.cfg.Grace}
		}
		s.Reported, s.Filled = s.Reported.Minus(one), s.Filled.Union(one)
	case n == 0 && s.First == 1:
		s.First = 0
	case n < s.First:
	case n <= 1 && s.Run == "":
		t.restart(s, n, here, session, now)
	case len(s.Repeats) == maxPending: // the range of entries goes up to here
		s.Repeats[maxPending-1].At = here
	default:
		if len(s.Repeats) == 0 {
			s.repeats = wait{due: now + t.cfg.Grace}
		}
		s.Repeats = append(s.Repeats, repeat{n, here})
	}
}

// restart begins the numbers of a stream without a run anew. Another session explains
// that.
func (t *tracker) restart(s *stream, n uint64, here mark, session string, now time.Duration) {
	if (session == "" || session == s.Session) && len(s.Restarts) < maxPending {
		if len(s.Restarts) == 0 {
			s.restarts = wait{due: now}
		}
		s.Restarts = append(s.Restarts, repeat{n, here})
	}
	s.Earlier = append(s.Earlier, s.Open...)
	s.Open, s.Reported = nil, nil
	s.First, s.Next, s.High, s.Session = n, n+1, here, session
}

// cut takes a number out of the hole that it is in, which has come as an entry. It
// reports false when it is in none.
func cut(holes *[]hole, n uint64, here mark) bool {
	i := slices.IndexFunc(*holes, func(h hole) bool { return h.From <= n && n < h.To })
	if i < 0 {
		return false
	}
	h := (*holes)[i]
	var parts []hole
	if h.From < n {
		part := h
		part.To, part.After = n, here
		parts = append(parts, part)
	}
	if n+1 < h.To {
		part := h
		part.From, part.Before = n+1, &here
		parts = append(parts, part)
	}
	*holes = slices.Replace(*holes, i, i+1, parts...)
	return true
}

// take takes numbers out of holes, and returns those that were in any.
func take(holes *[]hole, numbers evidence.Ranges) (taken evidence.Ranges) {
	var left []hole
	for _, h := range *holes {
		all := h.numbers()
		taken = taken.Union(all.Intersect(numbers))
		for _, r := range all.Minus(numbers) {
			part := h
			part.From, part.To = r.First, r.Last+1
			left = append(left, part)
		}
	}
	*holes = left
	return taken
}

func (h *hole) numbers() evidence.Ranges { return evidence.Ranges{{First: h.From, Last: h.To - 1}} }

// told takes in an event that was recorded of a gap, in this run or an earlier one.
func (t *tracker) told(ev *event.Event, now time.Duration) {
	d := detailsOf(ev)
	s := t.streams[d.key]
	if s == nil {
		return // it was forgotten
	}
	switch d.kind {
	case "missing":
		d.numbers = d.numbers.Minus(take(&s.Earlier, d.numbers))
		open := take(&s.Open, d.numbers)
		s.Reported = s.Reported.Union(open)
		if n := len(s.Reported) - maxReported; n > 0 {
			s.First = s.Reported[n-1].Last + 1
			s.Reported = slices.Delete(s.Reported, 0, n)
		}
		// The rest came while the event was recorded.
		if came := d.numbers.Minus(open).Between(s.First, s.Next); len(came) > 0 {
			s.Filled, s.filled = s.Filled.Union(came), wait{due: now + t.cfg.Grace}
		}
	case "filled":
		s.Filled, s.filled = s.Filled.Minus(d.numbers), wait{due: now + t.cfg.Grace}
	case "duplicate":
		s.Repeats, s.repeats = after(s.Repeats, d.toIndex), wait{due: now + t.cfg.Grace}
	case "restart":
		s.Restarts, s.restarts = after(s.Restarts, d.toIndex), wait{due: now}
	case "silence":
		s.Silent, s.silence = &mark{d.before, d.beforeTime}, wait{}
		if s.Last.Index > d.before {
			here := s.Last
			s.Resumed, s.resumed = &here, wait{due: now}
			s.silence.due = now + t.patience(s)
		}
	case "resumed":
		s.Silent, s.Resumed = nil, nil
	}
}

// after returns the repeats from an index on.
func after(all []repeat, index uint64) []repeat {
	return slices.DeleteFunc(all, func(r repeat) bool { return r.At.Index < index })
}

// report is an event that has to be recorded.
type report struct {
	event event.Event
	told  func() // says that it was
}

// due returns what has to be told now, size being the size of the trail.
func (t *tracker) due(now time.Duration, size uint64) []report {
	var all []report
	for _, s := range t.inOrder() {
		all = append(all, t.dueHoles(s, &s.Earlier, now, size)...)
		all = append(all, t.dueHoles(s, &s.Open, now, size)...)
		all = append(all, t.dueOthers(s, now, size)...)
	}
	return all
}

// inOrder returns the streams, those that were heard first first.
func (t *tracker) inOrder() []*stream {
	all := make([]*stream, 0, len(t.streams))
	for _, s := range t.streams {
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b *stream) int { return cmp.Compare(a.Last.Index, b.Last.Index) })
	return all
}

// oneByOne is how many holes of a stream are told of in one event each. When more are
// due at once, as of a producer that numbers in another way, there is one for many.
const oneByOne = 16

func (t *tracker) dueHoles(s *stream, holes *[]hole, now time.Duration, size uint64) []report {
	var ready []*hole
	for i := range *holes {
		if h := &(*holes)[i]; h.over(now, t.next, size) {
			ready = append(ready, h)
		}
	}
	each := maxTold
	if len(ready) <= oneByOne {
		each = 1
	}
	var all []report
	for some := range slices.Chunk(ready, each) {
		all = append(all, missing(s, some))
	}
	return all
}

func (t *tracker) dueOthers(s *stream, now time.Duration, size uint64) []report {
	var all []report
	add := func(w *wait, e event.Event) { all = append(all, report{e, func() { w.told = true }}) }
	if len(s.Filled) > 0 && s.filled.over(now, t.next, size) {
		add(&s.filled, filled(s))
	}
	if len(s.Repeats) > 0 && s.repeats.over(now, t.next, size) {
		add(&s.repeats, repeated(s, "duplicate", s.Repeats))
	}
	if len(s.Restarts) > 0 && s.restarts.over(now, t.next, size) {
		add(&s.restarts, repeated(s, "restart", s.Restarts))
	}
	if s.Resumed != nil && s.resumed.over(now, t.next, size) {
		add(&s.resumed, resumed(s))
	}
	if s.Interval > 0 && s.Silent == nil && s.silence.over(now, t.next, size) {
		add(&s.silence, silent(s))
	}
	return all
}

// entryEvent returns what see takes of an entry: nil where the payload is not held.
func entryEvent(e *custody.Entry) (*event.Event, error) {
	if e.Payload == nil {
		return nil, nil
	}
	ev, err := e.Event()
	return &ev, err
}
