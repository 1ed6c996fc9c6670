package alert

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/internal/trails"
)

// Alert is something that people should know of now.
type Alert struct {
	Code   string    `json:"code"`            // of the operation, such as disk_full; "rule" for one of a rule
	Trail  string    `json:"trail,omitempty"` // empty: it concerns the server
	Rule   string    `json:"rule,omitempty"`
	Detail string    `json:"detail"` // what it is and what to do, for people
	Since  time.Time `json:"since"`
	Stops  bool      `json:"stops_recording"` // nothing is recorded in the trail because of it
}

// key is what tells alerts of the operation apart.
type key struct{ code, trail string }

// Bounds of what is normal.
const (
	patience      = 5 * time.Second  // that a disk may take
	spaceLeast    = 10               // percent of the disk that should be free
	failingFor    = 30 * time.Second // that following a trail may fail
	witnessLeast  = 15 * time.Minute // that entries may be without cosignature
	witnessRounds = 10               // of asking witnesses, too
	witnessEvery  = time.Minute      // looking at cosignatures reads files
	shownFor      = 24 * time.Hour   // that the page tells of an alert that a rule raised
)

// watch looks at the operation until ctx ends.
func (a *Alerts) watch(ctx context.Context) {
	tick := time.NewTicker(a.every)
	defer tick.Stop()
	for ctx.Err() == nil {
		now := a.look(ctx)
		if ctx.Err() == nil {
			a.compare(now)
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		case <-a.kick:
		}
	}
}

// look returns what is wrong. All trails, and the disk, are asked at the same time: one
// that hangs delays nothing but what is said of itself.
func (a *Alerts) look(ctx context.Context) map[key]Alert {
	now := map[key]Alert{}
	add := func(code, trail string, stops bool, format string, args ...any) {
		now[key{code, trail}] = Alert{Code: code, Trail: trail, Stops: stops, Detail: fmt.Sprintf(format, args...)}
	}
	witnesses := a.witnesses && time.Since(a.witnessed) >= witnessEvery
	questions := map[string]func(context.Context) answer{"": a.room}
	for _, t := range a.trails.List() {
		questions[t.Name] = func(ctx context.Context) answer { return a.condition(ctx, t, witnesses) }
	}
	answers, silent := a.asked.ask(ctx, a.wait, questions)
	for trail, found := range answers {
		if found.code != "" {
			add(found.code, trail, found.stops, "%s", found.detail)
		}
		if found.witnesses {
			a.late[trail] = found.late
		}
	}
	for _, trail := range silent {
		if trail == "" {
			add("disk_unknown", "", false, "how much room is left on the disk cannot be found out: it has not answered for %s", a.wait)
			continue
		}
		add("timeout", trail, true, "the disk has not answered for %s", a.wait)
	}
	for trail, since := range a.late {
		if since > 0 {
			add("witness_late", trail, false, "entries have been waiting for witnesses for %s; they are recorded all the same; see whether the witnesses can be reached", since.Round(time.Second))
		}
	}
	if witnesses {
		a.witnessed = time.Now()
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for trail, n := range a.findings {
		add("verification_failed", trail, false, "the last verification had %d findings: see them with custody verify, and keep a copy of the trail", n)
	}
	for trail, detail := range a.replaced {
		add("trail_replaced", trail, false, "%s", detail)
	}
	for _, f := range a.followers {
		if _, err := f.handler.Status(); err == nil {
			f.failing = time.Time{}
		} else if f.failing.IsZero() {
			f.failing = time.Now()
		} else if time.Since(f.failing) >= failingFor {
			add("follower_failing", f.trail.Name, false, "the rules for alerts do not come past an entry: %s", firstLine(err))
		}
	}
	return now
}

// room says whether there is too little of it on the disk.
func (a *Alerts) room(context.Context) (found answer) {
	free, total, err := a.trails.Free()
	if err != nil {
		return answer{code: "disk_unknown", detail: fmt.Sprintf("how much room is left on the disk cannot be found out: %v", err)}
	}
	if percent := 100 * float64(free) / float64(total); total > 0 && percent < spaceLeast {
		return answer{code: "disk_space_low", detail: fmt.Sprintf("%d MiB, %.1f %% of the disk, are left; when it is full nothing is recorded any more: make room", free>>20, percent)}
	}
	return answer{}
}

// condition says what is wrong with a trail and, if asked to, how long its entries have
// been without cosignature.
func (a *Alerts) condition(ctx context.Context, t *trails.Trail, witnesses bool) answer {
	found := answer{stops: true, witnesses: witnesses}
	found.code, found.detail = trouble(ctx, t, a.wait)
	if witnesses {
		found.late = a.unwitnessed(ctx, t)
	}
	return found
}

// trouble says why nothing can be recorded in a trail, as the server answers whoever
// tries. ctx ends after wait.
func trouble(ctx context.Context, t *trails.Trail, wait time.Duration) (code, detail string) {
	if t.Err != nil {
		return "read_only", "the trail is open for reading only: " + t.Err.Error()
	}
	if err := t.Gone(); err != nil {
		return "gone", err.Error() + "; nothing is recorded: put it back, or restore it from a backup, and start the server again"
	}
	_, err := t.Flush(ctx)
	return failure(err, wait)
}

// failure says what an error of writing means, if anything, where wait was given for it.
func failure(err error, wait time.Duration) (code, detail string) {
	switch {
	case err == nil, errors.Is(err, custody.ErrClosed), errors.Is(err, context.Canceled):
		return "", ""
	case errors.Is(err, context.DeadlineExceeded):
		return "timeout", fmt.Sprintf("the disk has not answered for %s", wait)
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return "disk_full", "the disk is full, so nothing is recorded any more: make room, then start the server again"
	}
	return "failed", "a write failed, so nothing is recorded any more: look at the disk, then start the server again: " + err.Error()
}

// unwitnessed returns how long entries of a trail have been without cosignature, if that
// is too long.
func (a *Alerts) unwitnessed(ctx context.Context, t *trails.Trail) time.Duration {
	stats, err := t.Stats(ctx)
	if err != nil || stats.Size == 0 || t.Err != nil {
		return 0
	}
	covered := t.First()
	if stats.Cosigned != nil {
		covered = max(covered, stats.Cosigned.Size)
	}
	if covered >= stats.Size {
		return 0
	}
	e, err := t.Entry(ctx, covered)
	if err != nil {
		return 0
	}
	if waits := time.Since(e.Time); waits > a.patience {
		return waits
	}
	return 0
}

// compare takes over what is wrong now, and tells of what is new and of what is over.
func (a *Alerts) compare(now map[key]Alert) {
	at := time.Now().UTC()
	a.mu.Lock()
	var began, ended []Alert
	for k, alert := range now {
		if was, ok := a.active[k]; ok {
			alert.Since = was.Since
		} else {
			alert.Since = at
			began = append(began, alert)
		}
		now[k] = alert
	}
	for k, alert := range a.active {
		if _, ok := now[k]; !ok {
			ended = append(ended, alert)
		}
	}
	a.active = now
	a.mu.Unlock()
	for _, alert := range sorted(began) {
		a.log.Error("custody: ALERT", "code", alert.Code, "trail", alert.Trail, "detail", alert.Detail)
		a.metrics.raised.WithLabelValues(alert.Code).Inc()
		a.send("operation.alert", alert, at)
	}
	for _, alert := range sorted(ended) {
		a.log.Info("custody: an alert is over", "code", alert.Code, "trail", alert.Trail)
		a.send("operation.recovered", alert, at)
	}
}

// send sends an alert of the operation to all webhooks. It waits in memory: what it is
// about may be that nothing can be written.
func (a *Alerts) send(kind string, alert Alert, at time.Time) {
	id := idOf(kind, alert.Code, alert.Trail, alert.Since.Format(time.RFC3339Nano), a.trails.Dir())
	a.queue.add(message{ID: id, About: alert.Code, Kind: kind, Time: at, Data: alert}, a.webhooksFor(""), false)
}

// Verified takes note of the findings of a verification of a trail.
func (a *Alerts) Verified(trail string, findings int) {
	a.mu.Lock()
	if findings > 0 {
		a.findings[trail] = findings
	} else {
		delete(a.findings, trail)
	}
	a.mu.Unlock()
	select {
	case a.kick <- struct{}{}:
	default: // it looks in any case
	}
}

// Operational returns what is wrong with the operation now, the worst first.
func (a *Alerts) Operational() []Alert {
	a.mu.Lock()
	defer a.mu.Unlock()
	return sorted(slices.Collect(maps.Values(a.active)))
}

// Active returns Operational, and the last alert of each rule and trail of the last day.
func (a *Alerts) Active() []Alert {
	all := a.Operational()
	a.mu.Lock()
	followers := slices.Clone(a.followers)
	a.mu.Unlock()
	for _, f := range followers {
		for _, r := range f.recent(time.Now().Add(-shownFor)) {
			all = append(all, Alert{Code: "rule", Trail: r.Trail, Rule: r.Rule, Since: r.Time,
				Detail: fmt.Sprintf("rule %s: %d matching events, the last one is entry %d", r.Rule, r.Count, r.Index)})
		}
	}
	return all
}

func sorted(all []Alert) []Alert {
	slices.SortFunc(all, func(a, b Alert) int {
		switch {
		case a.Stops != b.Stops && a.Stops:
			return -1
		case a.Stops != b.Stops:
			return 1
		}
		return strings.Compare(a.Trail+" "+a.Code, b.Trail+" "+b.Code)
	})
	return all
}

func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}
