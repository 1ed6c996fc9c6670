package custody

import (
	"github.com/custodylog/custody/evidence"
)

// Pruned implements storage.Visitor. The hashes that were kept stand in for the
// entries; whether an event says why they are gone is found out when all have been
// read.
func (p *partVerifier) Pruned(level int, hash evidence.Hash) {
	n := uint64(1) << level
	p.begin()
	if p.next >= p.from {
		p.pruned = p.pruned.Union(evidence.Ranges{{First: p.next, Last: p.next + n - 1}})
	}
	if level == 0 {
		p.chain.Pass(1, &hash)
		p.grow(hash, &hash, true)
		return
	}
	p.chain.Pass(n, nil)
	p.endBundle(nil)
	if p.tree.Size()%n == 0 && !p.broken {
		p.tree.AppendSubtree(level, hash)
	} else {
		p.broken = true // entries are missing before it
	}
	p.next += n
	p.linked = false
	p.remember()
	p.progress(false)
}
