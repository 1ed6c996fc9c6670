package ui

import (
	"errors"
	"net/http"
	"slices"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/internal/auth"
	"github.com/custodylog/custody/internal/wire"
)

// integrityPage is what vouches for a trail.
type integrityPage struct {
	Trail      string
	Stats      custody.Stats
	Covered    bool   // the checkpoint covers every entry
	Checkpoint string // the newest, signed; empty: there is none yet
	Published  string // the newest that witnesses cosigned; empty: none did
	Keys       []wire.Key
	Kept       []custody.KeptCheckpoint // the newest first
	More       bool                     // there are more of them
	MayVerify  bool
	Verified   *verified // the last time that the server tells of; nil: none
	LookedBack int       // how many verifications of all trails were looked through for it
	MayBundle  bool
}

// maxKept bounds how many checkpoints are listed.
const maxKept = 50

func (u *ui) integrity(w http.ResponseWriter, v *view) error {
	if _, err := parameters(v.r); err != nil {
		return err
	}
	p := &integrityPage{Trail: v.name, MayVerify: u.May(v.r, auth.Verify, v.name), LookedBack: wire.LookedBack, MayBundle: u.May(v.r, auth.Bundle, v.name)}
	var err error
	if p.Stats, err = v.trail.Stats(v.ctx); err != nil {
		return err
	}
	p.Covered = p.Stats.Checkpoint.Size >= p.Stats.Size
	if p.MayVerify {
		if p.Verified, err = u.verified(v); err != nil {
			return err
		}
	}
	signed, err := v.trail.Checkpoint(v.ctx)
	if err != nil && !errors.Is(err, custody.ErrNotFound) {
		return err
	}
	p.Checkpoint = string(signed)
	if p.Stats.Cosigned != nil {
		if signed, err = v.trail.Published(v.ctx); err != nil {
			return err
		}
		p.Published = string(signed)
	}
	if p.Keys, err = wire.KeysOf(v.ctx, v.trail); err != nil {
		return err
	}
	if p.Kept, err = v.trail.KeptCheckpoints(v.ctx, maxKept+1); err != nil {
		return err
	}
	if p.More = len(p.Kept) > maxKept; p.More {
		p.Kept = p.Kept[:maxKept]
	}
	return u.show(w, v, "integrity.html", layout{Title: "Integrity", Section: "integrity", Script: "integrity.js"}, p)
}

// Vouched reports whether others vouch for one of the checkpoints that are listed.
func (p *integrityPage) Vouched() bool {
	return slices.ContainsFunc(p.Kept, func(k custody.KeptCheckpoint) bool { return len(k.Cosigned) > 0 || k.Stamped != nil })
}
