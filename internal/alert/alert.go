package alert

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/internal/trails"
	"github.com/custodylog/custody/internal/vfs"
)

// Config says what alerts are raised about, and who gets them.
type Config struct {
	// Trails stay the caller's, who closes them after [Alerts.Close].
	Trails   *trails.Set
	Rules    []Rule    // with names of their own
	Webhooks []Webhook // with names of their own

	Every  time.Duration // from one look at the operation to the next. Default: 10 s
	GiveUp time.Duration // after which a delivery is given up. Default: 24 hours

	// Witnesses is how often witnesses are asked to cosign; 0: never.
	Witnesses time.Duration

	// Logger gets what goes wrong, and every alert of the operation. Default:
	// slog.Default().
	Logger *slog.Logger

	retry time.Duration // for tests; 0: firstRetry
}

// Alerts raises and delivers alerts until it is closed. Its methods may be called from
// several goroutines.
type Alerts struct {
	trails    *trails.Set
	rules     []Rule
	webhooks  []Webhook
	every     time.Duration
	giveUp    time.Duration
	retry     time.Duration
	witnesses bool          // are asked
	patience  time.Duration // with them
	log       *slog.Logger
	fs        vfs.FS
	dir       string
	client    *http.Client
	queue     *queue
	metrics   *metrics

	kick   chan struct{} // there is a reason to look
	cancel context.CancelFunc
	work   sync.WaitGroup

	// Of the goroutine that watches.
	wait      time.Duration            // for all that is asked of disks
	asked     inquiries                // that have not been answered
	witnessed time.Time                // the last look at cosignatures
	late      map[string]time.Duration // by trail: how long entries have been without one

	mu        sync.Mutex
	closed    bool              // guarded by mu
	followers []*follower       // guarded by mu
	active    map[key]Alert     // guarded by mu
	findings  map[string]int    // guarded by mu; of the last verification, by trail, if any
	replaced  map[string]string // guarded by mu; by trail: that it is not the one which the rules had followed
}

// Start begins to raise and deliver alerts.
func Start(cfg Config) (_ *Alerts, err error) {
	a := &Alerts{
		trails: cfg.Trails, webhooks: cfg.Webhooks, every: cfg.Every, giveUp: cfg.GiveUp, retry: cfg.retry,
		witnesses: cfg.Witnesses > 0, patience: max(witnessLeast, witnessRounds*cfg.Witnesses),
		log: cfg.Logger, fs: vfs.OS{}, dir: filepath.Join(cfg.Trails.Dir(), "alerts"), client: newClient(), metrics: newMetrics(),
		kick: make(chan struct{}, 1), wait: patience, asked: inquiries{}, late: map[string]time.Duration{},
		active: map[key]Alert{}, findings: map[string]int{}, replaced: map[string]string{},
	}
	for _, r := range cfg.Rules {
		a.rules = append(a.rules, r.withDefaults())
	}
	for _, d := range []struct {
		value     *time.Duration
		otherwise time.Duration
	}{{&a.every, 10 * time.Second}, {&a.giveUp, 24 * time.Hour}, {&a.retry, firstRetry}} {
		if *d.value <= 0 {
			*d.value = d.otherwise
		}
	}
	if a.log == nil {
		a.log = slog.Default()
	}
	a.queue = &queue{fs: a.fs, dir: filepath.Join(a.dir, "queue"), log: a.log, drop: a.failed, wake: map[string]chan struct{}{}}
	for i := range a.webhooks {
		a.queue.wake[a.webhooks[i].Name] = make(chan struct{}, 1)
	}
	for _, dir := range []string{a.queue.dir, filepath.Join(a.dir, "state")} {
		if err := a.fs.MkdirAll(dir); err != nil {
			return nil, err
		}
	}
	if err := a.queue.load(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	a.cancel = cancel
	for i := range a.webhooks {
		a.work.Go(func() { a.deliver(ctx, &a.webhooks[i]) })
	}
	if err := a.trails.Attend(a.follow); err != nil {
		return nil, errors.Join(err, a.Close())
	}
	a.work.Go(func() { a.watch(ctx) })
	return a, nil
}

// Close ends following and delivering, and notes how far the rules are. What was not
// delivered is, after the next start, unless it was about the operation.
func (a *Alerts) Close() error {
	a.cancel()
	a.mu.Lock()
	a.closed = true
	followers := a.followers
	a.mu.Unlock()
	var errs []error
	for _, f := range followers {
		errs = append(errs, f.close())
	}
	a.work.Wait()
	a.client.CloseIdleConnections()
	return errors.Join(errs...)
}

// webhooksFor returns the names of the webhooks that get the alerts of a rule; empty: of
// the operation.
func (a *Alerts) webhooksFor(rule string) (names []string) {
	for i := range a.webhooks {
		if w := &a.webhooks[i]; rule == "" || len(w.Rules) == 0 || slices.Contains(w.Rules, rule) {
			names = append(names, w.Name)
		}
	}
	return names
}

// record records in the system trail what is to be told of alerts. That it could not be
// is logged too.
func (a *Alerts) record(ctx context.Context, e event.Event) error {
	e.Source = "server"
	t, err := a.trails.Get(trails.System)
	if err == nil {
		_, err = t.Record(ctx, e)
	}
	if err != nil && !errors.Is(err, custody.ErrClosed) && ctx.Err() == nil {
		a.log.Error("custody: an event about an alert is not recorded", "type", e.Type, "err", err)
	}
	return err
}
