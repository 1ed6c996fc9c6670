package dualcontrol

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"github.com/custodylog/custody/internal/statefile"
	"github.com/custodylog/custody/retention"
)

// FileName is the name of the file of requests in the data directory of a server.
const FileName = "requests.json"

const (
	format    = 2         // 1 knew persons by their names only
	maxFile   = 64 << 20  // bytes
	maxAsked  = 256 << 10 // bytes of what one request asks for
	maxOpen   = 100       // requests that are open
	keptEnded = 1000      // requests that are remembered of which nothing more comes
)

// file is what the file says. A file that was written is not changed, but replaced.
type file struct {
	Format   int        `json:"format"`
	Schedule *Schedule  `json:"schedule,omitempty"`
	Requests []*Request `json:"requests"`
}

// Schedule is the policy that the server applies by itself.
type Schedule struct {
	Policy     retention.Policy `json:"policy"`
	Since      time.Time        `json:"since"`
	Request    string           `json:"request_id,omitempty"`  // that was approved for it; empty: it removes nothing earlier than the one before
	ApprovedBy string           `json:"approved_by,omitempty"` // who approved that
}

// parse reads the content of a file.
func parse(content []byte) (*file, error) {
	f := &file{}
	if err := statefile.DecodeSince(content, 1, format, f); err != nil {
		return nil, err
	}
	older := f.Format < format
	f.Format = format
	if f.Schedule != nil {
		if err := f.Schedule.Policy.Validate(); err != nil {
			return nil, fmt.Errorf("schedule: %w", err)
		}
	}
	ids := map[string]bool{}
	for i, r := range f.Requests {
		if r == nil {
			return nil, fmt.Errorf("request %d: it is null", i+1)
		}
		if older {
			r.ByPerson, r.DecidedByPerson = named(r.By), named(r.DecidedBy)
		}
		if len(r.Parameters) > 0 {
			r.Parameters = compact(r.Parameters)
		}
		if err := r.check(); err != nil {
			return nil, fmt.Errorf("request %d (id %.40q): %w", i+1, r.ID, err)
		}
		if ids[r.ID] {
			return nil, fmt.Errorf("request %d: another one has the id %s", i+1, r.ID)
		}
		ids[r.ID] = true
	}
	return f, nil
}

// named returns the person that a name was taken for, nil for none.
func named(name string) []string {
	if name == "" {
		return nil
	}
	return []string{name}
}

// compact returns JSON without the white space that the file has between its members.
func compact(text []byte) []byte {
	var b bytes.Buffer
	if err := json.Compact(&b, text); err != nil {
		return text // it was parsed before
	}
	return b.Bytes()
}

// encode returns the content of the file, without the oldest requests that are over
// where there are too many.
func (f *file) encode() ([]byte, error) {
	ended := 0
	for _, r := range f.Requests {
		if !r.State.Open() {
			ended++
		}
	}
	kept := make([]*Request, 0, len(f.Requests))
	for _, r := range f.Requests {
		if !r.State.Open() && ended > keptEnded {
			ended--
			continue
		}
		kept = append(kept, r)
	}
	f.Requests = kept
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false) // the digest is of the parameters as they are
	enc.SetIndent("", "  ")
	if err := enc.Encode(f); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}
