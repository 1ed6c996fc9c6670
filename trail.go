package custody

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/internal/filestore"
	"github.com/custodylog/custody/internal/guard"
	"github.com/custodylog/custody/internal/sequencer"
	"github.com/custodylog/custody/internal/storage"
	"github.com/custodylog/custody/internal/vfs"
	"github.com/custodylog/custody/redaction"
)

// Errors that callers branch on. They are always wrapped.
var (
	// ErrConflict: the trail holds another event with the same id.
	ErrConflict = errors.New("the trail holds another event with this id")

	// ErrFull: in asynchronous mode with RefuseWhenFull, too many events wait
	// to be written. The event was not taken; try again later (HTTP 503).
	ErrFull = sequencer.ErrFull

	// ErrFailed: an earlier write failed, so the trail takes nothing more
	// until it is opened again. Reading goes on.
	ErrFailed = storage.ErrFailed

	// ErrClosed: the trail was closed.
	ErrClosed = storage.ErrClosed

	// ErrReadOnly: the trail was opened for reading only.
	ErrReadOnly = storage.ErrReadOnly

	// ErrNotFound: there is no such entry, or no trail in that directory.
	ErrNotFound = storage.ErrNotFound

	// ErrPruned: the entry was removed with all others of its time, under a
	// retention policy. See [Trail.First].
	ErrPruned = storage.ErrPruned

	// ErrErased: the payload was removed, on request or under a retention policy.
	ErrErased = errors.New("the payload is not held any more")

	// ErrAltered: stored bytes do not check out. Verify says more.
	ErrAltered = storage.ErrAltered

	// ErrNewer: written by a newer version of Custody.
	ErrNewer = storage.ErrNewer

	// ErrDamaged: the trail does not check out, so it is not opened for
	// writing. It can still be opened for reading and verified.
	ErrDamaged = storage.ErrNoRecover

	// ErrKey: the signing key is missing, or is not the one that the trail
	// is signed with.
	ErrKey = errors.New("the trail's signing key is needed")
)

// LockedError says that another process has the trail open for writing, and
// which.
type LockedError = vfs.LockedError

// Options says how a trail is opened. The zero value, and nil, open it for
// writing with the key in [DefaultKeyDir].
type Options struct {
	// ReadOnly opens for reading: no key and no lock are needed, and a trail
	// that is damaged, or that another process writes, opens as well.
	ReadOnly bool

	// Signer is the trail's Ed25519 signing key, in memory or behind a
	// token or service. nil: it is read from KeyDir.
	Signer crypto.Signer

	// KeyDir is where signing keys lie, one file for each. Default:
	// DefaultKeyDir().
	KeyDir string

	// Mode says whether an event that breaks the rules of its type is
	// refused (event.Strict) or stored with its defects. Default:
	// event.Lenient.
	Mode event.Mode

	// Redactor is applied to every event. nil: redaction.Default().
	Redactor redaction.Redactor

	// Principal is recorded with every event as its authenticated sender.
	// Default: empty.
	Principal string

	// MaxPayload bounds one event's payload in bytes. Default: 1 MiB.
	MaxPayload int

	// MaxPending bounds the bytes of all events that wait to be written.
	// Default: 64 MiB.
	MaxPending int64

	// Async makes Record and its relatives return once the event is in
	// memory. A crash then loses what was not flushed. Their receipts are
	// empty but for ID; errors come from Flush and Close, and go to Logger.
	Async bool

	// FlushInterval is how long an event may wait for others, in asynchronous
	// mode. Default: 1 s. It is written earlier when a synchronous event, a
	// Flush or enough others come.
	FlushInterval time.Duration

	// RefuseWhenFull makes Record fail with ErrFull when MaxPending is
	// reached, in asynchronous mode. Default: it waits. It never drops.
	RefuseWhenFull bool

	// Guard is the file that keeps the last checkpoint that the trail handed out,
	// outside its directory: an older copy of the trail is then not opened for
	// writing (ErrRolledBack), and verification finds it. Default: a file in KeyDir,
	// or none where Signer is given without KeyDir; GuardOff: none.
	Guard string

	// Witnessing, if not nil, has witnesses cosign the trail's checkpoints, in the
	// background: a witness that cannot be reached delays nothing. For reading
	// only it does nothing.
	Witnessing *Witnessing

	// Timestamping, if not nil, has an authority time-stamp them in the same way.
	Timestamping *Timestamping

	// ProveReceipts gives every receipt a proof by which its holder can show, to
	// anybody and without the trail, what was recorded. It costs a reading of the
	// entry and some hashes. In asynchronous mode there are none.
	ProveReceipts bool

	// Mirror gets every event once it is durable (in asynchronous mode
	// too), at the level of its severity. nil: none.
	Mirror *slog.Logger

	// Logger gets what goes wrong where no caller waits for an error.
	// Default: slog.Default().
	Logger *slog.Logger

	// DiskWarning is the share of the disk, in percent, below which the room
	// that is left is warned of: as an event and to Logger. Default: 10;
	// negative: never.
	DiskWarning float64

	fs  vfs.FS           // for tests; nil: the real one
	now func() time.Time // for tests; nil: time.Now
}

func (o *Options) withDefaults() Options {
	var opts Options
	if o != nil {
		opts = *o
	}
	if opts.Redactor == nil && !opts.ReadOnly {
		opts.Redactor = redaction.Default()
	}
	if opts.MaxPayload <= 0 {
		opts.MaxPayload = 1 << 20
	}
	if opts.MaxPending <= 0 {
		opts.MaxPending = 64 << 20
	}
	if opts.FlushInterval <= 0 {
		opts.FlushInterval = time.Second
	}
	if opts.Logger == nil {
		opts.Logger = slog.Default()
	}
	if opts.DiskWarning == 0 {
		opts.DiskWarning = 10
	}
	if opts.fs == nil {
		opts.fs = vfs.OS{}
	}
	if opts.now == nil {
		opts.now = time.Now
	}
	return opts
}

// Trail is an open audit trail. Open returns one; Close ends it.
type Trail struct {
	Recorder

	opts  Options
	dir   string
	meta  filestore.Meta
	store *filestore.Store
	seq   *sequencer.Sequencer // nil when open for reading only

	// signer signs from the next commit on; rotateMu is held while it changes.
	rotateMu sync.Mutex
	signer   *evidence.Signer // guarded by rotateMu

	async        asyncState
	acknowledged acknowledged

	// removeMu is held while payloads or entries are removed, and while holds
	// change: a removal takes account of every hold that was placed before it.
	// Verify holds it for reading.
	removeMu sync.RWMutex

	noteMu   sync.Mutex
	writing  bool           // guarded by noteMu: open for writing, and not being closed
	spaceLow bool           // guarded by noteMu: the last look at the disk found too little room
	notes    sync.WaitGroup // events of the trail's own that are being recorded

	cosigning sync.Mutex // held while witnesses are asked
	stamping  sync.Mutex // held while an authority is asked

	guard *guard.Guard // nil: nothing is kept; belongs to opening and closing

	ctx        context.Context // ends when the trail is closed
	cancel     context.CancelFunc
	background sync.WaitGroup // goroutines that the trail started

	// backgroundMu is held while one is added to background, which happens no
	// more once ctx has ended.
	backgroundMu sync.Mutex

	handlers sync.Map // *Handler to nil: those that have not ended

	closeOnce sync.Once
	closeErr  error
}

// CreateOptions says what a new trail is. Origin is required.
type CreateOptions struct {
	// Origin names the trail, unique in the world: a host name that its
	// owner controls and a path, such as "example.org/agents". It never
	// changes.
	Origin string

	// Signer is the key that the trail begins with. nil: a new Ed25519 key is
	// made and written to KeyDir, mode 0600.
	Signer crypto.Signer

	// KeyDir is where a new key is written. Default: DefaultKeyDir().
	KeyDir string

	fs vfs.FS // for tests; nil: the real one
}

// Create makes a new trail in dir, which is made if need be, and returns its
// verifier key (vkey), which belongs into the hands of whoever will verify the
// trail. It fails with fs.ErrExist when dir holds a trail already.
func Create(dir string, opts CreateOptions) (vkey string, err error) {
	if opts.fs == nil {
		opts.fs = vfs.OS{}
	}
	if err := evidence.ValidOrigin(opts.Origin); err != nil {
		return "", err
	}
	var signer *evidence.Signer
	if opts.Signer != nil {
		signer, err = evidence.NewSigner(opts.Origin, opts.Signer)
	} else if err = filestore.CanCreate(opts.fs, dir); err == nil {
		signer, _, err = NewKey(opts.KeyDir, opts.Origin)
	}
	if err != nil {
		return "", err
	}
	meta := filestore.Meta{Origin: opts.Origin, Key: signer.VerifierKey()}
	if err := filestore.Create(opts.fs, dir, meta); err != nil {
		return "", err
	}
	// The first entry names the key, so that the trail itself vouches for it.
	o := Options{fs: opts.fs, now: time.Now, DiskWarning: -1, KeyDir: opts.KeyDir}
	if opts.Signer != nil && opts.KeyDir == "" {
		o.Guard = GuardOff
	}
	t, err := open(dir, o, signer, nil)
	if err != nil {
		return "", err
	}
	return meta.Key, t.Close()
}

// Open opens the trail in dir. opts may be nil.
//
// For writing it takes the trail's lock (a *[LockedError] names who has it),
// finishes what a crash left unfinished and records that it did. It fails with
// [ErrDamaged] when what is stored does not check out, and with [ErrKey] when
// the signing key is missing or another one.
func Open(dir string, opts *Options) (*Trail, error) {
	return open(dir, opts.withDefaults(), nil, nil)
}

// open opens a trail. signer, if it is not nil, takes the place of opts.Signer. begin,
// if it is not nil, is called before opening records anything in a trail that has
// entries.
func open(dir string, opts Options, signer *evidence.Signer, begin func(*Trail)) (_ *Trail, err error) {
	o := (&opts).withDefaults()
	t := &Trail{opts: o, dir: dir}
	t.Recorder = NewRecorder(t.Record)
	t.ctx, t.cancel = context.WithCancel(context.Background())
	t.store, err = filestore.Open(o.fs, dir, filestore.Options{
		ReadOnly: o.ReadOnly, Extract: extractKeys, OnSpace: t.spaceWatch(),
		OnProblem: func(err error) { o.Logger.Warn("custody: background work on the trail", "dir", dir, "err", err) },
	})
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			t.cancel()
			err = errors.Join(err, t.store.Close())
		}
	}()
	t.meta = t.store.Meta()
	first, err := t.firstMeta()
	if err != nil {
		return nil, err
	}
	if o.ReadOnly {
		if t.store.MetaErr() != nil {
			t.meta = first
		}
		return t, nil
	}
	if first.Key != "" && first != t.meta {
		return nil, fmt.Errorf("%w: the first entry says that %s began with key %s, trail.json says %s and %s", ErrDamaged, first.Origin, first.Key, t.meta.Origin, t.meta.Key)
	}
	if t.signer, err = t.findSigner(signer); err != nil {
		return nil, err
	}
	if err := t.openGuard(); err != nil {
		return nil, errors.Join(err, t.closeGuard())
	}
	var store storage.Store = t.store
	if t.guard != nil {
		store = &guarded{t.store, t.guard}
	}
	cfg := sequencer.Config{Store: store, Signer: t.signer, Now: o.now, MaxPending: o.MaxPending, OnClockStep: t.onClockStep}
	if o.Async {
		cfg.FlushInterval = o.FlushInterval
	}
	t.seq = sequencer.New(cfg)
	t.startAsync()
	t.noteMu.Lock()
	t.writing = true
	t.noteMu.Unlock()
	if err := t.opening(begin); err != nil {
		return nil, errors.Join(err, t.stopWriting())
	}
	if err := t.finishRemoval(t.ctx); err != nil {
		return nil, errors.Join(err, t.stopWriting())
	}
	if err := t.noteRules(t.ctx); err != nil {
		return nil, errors.Join(err, t.stopWriting())
	}
	t.store.CheckSpace()
	t.startAttesting()
	return t, nil
}

// firstMeta returns what the first entry says about the trail, as trail.json
// does. It is empty if that entry is not there, or not as it was.
func (t *Trail) firstMeta() (filestore.Meta, error) {
	var m filestore.Meta
	e, err := t.Entry(t.ctx, 0)
	if errors.Is(err, ErrNotFound) || errors.Is(err, ErrPruned) || errors.Is(err, ErrAltered) || errors.Is(err, ErrNewer) {
		return m, nil
	} else if err != nil {
		return m, err
	}
	ev, err := e.Event()
	if err != nil || ev.Type != event.LogOpened {
		return m, nil
	}
	m.Format = t.meta.Format
	m.Origin, _ = ev.Details["origin"].(string)
	m.Key, _ = ev.Details["key"].(string)
	return m, nil
}

// opening records what opening the trail has to say: that it was created, or
// what a crash had torn. Between the two begin is called.
func (t *Trail) opening(begin func(*Trail)) error {
	created := t.store.Size() == 0
	if created {
		_, err := t.recordSelf(t.ctx, event.Event{Type: event.LogOpened, Source: sourceSelf, Details: map[string]any{
			"what": "created", "origin": t.meta.Origin, "key": t.signer.VerifierKey(), "version": Version(),
			"redaction": describeRules(t.opts.Redactor).Digest,
		}})
		if err != nil {
			return err
		}
	}
	if begin != nil {
		begin(t)
	}
	if r := t.store.Recovery(); !created && r.Bytes > 0 {
		_, err := t.recordSelf(t.ctx, event.Event{Type: event.LogRecovered, Source: sourceSelf, Details: map[string]any{
			"what": "a crash had cut a write short; nothing in it was acknowledged",
			"size": r.Size, "cut_bytes": r.Bytes, "segment": filepath.Base(r.File),
		}})
		return err
	}
	return nil
}

// sourceSelf marks the events that the trail records about itself.
const sourceSelf = "custody"

// Origin returns the trail's name.
func (t *Trail) Origin() string { return t.meta.Origin }

// Dir returns the directory that the trail lies in.
func (t *Trail) Dir() string { return t.dir }

// Size returns the number of entries.
func (t *Trail) Size() uint64 { return t.store.Size() }

// First returns the minimum index: the entries before it were pruned under a
// retention policy, but for those that the trail needs to prove the rest.
func (t *Trail) First() uint64 { return t.store.First() }

// Checkpoint returns the newest signed checkpoint (C2SP tlog-checkpoint), which
// covers every entry acknowledged so far. Kept where the trail's operator cannot
// change it, it later proves that the trail still holds those entries: see
// [VerifyOptions]. It fails with ErrNotFound when the trail has none.
func (t *Trail) Checkpoint(ctx context.Context) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	c, err := t.store.Checkpoint()
	if err == nil && c == nil {
		err = fmt.Errorf("%s: checkpoint: %w: the trail has no entries", t.dir, ErrNotFound)
	}
	return c, err
}

// Close writes what was accepted, waits until that is durable, and ends the
// trail. It returns what Flush would return, or what closing met. Handlers are
// stopped; they find the rest when the trail is opened again.
func (t *Trail) Close() error {
	t.closeOnce.Do(func() {
		t.closeErr = t.stopWriting()
		t.backgroundMu.Lock()
		t.cancel()
		t.backgroundMu.Unlock()
		t.background.Wait()
		t.closeErr = errors.Join(t.closeErr, t.store.Close())
	})
	return t.closeErr
}

// closed adds to an error that the trail was closed meanwhile, which takes the
// files away from whoever is reading.
func (t *Trail) closed(err error) error {
	if err != nil && t.ctx.Err() != nil && !errors.Is(err, ErrClosed) {
		return fmt.Errorf("%w: %w", ErrClosed, err)
	}
	return err
}

// stopWriting commits what waits and stops the sequencer.
func (t *Trail) stopWriting() error {
	if t.seq == nil {
		return nil
	}
	t.noteMu.Lock()
	t.writing = false
	t.noteMu.Unlock()
	t.notes.Wait()
	t.seq.Close()
	return errors.Join(t.stopAsync(), t.closeGuard())
}
