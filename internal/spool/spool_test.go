package spool_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/custodylog/custody/internal/spool"
	"github.com/custodylog/custody/internal/vfs"
	"github.com/custodylog/custody/internal/vfs/vfstest"
)

// envAppend names a spool that the test binary appends to, in the place of testing.
const envAppend = "SPOOL_TEST_APPEND"

func TestMain(m *testing.M) {
	if dir := os.Getenv(envAppend); dir != "" {
		s := spool.New(vfs.OS{}, dir, spool.Options{})
		for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
			if err := s.Append(lines.Bytes()); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// collect replays all of a spool.
func collect(t *testing.T, s *spool.Spool) ([]string, spool.Replayed) {
	t.Helper()
	records, r := replay(t, s)
	if n, err := s.Waiting(); n != 0 || err != nil {
		t.Errorf("after a replay %d records wait, %v", n, err)
	}
	return records, r
}

// replay is collect for a spool that others append to.
func replay(t *testing.T, s *spool.Spool) (records []string, r spool.Replayed) {
	t.Helper()
	r, err := s.Replay(func(batch [][]byte) ([]error, error) {
		for _, record := range batch {
			records = append(records, string(record))
		}
		return make([]error, len(batch)), nil
	})
	must(t, err)
	return records, r
}

func TestOrder(t *testing.T) {
	s := spool.New(vfs.OS{}, filepath.Join(t.TempDir(), "a", "spool"), spool.Options{})
	if records, _ := collect(t, s); records != nil {
		t.Errorf("a spool that is not there has %q", records)
	}
	var want []string
	for i := range 120 { // more than are handed out at a time
		record := strings.Repeat("x", i) + fmt.Sprint("\n", i)
		want = append(want, record)
		must(t, s.Append([]byte(record)))
	}
	if n, err := s.Waiting(); n != len(want) || err != nil {
		t.Errorf("%d records wait, %v", n, err)
	}
	if got, r := collect(t, s); !slices.Equal(got, want) || r.Taken != len(want) || r.Aside != nil || r.Torn != nil {
		t.Errorf("%d records came back, and %+v", len(got), r)
	}
	if got, _ := collect(t, s); got != nil {
		t.Errorf("%d records were kept although they were taken", len(got))
	}
}

// What comes while a replay is under way is replayed too; nobody else replays then.
func TestReplayMeanwhile(t *testing.T) {
	s := spool.New(vfs.OS{}, t.TempDir(), spool.Options{})
	must(t, s.Append([]byte("a")))
	var got []string
	_, err := s.Replay(func(batch [][]byte) ([]error, error) {
		if got == nil {
			must(t, s.Append([]byte("b")))
			var locked *vfs.LockedError
			if _, err := s.Replay(nil); !errors.As(err, &locked) {
				t.Errorf("a second replay at the same time: %v", err)
			}
		}
		for _, record := range batch {
			got = append(got, string(record))
		}
		return make([]error, len(batch)), nil
	})
	must(t, err)
	if !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("got %q", got)
	}
}

func TestNotTaken(t *testing.T) {
	dir := t.TempDir()
	s := spool.New(vfs.OS{}, dir, spool.Options{})
	for _, record := range []string{"taken", "refused", "not judged"} {
		must(t, s.Append([]byte(record)))
	}
	refused, away := errors.New("it never will"), errors.New("the server is away")
	r, err := s.Replay(func([][]byte) ([]error, error) { return []error{nil, refused}, away })
	if !errors.Is(err, away) || r.Taken != 1 || len(r.Aside) != 1 || !errors.Is(r.Aside[0], refused) {
		t.Errorf("%+v, %v", r, err)
	}
	if got, _ := collect(t, s); !slices.Equal(got, []string{"not judged"}) {
		t.Errorf("then %q are left", got)
	}
	if kept, err := filepath.Glob(filepath.Join(dir, "*.aside")); len(kept) != 1 || err != nil {
		t.Errorf("set aside are %q, %v", kept, err)
	}

	must(t, s.Append([]byte("later")))
	if n, err := s.Aside(); n != 1 || err != nil {
		t.Errorf("%d are set aside, %v", n, err)
	}
	must(t, s.Again())
	if got, _ := collect(t, s); !slices.Equal(got, []string{"refused", "later"}) {
		t.Errorf("tried again are %q", got)
	}
	if n, err := s.Aside(); n != 0 || err != nil {
		t.Errorf("%d are set aside still, %v", n, err)
	}
	must(t, spool.New(vfs.OS{}, filepath.Join(dir, "none"), spool.Options{}).Again())
}

func TestFull(t *testing.T) {
	for _, o := range []spool.Options{{MaxRecords: 3}, {MaxBytes: 130}} {
		s := spool.New(vfs.OS{}, t.TempDir(), o)
		n, err := 0, error(nil)
		for ; err == nil && n < 100; n++ {
			err = s.Append([]byte("0123456789"))
		}
		if !errors.Is(err, spool.ErrFull) || n != 4 {
			t.Errorf("%+v: %d records, %v", o, n, err)
		}
		if got, _ := collect(t, s); len(got) != 3 {
			t.Errorf("%+v: %d records", o, len(got))
		}
		must(t, s.Append([]byte("there is room again")))
	}
}

func TestDamaged(t *testing.T) {
	dir := t.TempDir()
	s := spool.New(vfs.OS{}, dir, spool.Options{})
	for _, record := range []string{"first", "second", "third"} {
		must(t, s.Append([]byte(record)))
	}
	names, err := filepath.Glob(filepath.Join(dir, "*.record"))
	must(t, err)
	must(t, os.Truncate(names[1], 30))
	old, young := fmt.Sprint(time.Now().Add(-2*time.Hour).Unix(), "-x.tmp"), fmt.Sprint(time.Now().Unix(), "-x.tmp")
	must(t, os.WriteFile(filepath.Join(dir, old), []byte("half"), 0o600))
	must(t, os.WriteFile(filepath.Join(dir, young), []byte("half"), 0o600))
	got, r := collect(t, s)
	if !slices.Equal(got, []string{"first", "third"}) || len(r.Aside) != 1 || !strings.Contains(r.Aside[0].Error(), "torn") || !slices.Equal(r.Torn, []string{old}) {
		t.Errorf("%q, %+v", got, r)
	}
	if _, err := os.Stat(filepath.Join(dir, young)); err != nil {
		t.Errorf("what is being written was removed: %v", err)
	}

	must(t, s.Append([]byte("fourth")))
	names, err = filepath.Glob(filepath.Join(dir, "*.record"))
	must(t, err)
	must(t, os.WriteFile(names[0], []byte("custody spool v2\n…"), 0o600))
	if _, err := s.Replay(nil); !errors.Is(err, spool.ErrNewer) {
		t.Errorf("a record of a newer version: %v", err)
	}
	if n, _ := s.Waiting(); n != 1 {
		t.Error("a record of a newer version does not wait any more")
	}
}

// TestProcesses appends from several processes while another one replays.
func TestProcesses(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "spool")
	const processes, each = 4, 30
	var running []*exec.Cmd
	for p := range processes {
		var in bytes.Buffer
		for i := range each {
			fmt.Fprintf(&in, "%d %03d\n", p, i)
		}
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), envAppend+"="+dir)
		cmd.Stdin, cmd.Stderr = &in, os.Stderr
		must(t, cmd.Start())
		running = append(running, cmd)
	}
	done := make(chan error, 1)
	go func() {
		var all error
		for _, cmd := range running {
			all = errors.Join(all, cmd.Wait())
		}
		done <- all
	}()
	s := spool.New(vfs.OS{}, dir, spool.Options{})
	var got []string
	for ended := false; !ended; {
		select {
		case err := <-done:
			must(t, err)
			ended = true
		default:
		}
		some, _ := replay(t, s)
		got = append(got, some...)
	}
	for p := range processes { // those of one process are in its order, and none is missing
		var want, have []string
		for i := range each {
			want = append(want, fmt.Sprintf("%d %03d", p, i))
		}
		for _, record := range got {
			if strings.HasPrefix(record, fmt.Sprint(p, " ")) {
				have = append(have, record)
			}
		}
		if !slices.Equal(have, want) {
			t.Errorf("of process %d came %q", p, have)
		}
	}
}

// TestFaults has every operation fail in turn, and the machine crash after it: what was
// acknowledged is replayed, in order, and nothing is lost or made up.
func TestFaults(t *testing.T) {
	const dir = "/var/spool"
	for _, fault := range []vfstest.Fault{vfstest.Fail, vfstest.FailAfter, vfstest.ShortWrite} {
		for n := 0; ; n++ {
			mem := vfstest.NewMem()
			plan := vfstest.OnNth(n, fault)
			s := spool.New(vfstest.Inject(mem, plan.Decide), dir, spool.Options{})
			var acknowledged, taken []string
			for i := range 4 {
				if s.Append([]byte(fmt.Sprint(i))) == nil {
					acknowledged = append(acknowledged, fmt.Sprint(i))
				}
				if i == 1 {
					s.Replay(func(batch [][]byte) ([]error, error) {
						for _, record := range batch {
							taken = append(taken, string(record))
						}
						return make([]error, len(batch)), nil
					})
				}
			}
			for seed := range uint64(8) {
				var rng *rand.Rand
				if seed > 0 {
					rng = rand.New(rand.NewPCG(seed, 0))
				}
				after := mem.CrashClone(rng)
				if err := after.MkdirAll(dir); err != nil {
					t.Fatal(err)
				}
				got, r := collect(t, spool.New(after, dir, spool.Options{}))
				if !slices.IsSorted(got) || r.Aside != nil {
					t.Errorf("%s of operation %d, seed %d: replayed %q, %+v", fault, n, seed, got, r)
				}
				for _, record := range acknowledged {
					if !slices.Contains(got, record) && !slices.Contains(taken, record) {
						t.Errorf("%s of operation %d, seed %d: %q was acknowledged and is lost; replayed %q", fault, n, seed, record, got)
					}
				}
			}
			if !plan.Hit() {
				break
			}
		}
	}
}

func FuzzParse(f *testing.F) {
	s := spool.New(vfs.OS{}, f.TempDir(), spool.Options{})
	for _, record := range []string{"", "record", "a\nb"} {
		if err := s.Append([]byte(record)); err != nil {
			f.Fatal(err)
		}
	}
	names, _ := filepath.Glob(filepath.Join(s.Dir(), "*.record"))
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
		f.Add(b[:len(b)-1])
	}
	f.Add([]byte("custody spool v2\n"))
	f.Add([]byte("custody spool v1\n99999999999999999999 00000000\n"))
	f.Fuzz(func(t *testing.T, file []byte) {
		record, err := spool.Parse(file)
		if err != nil {
			return
		}
		for cut := range min(len(file), 40) {
			if _, err := spool.Parse(file[:len(file)-1-cut]); err == nil {
				t.Errorf("%q parses although %d bytes are missing", file, cut+1)
			}
		}
		if !bytes.HasSuffix(file, record) {
			t.Errorf("%q is not what %q holds", record, file)
		}
	})
}
