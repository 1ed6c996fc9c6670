package witness

import (
	"crypto"
	"crypto/ed25519"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/internal/vfs"
	"github.com/custodylog/custody/internal/vfs/vfstest"
)

// observedKey calls observe before it signs.
type observedKey struct {
	ed25519.PrivateKey
	observe func()
}

func (k observedKey) Sign(rand io.Reader, msg []byte, opts crypto.SignerOpts) ([]byte, error) {
	k.observe()
	return k.PrivateKey.Sign(rand, msg, opts)
}

// steps are the sizes from and to which the crash tests have a log cosigned. One
// is at the size that was there.
var steps = [][2]uint64{{0, 3}, {3, 8}, {8, 8}, {8, 15}}

// servedPath is where the log's last cosigned checkpoint is served.
var servedPath = "/" + stateFile(testOrigin) + "/checkpoint"

// session is a witness at work on a file system that may fail.
type session struct {
	t      *testing.T
	h      *history
	forks  [][]byte // requests for a fork, from each size that the witness may be at
	signed uint64   // the largest size that a signature was made for
	asked  uint64   // the size that is being asked for
}

func newSession(t *testing.T) *session {
	s := &session{t: t, h: newHistory(t, testOrigin, 20, noFork)}
	fork := newHistory(t, testOrigin, 20, 1)
	for _, old := range []uint64{0, 3, 8, 15} {
		for _, size := range []uint64{max(old, 2), old + 2, 20} {
			s.forks = append(s.forks, fork.request(old, size))
		}
	}
	return s
}

// again returns a session that has not begun.
func (s *session) again() *session { return &session{t: s.t, h: s.h, forks: s.forks} }

// open opens a witness that takes down what it signs, and calls observe before.
func (s *session) open(fsys vfs.FS, observe func()) (*Server, error) {
	key := observedKey{testKey("w"), func() {
		if observe != nil {
			observe()
		}
		s.signed = max(s.signed, s.asked)
	}}
	signer, err := evidence.NewCosignatureSigner("w", key)
	must(s.t, err)
	return newServer(fsys, stateDir, signer, []Log{s.h.log()}, slog.New(slog.DiscardHandler))
}

// run asks for all steps, one after the other, until the witness is told to stop
// by an error, and then for the fork.
func (s *session) run(fsys vfs.FS, observe func()) {
	srv, err := s.open(fsys, observe)
	if err != nil {
		return
	}
	for _, step := range steps {
		s.asked = step[1]
		a := add(srv, s.h.request(step[0], step[1]))
		call(srv, "GET", servedPath, nil)
		if a.status != 200 {
			s.tryFork(srv, "after a fault")
		}
	}
	srv.Close()
}

// tryFork asks for the fork once anything was signed.
func (s *session) tryFork(srv *Server, when string) {
	s.t.Helper()
	if s.signed == 0 {
		return
	}
	for _, body := range s.forks {
		if add(srv, body).status == 200 {
			s.t.Fatalf("%s: the witness signed size %d and then a fork:\n%s", when, s.signed, body)
		}
	}
}

// restart checks a witness that is started on what is left: it has signed nothing
// that it does not know of, and goes on.
func (s *session) restart(disk *vfstest.Mem, when string) {
	s.t.Helper()
	srv, err := open(s.t, disk, nil, s.h.log())
	must(s.t, err)
	defer srv.Close()
	l := srv.byOrigin[testOrigin]
	if l.err != nil {
		s.t.Fatalf("%s: %v", when, l.err)
	}
	var size uint64
	if l.state != nil {
		size = l.state.Size
		if l.state.Root != s.h.at(size).Root {
			s.t.Fatalf("%s: the root of size %d is another one", when, size)
		}
	}
	if size < s.signed {
		s.t.Fatalf("%s: the witness has signed size %d and remembers %d", when, s.signed, size)
	}
	s.tryFork(srv, when)
	cosigned(s.t, add(srv, s.h.request(size, 20)), s.h, 20)
}

// crashes returns the worst that a crash could leave, and some other outcomes.
func crashes(mem *vfstest.Mem) []*vfstest.Mem {
	clones := []*vfstest.Mem{mem.CrashClone(nil)}
	for seed := range uint64(8) {
		clones = append(clones, mem.CrashClone(rand.New(rand.NewPCG(seed, 0))))
	}
	return clones
}

// At the moment of signing, whatever a crash leaves knows what is being signed.
func TestStateIsDurableBeforeSigning(t *testing.T) {
	disk := vfstest.NewMem()
	s := newSession(t)
	observed := 0
	s.run(disk, func() {
		observed++
		for _, left := range crashes(disk) {
			st, err := readState(left, filepath.Join(stateDir, stateFile(testOrigin)), testOrigin)
			if err != nil || st == nil || st.Size != s.asked {
				t.Errorf("size %d is being signed, and a crash leaves %+v, %v", s.asked, st, err)
			}
		}
	})
	if want := 2 * len(steps); observed != want { // once when it is asked for, once when it is served
		t.Errorf("%d signatures were made, want %d", observed, want)
	}
}

func TestCrashBeforeEachOperation(t *testing.T) {
	disk := vfstest.NewMem()
	s := newSession(t)
	operations := 0
	s.run(vfstest.Inject(disk, func(op vfstest.Op) vfstest.Fault {
		operations++
		for i, left := range crashes(disk) {
			s.restart(left, fmt.Sprintf("crash %d before %s (operation %d)", i, op.Kind, op.N))
		}
		return vfstest.None
	}), nil)
	if s.signed != 15 || operations < 30 {
		t.Errorf("%d operations, signed up to %d", operations, s.signed)
	}
	for i, left := range crashes(disk) {
		s.restart(left, fmt.Sprintf("crash %d at the end", i))
	}
}

// Each operation fails in turn, alone or with all that come after it. A fault is
// never followed by a signature that a restart does not know of, with a crash or
// without.
func TestFaultAtEachOperation(t *testing.T) {
	plans := map[string]func(int, vfstest.Fault, ...vfstest.OpKind) *vfstest.Plan{
		"that operation only":     vfstest.OnNth,
		"and everything after it": vfstest.FromNth,
	}
	for reach, plan := range plans {
		for _, fault := range []vfstest.Fault{vfstest.Fail, vfstest.FailAfter, vfstest.ShortWrite} {
			t.Run(fmt.Sprintf("%s, %s", fault, reach), func(t *testing.T) {
				first := newSession(t)
				for n := 0; ; n++ {
					disk, s := vfstest.NewMem(), first.again()
					p := plan(n, fault)
					s.run(vfstest.Inject(disk, p.Decide), nil)
					if !p.Hit() {
						if s.signed != 15 || n < 30 {
							t.Errorf("%d operations, signed up to %d", n, s.signed)
						}
						break
					}
					for i, left := range append(crashes(disk), disk.Clone()) {
						s.restart(left, fmt.Sprintf("crash %d after a fault in operation %d", i, n))
					}
				}
			})
		}
	}
}

// A process finds a state that is there and was never synced, since the one before
// it failed to: it does not sign that before it is durable.
func TestStateOfAFailedProcess(t *testing.T) {
	disk, s := vfstest.NewMem(), newSession(t)
	s.asked = steps[0][1]
	srv, err := s.open(vfstest.Inject(disk, vfstest.OnNth(1, vfstest.Fail, vfstest.SyncDir).Decide), nil)
	must(t, err)
	if a := add(srv, s.h.request(0, s.asked)); a.status != 500 || s.signed != 0 {
		t.Fatalf("%+v, signed up to %d", a, s.signed)
	}
	next := disk.Clone() // as after kill -9, and nothing is lost
	srv, err = s.open(next, nil)
	must(t, err)
	if a := call(srv, "GET", servedPath, nil); a.status != 200 || s.signed != s.asked {
		t.Fatalf("%+v, signed up to %d", a, s.signed)
	}
	for i, left := range crashes(next) {
		s.restart(left, fmt.Sprintf("crash %d", i))
	}
}
