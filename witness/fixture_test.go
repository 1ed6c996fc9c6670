package witness

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/internal/vfs"
)

const (
	testOrigin = "example.org/trail"
	stateDir   = "/witness"
)

var testTime = time.Date(2026, 11, 23, 22, 10, 0, 0, time.UTC)

// testKey returns an Ed25519 key that is known to everybody: for tests only.
func testKey(seed string) ed25519.PrivateKey {
	sum := sha256.Sum256([]byte(seed))
	return ed25519.NewKeyFromSeed(sum[:])
}

func testWitness(t testing.TB, name string) *evidence.CosignatureSigner {
	t.Helper()
	s, err := evidence.NewCosignatureSigner(name, testKey(name))
	must(t, err)
	return s
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// history is a log's tree of some size. Two histories of one log have its key
// and the same entries up to where they part.
type history struct {
	t      testing.TB
	signer *evidence.Signer
	hashes []evidence.Hash
}

// newHistory returns a history of size entries; those from fork on are others
// than those of any other fork.
func newHistory(t testing.TB, origin string, size, fork int) *history {
	t.Helper()
	signer, err := evidence.NewSigner(origin, testKey(origin))
	must(t, err)
	h := &history{t: t, signer: signer}
	for i := range size {
		entry := fmt.Sprintf("entry %d", i)
		if i >= fork {
			entry = fmt.Sprintf("entry %d of the fork at %d", i, fork)
		}
		hashes, err := tlog.StoredHashes(int64(i), []byte(entry), tlog.HashReaderFunc(h.read))
		must(t, err)
		h.hashes = append(h.hashes, hashes...)
	}
	return h
}

const noFork = 1 << 30

func (h *history) read(at []int64) ([]tlog.Hash, error) {
	hashes := make([]tlog.Hash, len(at))
	for i, x := range at {
		hashes[i] = h.hashes[x]
	}
	return hashes, nil
}

func (h *history) at(size uint64) evidence.Checkpoint {
	h.t.Helper()
	root, err := tlog.TreeHash(int64(size), tlog.HashReaderFunc(h.read))
	must(h.t, err)
	return evidence.Checkpoint{Origin: h.signer.Name(), Size: size, Root: root}
}

// sign returns the signed checkpoint of a size.
func (h *history) sign(size uint64) []byte {
	h.t.Helper()
	c := h.at(size)
	signed, err := evidence.SignCheckpoint(&c, h.signer)
	must(h.t, err)
	return signed
}

func (h *history) prove(_ context.Context, old, size uint64) ([]evidence.Hash, error) {
	return evidence.ProveConsistency(tlog.HashReaderFunc(h.read), old, size)
}

// request returns the body that asks for the checkpoint of a size, with the proof
// from old.
func (h *history) request(old, size uint64) []byte {
	h.t.Helper()
	r := request{old: old, checkpoint: h.sign(size)}
	if old <= size {
		var err error
		r.proof, err = h.prove(context.Background(), old, size)
		must(h.t, err)
	}
	return r.append(nil)
}

func (h *history) log() Log {
	return Log{Origin: h.signer.Name(), Verifiers: []note.Verifier{h.signer.Verifier()}}
}

// open opens a witness named w on fsys, whose clock stands at testTime.
func open(t testing.TB, fsys vfs.FS, logger *slog.Logger, logs ...Log) (*Server, error) {
	t.Helper()
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	s, err := newServer(fsys, stateDir, testWitness(t, "w"), logs, logger)
	if err == nil {
		s.now = func() time.Time { return testTime.Add(987 * time.Millisecond) }
	}
	return s, err
}

func mustOpen(t testing.TB, fsys vfs.FS, logger *slog.Logger, logs ...Log) *Server {
	t.Helper()
	s, err := open(t, fsys, logger, logs...)
	must(t, err)
	return s
}

// answer is what a server answered.
type answer struct {
	status            int
	contentType, body string
}

func call(h http.Handler, method, path string, body []byte) answer {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, path, bytes.NewReader(body)))
	b, err := io.ReadAll(w.Result().Body)
	if err != nil {
		panic(err) // a recorder's body cannot fail
	}
	return answer{w.Code, w.Header().Get("Content-Type"), string(b)}
}

func add(h http.Handler, body []byte) answer {
	return call(h, http.MethodPost, "/add-checkpoint", body)
}

// cosigned checks that an answer is the witness's signature at testTime of the
// checkpoint of that size.
func cosigned(t *testing.T, a answer, h *history, size uint64) {
	t.Helper()
	if a.status != http.StatusOK {
		t.Fatalf("answered %+v", a)
	}
	c := h.at(size)
	w := testWitness(t, "w")
	got, err := evidence.Cosignatures(append(append(c.AppendBody(nil), '\n'), a.body...), w.Verifier())
	if err != nil || len(got) != 1 || !got[0].Time.Equal(testTime) {
		t.Fatalf("size %d: %+v is cosigned by %v, %v", size, a, got, err)
	}
}
