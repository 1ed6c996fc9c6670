package custody

import "github.com/custodylog/custody/evidence"

// Pruned implements storage.Visitor. Nothing explains that entries were pruned yet.
func (p *partVerifier) Pruned(level int, _ evidence.Hash) {
	p.Lost(1<<level, evidence.Deleted, p.p.Name, "the entries were pruned, and no event records why")
}
