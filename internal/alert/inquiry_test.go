package alert

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"
	"testing"
	"time"
)

// A question that hangs delays no other, and is not asked again before it was answered.
func TestInquiries(t *testing.T) {
	q := inquiries{}
	hang, asked := make(chan struct{}), atomic.Int32{}
	questions := map[string]func(context.Context) answer{}
	for i := range 5 {
		questions[fmt.Sprint("hangs-", i)] = func(context.Context) answer {
			asked.Add(1)
			<-hang
			return answer{code: "late"}
		}
		questions[fmt.Sprint("works-", i)] = func(context.Context) answer { return answer{code: "now"} }
	}
	for round := range 2 {
		answers, silent := q.ask(t.Context(), time.Second, questions)
		if len(answers) != 5 || answers["works-4"].code != "now" || !slices.Equal(silent, []string{"hangs-0", "hangs-1", "hangs-2", "hangs-3", "hangs-4"}) {
			t.Fatalf("round %d: %v, without answer %v", round, answers, silent)
		}
		if n := asked.Load(); n != 5 {
			t.Fatalf("round %d: five were asked %d times", round, n)
		}
	}
	// What it answers while somebody waits for it is known.
	maps.DeleteFunc(questions, func(about string, _ func(context.Context) answer) bool { return about != "works-0" })
	questions["works-0"] = func(context.Context) answer { close(hang); return answer{code: "now"} }
	answers, silent := q.ask(t.Context(), 20*time.Second, questions)
	if len(answers) != 6 || answers["hangs-0"].code != "late" || len(silent) > 0 || len(q) > 0 {
		t.Errorf("%v, without answer %v; %d wait", answers, silent, len(q))
	}

	// What it answered after that says nothing of now: it is asked anew, if it is asked still.
	for _, about := range []string{"was-slow", "is-gone"} {
		told := make(chan answer, 1)
		told <- answer{code: "stale"}
		q[about] = told
	}
	answers, silent = q.ask(t.Context(), 20*time.Second, map[string]func(context.Context) answer{"was-slow": func(context.Context) answer { return answer{code: "now"} }})
	if len(answers) != 1 || answers["was-slow"].code != "now" || len(silent) > 0 || len(q) > 0 {
		t.Errorf("%v, without answer %v; %d wait", answers, silent, len(q))
	}

	// All see that it is over: the end of the look, and that of the server.
	questions = map[string]func(context.Context) answer{"a": func(ctx context.Context) answer { <-ctx.Done(); return answer{code: ctx.Err().Error()} }}
	answers, _ = q.ask(t.Context(), time.Millisecond, questions)
	if told := q["a"]; told != nil { // it comes too late
		answers["a"] = <-told
		delete(q, "a")
	}
	if answers["a"].code != context.DeadlineExceeded.Error() {
		t.Errorf("%v", answers)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, silent := q.ask(ctx, time.Hour, map[string]func(context.Context) answer{"b": func(context.Context) answer { <-t.Context().Done(); return answer{} }}); len(silent) != 1 {
		t.Errorf("without answer %v", silent)
	}
}
