package main

import (
	"encoding/json"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/redaction"
)

// cost is the time that redaction takes for events of one size.
type cost struct {
	size        int
	events      int
	median, p99 time.Duration
}

type costs []cost

// measureCost times events that are put together from values, one after the
// other, until they have about 1 kB and 64 kB.
func measureCost(r redaction.Redactor, values []any) (list costs) {
	for _, size := range []int{1 << 10, 64 << 10} {
		var events []event.Event
		var batch []any
		n := 0
		for _, v := range values {
			b, err := json.Marshal(v)
			if err != nil || n+len(b) > size+size/2 {
				continue
			}
			batch = append(batch, v)
			if n += len(b); n >= size*3/4 {
				events = append(events, event.Event{Details: map[string]any{"event": batch}})
				batch, n = nil, 0
			}
		}
		var times []time.Duration
		for _, e := range events {
			best := time.Hour
			for range 5 {
				start := time.Now()
				r.Redact(e)
				best = min(best, time.Since(start))
			}
			times = append(times, best)
		}
		if len(times) == 0 {
			continue
		}
		slices.Sort(times)
		list = append(list, cost{size, len(times), times[len(times)/2], times[len(times)*99/100]})
	}
	return list
}

func (list costs) table() string {
	var b strings.Builder
	fmt.Fprintf(&b, "**Cost**, the best of five for each event, with %s on %s/%s.\n\n", runtime.Version(), runtime.GOOS, runtime.GOARCH)
	b.WriteString("| events of about | events | median | 99 % |\n|---|--:|--:|--:|\n")
	for _, c := range list {
		fmt.Fprintf(&b, "| %d kB | %d | %.1f µs | %.1f µs |\n", c.size>>10, c.events, float64(c.median.Nanoseconds())/1e3, float64(c.p99.Nanoseconds())/1e3)
	}
	return b.String()
}
