package trails

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/custodylog/custody"
)

// ErrGone: the directory of a trail is not there any more, or another one is in its
// place, while the trail is open. Its files can still be written, but whoever looks for
// them finds nothing, and so would the next start.
var ErrGone = errors.New("the directory of the trail was removed or replaced while it is open")

// glance is how long what was seen of a trail's place counts. Under load that is many
// requests, and the look would be a good part of what one costs.
const glance = 500 * time.Microsecond

// sight is what was seen of a trail's place, and when.
type sight struct {
	at  time.Time
	err error
}

// Gone returns an error that wraps [ErrGone] unless the trail lies where it was opened,
// or did so half a millisecond ago.
func (t *Trail) Gone() error {
	last := t.seen.Load()
	if last == nil || time.Since(last.at) >= glance {
		last = &sight{at: time.Now()}
		last.err = t.look()
		t.seen.Store(last)
	}
	return last.err
}

func (t *Trail) look() error {
	now, err := os.Stat(t.Dir())
	switch {
	case err != nil:
		return fmt.Errorf("%w: %w", ErrGone, err)
	case !os.SameFile(t.place, now):
		return fmt.Errorf("%w: %s is another directory now", ErrGone, t.Dir())
	}
	return nil
}

// newTrail notes where a trail lies. readOnly, if not nil, is why it is open for reading
// only.
func newTrail(name string, t *custody.Trail, readOnly error) (*Trail, error) {
	place, err := os.Stat(t.Dir())
	if err != nil {
		return nil, errors.Join(err, t.Close())
	}
	return &Trail{Trail: t, Name: name, Err: readOnly, place: place}, nil
}
