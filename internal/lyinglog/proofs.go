package lyinglog

import (
	"bytes"
	"context"
	"slices"

	"github.com/custodylog/custody/evidence"
)

// LyingProof is the text of a proof that proves nothing.
type LyingProof struct {
	Name  string
	Did   string // what was done to a proof that is right
	Proof []byte
	Says  string // what has to be said of it
	Err   error  // that the error has to wrap; nil: none
}

// Proof returns the text of an honest proof of an entry.
func (k *Kit) Proof(index uint64) ([]byte, error) {
	p, err := k.proof(index)
	if err != nil {
		return nil, err
	}
	return p.Marshal()
}

func (k *Kit) proof(index uint64) (*evidence.Proof, error) {
	hashes, err := stored(k.entries)
	if err != nil {
		return nil, err
	}
	p := &evidence.Proof{Index: index, Checkpoint: k.Honest["checkpoint"]}
	if p.Hashes, err = evidence.ProveInclusion(hashes, index, Size); err != nil {
		return nil, err
	}
	p.Extra, err = disclose(k.entries[index])
	return p, err
}

func disclose(entry []byte) ([]byte, error) {
	return (&evidence.Disclosed{Entry: entry}).Marshal()
}

// adder returns a function that adds a lying proof to a list: an honest one that was
// changed. The first error stays.
func adder[P interface{ Marshal() ([]byte, error) }](list *[]LyingProof, failed *error, honest func() (P, error)) func(LyingProof, func(P) error) {
	return func(lie LyingProof, change func(P) error) {
		p, err := honest()
		if err == nil {
			err = change(p)
		}
		if err == nil {
			lie.Proof, err = p.Marshal()
		}
		if *failed == nil {
			*failed = err
		}
		*list = append(*list, lie)
	}
}

// Proofs returns lying proofs of an entry.
func (k *Kit) Proofs() ([]LyingProof, error) {
	const index = 300
	var list []LyingProof
	var failed error
	add := adder(&list, &failed, func() (*evidence.Proof, error) { return k.proof(index) })
	other := func(e *evidence.Entry) { e.Payload[0] ^= 1 }
	add(LyingProof{Name: "for another index", Did: "the proof names the index of another entry", Says: "is for index 301, but discloses entry 300"}, func(p *evidence.Proof) error {
		p.Index++
		return nil
	})
	add(LyingProof{Name: "of another entry", Did: "the hashes are the proof of another entry", Says: "inclusion"}, func(p *evidence.Proof) error {
		q, err := k.proof(index + 1)
		if err == nil {
			p.Hashes = q.Hashes
		}
		return err
	})
	add(LyingProof{Name: "entry altered", Did: "the entry that is disclosed is another one", Says: "inclusion"}, func(p *evidence.Proof) error {
		altered, err := edit(k.entries, index, false, other)
		if err == nil {
			p.Extra, err = disclose(altered[index])
		}
		return err
	})
	add(LyingProof{Name: "padded", Did: "the path is made longer than the tree is high", Says: "has 12 hashes; it needs 10"}, func(p *evidence.Proof) error {
		p.Hashes = append(p.Hashes, evidence.Hash{}, evidence.Hash{})
		return nil
	})
	add(LyingProof{Name: "linear", Did: "the path is that of a tree which is a list: the entry, and all the rest as one hash", Says: "has 1 hashes; it needs 10"}, func(p *evidence.Proof) error {
		p.Hashes = p.Hashes[len(p.Hashes)-1:]
		return nil
	})
	add(LyingProof{Name: "upside down", Did: "the hashes stand in the order of a path from the root", Says: "inclusion"}, func(p *evidence.Proof) error {
		slices.Reverse(p.Hashes)
		return nil
	})
	add(LyingProof{Name: "of another origin", Did: "the checkpoint is that of another log with the same entries", Says: "no log named"}, func(p *evidence.Proof) error {
		elsewhere, err := impostor("example.org/elsewhere")
		if err == nil {
			p.Checkpoint, err = k.sign(k.entries, func(c *evidence.Checkpoint) { c.Origin = elsewhere.Name() }, elsewhere)
		}
		return err
	})
	add(LyingProof{Name: "key swapped", Did: "the checkpoint is signed with another key of the same name", Says: "signature of the log", Err: evidence.ErrUnsigned}, func(p *evidence.Proof) error {
		other, err := impostor(Origin)
		if err == nil {
			p.Checkpoint, err = k.sign(k.entries, nil, other)
		}
		return err
	})
	add(LyingProof{Name: "of a fork", Did: "the checkpoint is that of another history, cosigned by a witness that did not look", Says: "inclusion"}, func(p *evidence.Proof) error {
		forked, err := edit(k.entries, 250, true, other)
		if err == nil {
			p.Checkpoint, err = k.vouch(forked)
		}
		return err
	})
	add(LyingProof{Name: "not cosigned", Did: "the cosignature is left out", Says: "not cosigned", Err: evidence.ErrQuorum}, func(p *evidence.Proof) (err error) {
		p.Checkpoint, err = k.sign(k.entries, nil)
		return err
	})
	add(LyingProof{Name: "of an earlier tree", Did: "the checkpoint is one that does not cover the entry yet", Says: "has no entry 300"}, func(p *evidence.Proof) error {
		p.Checkpoint = k.Since
		return nil
	})
	add(LyingProof{Name: "size altered", Did: "the checkpoint's size is another one, under the old signatures", Says: "signature of the log", Err: evidence.ErrUnsigned}, func(p *evidence.Proof) error {
		p.Checkpoint = bytes.Replace(p.Checkpoint, []byte("\n600\n"), []byte("\n601\n"), 1)
		return nil
	})
	return list, failed
}

// Consistency returns the text of the honest proof that the log continues Kit.Since.
func (k *Kit) Consistency() ([]byte, error) {
	p, err := k.consistency()
	if err != nil {
		return nil, err
	}
	return p.Marshal()
}

func (k *Kit) consistency() (*evidence.ConsistencyProof, error) {
	hashes, err := (&Lie{entries: k.entries}).Prove(context.Background(), Earlier, Size)
	return &evidence.ConsistencyProof{Old: k.Since, New: k.Honest["checkpoint"], Hashes: hashes}, err
}

// ConsistencyProofs returns lying consistency proofs. The checkpoints of other
// histories are cosigned, by a witness that did not look.
func (k *Kit) ConsistencyProofs() ([]LyingProof, error) {
	var list []LyingProof
	var failed error
	add := adder(&list, &failed, k.consistency)
	forked, err := edit(k.entries, 250, true, func(e *evidence.Entry) { e.Payload[0] ^= 1 })
	if err != nil {
		return nil, err
	}
	const another = "not of one history"
	add(LyingProof{Name: "between forks", Did: "the later checkpoint is that of another history, with its own proof", Says: another}, func(p *evidence.ConsistencyProof) (err error) {
		if p.Hashes, err = (&Lie{entries: forked}).Prove(context.Background(), Earlier, Size); err == nil {
			p.New, err = k.vouch(forked)
		}
		return err
	})
	add(LyingProof{Name: "between forks of a size", Did: "both checkpoints have the same size, and are of two histories", Says: another}, func(p *evidence.ConsistencyProof) (err error) {
		p.Hashes = nil
		p.Old, err = k.vouch(forked)
		return err
	})
	add(LyingProof{Name: "no hashes", Did: "the hashes are left out", Says: "has 0 hashes; it needs"}, func(p *evidence.ConsistencyProof) error {
		p.Hashes = nil
		return nil
	})
	add(LyingProof{Name: "padded", Did: "a hash is put in front", Says: "hashes; it needs"}, func(p *evidence.ConsistencyProof) error {
		p.Hashes = slices.Insert(p.Hashes, 0, evidence.Hash{})
		return nil
	})
	add(LyingProof{Name: "back in time", Did: "the checkpoints have changed their places", Says: "cannot begin with"}, func(p *evidence.ConsistencyProof) error {
		p.Old, p.New = p.New, p.Old
		return nil
	})
	add(LyingProof{Name: "of another log", Did: "the later checkpoint is that of another log with the same entries", Says: "no log named"}, func(p *evidence.ConsistencyProof) error {
		elsewhere, err := impostor("example.org/elsewhere")
		if err == nil {
			p.New, err = k.sign(k.entries, func(c *evidence.Checkpoint) { c.Origin = elsewhere.Name() }, elsewhere)
		}
		return err
	})
	add(LyingProof{Name: "not cosigned", Did: "the cosignature of the later checkpoint is left out", Says: "not cosigned", Err: evidence.ErrQuorum}, func(p *evidence.ConsistencyProof) (err error) {
		p.New, err = k.sign(k.entries, nil)
		return err
	})
	return list, failed
}

// vouch returns the checkpoint of entries, signed by the log and cosigned.
func (k *Kit) vouch(entries [][]byte) ([]byte, error) {
	signed, err := k.sign(entries, nil)
	if err == nil {
		signed, err = k.cosign(signed, k.witness)
	}
	return signed, err
}
