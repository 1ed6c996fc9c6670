package format

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/custodylog/custody/evidence"
)

// proofExample is a marker in proof.md and the fenced block behind it.
var proofExample = regexp.MustCompile("<!-- proof example: ([a-z]+) -->\n```\n((?s:.*?))```\n")

func TestProofExamples(t *testing.T) {
	const page = "proof.md"
	b, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	want := proofExamples(t)
	text := proofExample.ReplaceAllStringFunc(string(b), func(block string) string {
		m := proofExample.FindStringSubmatch(block)
		content, ok := want[m[1]]
		if !ok {
			t.Errorf("there is no example %q, or it is used twice", m[1])
		}
		delete(want, m[1])
		if m[2] != content && !*update {
			t.Errorf("example %q:\n%s\nshould be\n%s", m[1], m[2], content)
		}
		return strings.Replace(block, "```\n"+m[2]+"```\n", "```\n"+content+"```\n", 1)
	})
	for name := range want {
		t.Errorf("example %q is not on the page", name)
	}
	if *update {
		if err := os.WriteFile(page, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// proofExamples computes what proof.md shows, and checks it.
func proofExamples(t *testing.T) map[string]string {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	log, _ := signer(t, "first key")
	seed := sha256.Sum256([]byte("witness"))
	witness, err := evidence.NewCosignatureSigner("witness.example.com/w1", ed25519.NewKeyFromSeed(seed[:]))
	must(err)
	policy, err := evidence.ParsePolicy([]byte("log " + log.VerifierKey() + "\nwitness w1 " + witness.VerifierKey() + "\nquorum w1\n"))
	must(err)

	const entries, proved = 3, 1
	var (
		disclosed [entries]evidence.Disclosed
		prev      evidence.Hash
		hashes    hashes
		roots     [entries + 1]evidence.Hash
	)
	for i := range disclosed {
		d := evidence.Disclosed{Salt: fmt.Appendf(nil, "sixteen bytes, %d", i), Payload: fmt.Appendf(nil, `{"event_type":"action_denied","id":"%d"}`, i)}
		commitment, err := evidence.Commit(d.Salt, d.Payload)
		must(err)
		d.Entry = evidence.AppendEntry(nil, &evidence.Entry{Index: uint64(i), Payload: commitment, Prev: prev,
			Time: time.Date(2026, 11, 23, 22, 10, i, 0, time.UTC), Type: "action_denied"})
		prev = evidence.LeafHash(d.Entry)
		disclosed[i] = d
		more, err := tlog.StoredHashesForRecordHash(int64(i), prev, &hashes)
		must(err)
		hashes = append(hashes, more...)
		roots[i+1], err = tlog.TreeHash(int64(i+1), &hashes)
		must(err)
	}
	checkpoint := func(size uint64) []byte {
		c := evidence.Checkpoint{Origin: "example.org/trail", Size: size, Root: roots[size]}
		signed, err := evidence.SignCheckpoint(&c, log)
		must(err)
		line, err := witness.Cosign(string(c.AppendBody(nil)), time.Date(2026, 11, 23, 22, 11, int(size), 0, time.UTC))
		must(err)
		return append(signed, line...)
	}

	p := evidence.Proof{Index: proved, Checkpoint: checkpoint(entries)}
	p.Extra, err = disclosed[proved].Marshal()
	must(err)
	p.Hashes, err = evidence.ProveInclusion(&hashes, proved, entries)
	must(err)
	proof, err := p.Marshal()
	must(err)
	_, err = p.Check(policy)
	must(err)

	c := evidence.ConsistencyProof{Old: checkpoint(proved), New: checkpoint(entries)}
	c.Hashes, err = evidence.ProveConsistency(&hashes, proved, entries)
	must(err)
	consistency, err := c.Marshal()
	must(err)
	_, _, err = c.Check(policy)
	must(err)

	// What is hashed for the first number, by the text of the page.
	const size, n = 1000, 5
	first := []byte("custody sample v1\n")
	first = binary.BigEndian.AppendUint64(first, uint64(len("seed")))
	first = append(first, "seed"...)
	first = append(first, roots[entries][:]...)
	first = binary.BigEndian.AppendUint64(first, size)
	first = binary.BigEndian.AppendUint64(first, 0)
	sum := sha256.Sum256(first)
	x := binary.BigEndian.Uint64(sum[:8])
	sample := evidence.Sample([]byte("seed"), roots[entries], size, n)
	if sample[0] != x%size {
		t.Errorf("the first of the sample is %d, and by the page %d", sample[0], x%size)
	}

	// The page shows the extra data as text, which it is when the payload is.
	text := string(p.Extra) + "\n"
	if !bytes.Contains(proof, []byte("extra "+base64.StdEncoding.EncodeToString(p.Extra)+"\n")) {
		t.Error("the proof does not hold the extra data that the page shows")
	}
	return map[string]string{
		"proof":       string(proof),
		"disclosed":   text,
		"consistency": string(consistency),
		"sample": fmt.Sprintf("seed    %q\nroot    %v\nsize    %d\nnumber  %d, the first: %d mod %d = %d\nsample  %v\n",
			"seed", roots[entries], size, x, x, size, x%size, sample),
	}
}

// hashes keeps the hashes of a tree by their place in storage.
type hashes []evidence.Hash

func (h *hashes) ReadHashes(at []int64) ([]evidence.Hash, error) {
	out := make([]evidence.Hash, len(at))
	for i, x := range at {
		out[i] = (*h)[x]
	}
	return out, nil
}
