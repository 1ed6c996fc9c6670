package interop

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"filippo.io/torchwood"
	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/tessera"
	"github.com/transparency-dev/tessera/storage/posix"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/witness"
)

// aWitness is a witness that runs.
type aWitness struct{ vkey, url string }

// policy returns the policy (C2SP tlog-policy) that asks for the witness's cosignature.
func (w aWitness) policy(logKey string) []byte {
	return fmt.Appendf(nil, "log %s\nwitness w %s %s\nquorum w\n", logKey, w.vkey, w.url)
}

// startLitewitness runs litewitness until the test is over. It knows one log.
func startLitewitness(t *testing.T, logKey string) aWitness {
	t.Helper()
	dir := t.TempDir()
	socket, fingerprint := serveKey(t)
	// litewitness takes a port, not a listener.
	free := get(net.Listen("tcp", "127.0.0.1:0"))(t)
	address := free.Addr().String()
	must(t, free.Close())
	db := filepath.Join(dir, "witness.db")
	cmd := exec.CommandContext(t.Context(), litewitnessProgram, "-name=example.org/litewitness", "-db="+db, "-ssh-agent="+socket, "-key="+fingerprint, "-listen="+address)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	log := get(cmd.StderrPipe())(t)
	must(t, cmd.Start())
	t.Cleanup(func() {
		if err := cmd.Wait(); !errors.Is(err, context.Canceled) {
			t.Errorf("litewitness did not stop as it was told to: %v", err)
		}
	})
	w := aWitness{url: "http://" + address}
	lines := bufio.NewScanner(log)
	for w.vkey == "" && lines.Scan() {
		if m := litewitnessKey.FindStringSubmatch(lines.Text()); m != nil {
			w.vkey = m[1]
		}
	}
	if w.vkey == "" {
		t.Fatalf("litewitness names no key; its last line is %q", lines.Text())
	}
	go io.Copy(io.Discard, log)
	awaitListener(t, address)
	must(t, addLog(db, logKey))
	return w
}

var litewitnessKey = regexp.MustCompile(`msg="verifier key" vkey=(\S+)`)

// awaitListener returns once connections are accepted at an address.
func awaitListener(t *testing.T, address string) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			must(t, conn.Close())
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

// serveKey makes a key and serves it as ssh-agent does, on a socket.
func serveKey(t *testing.T) (socket, fingerprint string) {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	ring := agent.NewKeyring()
	must(t, ring.Add(agent.AddedKey{PrivateKey: key}))
	// The path of a socket has some hundred bytes at most, fewer than a test's
	// directory may have.
	dir := get(os.MkdirTemp("", "agent"))(t)
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket = filepath.Join(dir, "s")
	listener := get(net.Listen("unix", socket))(t)
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return // the test is over
			}
			go agent.ServeAgent(ring, conn)
		}
	}()
	return socket, ssh.FingerprintSHA256(get(ssh.NewPublicKey(key.Public()))(t))
}

// addLog tells litewitness of a log, with the statements of its witnessctl add-log and
// add-key. That program needs a module of Sigsum's; this one does without.
func addLog(db, logKey string) (err error) {
	verifier, err := note.NewVerifier(logKey)
	if err != nil {
		return err
	}
	conn, err := sqlite.OpenConn(db)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	empty := base64.StdEncoding.EncodeToString(rfc6962.DefaultHasher.EmptyRoot())
	err = sqlitex.Execute(conn, "INSERT INTO log (origin, tree_size, tree_hash) VALUES (?, 0, ?)", &sqlitex.ExecOptions{Args: []any{verifier.Name(), empty}})
	if err != nil {
		return err
	}
	return sqlitex.Execute(conn, "INSERT INTO key (origin, key) VALUES (?, ?)", &sqlitex.ExecOptions{Args: []any{verifier.Name(), logKey}})
}

// TestLitewitness has litewitness cosign a trail, and shows it what it must not cosign.
func TestLitewitness(t *testing.T) {
	s, trail := newTrail(t)
	w := startLitewitness(t, trail.VerifierKey())
	policy := get(evidence.ParsePolicy(w.policy(trail.VerifierKey())))(t)
	witnessing := custody.Witnessing{Policy: policy}
	grow(t, trail, 300)
	wantCosigned(t, trail, w, witnessing)
	backup, other := s.copyOf(t), s.copyOf(t)
	grow(t, trail, 700)
	wantCosigned(t, trail, w, witnessing) // continues the first
	p := publish(t, trail, t.TempDir())
	wantJudged(t, p)

	t.Run("fork", func(t *testing.T) {
		fork := other.open(t)
		grow(t, fork, 900)
		if _, err := fork.Cosign(t.Context(), witnessing); !errors.Is(err, witness.ErrInconsistent) {
			t.Errorf("the witness says %v", err)
		}
		wantFound(t, fork, policy, evidence.Forked)
	})
	t.Run("rolled back", func(t *testing.T) {
		old := backup.open(t)
		grow(t, old, 400)
		var ahead *witness.AheadError
		if _, err := old.Cosign(t.Context(), witnessing); !errors.As(err, &ahead) || ahead.Witness != 700 {
			t.Errorf("the witness says %v", err)
		}
		wantFound(t, old, policy, evidence.RolledBack)
	})
}

// wantCosigned has a trail cosigned. Verification has to say so, and Torchwood has to
// take proofs under the policy.
func wantCosigned(t *testing.T, trail *custody.Trail, w aWitness, witnessing custody.Witnessing) {
	t.Helper()
	result := get(trail.Cosign(t.Context(), witnessing))(t)
	if !result.Quorum || result.Size != trail.Size() {
		t.Fatalf("cosigned are %d entries of %d: %+v", result.Size, trail.Size(), result)
	}
	report := get(trail.Verify(t.Context(), custody.VerifyOptions{Policy: witnessing.Policy, Witnesses: clients(witnessing.Policy)}))(t)
	if n := len(report.Witnessed); !report.OK() || n == 0 || report.Witnessed[n-1].Size != trail.Size() || time.Since(report.Witnessed[n-1].Time) > time.Minute {
		t.Errorf("%+v", report)
	}
	policy := get(torchwood.ParsePolicy(w.policy(trail.VerifierKey())))(t)
	const index = 123
	entry := get(trail.Entry(t.Context(), index))(t)
	proof := get(trail.Prove(t.Context(), index, custody.ProveOptions{}))(t)
	if err := torchwood.VerifyProof(policy, tlog.RecordHash(entry.Envelope), get(proof.Marshal())(t)); err != nil {
		t.Error(err)
	}
	alone := get(trail.Prove(t.Context(), index, custody.ProveOptions{Checkpoint: get(trail.Checkpoint(t.Context()))(t)}))(t)
	if err := torchwood.VerifyProof(policy, tlog.RecordHash(entry.Envelope), get(alone.Marshal())(t)); err == nil {
		t.Error("a proof is taken whose checkpoint the witness did not cosign")
	}
}

// wantFound has a trail verified with its witnesses asked.
func wantFound(t *testing.T, trail *custody.Trail, policy *evidence.Policy, cause evidence.Cause) {
	t.Helper()
	report := get(trail.Verify(t.Context(), custody.VerifyOptions{Policy: policy, Witnesses: clients(policy)}))(t)
	if len(report.Findings) != 1 || report.Findings[0].Cause != cause {
		t.Errorf("found %v, want %s", report.Findings, cause)
	}
}

func clients(policy *evidence.Policy) (all []witness.Client) {
	for _, w := range policy.Witnesses() {
		all = append(all, witness.Client{URL: w.URL, Key: w.Verifier})
	}
	return all
}

// TestWitnessOfTessera has our witness cosign a log that is Tessera's, by Tessera's
// client, and Torchwood check the cosignatures.
func TestWitnessOfTessera(t *testing.T) {
	skey, logKey, err := note.GenerateKey(rand.Reader, "example.org/tessera")
	must(t, err)
	signer := get(note.NewSigner(skey))(t)
	w := startOurs(t, logKey)
	policy := get(torchwood.ParsePolicy(w.policy(logKey)))(t)
	group := get(tessera.NewWitnessGroupFromPolicy(w.policy(logKey)))(t)
	log := t.TempDir()
	next := 0
	for _, size := range []int{1, 300, 700} {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		driver := get(posix.New(ctx, posix.Config{Path: log}))(t)
		appender, shutdown, reader, err := tessera.NewAppender(ctx, driver, tessera.NewAppendOptions().
			WithCheckpointSigner(signer).
			WithBatching(uint(size-next), 100*time.Millisecond).
			WithCheckpointInterval(100*time.Millisecond).
			WithWitnesses(group, nil))
		must(t, err)
		published := tessera.NewPublicationAwaiter(ctx, reader.ReadCheckpoint, 50*time.Millisecond)
		var last tessera.IndexFuture
		for ; next < size; next++ {
			last = appender.Add(ctx, tessera.NewEntry(fmt.Appendf(nil, "entry %d", next)))
		}
		_, signed, err := published.Await(ctx, last)
		must(t, err)
		must(t, shutdown(ctx))
		cancel()
		c, _, err := torchwood.VerifyCheckpoint(signed, policy)
		if err != nil || c.N != int64(size) {
			t.Errorf("%v: of %d entries is cosigned\n%s", err, size, signed)
		}
	}
}

// startOurs runs our witness until the test is over. It knows one log.
func startOurs(t *testing.T, logKey string) aWitness {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	signer := get(evidence.NewCosignatureSigner("example.org/witness", key))(t)
	verifier := get(note.NewVerifier(logKey))(t)
	server := get(witness.NewServer(t.TempDir(), signer, []witness.Log{{Origin: verifier.Name(), Verifiers: []note.Verifier{verifier}}}, logger(t)))(t)
	t.Cleanup(func() { must(t, server.Close()) })
	front := httptest.NewServer(server)
	t.Cleanup(front.Close)
	return aWitness{signer.VerifierKey(), front.URL}
}
