package witness

import (
	"bytes"
	"context"
	"crypto"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/internal/vfs/vfstest"
)

// serve serves h over a real connection, and returns a client that expects the
// key of the witness named w there.
func serve(t *testing.T, h http.Handler) *Client {
	t.Helper()
	ts := httptest.NewServer(h)
	t.Cleanup(ts.Close)
	return &Client{URL: ts.URL, Key: testWitness(t, "w").Verifier()}
}

func TestClientAgainstServer(t *testing.T) {
	h := newHistory(t, testOrigin, 20, noFork)
	s := mustOpen(t, vfstest.NewMem(), nil, h.log())
	c := serve(t, s)
	c.URL += "/" // with and without
	proved := [][2]uint64{}
	prove := func(ctx context.Context, old, size uint64) ([]evidence.Hash, error) {
		proved = append(proved, [2]uint64{old, size})
		return h.prove(ctx, old, size)
	}
	for _, step := range []struct {
		name      string
		old, size uint64
		proofs    [][2]uint64
	}{
		{"the first", 0, 5, nil},
		{"the next", 5, 9, [][2]uint64{{5, 9}}},
		{"the same again", 9, 9, nil},
		{"the witness is at another size than believed", 5, 12, [][2]uint64{{5, 12}, {9, 12}}},
		{"nothing is known of the witness", 0, 15, [][2]uint64{{12, 15}}},
		{"the witness has it already", 0, 15, nil},
		{"it is believed to be ahead and is not", 19, 17, [][2]uint64{{15, 17}}},
	} {
		t.Run(step.name, func(t *testing.T) {
			proved = nil
			signed := h.sign(step.size)
			line, err := c.Cosign(t.Context(), signed, step.old, prove)
			must(t, err)
			cosigned(t, answer{status: 200, body: string(line)}, h, step.size)
			if !slices.Equal(proved, step.proofs) {
				t.Errorf("proofs from and to %v, want %v", proved, step.proofs)
			}
			both, err := evidence.AddCosignature(signed, line)
			must(t, err)
			if !bytes.HasSuffix(both, line) || !bytes.HasPrefix(both, signed) {
				t.Errorf("%s", both)
			}
		})
	}
	var ahead *AheadError
	if _, err := c.Cosign(t.Context(), h.sign(10), 0, prove); !errors.As(err, &ahead) || *ahead != (AheadError{17, 10}) {
		t.Errorf("a witness that has more: %v", err)
	}
	var conflict *ConflictError
	if _, err := c.AddCheckpoint(t.Context(), 3, nil, h.sign(18)); !errors.As(err, &conflict) || conflict.Size != 17 {
		t.Errorf("another size: %v", err)
	}
	fork, unknown := newHistory(t, testOrigin, 20, 3), newHistory(t, "example.org/unknown", 20, noFork)
	if _, err := c.Cosign(t.Context(), fork.sign(19), 17, fork.prove); !errors.Is(err, ErrInconsistent) {
		t.Errorf("a fork: %v", err)
	}
	if _, err := c.Cosign(t.Context(), unknown.sign(19), 0, unknown.prove); !errors.Is(err, ErrUnknownLog) {
		t.Errorf("an unknown log: %v", err)
	}
	other, err := evidence.NewSigner(testOrigin, testKey("another key"))
	must(t, err)
	fork.signer = other
	if _, err := c.Cosign(t.Context(), fork.sign(19), 17, fork.prove); !errors.Is(err, ErrSignature) {
		t.Errorf("another key: %v", err)
	}
	broken := errors.New("the tiles cannot be read")
	if _, err := c.Cosign(t.Context(), h.sign(19), 17, func(context.Context, uint64, uint64) ([]evidence.Hash, error) { return nil, broken }); !errors.Is(err, broken) {
		t.Errorf("no proof: %v", err)
	}
	if _, err := c.Cosign(t.Context(), []byte("no checkpoint"), 0, prove); err == nil || !strings.Contains(err.Error(), "no signatures") {
		t.Errorf("no checkpoint: %v", err)
	}
}

// What a witness that errs or lies may answer, and what is made of it.
func TestClientAgainstLiars(t *testing.T) {
	h := newHistory(t, testOrigin, 20, noFork)
	fork := newHistory(t, testOrigin, 20, 3)
	w, stranger := testWitness(t, "w"), testWitness(t, "stranger")
	impostor, err := evidence.NewCosignatureSigner("w", testKey("impostor"))
	must(t, err)
	line := func(s *evidence.CosignatureSigner, c evidence.Checkpoint) string {
		line, err := s.Cosign(string(c.AppendBody(nil)), testTime)
		must(t, err)
		return string(line)
	}
	right := line(w, h.at(12))
	c := h.at(12)
	timeless, err := testKey("w").Sign(nil, fmt.Appendf(nil, "cosignature/v1\ntime 0\n%s", c.AppendBody(nil)), crypto.Hash(0))
	must(t, err)
	timeless = append(binary.BigEndian.AppendUint32(nil, w.KeyHash()), append(make([]byte, 8), timeless...)...)
	size := func(w http.ResponseWriter) { w.Header().Set("Content-Type", sizeType) }
	for _, tt := range []struct {
		name   string
		status int
		head   func(http.ResponseWriter)
		body   string
		is     error  // that it can be told from others by
		says   string // empty: it is accepted
	}{
		{"the truth", 200, nil, right, nil, ""},
		{"among signatures of others", 200, nil, line(stranger, h.at(12)) + line(impostor, h.at(12)) + right, nil, ""},

		{"nothing", 200, nil, "", nil, "no signature of the key"},
		{"another witness", 200, nil, line(stranger, h.at(12)), nil, "no signature of the key"},
		{"another key of the same name", 200, nil, line(impostor, h.at(12)), nil, "no signature of the key"},
		{"another size", 200, nil, line(w, h.at(11)), nil, "not a cosignature of this checkpoint"},
		{"another root", 200, nil, line(w, fork.at(12)), nil, "not a cosignature of this checkpoint"},
		{"the checkpoint and not the signature", 200, nil, string(h.sign(12)), nil, "not a cosignature of this checkpoint"},
		{"a line without an end", 200, nil, strings.TrimSuffix(right, "\n"), nil, "not a cosignature of this checkpoint"},
		{"no time", 200, nil, "— w " + base64.StdEncoding.EncodeToString(timeless) + "\n", nil, "carries no time"},
		{"HTML", 200, nil, "<html><body>Welcome</body></html>\n", nil, "not a cosignature of this checkpoint"},
		{"bytes", 200, nil, "\x00\xff\n", nil, "not a cosignature of this checkpoint"},
		{"too much", 200, nil, right + strings.Repeat("x", maxResponseSize), nil, "more than 65536 bytes"},
		{"less than was announced", 200, func(w http.ResponseWriter) { w.Header().Set("Content-Length", "9999") }, right, ErrTemporary, "unexpected EOF"},

		{"a cosignature and an error", 500, nil, right, ErrTemporary, "500"},
		{"no content", 204, nil, "", nil, "204"},
		{"elsewhere", 302, func(w http.ResponseWriter) { w.Header().Set("Location", "/elsewhere") }, "", ErrUnknownLog, "404"},
		{"a bad request", 400, nil, "line 1", nil, `400 Bad Request, "line 1"`},
		{"a bad signature", 403, nil, "go away", ErrSignature, "go away"},
		{"an unknown log", 404, nil, "who?", ErrUnknownLog, "who?"},
		{"inconsistent", 422, nil, "no!", ErrInconsistent, "no!"},
		{"too often", 429, nil, "later", ErrTemporary, "later"},
		{"overloaded", 503, nil, "later", ErrTemporary, "later"},
		{"a terminal's control characters", 400, nil, "\x1b[2J", nil, `\x1b[2J`},

		{"a conflict without a type", 409, nil, "5\n", nil, "no size"},
		{"a conflict in words", 409, size, "five\n", nil, "no size"},
		{"a conflict with a negative size", 409, size, "-5\n", nil, "no size"},
		{"a conflict with two sizes", 409, size, "5\n6\n", nil, "no size"},
		{"a conflict with the size that was sent", 409, size, "5\n", new(ConflictError), "has size 5"},
		{"a size above the checkpoint's", 409, size, "13\n", new(AheadError), "rolled back"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			calls := 0
			c := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/add-checkpoint" {
					http.NotFound(w, r)
					return
				}
				calls++
				if tt.head != nil {
					tt.head(w)
				}
				w.WriteHeader(tt.status)
				io.WriteString(w, tt.body)
			}))
			got, err := c.Cosign(t.Context(), h.sign(12), 5, h.prove)
			if tt.says == "" {
				if err != nil || string(got) != right {
					t.Fatalf("%q, %v", got, err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.says) || !strings.HasPrefix(err.Error(), "witness w: ") {
				t.Errorf("%q, %v, want %q", got, err, tt.says)
			}
			checkKind(t, err, tt.is)
			if calls > 2 {
				t.Errorf("it was asked %d times", calls)
			}
		})
	}
}

// checkKind checks that of all errors that callers branch on, err is want.
func checkKind(t *testing.T, err, want error) {
	t.Helper()
	for _, kind := range []error{ErrTemporary, ErrUnknownLog, ErrSignature, ErrInconsistent} {
		if is := errors.Is(err, kind); is != (kind == want) {
			t.Errorf("%v is %q: %v", err, kind, is)
		}
	}
	var conflict *ConflictError
	var ahead *AheadError
	_, wantConflict := want.(*ConflictError)
	_, wantAhead := want.(*AheadError)
	if errors.As(err, &conflict) != wantConflict || errors.As(err, &ahead) != wantAhead {
		t.Errorf("%v: a conflict %v, ahead %v", err, conflict != nil, ahead != nil)
	}
}

// An answer that does not come, or does not end, ends with the context.
func TestClientGivesUp(t *testing.T) {
	h := newHistory(t, testOrigin, 20, noFork)
	for name, begin := range map[string]func(http.ResponseWriter){
		"no answer":          func(http.ResponseWriter) {},
		"headers and no end": func(w http.ResponseWriter) { w.WriteHeader(200); http.NewResponseController(w).Flush() },
		"half a line":        func(w http.ResponseWriter) { io.WriteString(w, "— w AA"); http.NewResponseController(w).Flush() },
	} {
		t.Run(name, func(t *testing.T) {
			asked := make(chan struct{})
			c := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				io.Copy(io.Discard, r.Body)
				begin(w)
				close(asked)
				<-r.Context().Done()
			}))
			ctx, cancel := context.WithCancel(t.Context())
			go func() { <-asked; cancel() }()
			_, err := c.AddCheckpoint(ctx, 0, nil, h.sign(5))
			if !errors.Is(err, ErrTemporary) || !errors.Is(err, context.Canceled) {
				t.Errorf("%v", err)
			}
		})
	}
	t.Run("an endless body", func(t *testing.T) {
		c := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			for b := bytes.Repeat([]byte("x"), 1<<16); ; {
				if _, err := w.Write(b); err != nil {
					return // the client has hung up
				}
			}
		}))
		if _, err := c.AddCheckpoint(t.Context(), 0, nil, h.sign(5)); err == nil || !strings.Contains(err.Error(), "more than 65536 bytes") {
			t.Errorf("%v", err)
		}
	})
	t.Run("nobody there", func(t *testing.T) {
		ts := httptest.NewServer(http.NotFoundHandler())
		ts.Close()
		c := &Client{URL: ts.URL, Key: testWitness(t, "w").Verifier(), HTTP: &http.Client{Timeout: time.Minute}}
		if _, err := c.AddCheckpoint(t.Context(), 0, nil, h.sign(5)); !errors.Is(err, ErrTemporary) {
			t.Errorf("%v", err)
		}
	})
	t.Run("no URL", func(t *testing.T) {
		c := &Client{URL: "http://[", Key: testWitness(t, "w").Verifier()}
		if _, err := c.AddCheckpoint(t.Context(), 0, nil, h.sign(5)); err == nil || errors.Is(err, ErrTemporary) {
			t.Errorf("%v", err)
		}
	})
}

// A log that was restored from yesterday's copy and went on from there is told so
// by its witness, and by no check of the log itself.
func TestRollbackIsNoticed(t *testing.T) {
	yesterday := newHistory(t, testOrigin, 20, 6) // what is recorded from 6 on is recorded anew
	h := newHistory(t, testOrigin, 20, noFork)
	s := mustOpen(t, vfstest.NewMem(), slog.New(slog.DiscardHandler), h.log())
	c := serve(t, s)
	_, err := c.Cosign(t.Context(), h.sign(10), 0, h.prove)
	must(t, err)
	for size := uint64(6); size <= 20; size++ {
		_, err := c.Cosign(t.Context(), yesterday.sign(size), 6, yesterday.prove)
		want := error(ErrInconsistent)
		if size < 10 {
			want = new(AheadError)
		}
		if err == nil {
			t.Fatalf("size %d was cosigned", size)
		}
		checkKind(t, fmt.Errorf("size %d: %w", size, err), want)
	}
}
