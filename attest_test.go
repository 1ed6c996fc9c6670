package custody

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unicode"

	"golang.org/x/mod/sumdb/note"

	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/evidence/bundle"
	"github.com/custodylog/custody/evidence/timestamp"
	"github.com/custodylog/custody/internal/tsatest"
	"github.com/custodylog/custody/witness"
)

// witnesses starts as many witnesses for a trail, and returns a policy that asks for
// quorum of them.
func witnesses(t testing.TB, trail *Trail, n int, quorum string) (policy *evidence.Policy, text []byte, servers []*httptest.Server) {
	t.Helper()
	key := get(evidence.ParseVerifier(trail.VerifierKey()))(t)
	text = fmt.Appendf(nil, "log %s\n", trail.VerifierKey())
	names := ""
	for i := range n {
		skey, vkey, err := evidence.GenerateCosignatureKey(fmt.Sprintf("witness.example.org/w%d", i))
		must(t, err)
		signer := get(evidence.ParseCosignatureSigner(skey))(t)
		server := get(witness.NewServer(t.TempDir(), signer, []witness.Log{{Origin: trail.Origin(), Verifiers: []note.Verifier{key}}}, slog.New(slog.DiscardHandler)))(t)
		served := httptest.NewServer(server)
		t.Cleanup(func() { served.Close(); server.Close() })
		servers = append(servers, served)
		text = fmt.Appendf(text, "witness w%d %s %s\n", i, vkey, served.URL)
		names += fmt.Sprintf(" w%d", i)
	}
	text = fmt.Appendf(text, "group some %s%s\nquorum some\n", quorum, names)
	return get(evidence.ParsePolicy(text))(t), text, servers
}

func TestCosign(t *testing.T) {
	dir, keys := filepath.Join(t.TempDir(), "trail"), t.TempDir()
	get(Create(dir, CreateOptions{Origin: origin, KeyDir: keys}))(t)
	trail := openTrail(t, dir, Options{KeyDir: keys})
	policy, _, servers := witnesses(t, trail, 3, "2")
	w := Witnessing{Policy: policy}
	record(t, trail, turns(1, 10)...)
	r := get(trail.Cosign(t.Context(), w))(t)
	if !r.Quorum || len(r.Witnesses) != 3 || r.failures() != nil || r.Size != 10 {
		t.Fatalf("%+v", r)
	}
	if got := get(trail.Published(t.Context()))(t); !bytes.Equal(got, r.Signed) {
		t.Errorf("published is %s", got)
	}
	// One witness is away: that is seen, and two are enough.
	servers[1].Close()
	record(t, trail, turns(10, 20)...)
	r = get(trail.Cosign(t.Context(), w))(t)
	if !r.Quorum || r.Witnesses[1].Err == nil || r.failures() == nil {
		t.Errorf("%+v", r)
	}
	if sizes := get(trail.store.Attached(attachedCosigned))(t); len(sizes) != 1 || sizes[0] != 20 {
		t.Errorf("of one hour, these are kept: %d", sizes)
	}
	record(t, trail, turns(20, 25)...)
	report := verifyReport(t, trail, VerifyOptions{Policy: policy})
	if !report.OK() || len(report.Witnessed) != 1 || report.Witnessed[0].Size != 20 || len(report.Witnessed[0].By) != 2 || time.Since(report.Witnessed[0].Time) > time.Hour {
		t.Errorf("%s: %+v", findings(report), report.Witnessed)
	}
	if s := report.Strength(); !strings.Contains(s, "witnessed up to entry 19 at ") || !strings.Contains(s, "entries 20 to 24 not witnessed") {
		t.Error(s)
	}
	if report := verifyReport(t, trail, VerifyOptions{}); len(report.Witnessed) > 0 || len(report.Unchecked) != 1 || !strings.Contains(report.Strength(), "self-signed only") {
		t.Errorf("without a policy: %+v, %s", report.Unchecked, report.Strength())
	}
	// A proof is against what witnesses cosigned, where that covers it.
	if c := get(get(trail.Prove(t.Context(), 7, ProveOptions{}))(t).Check(policy))(t); c.Checkpoint.Size != 20 || len(c.Cosigned) != 2 {
		t.Errorf("%+v", c.Opened)
	}
	if _, err := get(trail.Prove(t.Context(), 22, ProveOptions{}))(t).Check(policy); !errors.Is(err, evidence.ErrQuorum) {
		t.Errorf("an entry that nobody cosigned: %v", err)
	}
	// All are away.
	servers[0].Close()
	servers[2].Close()
	if _, err := trail.Cosign(t.Context(), w); err == nil || !strings.Contains(err.Error(), "no witness cosigned the checkpoint of 25 entries") {
		t.Errorf("%v", err)
	}
	none := get(evidence.ParsePolicy(fmt.Appendf(nil, "log %s\nquorum none\n", trail.VerifierKey())))(t)
	if _, err := trail.Cosign(t.Context(), Witnessing{Policy: none}); err == nil {
		t.Error("a policy without witnesses")
	}
}

// TestVerifyAsksWitnesses: a witness knows what the trail does not say any more.
func TestVerifyAsksWitnesses(t *testing.T) {
	dir, keys := filepath.Join(t.TempDir(), "trail"), t.TempDir()
	get(Create(dir, CreateOptions{Origin: origin, KeyDir: keys}))(t)
	trail := openTrail(t, dir, Options{KeyDir: keys})
	policy, _, servers := witnesses(t, trail, 1, "all")
	record(t, trail, turns(1, 5)...)
	yesterday := filepath.Join(t.TempDir(), "copy")
	must(t, os.CopyFS(yesterday, os.DirFS(dir)))
	record(t, trail, turns(5, 9)...)
	get(trail.Cosign(t.Context(), Witnessing{Policy: policy}))(t)
	w := policy.Witnesses()[0]
	ask := VerifyOptions{Policy: policy, Witnesses: []witness.Client{{URL: w.URL, Key: w.Verifier}}}
	record(t, trail, turns(9, 12)...)
	report := verifyReport(t, trail, ask)
	if n := len(report.Witnessed); !report.OK() || n == 0 || report.Witnessed[n-1].Size != 12 {
		t.Errorf("%s: %+v %v", findings(report), report.Witnessed, report.Unchecked)
	}
	older := openTrail(t, yesterday, Options{KeyDir: keys})
	if got := verify(t, older, ask); got != "rolled_back 5" {
		t.Errorf("an older copy: %q", got)
	}
	record(t, older, turns(100, 120)...)
	if got := verify(t, older, ask); got != "forked 0" {
		t.Errorf("another history: %q", got)
	}
	servers[0].Close()
	if report := verifyReport(t, trail, ask); !report.OK() || len(report.Unchecked) == 0 {
		t.Errorf("a witness that is away is %s, not checked: %v", findings(report), report.Unchecked)
	}
}

// TestWitnessesHoldNothingUp: while a witness takes its time, payloads can be removed
// and holds be placed.
func TestWitnessesHoldNothingUp(t *testing.T) {
	trail := newTrail(t, Options{})
	policy, _, servers := witnesses(t, trail, 1, "all")
	record(t, trail, turns(1, 5)...)
	asked := 0
	slow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if asked++; trail.removeMu.TryLock() {
			trail.removeMu.Unlock()
		} else {
			t.Error("a removal has to wait for the witness")
		}
		servers[0].Config.Handler.ServeHTTP(w, r)
	}))
	defer slow.Close()
	report := verifyReport(t, trail, VerifyOptions{Policy: policy, Witnesses: []witness.Client{{URL: slow.URL, Key: policy.Witnesses()[0].Verifier}}})
	if !report.OK() || len(report.Witnessed) != 1 || asked == 0 {
		t.Errorf("%s: %+v %v; the witness was asked %d times", findings(report), report.Witnessed, report.Unchecked, asked)
	}
}

// swap changes a letter of base64 into another one.
func swap(b []byte) {
	i := bytes.IndexFunc(b, unicode.IsLetter)
	if b[i]++; !unicode.IsLetter(rune(b[i])) {
		b[i] = 'b'
	}
}

// TestAttestedAttacks: what witnesses cosigned is found to be gone, or to be changed.
func TestAttestedAttacks(t *testing.T) {
	dir, keys := filepath.Join(t.TempDir(), "trail"), t.TempDir()
	get(Create(dir, CreateOptions{Origin: origin, KeyDir: keys}))(t)
	trail := openTrail(t, dir, Options{KeyDir: keys})
	policy, _, _ := witnesses(t, trail, 1, "all")
	record(t, trail, turns(1, 5)...)
	must(t, trail.Close())
	older := filepath.Join(t.TempDir(), "older")
	must(t, os.CopyFS(older, os.DirFS(dir)))
	trail = openTrail(t, dir, Options{KeyDir: keys})
	record(t, trail, turns(5, 9)...)
	get(trail.Cosign(t.Context(), Witnessing{Policy: policy}))(t)
	must(t, trail.Close())
	cosigned := filepath.Join("attached", "00000000000000000009.cosigned")
	for name, c := range map[string]struct {
		attack func(dir string)
		found  string
	}{
		"nothing": {func(string) {}, ""},
		"the entries set back, the cosigned checkpoint left": {func(dir string) {
			b := readFile(t, filepath.Join(dir, cosigned))
			must(t, os.RemoveAll(dir))
			must(t, os.CopyFS(dir, os.DirFS(older)))
			must(t, os.Mkdir(filepath.Join(dir, "attached"), 0o700))
			must(t, os.WriteFile(filepath.Join(dir, cosigned), b, 0o600))
		}, "rolled_back 5"},
		"the root": {func(dir string) {
			b := readFile(t, filepath.Join(dir, cosigned))
			swap(b[bytes.IndexByte(b[len(origin)+1:], '\n')+len(origin)+2:])
			replace(t, filepath.Join(dir, cosigned), b)
		}, "key_swapped 0"},
		"the cosignature": {func(dir string) {
			b := readFile(t, filepath.Join(dir, cosigned))
			swap(b[len(b)-40:])
			replace(t, filepath.Join(dir, cosigned), b)
		}, "altered 0"},
		"the cosigned checkpoint goes": {func(dir string) { must(t, os.Remove(filepath.Join(dir, cosigned))) }, "unwitnessed 0"},
		"no note":                      {func(dir string) { replace(t, filepath.Join(dir, cosigned), []byte("x")) }, "altered 0"},
	} {
		t.Run(name, func(t *testing.T) {
			copied := filepath.Join(t.TempDir(), "trail")
			must(t, os.CopyFS(copied, os.DirFS(dir)))
			c.attack(copied)
			if got := verify(t, openTrail(t, copied, Options{ReadOnly: true}), VerifyOptions{Policy: policy}); got != c.found {
				t.Errorf("found %q, want %q", got, c.found)
			}
		})
	}
	other := get(evidence.ParsePolicy([]byte("log " + get(Create(filepath.Join(t.TempDir(), "other"), CreateOptions{Origin: origin, KeyDir: t.TempDir()}))(t) + "\nquorum none\n")))(t)
	if got := verify(t, openTrail(t, dir, Options{ReadOnly: true}), VerifyOptions{Policy: other}); got != "key_swapped 0" {
		t.Errorf("under a policy with another key: %q", got)
	}
	_, vkey, err := evidence.GenerateKey("example.org/elsewhere")
	must(t, err)
	elsewhere := get(evidence.ParsePolicy([]byte("log " + vkey + "\nquorum none\n")))(t)
	if got := verify(t, openTrail(t, dir, Options{ReadOnly: true}), VerifyOptions{Policy: elsewhere}); got != "key_swapped 0" {
		t.Errorf("under a policy of another log: %q", got)
	}
}

// TestWitnessing: while the trail grows its checkpoints are cosigned, and a witness
// that comes back later is asked again.
func TestWitnessing(t *testing.T) {
	keys := t.TempDir()
	dir := filepath.Join(t.TempDir(), "trail")
	get(Create(dir, CreateOptions{Origin: origin, KeyDir: keys}))(t)
	first := openTrail(t, dir, Options{KeyDir: keys})
	policy, _, _ := witnesses(t, first, 2, "all")
	must(t, first.Close())
	trail := openTrail(t, dir, Options{KeyDir: keys, Witnessing: &Witnessing{Policy: policy, Every: time.Millisecond}})
	for n := range 5 {
		size := record(t, trail, turn(n))[0].Index + 1
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		for {
			signed := get(trail.Published(ctx))(t)
			c := get(evidence.PeekCheckpoint(signed))(t)
			if _, err := policy.Open(signed); err == nil && c.Size >= size {
				break
			}
			if ctx.Err() != nil {
				t.Fatalf("entry %d is not witnessed", size-1)
			}
		}
		cancel()
	}
}

// TestCosignedThinning: of the checkpoints of one hour the last is kept, and those of
// others stay.
func TestCosignedThinning(t *testing.T) {
	c := ahead()
	trail := newTrail(t, Options{KeyDir: t.TempDir(), now: c.now})
	policy, _, _ := witnesses(t, trail, 1, "all")
	var want []uint64
	for hour := range 3 {
		for range 3 {
			record(t, trail, turn(hour))
			get(trail.Cosign(t.Context(), Witnessing{Policy: policy}))(t)
			c.advance(time.Minute)
		}
		want = append(want, trail.Size())
		c.advance(2 * time.Hour)
	}
	if got := get(trail.store.Attached(attachedCosigned))(t); !slices.Equal(got, want) {
		t.Errorf("kept are %d, want %d", got, want)
	}
	// What nobody cosigned for a day is published all the same.
	record(t, trail, turn(99))
	if c := get(evidence.PeekCheckpoint(get(trail.Published(t.Context()))(t)))(t); c.Size != trail.Size()-1 {
		t.Errorf("published is the checkpoint of %d entries", c.Size)
	}
	c.advance(25 * time.Hour)
	record(t, trail, turn(100))
	if c := get(evidence.PeekCheckpoint(get(trail.Published(t.Context()))(t)))(t); c.Size != trail.Size() {
		t.Errorf("after a day, published is the checkpoint of %d entries", c.Size)
	}
}

// TestForeignAttachments: what is attached and is not of this trail is neither published
// nor proved against.
func TestForeignAttachments(t *testing.T) {
	other := newTrail(t, Options{})
	record(t, other, turns(1, 5)...)
	foreign := get(other.Checkpoint(t.Context()))(t)
	trail := newTrail(t, Options{})
	record(t, trail, turns(1, 9)...)
	must(t, trail.store.Attach(attachedCosigned, 5, foreign))
	must(t, trail.store.Attach(attachedCosigned, 500, foreign))
	if c := get(evidence.PeekCheckpoint(get(trail.Published(t.Context()))(t)))(t); c.Size != 9 {
		t.Errorf("published is the checkpoint of %d entries", c.Size)
	}
	get(get(trail.Prove(t.Context(), 3, ProveOptions{}))(t).Check(believing(t, trail)))(t)
}

func TestTimestamp(t *testing.T) {
	authority := tsatest.New(t, tsatest.Options{})
	var asked atomic.Int64
	tsa := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		authority.ServeHTTP(w, r)
	}))
	defer tsa.Close()
	trail := newTrail(t, Options{})
	policy, text, _ := witnesses(t, trail, 1, "all")
	record(t, trail, turns(1, 5)...)
	get(trail.Cosign(t.Context(), Witnessing{Policy: policy}))(t)
	var all sync.WaitGroup
	for range 3 { // who comes meanwhile waits for the one that is made
		all.Go(func() {
			if size, err := trail.Timestamp(t.Context(), Timestamping{URL: tsa.URL}); size != 5 || err != nil {
				t.Errorf("the checkpoint of %d entries is stamped: %v", size, err)
			}
		})
	}
	all.Wait()
	if n := asked.Load(); n != 1 {
		t.Errorf("the authority was asked %d times", n)
	}
	report := verifyReport(t, trail, VerifyOptions{Roots: authority.Roots, Policy: policy})
	if !report.OK() || len(report.Stamped) != 1 || report.Stamped[0].Size != 5 || !strings.Contains(report.Strength(), "time-stamped up to entry 4 at ") {
		t.Errorf("%s %+v %v %s", findings(report), report.Stamped, report.Unchecked, report.Strength())
	}
	// A second one does not take the place of the first.
	token := get(trail.store.Attachment(attachedTimestamp, 5))(t)
	get(trail.Timestamp(t.Context(), Timestamping{URL: tsa.URL}))(t)
	if !bytes.Equal(token, get(trail.store.Attachment(attachedTimestamp, 5))(t)) {
		t.Error("the first time-stamp is gone")
	}
	if report := verifyReport(t, trail, VerifyOptions{Policy: policy}); len(report.Stamped) > 0 || len(report.Unchecked) != 1 {
		t.Errorf("without roots: %+v", report)
	}
	other := tsatest.New(t, tsatest.Options{})
	if report := verifyReport(t, trail, VerifyOptions{Roots: other.Roots, Policy: policy}); len(report.Stamped) > 0 || len(report.Unchecked) != 1 {
		t.Errorf("with other roots: %+v", report)
	}
	altered := bytes.Clone(token)
	altered[len(altered)-10] ^= 1
	must(t, trail.store.Attach(attachedTimestamp, 5, altered))
	if got := verify(t, trail, VerifyOptions{Roots: authority.Roots, Policy: policy}); got != "altered 0" {
		t.Errorf("an altered token: %q", got)
	}
	must(t, trail.store.Attach(attachedTimestamp, 5, token))

	// A bundle has both.
	var b bytes.Buffer
	must(t, trail.Bundle(t.Context(), &b, BundleOptions{Query: Query{From: 1, To: 4}, Policy: text}))
	r := get(bundle.Check(bytes.NewReader(b.Bytes()), int64(b.Len()), &bundle.CheckOptions{Policy: policy, CheckTimestamp: func(token, checkpoint []byte) (time.Time, error) {
		stamp, err := timestamp.Verify(token, checkpoint, authority.Roots)
		if err != nil {
			return time.Time{}, err
		}
		return stamp.Time, nil
	}}))(t)
	if !r.OK() || !r.Trusted || len(r.Cosigned) != 1 || len(r.Timestamps) != 1 || !r.Timestamps[0].Checked || !r.Completeness.Proven {
		t.Errorf("%v %+v", r.Findings, r)
	}
}

// TestBundle asks different questions, of a trail with another key, erasures and time.
func TestBundle(t *testing.T) {
	c := ahead()
	keys := t.TempDir()
	trail := newTrail(t, Options{KeyDir: keys, now: c.now})
	record(t, trail, about("u1", "p1", 0), about("u2", "p1", 1), about("u1", "p2", 2)) // 1 to 3
	c.advance(time.Hour)
	since := c.now().Truncate(time.Microsecond)
	record(t, trail, turns(10, 15)...)                                    // 4 to 8
	get(trail.RotateKey(t.Context(), newKey(t), "operator", "yearly"))(t) // 9
	c.advance(time.Hour)
	until := c.now().Truncate(time.Microsecond)
	record(t, trail, turns(20, 25)...) // 10 to 14
	erase(t, trail, "u2")              // 15
	believed := []note.Verifier{get(evidence.ParseVerifier(trail.FirstKey()))(t)}
	for name, q := range map[string]struct {
		query    Query
		asked    string
		complete bool
	}{
		"everything":    {Query{}, "0-15", true},
		"a range":       {Query{From: 2, To: 12}, "2-11", true},
		"a time":        {Query{Since: since, Until: until}, "4-9", true},
		"since then":    {Query{Since: until}, "10-15", true},
		"a user":        {Query{UserID: "u1"}, "1,3", false},
		"a project":     {Query{ProjectID: "p1"}, "1", false},
		"a type":        {Query{Types: []event.Type{event.KeyRotated}}, "9", false},
		"before a time": {Query{Until: since}, "0-3", true},
	} {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			must(t, trail.Bundle(t.Context(), &b, BundleOptions{Query: q.query}))
			r := get(bundle.Check(bytes.NewReader(b.Bytes()), int64(b.Len()), &bundle.CheckOptions{Keys: believed}))(t)
			if !r.OK() || !r.Trusted || r.Completeness.Asked.String() != q.asked || r.Completeness.Proven != q.complete {
				t.Errorf("%v: asked for %s, proven %v: %s", r.Findings, r.Completeness.Asked, r.Completeness.Proven, r.Completeness.Reason)
			}
		})
	}
	for name, q := range map[string]Query{"nobody": {UserID: "u9"}, "beyond the end": {From: 100}, "two types": {Types: []event.Type{"a", "b"}}, "when it happened": {OccurredSince: since}} {
		if err := trail.Bundle(t.Context(), &bytes.Buffer{}, BundleOptions{Query: q}); err == nil {
			t.Errorf("%s: a bundle was written", name)
		}
	}
}
