package wire

import (
	"context"
	"fmt"
	"iter"
	"strconv"
	"time"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/event"
)

// LookedBack is how many verifications of all trails are looked through for the last one
// of each.
const LookedBack = 1000

// Verified is what an event verification_completed says.
type Verified struct {
	Index uint64 // of the event
	Time  time.Time

	Trail    string // that was verified
	Findings uint64
	Size     uint64 // entries that the trail had
	Strength string
	By       string // who asked for it; empty: it does not say
}

// Verifications yields what the newest verifications came to, as the trail of a server
// tells, the newest first. That a part of a trail checked out says nothing of the trail, and
// is left out. What cannot be read is an error, behind which others may come.
func Verifications(ctx context.Context, system *custody.Trail) iter.Seq2[Verified, error] {
	return func(yield func(Verified, error) bool) {
		q := custody.Query{Types: []event.Type{event.VerificationCompleted}, Newest: true, Limit: LookedBack}
		for e, err := range system.Entries(ctx, q) {
			var told event.Event
			if err == nil {
				told, err = e.Event()
			}
			v := Verified{Index: e.Index, Time: e.Time, Size: Number(told.Details["size"])}
			if err == nil {
				findings, unread := strconv.ParseUint(fmt.Sprint(told.Details["findings"]), 10, 64)
				if unread != nil || findings == 0 && Number(told.Details["from_index"]) > 0 {
					continue
				}
				v.Findings = findings
			}
			v.Trail, _ = told.Details["trail"].(string)
			v.Strength, _ = told.Details["strength"].(string)
			v.By, _ = told.Details["by"].(string)
			if !yield(v, err) {
				return
			}
		}
	}
}

// Number reads a number of an event's details; what is none is 0.
func Number(v any) uint64 {
	n, _ := strconv.ParseUint(fmt.Sprint(v), 10, 64)
	return n
}
