package custody

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/internal/tsaclient"
	"github.com/custodylog/custody/witness"
)

// Kinds of documents that are attached to the trail at a size.
const (
	attachedCosigned  = "cosigned"  // a checkpoint with cosignatures of witnesses
	attachedStamped   = "stamped"   // a checkpoint that was time-stamped
	attachedTimestamp = "timestamp" // the RFC 3161 token of that
)

// witnessTimeout bounds a request to a witness or an authority, where nothing else is
// said; retryAfter is how soon one that failed is made again.
const (
	witnessTimeout = 20 * time.Second
	retryAfter     = time.Minute
)

// publishedFor is how old a cosigned checkpoint may be, by the times of entries, to be
// published before a newer one that nobody cosigned.
const publishedFor = 24 * time.Hour

// Witnessing says who cosigns the trail's checkpoints.
type Witnessing struct {
	// Policy names the witnesses, their keys and where they are (C2SP
	// tlog-policy). Those without a URL are not asked.
	Policy *evidence.Policy

	// Every is how long the trail waits from one round to the next, while it
	// grows. Default: 1 minute.
	Every time.Duration

	// Timeout bounds a round, in which all witnesses are asked at the same time.
	// Default: 20 s.
	Timeout time.Duration

	// HTTP sends the requests. Default: http.DefaultClient.
	HTTP *http.Client
}

// WitnessResult is what became of asking one witness.
type WitnessResult struct {
	Name string // in the policy
	Err  error  // nil: it cosigned
}

// CosignResult is what became of asking the witnesses of a policy.
type CosignResult struct {
	Size      uint64 // of the checkpoint
	Signed    []byte // the checkpoint, with every cosignature that there is
	Witnesses []WitnessResult
	Quorum    bool // what the policy asks for is there
}

// Cosign asks the witnesses of a policy to cosign the newest checkpoint, and keeps
// what they answer with the trail. It may be called on a trail that is open for
// reading. It fails when no witness cosigned; that one did not, is in the result.
func (t *Trail) Cosign(ctx context.Context, w Witnessing) (*CosignResult, error) {
	if w.Policy == nil {
		return nil, errors.New("cosigning needs a policy that names the witnesses")
	}
	if w.Timeout <= 0 {
		w.Timeout = witnessTimeout
	}
	t.cosigning.Lock()
	defer t.cosigning.Unlock()
	signed, err := t.Checkpoint(ctx)
	if err != nil {
		return nil, err
	}
	c, err := evidence.PeekCheckpoint(signed)
	if err != nil {
		return nil, err
	}
	before, old, err := t.newestCosigned(ctx)
	if err != nil {
		return nil, err
	}
	if old == c.Size {
		signed = before // further witnesses add to it
	}
	result := &CosignResult{Size: c.Size, Signed: signed}
	ctx, cancel := context.WithTimeout(ctx, w.Timeout)
	defer cancel()
	lines, results := t.askWitnesses(ctx, &w, signed, old)
	result.Witnesses = results
	cosigned := 0
	for i, line := range lines {
		if line == nil {
			continue
		}
		if result.Signed, err = evidence.AddCosignature(result.Signed, line); err != nil {
			result.Witnesses[i].Err = err
			continue
		}
		cosigned++
	}
	if cosigned == 0 {
		if len(results) == 0 {
			return result, errors.New("the policy names no witness with an Ed25519 key and a URL, so nobody was asked")
		}
		errs := make([]error, len(results))
		for i, r := range results {
			errs[i] = r.Err
		}
		return result, fmt.Errorf("no witness cosigned the checkpoint of %d entries: %w", c.Size, errors.Join(errs...))
	}
	_, err = w.Policy.Open(result.Signed)
	result.Quorum = err == nil
	return result, t.keepCosigned(result, old)
}

// askWitnesses asks all witnesses at the same time. old is the size of the last
// checkpoint that any of them is known to have cosigned. It returns a signature line,
// or nil, for each of the results.
func (t *Trail) askWitnesses(ctx context.Context, w *Witnessing, signed []byte, old uint64) (lines [][]byte, results []WitnessResult) {
	var clients []witness.Client
	for _, known := range w.Policy.Witnesses() {
		if known.Verifier != nil && known.URL != "" {
			clients = append(clients, witness.Client{URL: known.URL, Key: known.Verifier, HTTP: w.HTTP})
			results = append(results, WitnessResult{Name: known.Name})
		}
	}
	lines = make([][]byte, len(clients))
	var asked sync.WaitGroup
	for i := range clients {
		asked.Go(func() {
			lines[i], results[i].Err = clients[i].Cosign(ctx, signed, old, t.proveConsistency)
		})
	}
	asked.Wait()
	return lines, results
}

// newestCosigned returns the newest checkpoint that is kept with cosignatures and that
// the trail extends, and its size; nil when there is none.
func (t *Trail) newestCosigned(ctx context.Context) ([]byte, uint64, error) {
	sizes, err := t.store.Attached(attachedCosigned)
	if err != nil {
		return nil, 0, err
	}
	for _, size := range slices.Backward(sizes) {
		signed, err := t.store.Attachment(attachedCosigned, size)
		if errors.Is(err, ErrNotFound) {
			// A newer one of the same hour took its place.
			return t.newestCosigned(ctx)
		}
		if err != nil {
			return nil, 0, err
		}
		c, err := evidence.PeekCheckpoint(signed)
		if err != nil || c.Size != size || size > t.Size() {
			continue // Verify reports it
		}
		tree, _, err := t.store.TreeAt(ctx, size)
		if errors.Is(err, ErrPruned) {
			return nil, 0, nil
		}
		if err != nil {
			return nil, 0, t.closed(err)
		}
		if tree.Root() == c.Root {
			return signed, size, nil
		}
	}
	return nil, 0, nil
}

// keepCosigned attaches a cosigned checkpoint. Of those of one hour only the last is
// kept; before is the size of the one before, 0 when there is none.
func (t *Trail) keepCosigned(r *CosignResult, before uint64) error {
	if err := t.store.Attach(attachedCosigned, r.Size, r.Signed); err != nil {
		return fmt.Errorf("the cosigned checkpoint could not be kept: %w", err)
	}
	if before == 0 || before == r.Size {
		return nil
	}
	then, err := t.Entry(t.ctx, before-1)
	if err != nil {
		return nil // it is kept as well
	}
	now, err := t.Entry(t.ctx, r.Size-1)
	if err != nil || !then.Time.Truncate(time.Hour).Equal(now.Time.Truncate(time.Hour)) {
		return nil
	}
	return t.store.Detach(attachedCosigned, before)
}

// Published returns the checkpoint that outsiders are to see: the newest that
// witnesses cosigned, or where none did within a day, the newest. The day is counted
// from its last entry to the trail's.
func (t *Trail) Published(ctx context.Context) ([]byte, error) {
	newest, err := t.Checkpoint(ctx)
	if err != nil {
		return nil, err
	}
	signed, size, err := t.newestCosigned(ctx)
	if err != nil || signed == nil {
		return newest, err
	}
	c, err := evidence.PeekCheckpoint(newest)
	if err != nil || size >= c.Size {
		return signed, err
	}
	since, err := t.timeBetween(ctx, size-1, c.Size-1)
	if err != nil || since > publishedFor {
		return newest, err
	}
	return signed, nil
}

// timeBetween returns how much later one entry was recorded than another one.
func (t *Trail) timeBetween(ctx context.Context, earlier, later uint64) (time.Duration, error) {
	a, err := t.Entry(ctx, earlier)
	if errors.Is(err, ErrPruned) {
		return math.MaxInt64, nil
	}
	if err != nil {
		return 0, err
	}
	b, err := t.Entry(ctx, later)
	return b.Time.Sub(a.Time), err
}

// checkpointFor returns the published checkpoint if it covers the entry at index, else
// the newest.
func (t *Trail) checkpointFor(ctx context.Context, index uint64) ([]byte, error) {
	signed, size, err := t.newestCosigned(ctx)
	if err != nil {
		return nil, err
	}
	if index < size {
		return signed, nil
	}
	return t.Checkpoint(ctx)
}

// Timestamping says who time-stamps the trail's checkpoints (RFC 3161).
type Timestamping struct {
	URL     string        // of the authority
	Every   time.Duration // from one time-stamp to the next, while the trail grows. Default: 24 hours
	Timeout time.Duration // of a request. Default: 20 s
	HTTP    *http.Client  // Default: http.DefaultClient
}

// Timestamp has an authority time-stamp the checkpoint that Published returns, and
// keeps the token with the trail. It may be called on a trail that is open for
// reading. Whether the authority is one to be trusted, Verify tells. A checkpoint that
// has a time-stamp gets no other one. It returns the size of the checkpoint.
func (t *Trail) Timestamp(ctx context.Context, s Timestamping) (uint64, error) {
	if s.Timeout <= 0 {
		s.Timeout = witnessTimeout
	}
	if s.HTTP == nil {
		s.HTTP = http.DefaultClient
	}
	t.stamping.Lock()
	defer t.stamping.Unlock()
	if err := ctx.Err(); err != nil { // meanwhile
		return 0, err
	}
	signed, err := t.Published(ctx)
	if err != nil {
		return 0, err
	}
	c, err := evidence.PeekCheckpoint(signed)
	if err != nil {
		return 0, err
	}
	if _, err := t.store.Attachment(attachedTimestamp, c.Size); !errors.Is(err, ErrNotFound) {
		return c.Size, err // an earlier time says more than a later one
	}
	ctx, cancel := context.WithTimeout(ctx, s.Timeout)
	defer cancel()
	token, err := tsaclient.Stamp(ctx, s.HTTP, s.URL, signed)
	if err != nil {
		return 0, err
	}
	// The token last: without its checkpoint it says nothing.
	if err = t.store.Attach(attachedStamped, c.Size, signed); err == nil {
		err = t.store.Attach(attachedTimestamp, c.Size, token)
	}
	if err != nil {
		return 0, fmt.Errorf("the time-stamp could not be kept: %w", err)
	}
	return c.Size, nil
}

// startAttesting has the checkpoints cosigned and time-stamped as the options say, in
// the background, while the trail grows.
func (t *Trail) startAttesting() {
	if w := t.opts.Witnessing; w != nil {
		t.attest("no witness cosigned; entries are recorded all the same, and it is tried again", orDefault(w.Every, time.Minute), 0, func(ctx context.Context) error {
			result, err := t.Cosign(ctx, *w)
			if err == nil {
				err = result.failures()
			}
			return err
		})
	}
	if s := t.opts.Timestamping; s != nil {
		every := orDefault(s.Every, 24*time.Hour)
		t.attest("no time-stamp could be had; entries are recorded all the same, and it is tried again", every, every-t.sinceStamped(), func(ctx context.Context) error {
			_, err := t.Timestamp(ctx, *s)
			return err
		})
	}
}

// sinceStamped returns how long ago the last checkpoint that has a time-stamp was
// signed.
func (t *Trail) sinceStamped() time.Duration {
	sizes, err := t.store.Attached(attachedTimestamp)
	if err != nil || len(sizes) == 0 {
		return math.MaxInt64
	}
	e, err := t.Entry(t.ctx, sizes[len(sizes)-1]-1)
	if err != nil {
		return math.MaxInt64
	}
	return t.opts.now().Sub(e.Time)
}

func orDefault(d, otherwise time.Duration) time.Duration {
	if d <= 0 {
		return otherwise
	}
	return d
}

// failures returns what went wrong with single witnesses.
func (r *CosignResult) failures() error {
	var failed []string
	for _, w := range r.Witnesses {
		if w.Err != nil {
			failed = append(failed, fmt.Sprintf("%s: %v", w.Name, w.Err))
		}
	}
	if len(failed) == 0 {
		return nil
	}
	return errors.New("some witnesses did not cosign: " + strings.Join(failed, "; "))
}

// attest calls act whenever the trail has grown, every so often at most, and for the
// first time after a delay. What goes wrong is logged when it changes, and is no
// reason to stop.
func (t *Trail) attest(problem string, every, delay time.Duration, act func(context.Context) error) {
	t.inBackground(func() {
		size, failed := uint64(0), ""
		for {
			if !t.sleep(delay) {
				return
			}
			delay = every
			select {
			case <-t.store.Changed(size):
			case <-t.ctx.Done():
				return
			}
			if t.ctx.Err() != nil {
				return
			}
			size = t.store.Size()
			err := act(t.ctx)
			if t.ctx.Err() != nil {
				return
			}
			text := ""
			if err != nil {
				text = err.Error()
				size, delay = 0, min(every, retryAfter) // also if the trail does not grow
			}
			if text != failed && text != "" {
				t.opts.Logger.Error("custody: "+problem, "dir", t.dir, "err", err)
			}
			failed = text
		}
	})
}

// sleep waits. It reports false when the trail was closed.
func (t *Trail) sleep(d time.Duration) bool {
	if d <= 0 {
		return t.ctx.Err() == nil
	}
	select {
	case <-time.After(d):
		return true
	case <-t.ctx.Done():
		return false
	}
}
