package alert

import (
	"context"
	"slices"
	"time"
)

// answer is what was found out about a trail, or about the disk.
type answer struct {
	code, detail string // what is wrong; no code: nothing
	stops        bool   // nothing is recorded because of it

	witnesses bool          // it was looked for cosignatures
	late      time.Duration // that entries have been without one, if that is too long
}

// inquiries are the questions that have not been answered, by what they are about. A call
// to a disk that hangs cannot be given up, so nothing is asked again before it was
// answered: at most one goroutine waits for each trail.
type inquiries map[string]chan answer

// ask asks all questions at the same time, but for those that wait for an answer still,
// and returns the answers that came in time, and what gave none. What came too late for
// the last time says nothing of now, so it is asked anew.
func (q inquiries) ask(ctx context.Context, wait time.Duration, questions map[string]func(context.Context) answer) (answers map[string]answer, silent []string) {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	for about, told := range q {
		select {
		case <-told:
			delete(q, about)
		default:
		}
	}
	for about, question := range questions {
		if q[about] == nil {
			told := make(chan answer, 1)
			q[about] = told
			go func() { told <- question(ctx) }()
		}
	}
	answers = map[string]answer{}
	for about, told := range q {
		select {
		case answers[about] = <-told:
			delete(q, about)
			continue
		case <-ctx.Done():
		}
		select { // it may have come all the same
		case answers[about] = <-told:
			delete(q, about)
		default:
			silent = append(silent, about)
		}
	}
	slices.Sort(silent)
	return answers, silent
}
