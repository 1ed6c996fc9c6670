package producers

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/internal/statefile"
)

const (
	stateFormat  = 1
	maxStateFile = 64 << 20 // bytes
)

// state is what is kept of a tracker while it does not run. It can be deleted: the
// trail has it all.
type state struct {
	Format  int       `json:"format"`
	Origin  string    `json:"origin"`         // of the trail
	Next    uint64    `json:"next"`           // entries that were seen
	Hash    string    `json:"hash,omitempty"` // leaf hash of the last one of them
	Whole   bool      `json:"whole"`
	Forgot  []string  `json:"forgot,omitempty"` // principals
	Streams []*stream `json:"streams"`
}

// encode returns the content of the file of a tracker.
func (t *tracker) encode(origin, hash string) ([]byte, error) {
	b, err := json.Marshal(state{Format: stateFormat, Origin: origin, Next: t.next, Hash: hash, Whole: t.whole, Forgot: slices.Sorted(maps.Keys(t.forgot)), Streams: t.inOrder()})
	if err == nil && len(b) >= maxStateFile {
		err = fmt.Errorf("it would have %d bytes, more than the %d it may have", len(b), maxStateFile)
	}
	return append(b, '\n'), err
}

// parseState reads the content of a file.
func parseState(content []byte) (*state, error) {
	var st state
	if err := statefile.Decode(content, stateFormat, &st); err != nil {
		return nil, err
	}
	if len(st.Streams) > maxStreams {
		return nil, fmt.Errorf("it has %d streams, more than %d", len(st.Streams), maxStreams)
	}
	for i, s := range st.Streams {
		if err := s.check(); err != nil {
			return nil, fmt.Errorf("stream %d: %w", i, err)
		}
	}
	return &st, nil
}

// check returns what is wrong with a stream that was read.
func (s *stream) check() error {
	if s == nil {
		return errors.New("it is null")
	}
	at := uint64(0)
	for _, h := range s.Open {
		if h.From < at || h.From >= h.To || h.To >= s.Next {
			return fmt.Errorf("the hole from %d to %d is out of place", h.From, h.To)
		}
		at = h.To
	}
	for _, h := range s.Earlier {
		if h.From >= h.To {
			return fmt.Errorf("the earlier hole from %d to %d is empty", h.From, h.To)
		}
	}
	for _, r := range []evidence.Ranges{s.Reported, s.Filled} {
		if again, err := evidence.ParseRanges(r.String()); err != nil || len(again) != len(r) {
			return fmt.Errorf("%s is not a set of numbers", r)
		}
	}
	if s.Resumed != nil && s.Silent == nil {
		return errors.New("it resumed without having been silent")
	}
	return nil
}

// tracker returns a tracker that goes on from the state. Everything waits anew.
func (st *state) tracker(cfg Config, now time.Duration) *tracker {
	t := newTracker(cfg)
	t.next, t.whole = st.Next, st.Whole
	for _, principal := range st.Forgot {
		t.forgot[principal] = true
	}
	for _, s := range st.Streams {
		grace := wait{due: now + t.cfg.Grace}
		for _, holes := range [][]hole{s.Open, s.Earlier} {
			for i := range holes {
				holes[i].wait = grace
			}
		}
		s.filled, s.repeats, s.silence = grace, grace, wait{due: now + t.patience(s)}
		t.streams[s.streamKey] = s
	}
	return t
}
