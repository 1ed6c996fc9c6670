package witness

import (
	"bytes"
	"net/http"
	"testing"

	"github.com/custodylog/custody/internal/vfs/vfstest"
)

func FuzzParseRequest(f *testing.F) {
	h := newHistory(f, testOrigin, 20, noFork)
	f.Add(h.request(0, 5))
	f.Add(h.request(5, 12))
	f.Add([]byte("old 0\n\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := parseRequest(b)
		if err != nil {
			return
		}
		if again := r.append(nil); !bytes.Equal(again, b) {
			t.Fatalf("read from %q\nwritten as %q", b, again)
		}
		if len(r.proof) > maxProof {
			t.Fatalf("%d hashes", len(r.proof))
		}
	})
}

func FuzzParseState(f *testing.F) {
	h := newHistory(f, testOrigin, 20, noFork)
	s := state{Checkpoint: h.at(7), signed: h.sign(7), time: testTime}
	f.Add(s.append(nil))
	f.Add([]byte("custody witness v2\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := parseState(b)
		if err == nil && !bytes.Equal(s.append(nil), b) {
			t.Fatalf("read from %q\nwritten as %q", b, s.append(nil))
		}
	})
}

// Whatever a witness is asked, it answers as the protocol says, and cosigns no
// more than the log has signed.
func FuzzAddCheckpoint(f *testing.F) {
	h := newHistory(f, testOrigin, 20, noFork)
	fork := newHistory(f, testOrigin, 20, 3)
	f.Add(h.request(5, 12))
	f.Add(h.request(5, 5))
	f.Add(fork.request(5, 12))
	f.Add(h.request(3, 4))
	f.Fuzz(func(t *testing.T, b []byte) {
		h := &history{t, h.signer, h.hashes}
		s := mustOpen(t, vfstest.NewMem(), nil, h.log())
		cosigned(t, add(s, h.request(0, 5)), h, 5)
		switch a := add(s, b); a.status {
		case http.StatusOK:
			cosigned(t, a, h, s.byOrigin[testOrigin].state.Size)
		case 400, 403, 404, 409, 413, 422:
			if s.byOrigin[testOrigin].state.Size != 5 {
				t.Fatalf("%+v, and it is at size %d", a, s.byOrigin[testOrigin].state.Size)
			}
		default:
			t.Fatalf("%+v", a)
		}
	})
}
