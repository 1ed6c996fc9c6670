package alert

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/custodylog/custody/event"
)

// How long it takes until a delivery that failed is tried again: the delay doubles, up
// to a bound. A webhook at which all fails is left alone meanwhile, for a shorter time.
const (
	firstRetry = 5 * time.Second
	maxRetry   = time.Hour
	maxPause   = time.Minute
)

// delay returns how long to wait after so many failures: somewhere between half and one
// and a half times of what is due, so that not everybody comes back at the same moment.
func delay(first time.Duration, failures int, most time.Duration) time.Duration {
	d := first
	for range failures - 1 {
		if d *= 2; d >= most {
			d = most
			break
		}
	}
	return d/2 + rand.N(d)
}

// deliver delivers to one webhook until ctx ends.
func (a *Alerts) deliver(ctx context.Context, w *Webhook) {
	failures := 0
	var pause time.Time
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		d, at := a.queue.next(w.Name)
		if at.Before(pause) {
			at = pause
		}
		if d == nil || time.Until(at) > 0 {
			if d == nil {
				at = time.Now().Add(maxRetry)
			}
			timer.Reset(time.Until(at))
			select {
			case <-ctx.Done():
				return
			case <-a.queue.wake[w.Name]:
			case <-timer.C:
			}
			continue
		}
		d.attempts++
		err := w.post(ctx, a.client, d.ID, d.Body, time.Now())
		if ctx.Err() != nil {
			return // the next start delivers it
		}
		switch {
		case err == nil:
			failures = 0
			a.queue.done(d)
			a.metrics.delivered.WithLabelValues(w.Name).Inc()
			a.metrics.seconds.WithLabelValues(w.Name).Observe(time.Since(d.Since).Seconds())
		case errors.Is(err, errDisabled):
			a.log.Error("custody: a webhook takes no alerts any more", "webhook", w.Name, "err", err)
			a.disable(ctx, w.Name)
		case time.Since(d.Since) >= a.giveUp:
			a.queue.done(d)
			a.failed(d, err)
		default:
			failures++
			a.log.Warn("custody: an alert is not delivered, and tried again", "webhook", w.Name, "about", d.About, "id", d.ID, "attempts", d.attempts, "err", err)
			a.queue.again(d, time.Now().Add(delay(a.retry, d.attempts, maxRetry)))
			pause = time.Now().Add(delay(a.retry, failures, maxPause))
		}
	}
}

// disable gives up all that waits for a webhook, and all that comes, until ctx ends.
func (a *Alerts) disable(ctx context.Context, webhook string) {
	for ctx.Err() == nil {
		for d, _ := a.queue.next(webhook); d != nil; d, _ = a.queue.next(webhook) {
			a.queue.done(d)
			a.failed(d, errDisabled)
		}
		select {
		case <-ctx.Done():
		case <-a.queue.wake[webhook]:
		}
	}
}

// failed tells that an alert does not reach a webhook.
func (a *Alerts) failed(d *delivery, err error) {
	a.metrics.failed.WithLabelValues(d.Webhook).Inc()
	a.log.Error("custody: an alert does not reach a webhook, and it is given up", "webhook", d.Webhook, "about", d.About, "id", d.ID, "attempts", d.attempts, "err", err)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	a.record(ctx, event.Event{ID: "alert-failed-" + d.ID + "-" + d.Webhook, Type: event.AlertFailed, Details: map[string]any{
		"rule": d.About, "error": "webhook " + d.Webhook + ": " + err.Error(), "attempts": d.attempts,
	}}) // what goes wrong is logged
}
