package custody

import (
	"encoding/json"
	"testing"

	"github.com/custodylog/custody/evidence"
)

// TestErasureReceipt changes one thing after the other in a receipt: none of them
// checks out any more.
func TestErasureReceipt(t *testing.T) {
	trail := newTrail(t, Options{})
	for n := range 9 {
		record(t, trail, about("u1", "p", n), about("u2", "p", n))
	}
	key := get(evidence.ParseVerifier(trail.VerifierKey()))(t)
	made := erase(t, trail, "u1")
	written := get(json.Marshal(made))(t)
	read := func() *ErasureReceipt {
		r := &ErasureReceipt{}
		must(t, json.Unmarshal(written, r))
		return r
	}
	if erased := get(read().Check(key))(t); erased.Count() != 9 {
		t.Errorf("%s were erased", erased)
	}
	for what, change := range map[string]func(r *ErasureReceipt){
		"no key":                   func(r *ErasureReceipt) {},
		"before":                   func(r *ErasureReceipt) { r.Before = r.After },
		"after":                    func(r *ErasureReceipt) { r.After = r.Before },
		"a signature":              func(r *ErasureReceipt) { r.After = r.After[:len(r.After)-10] + "AAAAAAAA=\n" },
		"the tree":                 func(r *ErasureReceipt) { r.Tree[0][3] ^= 1 },
		"the tree, shorter":        func(r *ErasureReceipt) { r.Tree = r.Tree[1:] },
		"an entry added":           func(r *ErasureReceipt) { r.Added[0][3] ^= 1 },
		"no entry added":           func(r *ErasureReceipt) { r.Added = nil },
		"one more entry added":     func(r *ErasureReceipt) { r.Added = append(r.Added, r.Added[0]) },
		"the event's index":        func(r *ErasureReceipt) { r.Events[0].Index++ },
		"the event's index, large": func(r *ErasureReceipt) { r.Events[0].Index = 1 << 60 },
		"the event's entry":        func(r *ErasureReceipt) { r.Events[0].Entry[5] ^= 1 },
		"the event's salt":         func(r *ErasureReceipt) { r.Events[0].Salt[5] ^= 1 },
		"the event's payload":      func(r *ErasureReceipt) { r.Events[0].Payload[50] ^= 1 },
		"no event":                 func(r *ErasureReceipt) { r.Events = nil },
	} {
		r := read()
		change(r)
		if what == "no key" {
			if _, err := r.Check(); err == nil {
				t.Error("checked without a key")
			}
			continue
		}
		if _, err := r.Check(key); err == nil {
			t.Errorf("%s was changed, and the receipt checks out", what)
		}
	}
}
