package witness

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/internal/vfs"
)

// lockName is the file that keeps a second process out of the directory.
const lockName = "lock"

// Log is a log that a witness knows.
type Log struct {
	Origin    string          // the first line of its checkpoints
	Verifiers []note.Verifier // its keys: a checkpoint is signed with one of them
}

// Server is a witness: an [http.Handler] for the paths of C2SP tlog-witness,
//
//	POST /add-checkpoint
//	GET  /<hex SHA-256 of the origin>/checkpoint
//
// It keeps one file for each log with the last checkpoint that it cosigned, which
// is durable before the cosignature is made. When such a file cannot be read or
// written, the server answers 500 for that log until it is started anew, and goes
// on with the others.
//
// It sets no limits to how often it may be called; whoever has no checkpoint that
// is signed by a known key makes it write nothing. Requests for one log are
// answered one after the other.
type Server struct {
	signer *evidence.CosignatureSigner
	logger *slog.Logger
	now    func() time.Time
	mux    *http.ServeMux
	lock   io.Closer
	fsys   vfs.FS

	byOrigin map[string]*witnessed
	byHash   map[string]*witnessed // the name of its state file
}

// witnessed is one log and what the witness knows of it.
type witnessed struct {
	file  string
	known note.Verifiers

	mu    sync.Mutex // held from comparing to signing, so that nothing comes between
	state *state     // nil: nothing was cosigned
	err   error      // why state cannot be relied on
}

// NewServer opens a witness whose state is in dir, which is made if need be. The
// key and the directory belong together: a witness that lost its directory needs a
// new key, since it cannot tell any more what it has cosigned. One process has the
// directory at a time. A nil logger is slog.Default().
func NewServer(dir string, signer *evidence.CosignatureSigner, logs []Log, logger *slog.Logger) (*Server, error) {
	return newServer(vfs.OS{}, dir, signer, logs, logger)
}

func newServer(fsys vfs.FS, dir string, signer *evidence.CosignatureSigner, logs []Log, logger *slog.Logger) (_ *Server, err error) {
	if logger == nil {
		logger = slog.Default()
	}
	s := &Server{signer: signer, logger: logger, now: time.Now, mux: http.NewServeMux(), fsys: fsys,
		byOrigin: map[string]*witnessed{}, byHash: map[string]*witnessed{}}
	s.mux.HandleFunc("POST /add-checkpoint", s.addCheckpoint)
	s.mux.HandleFunc("GET /{origin}/checkpoint", s.checkpoint)
	if err := fsys.MkdirAll(dir); err != nil {
		return nil, err
	}
	if s.lock, err = fsys.Lock(filepath.Join(dir, lockName), fmt.Sprintf("process %d", os.Getpid())); err != nil {
		return nil, err
	}
	// What a process before wrote without having been told that it is durable
	// must not be taken for durable.
	if err := fsys.SyncDir(dir); err != nil {
		return nil, errors.Join(err, s.lock.Close())
	}
	for _, log := range logs {
		if err := s.add(dir, log); err != nil {
			return nil, errors.Join(err, s.lock.Close())
		}
	}
	return s, nil
}

// add makes a log known.
func (s *Server) add(dir string, log Log) error {
	if s.byOrigin[log.Origin] != nil {
		return fmt.Errorf("log %q is given twice; give its keys together", log.Origin)
	}
	if len(log.Verifiers) == 0 {
		return fmt.Errorf("log %q has no verifier key", log.Origin)
	}
	hash := stateFile(log.Origin)
	l := &witnessed{file: filepath.Join(dir, hash), known: note.VerifierList(log.Verifiers...)}
	if l.state, l.err = readState(s.fsys, l.file, log.Origin); l.err != nil {
		s.logger.Error("witness: this log is not cosigned, since its state cannot be read; bring the file back from a copy, and start again", "origin", log.Origin, "err", l.err)
	}
	s.byOrigin[log.Origin], s.byHash[hash] = l, l
	return nil
}

// Close gives the directory up. No request may be under way.
func (s *Server) Close() error { return s.lock.Close() }

// ServeHTTP implements [http.Handler].
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

// refused is an answer other than 200 and 409.
type refused struct {
	status int
	err    error
}

func (e *refused) Error() string { return e.err.Error() }

func refuse(status int, format string, args ...any) error {
	return &refused{status, fmt.Errorf(format, args...)}
}

// addCheckpoint answers add-checkpoint requests.
func (s *Server) addCheckpoint(w http.ResponseWriter, r *http.Request) {
	line, err := s.cosign(w, r)
	var conflict *ConflictError
	switch {
	case err == nil:
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Write(line)
	case errors.As(err, &conflict):
		w.Header().Set("Content-Type", sizeType)
		w.WriteHeader(http.StatusConflict)
		fmt.Fprintf(w, "%d\n", conflict.Size)
	default:
		s.fail(w, r, err)
	}
}

// fail answers with an error. What went wrong inside is for the witness's own log.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	var known *refused
	if errors.As(err, &known) {
		http.Error(w, err.Error(), known.status)
		return
	}
	s.logger.ErrorContext(r.Context(), "witness: request failed", "path", r.URL.Path, "err", err)
	http.Error(w, "the witness has a fault; its operator finds it in its log", http.StatusInternalServerError)
}

// cosign does an add-checkpoint request, with the checks in the order in which
// C2SP tlog-witness names them.
func (s *Server) cosign(w http.ResponseWriter, r *http.Request) (line []byte, err error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, int64(maxRequestSize)))
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return nil, refuse(http.StatusRequestEntityTooLarge, "request has more than %d bytes", maxRequestSize)
	} else if err != nil {
		return nil, refuse(http.StatusBadRequest, "request cannot be read: %w", err)
	}
	req, err := parseRequest(body)
	if err != nil {
		return nil, &refused{http.StatusBadRequest, err}
	}
	claimed, err := evidence.PeekCheckpoint(req.checkpoint)
	if err != nil {
		return nil, &refused{http.StatusBadRequest, err}
	}
	l := s.byOrigin[claimed.Origin]
	if l == nil {
		return nil, refuse(http.StatusNotFound, "log %.200q is unknown to this witness", claimed.Origin)
	}
	next, err := l.open(req.checkpoint)
	if err != nil {
		return nil, err
	}
	if req.old > next.Size {
		return nil, refuse(http.StatusBadRequest, "old size %d is above the checkpoint's size %d", req.old, next.Size)
	}
	return s.advance(r.Context(), l, &req, next)
}

// open checks the log's signature on a checkpoint. The result keeps no other
// signatures, so that what is stored is small and was checked.
func (l *witnessed) open(signed []byte) (*state, error) {
	n, err := note.Open(signed, l.known)
	var unverified *note.UnverifiedNoteError
	var invalid *note.InvalidSignatureError
	switch {
	case errors.As(err, &unverified), errors.As(err, &invalid):
		return nil, &refused{http.StatusForbidden, err}
	case err != nil:
		return nil, &refused{http.StatusBadRequest, err}
	}
	next := &state{}
	if next.Checkpoint, err = evidence.ParseCheckpointBody(n.Text); err != nil {
		return nil, &refused{http.StatusBadRequest, err}
	}
	next.signed, err = note.Sign(&note.Note{Text: n.Text, Sigs: n.Sigs})
	return next, err
}

// advance makes next the last cosigned checkpoint, if it continues the one that
// is, and cosigns it. The order is what the witness's promise rests on: first the
// state is durable, then there is a signature.
func (s *Server) advance(ctx context.Context, l *witnessed, req *request, next *state) (line []byte, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return nil, fmt.Errorf("log %q: %w", next.Origin, l.err)
	}
	last := evidence.Checkpoint{Root: new(evidence.Tree).Root()} // every tree continues the empty one
	if l.state != nil {
		last = l.state.Checkpoint
	}
	if req.old != last.Size {
		return nil, &ConflictError{last.Size}
	}
	if err := evidence.CheckConsistency(req.proof, last.Size, next.Size, last.Root, next.Root); err != nil {
		s.logInconsistent(ctx, l, next, err)
		return nil, &refused{http.StatusUnprocessableEntity, err}
	}
	next.time = s.now().Truncate(time.Second)
	if err := vfs.WriteFileAtomic(s.fsys, l.file, next.append(nil)); err != nil {
		// Which of the two the disk now holds is not known.
		l.err = fmt.Errorf("state file %s was not written, so the log is not cosigned until the witness is started anew: %w", l.file, err)
		return nil, l.err
	}
	l.state = next
	if line, err = s.cosignState(next); err != nil {
		return nil, err
	}
	s.logger.InfoContext(ctx, "witness: cosigned", "origin", next.Origin, "old", last.Size, "size", next.Size, "root", next.Root.String())
	return line, nil
}

// logInconsistent keeps what may prove that a log has shown two histories: both
// checkpoints, signed.
func (s *Server) logInconsistent(ctx context.Context, l *witnessed, next *state, why error) {
	attrs := []any{"origin", next.Origin, "err", why, "submitted", string(next.signed)}
	if l.state != nil {
		attrs = append(attrs, "cosigned", string(l.state.signed))
	}
	s.logger.WarnContext(ctx, "witness: refused a checkpoint that does not continue the one cosigned last", attrs...)
}

// cosignState makes the cosignature of a state that is durable.
func (s *Server) cosignState(st *state) ([]byte, error) {
	return s.signer.Cosign(string(st.AppendBody(nil)), st.time)
}

// checkpoint serves the last checkpoint of a log that was cosigned (C2SP
// tlog-witness, "Monitor Retrieval Mechanism"). The cosignature is the one that
// was returned for it: an Ed25519 signature is a function of key and message.
func (s *Server) checkpoint(w http.ResponseWriter, r *http.Request) {
	signed, err := s.latest(r.PathValue("origin"))
	if err != nil {
		s.fail(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Write(signed)
}

func (s *Server) latest(hash string) ([]byte, error) {
	l := s.byHash[hash]
	if l == nil {
		return nil, refuse(http.StatusNotFound, "no log with this hash of its origin is known to this witness")
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return nil, l.err
	}
	if l.state == nil {
		return nil, refuse(http.StatusNotFound, "this witness has never cosigned a checkpoint of this log")
	}
	line, err := s.cosignState(l.state)
	if err != nil {
		return nil, err
	}
	return evidence.AddCosignature(l.state.signed, line)
}
