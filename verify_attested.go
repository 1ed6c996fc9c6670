package custody

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/evidence/timestamp"
	"github.com/custodylog/custody/witness"
)

// Attested is what others than the trail's operator vouch for: that the trail held
// its first Size entries at Time, and that these are the ones.
type Attested struct {
	Size uint64
	Time time.Time
	By   []string
}

// addAttested adds the checkpoints that are kept with cosignatures and time-stamps, and
// the one that witnesses were shown.
func (v *verification) addAttested(add func(outerNote) error) error {
	for _, from := range []noteFrom{fromWitnesses, fromStamp} {
		sizes, err := v.t.store.Attached(string(from))
		if err != nil {
			return err
		}
		for _, size := range sizes {
			where := path.Join("attached", fmt.Sprintf("%020d.%s", size, from))
			signed, err := v.t.store.Attachment(string(from), size)
			if errors.Is(err, ErrNotFound) {
				continue // one of the same hour took its place
			}
			if err == nil {
				err = add(outerNote{signed: signed, from: from, where: where})
			}
			if err != nil {
				v.found(evidence.Altered, 0, 0, where, "a checkpoint that was attested cannot be read: "+err.Error())
			}
		}
	}
	if v.shown == nil {
		return nil
	}
	return add(outerNote{signed: v.shown, from: fromWitnesses, where: "the newest checkpoint, shown to the witnesses"})
}

// askWitnesses has witnesses cosign the newest checkpoint. What they say about the
// trail is a finding; that they cannot be asked is not.
func (v *verification) askWitnesses(ctx context.Context) error {
	if len(v.opts.Witnesses) == 0 {
		return nil
	}
	signed, err := v.t.Checkpoint(ctx)
	if err != nil {
		v.unchecked("nothing could be shown to the witnesses: %v", err)
		return nil
	}
	c, err := evidence.PeekCheckpoint(signed)
	if err != nil {
		v.unchecked("nothing could be shown to the witnesses: %v", err)
		return nil
	}
	for i := range v.opts.Witnesses {
		w := &v.opts.Witnesses[i]
		line, err := v.cosign(ctx, w, signed, c.Size)
		var ahead *witness.AheadError
		if errors.As(err, &ahead) && v.t.Size() >= ahead.Witness {
			// The trail has grown meanwhile, and somebody else showed it.
			if signed, err = v.t.Checkpoint(ctx); err == nil {
				c, err = evidence.PeekCheckpoint(signed)
			}
			if err == nil {
				line, err = v.cosign(ctx, w, signed, c.Size)
			}
		}
		switch {
		case errors.As(err, &ahead):
			v.found(evidence.RolledBack, c.Size, ahead.Witness-c.Size, w.URL, fmt.Sprintf("the witness %s has cosigned a checkpoint of %d entries; the trail has %d", w.Key.Name(), ahead.Witness, c.Size))
		case errors.Is(err, witness.ErrInconsistent):
			v.found(evidence.Forked, 0, c.Size, w.URL, fmt.Sprintf("the witness %s: %v", w.Key.Name(), err))
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			v.unchecked("what the witness at %s has cosigned: %v", w.URL, err)
		default:
			if signed, err = evidence.AddCosignature(signed, line); err != nil {
				return err
			}
		}
	}
	v.shown = signed
	return nil
}

func (v *verification) cosign(ctx context.Context, w *witness.Client, signed []byte, size uint64) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, witnessTimeout)
	defer cancel()
	return w.Cosign(ctx, signed, size, v.t.proveConsistency)
}

// attest takes in who vouches for a checkpoint that the trail extends.
func (v *verification) attest(o *outerNote) {
	switch {
	case o.from == fromStamp:
		v.stamped(o)
		return
	case o.from == fromAnchor || o.from == fromGuard:
		return
	case v.opts.Policy == nil:
		if o.from == fromWitnesses {
			v.cosigned = max(v.cosigned, o.c.Size)
		}
		return
	}
	opened, err := v.opts.Policy.Open(o.signed)
	var wrong *note.InvalidSignatureError
	switch {
	case errors.As(err, &wrong):
		v.found(evidence.Altered, 0, 0, o.where, fmt.Sprintf("the checkpoint of %d entries: %v", o.c.Size, err))
	case err != nil && o.from != fromWitnesses:
		// It need not be cosigned.
	case err != nil:
		v.unchecked("who vouches for the checkpoint of %d entries: %v", o.c.Size, err)
	case len(opened.Cosigned) > 0:
		v.report.Witnessed = append(v.report.Witnessed, AttestedBy(opened))
	}
}

// AttestedBy returns what the witnesses of a policy vouch for who cosigned a
// checkpoint.
func AttestedBy(opened *evidence.Opened) Attested {
	a := Attested{Size: opened.Checkpoint.Size}
	for _, c := range opened.Cosigned {
		a.By = append(a.By, c.Name)
		if c.Time.After(a.Time) {
			a.Time = c.Time // by then, all had
		}
	}
	return a
}

func (v *verification) stamped(o *outerNote) {
	if v.opts.Roots == nil {
		v.unchecked("the time-stamp of %d entries: no root certificates of its authority were given", o.c.Size)
		return
	}
	token, err := v.t.store.Attachment(attachedTimestamp, o.c.Size)
	if errors.Is(err, ErrNotFound) {
		v.unchecked("the time-stamp of %d entries: its token is not there", o.c.Size)
		return
	}
	var stamp *timestamp.Timestamp
	if err == nil {
		stamp, err = timestamp.Verify(token, o.signed, v.opts.Roots)
	}
	var unknown x509.UnknownAuthorityError
	switch {
	case errors.As(err, &unknown):
		v.unchecked("the time-stamp of %d entries: %v", o.c.Size, err)
		return
	case err != nil:
		v.found(evidence.Altered, 0, 0, o.where, fmt.Sprintf("the time-stamp of %d entries: %v", o.c.Size, err))
		return
	}
	v.report.Stamped = append(v.report.Stamped, Attested{Size: o.c.Size, Time: stamp.Time, By: []string{stamp.TSA}})
}

// endAttested says what was not checked, and compares the trail's keys with the policy.
func (v *verification) endAttested() {
	bySize := func(a, b Attested) int { return int(int64(a.Size) - int64(b.Size)) }
	slices.SortFunc(v.report.Witnessed, bySize)
	slices.SortFunc(v.report.Stamped, bySize)
	if v.cosigned > 0 {
		v.unchecked("cosignatures of witnesses are there, up to %d entries; a policy says whose count", v.cosigned)
	}
	if v.opts.Policy == nil || v.size == 0 {
		return
	}
	if v.opts.Policy.NeedsWitnesses() && len(v.report.Witnessed)+len(v.entries) == 0 {
		v.found(evidence.Unwitnessed, 0, v.size, "", "no checkpoint of the trail carries the cosignatures that the policy asks for")
	}
	named := false
	for _, log := range v.opts.Policy.Logs() {
		if log.Name() != v.t.meta.Origin {
			continue
		}
		named = true
		if slices.ContainsFunc(v.keys, func(k keyFrom) bool { return k.key.KeyHash() == log.KeyHash() }) {
			return
		}
	}
	if named {
		v.found(evidence.KeySwapped, 0, 0, "", "none of the keys that the policy has for this trail is one that it was signed with")
	} else {
		v.found(evidence.KeySwapped, 0, 0, "", fmt.Sprintf("the policy has no key of a log named %q", v.t.meta.Origin))
	}
}

// Strength says how much a report without findings is worth: for which of the entries
// somebody else than the trail's operator vouches, and since when.
func (r *Report) Strength() string {
	var vouched []string
	if r.Against > 0 {
		vouched = append(vouched, fmt.Sprintf("entries 0 to %d also by a checkpoint that was kept elsewhere", r.Against-1))
	}
	if n := len(r.Witnessed); n > 0 {
		last := r.Witnessed[n-1]
		vouched = append(vouched, fmt.Sprintf("witnessed up to entry %d at %s by %s", last.Size-1, last.Time.UTC().Format(time.RFC3339), strings.Join(last.By, ", ")))
		if last.Size < r.Size {
			vouched = append(vouched, fmt.Sprintf("entries %d to %d not witnessed", last.Size, r.Size-1))
		}
	}
	if n := len(r.Stamped); n > 0 {
		last := r.Stamped[n-1]
		vouched = append(vouched, fmt.Sprintf("time-stamped up to entry %d at %s by %s", last.Size-1, last.Time.UTC().Format(time.RFC3339), strings.Join(last.By, ", ")))
	}
	if len(vouched) == 0 {
		return "self-signed only: whoever holds the signing key could have rewritten everything; a witness, or a checkpoint kept elsewhere, rules that out"
	}
	return "self-signed; " + strings.Join(vouched, "; ")
}
