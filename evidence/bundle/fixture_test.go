package bundle

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/custodylog/custody/evidence"
)

const origin = "example.com/agents"

// start is the time of the first entry of a fixture; each later one is a second
// after the one before.
var start = time.Date(2026, 11, 23, 22, 10, 0, 0, time.UTC)

// fixture is a small trail to make bundles from.
type fixture struct {
	entries, salts, payloads [][]byte
	erased                   evidence.Ranges // payloads that are gone
	erasure                  int             // the event that says so
	held                     evidence.Ranges // entries under a legal hold
	hold                     int             // the event that says so
	pruned                   evidence.Ranges // entries that are gone; none if pruning is 0
	pruning                  int             // the event that says so
	hashes                   []evidence.Hash // stored as package tlog numbers them
	old, key                 *evidence.Signer
	rotation                 []byte
	witness                  *evidence.CosignatureSigner
}

func privateKey(name string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte(name))
	return ed25519.NewKeyFromSeed(seed[:])
}

// trail makes a trail of n entries, at least 20. The payloads of 7 and 9 are
// erased, which entry 12 tells. Session s-1 is under a legal hold, which entry 14 tells.
func trail(tb testing.TB, n int) *fixture {
	tb.Helper()
	return (&fixture{}).fill(tb, n)
}

// prunedTrail makes one of which entries 1 to 9 were pruned, which entry 16 tells.
func prunedTrail(tb testing.TB, n int) *fixture {
	tb.Helper()
	return (&fixture{pruned: evidence.Ranges{{First: 1, Last: 9}}, pruning: 16}).fill(tb, n)
}

func (f *fixture) fill(tb testing.TB, n int) *fixture {
	tb.Helper()
	f.erased, f.erasure, f.hold = evidence.RangesOf([]uint64{7, 9}), 12, 14
	f.held = evidence.Ranges{{First: 10, Last: 19}}.Minus(evidence.RangesOf([]uint64{uint64(f.erasure), uint64(f.hold), uint64(f.pruning)}))
	var err error
	if f.old, err = evidence.NewSigner(origin, privateKey("old")); err != nil {
		tb.Fatal(err)
	}
	if f.key, err = evidence.NewSigner(origin, privateKey("new")); err != nil {
		tb.Fatal(err)
	}
	if f.rotation, err = evidence.SignRotation(f.old, f.key); err != nil {
		tb.Fatal(err)
	}
	if f.witness, err = evidence.NewCosignatureSigner("witness.example.com", privateKey("witness")); err != nil {
		tb.Fatal(err)
	}
	var prev evidence.Hash
	for i := range n {
		typ, payload := f.event(i)
		salt := sha256.Sum256(fmt.Appendf(nil, "salt %d", i))
		commitment, err := evidence.Commit(salt[:evidence.SaltSize], payload)
		if err != nil {
			tb.Fatal(err)
		}
		entry := evidence.AppendEntry(nil, &evidence.Entry{Index: uint64(i), Payload: commitment, Prev: prev, Time: start.Add(time.Duration(i) * time.Second), Type: typ})
		prev = evidence.LeafHash(entry)
		stored, err := tlog.StoredHashesForRecordHash(int64(i), prev, tlog.HashReaderFunc(f.readHashes))
		if err != nil {
			tb.Fatal(err)
		}
		f.hashes = append(f.hashes, stored...)
		f.entries, f.salts, f.payloads = append(f.entries, entry), append(f.salts, salt[:evidence.SaltSize]), append(f.payloads, payload)
	}
	for i := range f.erased.Union(f.pruned).All() {
		f.salts[i], f.payloads[i] = nil, nil
	}
	return f
}

// event gives the type and the payload of the event at i.
func (f *fixture) event(i int) (typ string, payload []byte) {
	event := map[string]any{
		"id": fmt.Sprintf("0193591c-%04x-7000-8000-000000000000", i%65536), "timestamp": string(evidence.AppendTime(nil, start.Add(time.Duration(i)*time.Second))),
		"agent_id": []string{"coder", "reviewer"}[i%2], "session_id": fmt.Sprintf("s-%d", i/10), "action_id": fmt.Sprintf("a-%d", i/3),
	}
	switch {
	case i == 0:
		typ, event = "log_opened", map[string]any{"timestamp": event["timestamp"], "details": map[string]any{"origin": origin}}
	case i == f.erasure:
		digest := f.erased.Digest()
		typ, event = "payload_erased", map[string]any{"timestamp": event["timestamp"], "user_id": "privacy-desk", "details": map[string]any{
			"indices": f.erased.String(), "count": f.erased.Count(), "digest": fmt.Sprintf("%x", digest[:]), "ground": "request of the person"}}
	case i == f.hold:
		typ, event = "legal_hold_changed", map[string]any{"timestamp": event["timestamp"], "user_id": "legal-desk", "details": map[string]any{
			"hold_id": "h-1", "change": "placed", "query": map[string]any{"session_id": "s-1", "since": "2026-11-23T22:10:09.5Z", "to_index": 5000, "from_index": 3}, "by": "legal-desk", "reason": "case 12"}}
	case i == f.pruning:
		digest := f.pruned.Digest()
		typ, event = "retention_applied", map[string]any{"timestamp": event["timestamp"], "user_id": "operations", "details": map[string]any{
			"indices": f.pruned.String(), "count": f.pruned.Count(), "digest": fmt.Sprintf("%x", digest[:]), "what": "entries", "minimum_index": 10}}
	case i%3 == 0:
		typ = "action_requested"
		event["details"] = map[string]any{"tool_name": "Bash", "command": fmt.Sprintf("make -C /srv/app release VERSION=%d && echo \"<b>done</b>\" \u2028 €", i)}
	case i%3 == 1:
		typ, event["decision"] = []string{"action_validated", "action_denied"}[i/3%2], []string{"allow", "deny"}[i/3%2]
		event["details"] = map[string]any{"reasons": []string{"</script><script>alert(1)</script>"}, "tool_name": "Bash"}
	default:
		typ, event["outcome"] = "action_executed", "success"
		event["details"] = map[string]any{"tool_name": "Bash", "execution_time_ms": 12 * i}
	}
	event["event_type"] = typ
	payload, err := canonical(event)
	if err != nil {
		panic(err) // it has strings and numbers only
	}
	return typ, payload
}

func (f *fixture) readHashes(at []int64) ([]evidence.Hash, error) {
	out := make([]evidence.Hash, len(at))
	for i, n := range at {
		out[i] = f.hashes[n]
	}
	return out, nil
}

func (f *fixture) policy() []byte {
	return fmt.Appendf(nil, "log %s\nwitness w1 %s\nquorum w1\n", f.key.VerifierKey(), f.witness.VerifierKey())
}

// checkpoint returns the checkpoint over all entries, cosigned.
func (f *fixture) checkpoint(tb testing.TB) []byte {
	tb.Helper()
	size := len(f.entries)
	root, err := tlog.TreeHash(int64(size), tlog.HashReaderFunc(f.readHashes))
	if err != nil {
		tb.Fatal(err)
	}
	c := evidence.Checkpoint{Origin: origin, Size: uint64(size), Root: root}
	signed, err := evidence.SignCheckpoint(&c, f.key)
	if err != nil {
		tb.Fatal(err)
	}
	line, err := f.witness.Cosign(string(c.AppendBody(nil)), start.Add(24*time.Hour))
	if err != nil {
		tb.Fatal(err)
	}
	if signed, err = evidence.AddCosignature(signed, line); err != nil {
		tb.Fatal(err)
	}
	return signed
}

// contents returns a bundle of the range that has all of its events, its
// neighbours and the events that tell of what was removed and is held.
func (f *fixture) contents(tb testing.TB, from, to uint64) *Contents {
	tb.Helper()
	removals := []Removal{{Entries: Set{f.erased.Between(from, to)}, Event: uint64(f.erasure), Type: payloadErased}}
	disclosed := []uint64{uint64(f.erasure)}
	var holds []Hold
	if len(f.held.Between(from, to)) > 0 {
		holds = []Hold{{Set{f.held}, uint64(f.hold), "h-1"}}
		disclosed = append(disclosed, uint64(f.hold))
	}
	if f.pruning > 0 {
		removals = append(removals, Removal{Entries: Set{f.pruned}, Event: uint64(f.pruning), Minimum: 10, Type: retentionApplied})
		disclosed = append(disclosed, uint64(f.pruning))
	}
	for i := max(from, 1, f.minimum()+1) - 1; i < min(to+1, uint64(len(f.entries))); i++ {
		disclosed = append(disclosed, i)
	}
	set := evidence.RangesOf(disclosed)
	return &Contents{
		Scope: Scope{Text: fmt.Sprintf("everything from index %d to %d", from, to)}, Range: Span{from, to},
		Checkpoint: f.checkpoint(tb), Keys: []string{f.old.VerifierKey(), f.key.VerifierKey()}, Rotations: [][]byte{f.rotation}, Policy: f.policy(),
		Timestamps: []TimestampToken{{"tsa.example.com", []byte{0x30, 0x80, 0xff}}},
		Schema:     []byte(`{"$schema":"https://json-schema.org/draft/2020-12/schema"}`),
		Entries:    f.items(set, func(i uint64) bool { return i >= from && i < to }),
		Hashes:     tlog.HashReaderFunc(f.readHashes),
		Removals:   removals, Holds: holds,
		Created: start.Add(48 * time.Hour), Program: "custody test",
	}
}

// minimum returns the index that the trail begins at.
func (f *fixture) minimum() uint64 {
	if f.pruning == 0 {
		return 0
	}
	return 10
}

// items yields entries, with the payloads of those that are asked for.
func (f *fixture) items(set evidence.Ranges, asked func(uint64) bool) func(func(Item, error) bool) {
	return func(yield func(Item, error) bool) {
		for i := range set.All() {
			item := Item{Index: i, Entry: f.entries[i], Asked: asked(i)}
			if own := []int{f.erasure, f.hold, f.pruning}; item.Asked || i > 0 && slices.Contains(own, int(i)) {
				item.Salt, item.Payload = f.salts[i], f.payloads[i]
			}
			if !yield(item, nil) {
				return
			}
		}
	}
}

func write(tb testing.TB, c *Contents) []byte {
	tb.Helper()
	var buf bytes.Buffer
	if err := Write(&buf, c); err != nil {
		tb.Fatal(err)
	}
	return buf.Bytes()
}

func check(tb testing.TB, b []byte, opts *CheckOptions) *Report {
	tb.Helper()
	report, err := Check(bytes.NewReader(b), int64(len(b)), opts)
	if err != nil {
		tb.Fatal(err)
	}
	return report
}

// edit changes files of a bundle the way somebody does who knows the format:
// manifest, page and zip are made to fit. change returns nil to remove a file.
func edit(tb testing.TB, b []byte, change func(name string, content []byte) []byte) []byte {
	tb.Helper()
	files, err := unpack(b, func(file, detail string) { tb.Fatal(file, detail) })
	if err != nil {
		tb.Fatal(err)
	}
	var edited []file
	for _, f := range files {
		if content := change(f.name, bytes.Clone(f.content)); content != nil {
			edited = append(edited, file{f.name, content})
		}
	}
	return refit(tb, edited)
}

// refit packs files with a manifest and a page that fit them.
func refit(tb testing.TB, files []file) []byte {
	tb.Helper()
	files = slices.DeleteFunc(files, func(f file) bool { return f.name == pageFile })
	var manifest Manifest
	if err := json.Unmarshal(files[0].content, &manifest); err != nil {
		tb.Fatal(err)
	}
	manifest.Files = nil
	for _, f := range files[1:] {
		manifest.Files = append(manifest.Files, describe(f))
	}
	var err error
	if files[0].content, err = canonical(&manifest); err != nil {
		tb.Fatal(err)
	}
	page, err := fillPage(files)
	if err != nil {
		tb.Fatal(err)
	}
	packed, err := pack(append([]file{{pageFile, page}}, files...))
	if err != nil {
		tb.Fatal(err)
	}
	return packed
}
