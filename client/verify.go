package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/evidence"
)

// reportJSON is the report of a verification as the server gives it.
type reportJSON struct {
	Origin    string        `json:"origin"`
	Size      uint64        `json:"size"`
	Root      evidence.Hash `json:"root"`
	Minimum   uint64        `json:"minimum_index"`
	From      uint64        `json:"from"`
	Entries   uint64        `json:"entries"`
	Payloads  uint64        `json:"payloads"`
	Pruned    uint64        `json:"pruned"`
	Signed    uint64        `json:"signatures"`
	Keys      []string      `json:"keys"`
	Against   uint64        `json:"against"`
	Witnessed []attested    `json:"witnessed"`
	Stamped   []attested    `json:"time_stamped"`
	Unchecked []string      `json:"not_checked"`
	Breaks    []struct {
		Event  uint64 `json:"event"`
		By     string `json:"by"`
		Reason string `json:"reason"`
		Lost   string `json:"lost"`
	} `json:"breaks"`
	Findings []evidence.Finding `json:"findings"`
	Removed  []struct {
		Event   uint64     `json:"event"`
		Type    event.Type `json:"type"`
		Time    moment     `json:"time"`
		Entries ranges     `json:"entries"`
		Gone    uint64     `json:"gone"`
		Left    ranges     `json:"left"`
		Minimum uint64     `json:"minimum_index"`
	} `json:"removed"`
	ElapsedMS float64 `json:"elapsed_ms"`
}

type attested struct {
	Size uint64   `json:"size"`
	Time moment   `json:"time"`
	By   []string `json:"by"`
}

func attestedOf(all []attested) []custody.Attested {
	var list []custody.Attested
	for _, a := range all {
		list = append(list, custody.Attested{Size: a.Size, Time: a.Time.Time, By: a.By})
	}
	return list
}

func (j *reportJSON) report() *custody.Report {
	r := &custody.Report{Origin: j.Origin, Size: j.Size, Root: j.Root, First: j.Minimum, From: j.From, Entries: j.Entries, Payloads: j.Payloads, Pruned: j.Pruned,
		Signed: j.Signed, Keys: j.Keys, Against: j.Against, Witnessed: attestedOf(j.Witnessed), Stamped: attestedOf(j.Stamped),
		Findings: j.Findings, Unchecked: j.Unchecked, Elapsed: time.Duration(j.ElapsedMS * float64(time.Millisecond))}
	for _, b := range j.Breaks {
		br := custody.Break{Event: b.Event, By: b.By, Reason: b.Reason}
		if b.Lost != "" {
			br.Lost = []byte(b.Lost)
		}
		r.Breaks = append(r.Breaks, br)
	}
	for _, x := range j.Removed {
		r.Removed = append(r.Removed, custody.Removed{Gone: x.Gone, Left: x.Left.Ranges,
			Removal: custody.Removal{Event: x.Event, Type: x.Type, Time: x.Time.Time, Entries: x.Entries.Ranges, Minimum: x.Minimum}})
	}
	return r
}

// verificationJSON is a verification that runs, or has ended.
type verificationJSON struct {
	ID      string      `json:"id"`
	State   string      `json:"state"`
	Done    uint64      `json:"done"`
	Total   uint64      `json:"total"`
	Report  *reportJSON `json:"report"`
	Problem string      `json:"problem"`
}

// errOnlyThere says what Verify cannot do here.
var errOnlyThere = errors.New("time-stamps and what witnesses have seen are checked where the trail's files are; or check the published log, below /t/ on the server, or an evidence bundle")

// Verify has the server read the whole trail again and check it, as
// custody.Trail.Verify does, follows how far it is, and returns the report. Where
// another verification of the trail runs, it waits for that first. When ctx ends, the
// verification goes on at the server.
//
// The report is the server's word, but for this, which is checked here, of the newest
// checkpoint that the server gives: it extends every one of VerifyOptions.Checkpoints,
// and Since; the first key signed it, where one is given and is the only one; and
// with a Policy, the checkpoint that the server publishes is cosigned as it asks.
// What does not check out becomes a finding. Witnesses and Roots are refused; Workers
// is not used.
func (t *Trail) Verify(ctx context.Context, opts custody.VerifyOptions) (*custody.Report, error) {
	if len(opts.Witnesses) > 0 || opts.Roots != nil {
		return nil, errOnlyThere
	}
	v, err := t.startVerification(ctx, &opts)
	if err != nil {
		return nil, err
	}
	for delay := 10 * time.Millisecond; v.State == "running"; delay = min(2*delay, time.Second) {
		if opts.Progress != nil && v.Total > 0 {
			opts.Progress(v.Done, v.Total)
		}
		if err := sleep(ctx, delay); err != nil {
			return nil, err
		}
		err := t.get(ctx, v, "verifications", v.ID)
		if errors.Is(err, custody.ErrNotFound) {
			return nil, fmt.Errorf("verification %s is lost: the server was started anew; start another one", v.ID)
		} else if err != nil {
			return nil, err
		}
	}
	if v.State != "done" || v.Report == nil {
		return nil, fmt.Errorf("the server could not complete it: %s", v.Problem)
	}
	report := v.Report.report()
	if opts.Progress != nil {
		opts.Progress(v.Done, v.Total)
	}
	return report, t.ownChecks(ctx, &opts, report)
}

// startVerification starts a verification, once none of the trail runs.
func (t *Trail) startVerification(ctx context.Context, opts *custody.VerifyOptions) (*verificationJSON, error) {
	ask := struct {
		Key         string   `json:"key,omitempty"`
		Checkpoints []string `json:"checkpoints,omitempty"`
		Since       string   `json:"since,omitempty"`
	}{Key: opts.Key, Since: string(opts.Since)}
	for _, c := range opts.Checkpoints {
		ask.Checkpoints = append(ask.Checkpoints, string(c))
	}
	for {
		var v verificationJSON
		err := t.conn.json(ctx, request{method: http.MethodPost, path: t.path("verifications"), body: ask, once: true}, &v)
		if p := asProblem(err); p == nil || p.Code != "running" {
			return &v, err
		}
		if err := sleep(ctx, 200*time.Millisecond); err != nil {
			return nil, err
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// ownChecks adds to a report that found nothing what does not check out here.
func (t *Trail) ownChecks(ctx context.Context, opts *custody.VerifyOptions, report *custody.Report) error {
	if !report.OK() {
		return nil
	}
	var published []byte
	var err error
	if opts.Policy != nil { // before the newest, which has to extend it
		if published, err = t.Published(ctx); err != nil {
			return err
		}
	}
	newest, err := t.Checkpoint(ctx)
	if err != nil {
		return err
	}
	found := func(cause evidence.Cause, err error) {
		report.Findings = append(report.Findings, evidence.Finding{Cause: cause, Where: "the checkpoint that the server gives", Detail: err.Error()})
	}
	if opts.Key != "" && len(report.Keys) == 1 {
		key, err := evidence.ParseVerifier(opts.Key)
		if err != nil {
			return err
		}
		if _, _, err := evidence.OpenCheckpoint(newest, key); err != nil {
			found(evidence.KeySwapped, err)
		}
	}
	kept := slices.Clone(opts.Checkpoints)
	for _, signed := range [][]byte{opts.Since, published} {
		if signed != nil {
			kept = append(kept, signed)
		}
	}
	for _, signed := range kept {
		err := t.extends(ctx, signed, newest)
		if errors.Is(err, custody.ErrAltered) {
			found(evidence.Forked, err)
		} else if err != nil {
			return err
		}
	}
	if opts.Policy == nil {
		return nil
	}
	report.Witnessed = nil // that was under the policy of the server
	switch opened, err := opts.Policy.Open(published); {
	case err != nil:
		found(evidence.Unwitnessed, err)
	case len(opened.Cosigned) > 0:
		report.Witnessed = append(report.Witnessed, custody.AttestedBy(opened))
	}
	return nil
}

// extends checks that the trail at a checkpoint extends what it was at an earlier one.
func (t *Trail) extends(ctx context.Context, old, newest []byte) error {
	a, err := evidence.PeekCheckpoint(old)
	if err != nil {
		return err
	}
	b, err := evidence.PeekCheckpoint(newest)
	if err != nil {
		return err
	}
	switch {
	case a.Size > b.Size:
		return altered("the trail has %d entries, and a checkpoint of %d was signed before", b.Size, a.Size)
	case a.Size == b.Size && a.Root != b.Root:
		return altered("there are two different checkpoints of %d entries", a.Size)
	case a.Size == b.Size:
		return nil
	}
	_, err = t.ProveConsistency(ctx, old, newest)
	if errors.Is(err, custody.ErrPruned) {
		return nil // what can still be said, the report says
	}
	return err
}
