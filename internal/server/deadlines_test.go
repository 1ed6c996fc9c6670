package server

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// Each request has the time that it may take, and not much more, whoever shares it; and
// its own values.
func TestDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type key struct{}
		d := deadlines{after: 8 * time.Second}
		var all []context.Context
		var began []time.Time
		for i := range 100 {
			all = append(all, d.bound(context.WithValue(t.Context(), key{}, i)))
			began = append(began, time.Now())
			time.Sleep(130 * time.Millisecond)
		}
		for i, ctx := range all {
			if ctx.Value(key{}) != i {
				t.Errorf("request %d has the values of request %v", i, ctx.Value(key{}))
			}
			<-ctx.Done()
			end, ok := ctx.Deadline()
			if took := end.Sub(began[i]); !ok || took < d.after || took > d.after+d.after/8 || ctx.Err() != context.DeadlineExceeded {
				t.Errorf("request %d may take %v: %v", i, took, ctx.Err())
			}
			if time.Now().Before(end) {
				t.Errorf("request %d ended before its time", i)
			}
		}
	})
}
