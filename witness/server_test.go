package witness

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/mod/sumdb/note"

	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/internal/vfs"
	"github.com/custodylog/custody/internal/vfs/vfstest"
)

// edit returns body with one part of it replaced, which must be there.
func edit(t *testing.T, body []byte, old, new string) []byte {
	t.Helper()
	if !bytes.Contains(body, []byte(old)) {
		t.Fatalf("%q is not in\n%s", old, body)
	}
	return bytes.Replace(body, []byte(old), []byte(new), 1)
}

// resigned returns a request for a checkpoint whose body was changed and signed
// with the log's key all the same.
func resigned(t *testing.T, h *history, old, size uint64, change func(*evidence.Checkpoint), signers ...note.Signer) []byte {
	t.Helper()
	c := h.at(size)
	change(&c)
	if signers == nil {
		signers = []note.Signer{h.signer}
	}
	signed, err := evidence.SignCheckpoint(&c, signers...)
	must(t, err)
	r := request{old: old, checkpoint: signed}
	if old <= size {
		r.proof, err = h.prove(t.Context(), old, size)
		must(t, err)
	}
	return r.append(nil)
}

// Every answer that the protocol knows, by a witness that has cosigned size 5 of
// the log. None of the refused requests changes that.
func TestAddCheckpointAnswers(t *testing.T) {
	h := newHistory(t, testOrigin, 20, noFork)
	fork := newHistory(t, testOrigin, 20, 3)
	unknown := newHistory(t, "example.org/unknown", 20, noFork)
	other, err := evidence.NewSigner(testOrigin, testKey("another key of the same name"))
	must(t, err)
	signature := func(b []byte) string { // of a request's checkpoint, from the em dash on
		return string(b[bytes.LastIndex(b, []byte("— ")):])
	}
	good := h.request(5, 12)
	tooMany := request{old: 5, proof: make([]evidence.Hash, maxProof+1), checkpoint: h.sign(12)}
	for _, tt := range []struct {
		name   string
		body   []byte
		status int
		says   string // or, of a 409, all that is said
	}{
		{"it continues", good, 200, ""},
		{"the same again", h.request(5, 5), 200, ""},
		{"with an extension", resigned(t, h, 5, 12, func(c *evidence.Checkpoint) { c.Extensions = []string{"x"} }), 200, ""},
		{"signed by an unknown key too", resigned(t, h, 5, 12, func(*evidence.Checkpoint) {}, other, h.signer), 200, ""},

		{"nothing", nil, 400, "no empty line"},
		{"HTML", []byte("<html>\n\n</html>"), 400, "line 1"},
		{"no old size", edit(t, good, "old 5\n", ""), 400, "line 1"},
		{"old size in words", edit(t, good, "old 5\n", "old five\n"), 400, "is not a tree size"},
		{"old size with a zero before it", edit(t, good, "old 5\n", "old 05\n"), 400, "is not a tree size"},
		{"old size with a sign", edit(t, good, "old 5\n", "old +5\n"), 400, "is not a tree size"},
		{"old size too large for any tree", edit(t, good, "old 5\n", "old 9223372036854775808\n"), 400, "is not a tree size"},
		{"old size above the checkpoint's", h.request(13, 12), 400, "above the checkpoint's size"},
		{"a proof line that is no hash", edit(t, good, "old 5\n", "old 5\nAAAA\n"), 400, "line 2"},
		{"a carriage return in the proof", edit(t, good, "=\n", "=\r\n"), 400, "is not the base64 of a hash"},
		{"64 proof lines", tooMany.append(nil), 400, "more than 63"},
		{"an unsigned checkpoint", edit(t, good, signature(good), ""), 400, "malformed note"},
		{"a signature line that is none", edit(t, good, signature(good), "x\n"), 400, "malformed note"},
		{"a size in words", edit(t, good, "\n12\n", "\ntwelve\n"), 400, "is not a size"},
		{"too long", append(bytes.Clone(good), make([]byte, maxRequestSize)...), 413, "more than"},

		{"unknown log", unknown.request(0, 12), 404, "is unknown"},

		{"signed by another key alone", resigned(t, h, 5, 12, func(*evidence.Checkpoint) {}, other), 403, "no verifiable signatures"},
		{"the signature of another size", edit(t, good, signature(good), signature(h.request(5, 13))), 403, "invalid signature"},
		{"a wrong signature beside a right one of another key", append(resigned(t, h, 5, 12, func(*evidence.Checkpoint) {}, other), signature(h.request(5, 13))...), 403, "invalid signature"},
		{"a wrong signature and a wrong old size", edit(t, h.request(13, 12), signature(good), signature(h.request(5, 13))), 403, "invalid signature"},

		{"it is behind", h.request(3, 12), 409, "5\n"},
		{"it knows nothing", h.request(0, 12), 409, "5\n"},
		{"it is ahead", h.request(7, 12), 409, "5\n"},
		{"a smaller one: the log was rolled back", h.request(3, 4), 409, "5\n"},
		{"a fork of the same size, with an old size that does not fit", fork.request(0, 5), 409, "5\n"},

		{"a fork of the same size", fork.request(5, 5), 422, "different roots"},
		{"a larger fork", fork.request(5, 12), 422, "does not lead from the root"},
		{"a proof of other sizes", edit(t, h.request(7, 12), "old 7\n", "old 5\n"), 422, "proof"},
		{"no proof", edit(t, h.request(0, 12), "old 0\n", "old 5\n"), 422, "it needs"},
		{"a proof where none is needed", edit(t, h.request(5, 5), "old 5\n", "old 5\n"+evidence.Hash{}.String()+"\n"), 422, "it needs 0"},
		{"a tree that no computer can hold", resigned(t, h, 5, 12, func(c *evidence.Checkpoint) { c.Size = 1 << 62 }), 422, "larger than"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			fsys := vfstest.NewMem()
			s := mustOpen(t, fsys, nil, h.log())
			cosigned(t, add(s, h.request(0, 5)), h, 5)
			a := add(s, tt.body)
			if a.status != tt.status || !strings.Contains(a.body, tt.says) {
				t.Errorf("%+v, want %d, %q", a, tt.status, tt.says)
			}
			if isConflict := a.status == 409; isConflict != (a.contentType == sizeType) || isConflict && a.body != tt.says {
				t.Errorf("%+v", a)
			}
			if a.status == 200 {
				return
			}
			must(t, s.Close())
			s = mustOpen(t, fsys, nil, h.log())
			cosigned(t, add(s, good), h, 12)
		})
	}
}

// A log of which the witness has seen nothing.
func TestFirstCheckpoint(t *testing.T) {
	h := newHistory(t, testOrigin, 20, noFork)
	for _, tt := range []struct {
		name   string
		body   []byte
		status int
		says   string
	}{
		{"the empty tree", h.request(0, 0), 200, ""},
		{"of any size", h.request(0, 12), 200, ""},
		{"the empty tree with another root", resigned(t, h, 0, 0, func(c *evidence.Checkpoint) { c.Root = h.at(1).Root }), 422, "root"},
		{"with a proof", edit(t, h.request(0, 12), "old 0\n", "old 0\n"+evidence.Hash{}.String()+"\n"), 422, "it needs 0"},
		{"with an old size", h.request(5, 12), 409, "0\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if a := add(mustOpen(t, vfstest.NewMem(), nil, h.log()), tt.body); a.status != tt.status || !strings.Contains(a.body, tt.says) {
				t.Errorf("%+v, want %d, %q", a, tt.status, tt.says)
			}
		})
	}
}

func TestOtherPathsAndMethods(t *testing.T) {
	h := newHistory(t, testOrigin, 2, noFork)
	s := mustOpen(t, vfstest.NewMem(), nil, h.log())
	for _, tt := range []struct {
		method, path string
		status       int
	}{
		{"GET", "/add-checkpoint", 405},
		{"PUT", "/add-checkpoint", 405},
		{"POST", "/", 404},
		{"POST", "/" + stateFile(testOrigin) + "/checkpoint", 405},
		{"GET", "/" + lockName + "/checkpoint", 404},
		{"GET", "/" + stateFile("example.org/unknown") + "/checkpoint", 404},
		{"GET", "/" + stateFile(testOrigin) + "/checkpoint", 404}, // nothing was cosigned
		{"GET", "/" + strings.ToUpper(stateFile(testOrigin)) + "/checkpoint", 404},
	} {
		if a := call(s, tt.method, tt.path, h.request(0, 1)); a.status != tt.status {
			t.Errorf("%s %s: %+v, want %d", tt.method, tt.path, a, tt.status)
		}
	}
}

// What is served to monitors is what was cosigned, with the signatures that were
// checked and the cosignature that was returned, also by a process after this one.
func TestMonitorRetrieval(t *testing.T) {
	h := newHistory(t, testOrigin, 20, noFork)
	stranger, err := evidence.NewSigner("example.org/stranger", testKey("stranger"))
	must(t, err)
	fsys := vfstest.NewMem()
	s := mustOpen(t, fsys, nil, h.log())
	a := add(s, resigned(t, h, 0, 7, func(*evidence.Checkpoint) {}, stranger, h.signer))
	cosigned(t, a, h, 7)
	want := string(h.sign(7)) + a.body
	path := "/" + stateFile(testOrigin) + "/checkpoint"
	if got := call(s, "GET", path, nil); got.status != 200 || got.body != want {
		t.Errorf("%+v\nwant %s", got, want)
	}
	must(t, s.Close())
	if got := call(mustOpen(t, fsys, nil, h.log()), "GET", path, nil); got.status != 200 || got.body != want {
		t.Errorf("by the next process: %+v\nwant %s", got, want)
	}
}

// Of two histories that are both signed with the log's key, a witness cosigns one,
// and its own log has the proof that there are two.
func TestForkIsRefusedAndLogged(t *testing.T) {
	h, fork := newHistory(t, testOrigin, 20, noFork), newHistory(t, testOrigin, 20, 3)
	var logged bytes.Buffer
	s := mustOpen(t, vfstest.NewMem(), slog.New(slog.NewJSONHandler(&logged, nil)), h.log())
	cosigned(t, add(s, h.request(0, 8)), h, 8)
	for _, body := range [][]byte{fork.request(8, 8), fork.request(8, 20)} {
		logged.Reset()
		if a := add(s, body); a.status != http.StatusUnprocessableEntity {
			t.Errorf("%+v", a)
		}
		for _, signed := range [][]byte{h.sign(8), body[bytes.Index(body, []byte("\n\n"))+2:]} {
			quoted := strings.Trim(fmt.Sprintf("%q", signed), `"`)
			if !strings.Contains(logged.String(), quoted) {
				t.Errorf("%s\nis not in the log:\n%s", quoted, logged.String())
			}
		}
	}
	cosigned(t, add(s, h.request(8, 20)), h, 20)
}

func TestKeysOfALog(t *testing.T) {
	h := newHistory(t, testOrigin, 20, noFork)
	next, err := evidence.NewSigner(testOrigin, testKey("the next key"))
	must(t, err)
	fsys := vfstest.NewMem()
	s := mustOpen(t, fsys, nil, h.log())
	cosigned(t, add(s, h.request(0, 5)), h, 5)
	must(t, s.Close())

	// The log has a new key; what was cosigned under the old one stays in force.
	log := Log{Origin: testOrigin, Verifiers: []note.Verifier{next.Verifier()}}
	fork := newHistory(t, testOrigin, 20, 3)
	h.signer, fork.signer = next, next
	s = mustOpen(t, fsys, nil, log)
	if a := add(s, fork.request(5, 9)); a.status != http.StatusUnprocessableEntity {
		t.Errorf("%+v", a)
	}
	cosigned(t, add(s, h.request(5, 9)), h, 9)
}

// failingKey is a key whose holder cannot be reached.
type failingKey struct{ ed25519.PrivateKey }

func (failingKey) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return nil, errors.New("the token is not plugged in")
}

// When the key fails behind the state, the log asks again at the size where the
// witness is.
func TestKeyThatFails(t *testing.T) {
	h := newHistory(t, testOrigin, 20, noFork)
	broken, err := evidence.NewCosignatureSigner("w", failingKey{testKey("w")})
	must(t, err)
	fsys := vfstest.NewMem()
	var logged bytes.Buffer
	s, err := newServer(fsys, stateDir, broken, []Log{h.log()}, slog.New(slog.NewTextHandler(&logged, nil)))
	must(t, err)
	c := serve(t, s)
	if _, err := c.Cosign(t.Context(), h.sign(5), 0, h.prove); !errors.Is(err, ErrTemporary) || strings.Contains(err.Error(), "token") {
		t.Errorf("%v", err)
	}
	if !strings.Contains(logged.String(), "the token is not plugged in") {
		t.Errorf("the log does not say why: %s", logged.String())
	}
	must(t, s.Close())
	c = serve(t, mustOpen(t, fsys, nil, h.log()))
	_, err = c.Cosign(t.Context(), h.sign(5), 0, h.prove)
	must(t, err)
}

func TestLogsAreApart(t *testing.T) {
	a, b := newHistory(t, "example.org/a", 20, noFork), newHistory(t, "example.org/b", 20, noFork)
	s := mustOpen(t, vfstest.NewMem(), nil, a.log(), b.log())
	cosigned(t, add(s, a.request(0, 10)), a, 10)
	cosigned(t, add(s, b.request(0, 3)), b, 3)
	cosigned(t, add(s, a.request(10, 12)), a, 12)
	// The key of one log does not speak for the other.
	a.signer, b.signer = b.signer, a.signer
	c := a.at(15)
	c.Origin = "example.org/a"
	signed, err := evidence.SignCheckpoint(&c, a.signer)
	must(t, err)
	r := request{old: 12, checkpoint: signed}
	if got := add(s, r.append(nil)); got.status != http.StatusForbidden {
		t.Errorf("%+v", got)
	}
}

func TestNewServerRefuses(t *testing.T) {
	h := newHistory(t, testOrigin, 1, noFork)
	fsys := vfstest.NewMem()
	if _, err := open(t, fsys, nil, h.log(), h.log()); err == nil || !strings.Contains(err.Error(), "given twice") {
		t.Errorf("a log given twice: %v", err)
	}
	if _, err := open(t, fsys, nil, Log{Origin: testOrigin}); err == nil || !strings.Contains(err.Error(), "no verifier key") {
		t.Errorf("a log without a key: %v", err)
	}
	s := mustOpen(t, fsys, nil, h.log()) // those that failed gave the directory up
	var locked *vfs.LockedError
	if _, err := open(t, fsys, nil, h.log()); !errors.As(err, &locked) {
		t.Errorf("a second process: %v", err)
	}
	must(t, s.Close())
	must(t, mustOpen(t, fsys, nil, h.log()).Close())
}

// Whatever stands in a state file that is not its state, the log is not cosigned,
// and the other logs are.
func TestUnreadableState(t *testing.T) {
	h, fine := newHistory(t, testOrigin, 20, noFork), newHistory(t, "example.org/fine", 20, noFork)
	disk := vfstest.NewMem()
	s := mustOpen(t, disk, nil, h.log(), fine.log())
	cosigned(t, add(s, h.request(0, 5)), h, 5)
	cosigned(t, add(s, fine.request(0, 6)), fine, 6)
	must(t, s.Close())
	name := filepath.Join(stateDir, stateFile(testOrigin))
	whole, err := disk.ReadAll(name)
	must(t, err)
	others, err := disk.ReadAll(filepath.Join(stateDir, stateFile("example.org/fine")))
	must(t, err)
	tests := map[string][]byte{
		"empty":                 {},
		"cut short":             whole[:len(whole)-1],
		"grown":                 append(bytes.Clone(whole), '\n'),
		"the state of another":  others,
		"a newer version":       append([]byte("custody witness v2\n"), whole...),
		"HTML":                  []byte("<html>"),
		"too long":              make([]byte, maxStateSize+1),
		"a header and no more":  []byte(stateHeader),
		"a version that is big": []byte("custody witness v99999999999999999999\n"),
	}
	for i := range whole {
		if i%7 == 0 {
			flipped := bytes.Clone(whole)
			flipped[i] ^= 1
			tests[fmt.Sprintf("byte %d altered", i)] = flipped
		}
	}
	for what, content := range tests {
		t.Run(what, func(t *testing.T) {
			fsys := disk.Clone()
			must(t, fsys.WriteAll(name, content))
			var logged bytes.Buffer
			s := mustOpen(t, fsys, slog.New(slog.NewTextHandler(&logged, nil)), h.log(), fine.log())
			if !strings.Contains(logged.String(), stateFile(testOrigin)) {
				t.Errorf("the log does not name the file: %s", logged.String())
			}
			for _, body := range [][]byte{h.request(0, 5), h.request(5, 12)} {
				if a := add(s, body); a.status != http.StatusInternalServerError || strings.Contains(a.body, stateDir) {
					t.Errorf("%+v", a)
				}
			}
			if a := call(s, "GET", "/"+stateFile(testOrigin)+"/checkpoint", nil); a.status != http.StatusInternalServerError {
				t.Errorf("%+v", a)
			}
			if got, err := fsys.ReadAll(name); err != nil || !bytes.Equal(got, content) {
				t.Errorf("the file is %q now, %v", got, err)
			}
			cosigned(t, add(s, fine.request(6, 9)), fine, 9)
		})
	}
}

// Many requests for one log at once, most of them late: what is cosigned is one
// history that only grows, over a real connection.
func TestConcurrentRequests(t *testing.T) {
	const size, clients = 40, 8
	h := newHistory(t, testOrigin, size, noFork)
	fork := newHistory(t, testOrigin, size, 1)
	s, err := NewServer(t.TempDir(), testWitness(t, "w"), []Log{h.log()}, slog.New(slog.DiscardHandler))
	must(t, err)
	ts := httptest.NewServer(s)
	defer ts.Close()
	if a := add(s, h.request(0, 1)); a.status != 200 {
		t.Fatalf("%+v", a)
	}
	c := &Client{URL: ts.URL, Key: testWitness(t, "w").Verifier()}
	honest, forked := make([]int, clients), make([]int, clients)
	var signed, forkSigned [size + 1][]byte
	for n := range uint64(size + 1) {
		signed[n], forkSigned[n] = h.sign(n), fork.sign(n)
	}
	var wg sync.WaitGroup
	for i := range clients {
		wg.Go(func() {
			for n := uint64(2); n <= size; n++ {
				if _, err := c.Cosign(t.Context(), signed[n], n-1, h.prove); err == nil {
					honest[i]++
				}
				if _, err := c.Cosign(t.Context(), forkSigned[n], n-1, fork.prove); err == nil {
					forked[i]++
				}
			}
		})
	}
	wg.Wait()
	total := 0
	for i := range clients {
		total += honest[i]
		if forked[i] > 0 {
			t.Errorf("client %d had the fork cosigned %d times", i, forked[i])
		}
	}
	if total < size-1 {
		t.Errorf("%d requests were cosigned, of %d sizes", total, size-1)
	}
	if s.byOrigin[testOrigin].state.Size != size {
		t.Errorf("the witness is at size %d", s.byOrigin[testOrigin].state.Size)
	}
}
