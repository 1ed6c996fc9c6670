package lyinglog

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/witness"
)

// Lie is a log that is not what it says.
type Lie struct {
	Name string
	Did  string // what was done to the honest log
	Log  Log

	// Cause and Index are what who checks the log from outside has to find, among
	// other things, and Where is the path of it. An empty cause: nothing, and that
	// the quorum is not met has to be noticed.
	Cause evidence.Cause
	Index uint64
	Where string

	// Kept: only somebody who kept the checkpoint Kit.Since can find that.
	Kept bool

	// Witness is how a witness refuses the log's checkpoint that has cosigned
	// Kit.Since: as a target for errors.Is, or for errors.As if it is a
	// *witness.AheadError. nil: it cosigns, since what is wrong is nothing that it
	// can see.
	Witness error

	// Trail is what the trail finds when it is verified against the log's checkpoint,
	// under a policy that asks for the witness. Empty: nothing, the checkpoint is one
	// that the trail has signed and the witness cosigned.
	Trail evidence.Cause

	entries [][]byte // that the log's checkpoint is of
}

// Prove returns a consistency proof of the log. It is a [witness.ProveFunc].
func (l *Lie) Prove(_ context.Context, old, size uint64) ([]evidence.Hash, error) {
	hashes, err := stored(l.entries)
	if err != nil {
		return nil, err
	}
	return evidence.ProveConsistency(hashes, old, size)
}

// Truth returns the honest log in the form of a lie, with nothing to be found.
func (k *Kit) Truth() Lie {
	return Lie{Name: "honest", Did: "nothing", Log: k.Honest, entries: k.entries}
}

// lies is a list of lies in the making, up to the first thing that goes wrong.
type lies struct {
	*Kit
	list []Lie
	err  error
}

// Lies returns all lies that a log can tell.
func (k *Kit) Lies() ([]Lie, error) {
	l := &lies{Kit: k}
	l.aboutFiles()
	l.aboutEntries()
	l.aboutHistory()
	l.aboutSignatures()
	return l.list, l.err
}

// add adds a lie whose log is made by change from a copy of the honest one.
func (l *lies) add(lie Lie, change func(Log) error) {
	if l.err != nil {
		return
	}
	lie.Log = maps.Clone(l.Honest)
	if lie.entries == nil {
		lie.entries = l.entries
	}
	if err := change(lie.Log); err != nil {
		l.err = fmt.Errorf("%s: %w", lie.Name, err)
	}
	l.list = append(l.list, lie)
}

const (
	bundle1 = "tile/entries/001"
	bundle2 = "tile/entries/002.p/88"
	tile01  = "tile/0/001"
	tile02  = "tile/0/002.p/88"
	tile10  = "tile/1/000.p/2"
)

// aboutFiles adds lies about single files, under the honest checkpoint.
func (l *lies) aboutFiles() {
	change := func(path string, how func([]byte) []byte) func(Log) error {
		return func(log Log) error {
			log[path] = how(bytes.Clone(log[path]))
			return nil
		}
	}
	flip := func(at int) func([]byte) []byte {
		return func(b []byte) []byte { b[at] ^= 1; return b }
	}
	remove := func(paths ...string) func(Log) error {
		return func(log Log) error {
			for _, path := range paths {
				delete(log, path)
			}
			return nil
		}
	}
	l.add(Lie{Name: "truncated", Did: "the last bundle and its tile are withheld",
		Cause: evidence.Truncated, Index: 512, Where: bundle2}, remove(bundle2, tile02))
	l.add(Lie{Name: "hole", Did: "a bundle in the middle is withheld",
		Cause: evidence.Deleted, Index: 256, Where: bundle1}, remove(bundle1))
	l.add(Lie{Name: "no bundles", Did: "all entries are withheld",
		Cause: evidence.Wiped, Index: 0, Where: "tile/entries/000"}, remove("tile/entries/000", bundle1, bundle2))
	l.add(Lie{Name: "tile withheld", Did: "a tile of level 0 is withheld",
		Cause: evidence.Deleted, Index: 256, Where: tile01}, remove(tile01))
	l.add(Lie{Name: "wrong tile of level 0", Did: "a leaf hash in a tile is another one",
		Cause: evidence.Altered, Index: 300, Where: tile01}, change(tile01, flip(32*(300-256))))
	l.add(Lie{Name: "wrong partial tile", Did: "a leaf hash in the last tile is another one",
		Cause: evidence.Altered, Index: 522, Where: tile02}, change(tile02, flip(32*10)))
	l.add(Lie{Name: "wrong tile of level 1", Did: "a hash in a tile of level 1 is another one",
		Cause: evidence.Altered, Index: 256, Where: tile10}, change(tile10, flip(32)))
	l.add(Lie{Name: "partial tile longer than full", Did: "a partial tile has 257 hashes",
		Cause: evidence.Altered, Index: 512, Where: tile02}, change(tile02, func(b []byte) []byte { return append(b, make([]byte, 32*257-len(b))...) }))
	l.add(Lie{Name: "tile too short", Did: "a full tile lacks its last hash",
		Cause: evidence.Altered, Index: 256, Where: tile01}, change(tile01, func(b []byte) []byte { return b[:len(b)-32] }))
	l.add(Lie{Name: "bytes behind a bundle", Did: "a bundle goes on behind its last entry",
		Cause: evidence.Altered, Index: 511, Where: bundle1}, change(bundle1, func(b []byte) []byte { return append(b, 0xff) }))
	l.add(Lie{Name: "bundle cut short", Did: "a bundle ends within its last entry",
		Cause: evidence.Deleted, Index: 511, Where: bundle1}, change(bundle1, func(b []byte) []byte { return b[:len(b)-1] }))
	l.add(Lie{Name: "empty bundle", Did: "a bundle has no bytes",
		Cause: evidence.Altered, Index: 256, Where: bundle1}, change(bundle1, func([]byte) []byte { return nil }))
}

// aboutEntries adds lies about entries, under the honest checkpoint.
func (l *lies) aboutEntries() {
	// shown returns entries as they would be in bundles, with those tiles of them.
	shown := func(entries [][]byte, err error, paths ...string) func(Log) error {
		return func(log Log) error {
			if err != nil {
				return err
			}
			other, err := Publish(entries, nil)
			for _, path := range append(paths, "tile/entries/000", bundle1, bundle2) {
				log[path] = other[path]
			}
			return err
		}
	}
	other := func(e *evidence.Entry) { e.Payload[0] ^= 1 }

	altered, err := edit(l.entries, 300, false, other)
	l.add(Lie{Name: "altered", Did: "an entry is another one",
		Cause: evidence.Altered, Index: 300, Where: bundle1}, shown(altered, err))
	l.add(Lie{Name: "altered, with its tile", Did: "an entry is another one, and its tile fits it",
		Cause: evidence.Altered, Index: 300, Where: bundle1}, shown(altered, err, tile01))
	l.add(Lie{Name: "altered, with all tiles", Did: "an entry is another one, and all tiles fit it",
		Cause: evidence.Altered, Index: 300, Where: bundle1}, shown(altered, err, tile01, tile10))
	relinked, err := edit(l.entries, 300, true, other)
	l.add(Lie{Name: "altered, relinked", Did: "an entry is another one, those behind it are linked anew, and all tiles fit",
		Cause: evidence.Altered, Index: 300, Where: "checkpoint"}, shown(relinked, err, tile01, tile02, tile10))
	last, err := edit(l.entries, Size-1, false, other)
	l.add(Lie{Name: "last entry altered", Did: "the last entry is another one, so none behind it names its hash",
		Cause: evidence.Altered, Index: Size - 1, Where: bundle2}, shown(last, err))

	reordered := slices.Clone(l.entries)
	reordered[400], reordered[401] = reordered[401], reordered[400]
	l.add(Lie{Name: "reordered", Did: "two entries have changed their places",
		Cause: evidence.Reordered, Index: 400, Where: bundle1}, shown(reordered, nil))
	l.add(Lie{Name: "reordered, with all tiles", Did: "two entries have changed their places, and all tiles fit",
		Cause: evidence.Reordered, Index: 400, Where: bundle1}, shown(reordered, nil, tile01, tile10))
	moved := slices.Clone(l.entries)
	moved[100], moved[520] = moved[520], moved[100]
	l.add(Lie{Name: "reordered far apart", Did: "two entries of two bundles have changed their places",
		Cause: evidence.Reordered, Index: 100, Where: "tile/entries/000"}, shown(moved, nil))

	inserted := slices.Insert(slices.Clone(l.entries), 300, altered[300])
	l.add(Lie{Name: "inserted", Did: "a bundle has an entry more",
		Cause: evidence.Inserted, Index: 300, Where: bundle1}, func(log Log) (err error) {
		log[bundle1], err = bundle(inserted[256 : 512+1])
		return err
	})
	l.add(Lie{Name: "inserted, with all tiles", Did: "an entry is put in, those behind it move on by one place, and all tiles fit",
		Cause: evidence.Inserted, Index: 300, Where: bundle1}, shown(inserted[:Size], nil, tile01, tile02, tile10))
	deleted := slices.Delete(slices.Clone(l.entries), 300, 301)
	l.add(Lie{Name: "deleted", Did: "a bundle has an entry less",
		Cause: evidence.Deleted, Index: 300, Where: bundle1}, func(log Log) (err error) {
		log[bundle1], err = bundle(deleted[256 : 512-1])
		return err
	})
	l.add(Lie{Name: "bundle one entry short", Did: "a bundle lacks its last entry",
		Cause: evidence.Deleted, Index: 511, Where: bundle1}, func(log Log) (err error) {
		log[bundle1], err = bundle(l.entries[256 : 512-1])
		return err
	})
	l.add(Lie{Name: "last bundle one entry short", Did: "the last bundle lacks its last entry",
		Cause: evidence.Truncated, Index: Size - 1, Where: bundle2}, func(log Log) (err error) {
		log[bundle2], err = bundle(l.entries[512 : Size-1])
		return err
	})
}

// aboutHistory adds lies that the log's key has signed.
func (l *lies) aboutHistory() {
	// signed publishes entries under a checkpoint of their own.
	signed := func(entries [][]byte, err error) func(Log) error {
		return func(log Log) error {
			if err != nil {
				return err
			}
			clear(log)
			return l.publish(log, entries, l.signer)
		}
	}
	other := func(e *evidence.Entry) { e.Payload[0] ^= 1 }
	forked, err := edit(l.entries, 250, true, other)
	l.add(Lie{Name: "forked", Did: "another history is signed with the log's key", Kept: true, entries: forked,
		Cause: evidence.Forked, Index: 0, Where: "checkpoint", Witness: witness.ErrInconsistent, Trail: evidence.Forked}, signed(forked, err))
	older := l.entries[:250]
	l.add(Lie{Name: "rolled back", Did: "the log is as it was before", Kept: true, entries: older,
		Cause: evidence.RolledBack, Index: 250, Where: "checkpoint", Witness: &witness.AheadError{}, Trail: evidence.Unwitnessed}, signed(older, nil))
	l.add(Lie{Name: "old checkpoint signed again", Did: "the checkpoint is an older one, signed anew; the rest is as it should be", Kept: true, entries: older,
		Cause: evidence.RolledBack, Index: 250, Where: "checkpoint", Witness: &witness.AheadError{}, Trail: evidence.Unwitnessed}, func(log Log) (err error) {
		log["checkpoint"], err = l.sign(older, nil)
		return err
	})
	l.add(Lie{Name: "nothing", Did: "the log is empty", entries: [][]byte{},
		Cause: evidence.Wiped, Index: 0, Where: "checkpoint", Witness: &witness.AheadError{}, Trail: evidence.Unwitnessed}, signed(nil, nil))
	back, err := edit(l.entries, 400, true, func(e *evidence.Entry) { e.Time = e.Time.Add(-time.Hour) })
	l.add(Lie{Name: "time stepping back", Did: "an entry is an hour older than the one before, and the log's key has signed it", entries: back,
		Cause: evidence.TimeReversed, Index: 400, Where: bundle1, Trail: evidence.Forked}, signed(back, err))
}

// aboutSignatures adds lies about who signed the checkpoint.
func (l *lies) aboutSignatures() {
	checkpoint := func(signed []byte, err error) func(Log) error {
		return func(log Log) error {
			log["checkpoint"] = signed
			return err
		}
	}
	other, err := impostor(Origin)
	if err != nil {
		l.err = err
		return
	}
	swapped, err := l.sign(l.entries, nil, other)
	if err == nil {
		swapped, err = l.cosign(swapped, l.witness)
	}
	l.add(Lie{Name: "key swapped", Did: "the checkpoint is signed with another key of the same name, and the witness cosigned it",
		Cause: evidence.KeySwapped, Index: 0, Where: "checkpoint", Witness: witness.ErrSignature, Trail: evidence.KeySwapped}, checkpoint(swapped, err))

	forked, err := edit(l.entries, 250, true, func(e *evidence.Entry) { e.Payload[0] ^= 1 })
	l.add(Lie{Name: "another log of the same name", Did: "another history is signed with another key of the same name", entries: forked,
		Cause: evidence.KeySwapped, Index: 0, Where: "checkpoint", Witness: witness.ErrSignature, Trail: evidence.KeySwapped}, func(log Log) error {
		if err != nil {
			return err
		}
		return l.publish(log, forked, other)
	})

	elsewhere, err := impostor("example.org/elsewhere")
	var renamed []byte
	if err == nil {
		renamed, err = l.sign(l.entries, func(c *evidence.Checkpoint) { c.Origin = elsewhere.Name() }, elsewhere)
	}
	l.add(Lie{Name: "another origin", Did: "the same entries are published as another log, which the policy does not know",
		Cause: evidence.KeySwapped, Index: 0, Where: "checkpoint", Witness: witness.ErrUnknownLog, Trail: evidence.KeySwapped}, checkpoint(renamed, err))

	extended, err := l.sign(l.entries, func(c *evidence.Checkpoint) { c.Extensions = []string{"reviewed no"} })
	l.add(Lie{Name: "extension altered", Did: "an extension line was changed after signing",
		Cause: evidence.Altered, Index: 0, Where: "checkpoint", Witness: witness.ErrSignature, Trail: evidence.KeySwapped},
		checkpoint(bytes.Replace(extended, []byte("reviewed no\n"), []byte("reviewed yes\n"), 1), err))

	plain, err := l.sign(l.entries, nil)
	l.add(Lie{Name: "not cosigned", Did: "the cosignature is left out", Trail: evidence.Unwitnessed}, checkpoint(plain, err))

	stranger, err := l.cosignAs(plain, l.witness.Name())
	l.add(Lie{Name: "cosigned by an unknown key", Did: "somebody cosigned in the witness's name, with a key of their own", Trail: evidence.Unwitnessed}, checkpoint(stranger, err))

	// A line begins with the key's id, whatever key made the signature behind it.
	const idLength = 6 // of 32 bits in base64
	id := func(signed []byte) []byte { return signed[bytes.LastIndexByte(signed, ' ')+1:][:idLength] }
	forged := bytes.Clone(stranger)
	if err == nil {
		copy(id(forged), id(l.Honest["checkpoint"]))
	}
	l.add(Lie{Name: "bad cosignature", Did: "somebody cosigned with a key of their own, under the id of the witness's key",
		Cause: evidence.Altered, Index: 0, Where: "checkpoint", Trail: evidence.Altered}, checkpoint(forged, err))

	earlier := l.Since[bytes.LastIndex(l.Since, []byte("\u2014 ")):]
	borrowed, err := evidence.AddCosignature(plain, earlier)
	l.add(Lie{Name: "borrowed cosignature", Did: "the witness's cosignature is that of an earlier checkpoint",
		Cause: evidence.Altered, Index: 0, Where: "checkpoint", Trail: evidence.Altered}, checkpoint(borrowed, err))
}

// publish puts the log of entries into log, signed with a key.
func (k *Kit) publish(log Log, entries [][]byte, signer *evidence.Signer) error {
	signed, err := k.sign(entries, nil, signer)
	if err != nil {
		return err
	}
	other, err := Publish(entries, signed)
	maps.Copy(log, other)
	return err
}

// cosignAs cosigns with a new key of that name.
func (k *Kit) cosignAs(signed []byte, name string) ([]byte, error) {
	skey, _, err := evidence.GenerateCosignatureKey(name)
	if err != nil {
		return nil, err
	}
	witness, err := evidence.ParseCosignatureSigner(skey)
	if err != nil {
		return nil, err
	}
	return k.cosign(signed, witness)
}
