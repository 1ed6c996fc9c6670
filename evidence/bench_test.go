package evidence

import (
	"fmt"
	"testing"
	"time"
)

// benchRun returns entries with bodies of 616 bytes, salt and payload.
func benchRun(b *testing.B, n int) (entries, bodies [][]byte) {
	b.Helper()
	var prev Hash
	for i := range n {
		body := fmt.Appendf(make([]byte, 0, 616), "%016d", i)
		for len(body) < 616 {
			body = append(body, `{"event_type":"action_executed"},`[len(body)%33])
		}
		e := AppendEntry(nil, &Entry{Index: uint64(i), Payload: CommitBody(body), Prev: prev, Time: epoch.Add(time.Duration(i) * 7 * time.Microsecond), Type: "action_executed"})
		prev = LeafHash(e)
		entries, bodies = append(entries, e), append(bodies, body)
	}
	return entries, bodies
}

func BenchmarkAppendEntry(b *testing.B) {
	b.ReportAllocs()
	buf := make([]byte, 0, 512)
	for b.Loop() {
		buf = AppendEntry(buf[:0], &fixed)
		LeafHash(buf)
	}
}

func BenchmarkParseEntry(b *testing.B) {
	b.ReportAllocs()
	entry := []byte(fixedText)
	for b.Loop() {
		if _, err := ParseEntry(entry); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkLeafHash(b *testing.B) {
	b.ReportAllocs()
	entry := []byte(fixedText)
	for b.Loop() {
		LeafHash(entry)
	}
}

func BenchmarkCommitBody(b *testing.B) {
	b.ReportAllocs()
	body := make([]byte, 616)
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		CommitBody(body)
	}
}

func BenchmarkTreeAppend(b *testing.B) {
	b.ReportAllocs()
	var tree Tree
	leaf := leafOf(1)
	for b.Loop() {
		tree.Append(leaf)
	}
}

func BenchmarkChainNext(b *testing.B) {
	entries, _ := benchRun(b, 4096)
	b.ReportAllocs()
	c := NewChain(0, nil)
	for i := 0; b.Loop(); i++ {
		if i%len(entries) == 0 {
			c = NewChain(0, nil)
		}
		c.Next(entries[i%len(entries)])
	}
}

// BenchmarkVerifyEvent is all that is computed for one event when a trail is
// verified: leaf hash, chain, commitment, tree.
func BenchmarkVerifyEvent(b *testing.B) {
	entries, bodies := benchRun(b, 4096)
	b.ReportAllocs()
	c := NewChain(0, nil)
	var tree Tree
	for i := 0; b.Loop(); i++ {
		if i%len(entries) == 0 {
			c, tree = NewChain(0, nil), Tree{}
		}
		got := c.Next(entries[i%len(entries)])
		if CommitBody(bodies[i%len(entries)]) != got.Payload {
			b.Fatal("wrong commitment")
		}
		tree.Append(got.Hash)
	}
}

func BenchmarkSignCheckpoint(b *testing.B) {
	b.ReportAllocs()
	signer := testSigner(b, testOrigin, "a")
	c := goldenCheckpoint()
	for b.Loop() {
		if _, err := SignCheckpoint(&c, signer); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpenCheckpoint(b *testing.B) {
	b.ReportAllocs()
	signer := testSigner(b, testOrigin, "a")
	c := goldenCheckpoint()
	signed, err := SignCheckpoint(&c, signer)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, _, err := OpenCheckpoint(signed, signer.Verifier()); err != nil {
			b.Fatal(err)
		}
	}
}
