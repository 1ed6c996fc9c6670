package trails_test

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/internal/trails"
)

func open(t *testing.T, dir string) *trails.Set {
	t.Helper()
	s, err := trails.Open(config(dir))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func config(dir string) trails.Config {
	return trails.Config{Dir: dir, Origin: "example.org", Options: custody.Options{DiskWarning: -1, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))}}
}

func names(s *trails.Set) string {
	var all []string
	for _, t := range s.List() {
		all = append(all, t.Name)
	}
	return strings.Join(all, " ")
}

func TestAttend(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "data"))
	var attended []string
	if err := s.Attend(func(t *trails.Trail) error { attended = append(attended, t.Name); return nil }); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Create("other"); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(attended, " "); got != "default system other" {
		t.Errorf("attended to %q", got)
	}
	refused := errors.New("refused")
	if err := s.Attend(func(t *trails.Trail) error {
		if t.Name == "third" {
			return refused
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Create("third"); !errors.Is(err, refused) {
		t.Errorf("making a trail that is not attended to: %v", err)
	}
	if got := names(s); got != "default other system" {
		t.Errorf("the trails are %q", got)
	}
}

func TestFirstStart(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	s := open(t, dir)
	if got := names(s); got != "default system" {
		t.Errorf("the trails are %q", got)
	}
	d, err := s.Get(trails.Default)
	if err != nil {
		t.Fatal(err)
	}
	if d.Origin() != "example.org/default" || d.Err != nil {
		t.Errorf("origin %q, error %v", d.Origin(), d.Err)
	}
	if _, err := d.Record(t.Context(), event.Event{ID: "e1", Type: event.TurnEnded, SessionID: "s"}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Create("other"); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get(trails.Default); !errors.Is(err, trails.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}

	s = open(t, dir)
	if got := names(s); got != "default other system" {
		t.Errorf("the trails are %q", got)
	}
	if d, err = s.Get(trails.Default); err != nil {
		t.Fatal(err)
	}
	if _, err := d.EntryByID(t.Context(), "e1"); err != nil {
		t.Error(err)
	}
}

func TestSecondProcessIsRefused(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	_, err := trails.Open(config(dir))
	var locked *custody.LockedError
	if !errors.As(err, &locked) || !strings.Contains(locked.Holder, fmt.Sprint("pid ", os.Getpid())) {
		t.Errorf("a second one: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, dir)
}

func TestCreate(t *testing.T) {
	s := open(t, t.TempDir())
	for _, tt := range []struct {
		name string
		want error
	}{
		{"a", nil}, {"0-9_x", nil}, {strings.Repeat("a", 63), nil},
		{"a", trails.ErrExists}, {trails.Default, trails.ErrExists}, {trails.System, trails.ErrExists},
		{"", trails.ErrName}, {"A", trails.ErrName}, {"-a", trails.ErrName}, {"..", trails.ErrName}, {"a/b", trails.ErrName},
		{"ä", trails.ErrName}, {strings.Repeat("a", 64), trails.ErrName},
	} {
		if _, err := s.Create(tt.name); !errors.Is(err, tt.want) {
			t.Errorf("%q: %v, want %v", tt.name, err, tt.want)
		}
	}
}

// A trail that cannot be written is read all the same, and the others work.
func TestTrailThatCannotBeWritten(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	if _, err := s.Create("other"); err != nil {
		t.Fatal(err)
	}
	d, err := s.Get(trails.Default)
	if err != nil {
		t.Fatal(err)
	}
	key, err := custody.KeyFile(filepath.Join(dir, "keys"), d.FirstKey())
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.Close(), os.Remove(key)); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir)
	if d, err = s.Get(trails.Default); err != nil {
		t.Fatal(err)
	}
	if !errors.Is(d.Err, custody.ErrKey) {
		t.Errorf("why it cannot be written: %v", d.Err)
	}
	if _, err := d.Entry(t.Context(), 0); err != nil {
		t.Error(err)
	}
	if other, err := s.Get("other"); err != nil || other.Err != nil {
		t.Errorf("the other one: %v", err)
	}
}

// What is no trail does not keep the others from being opened, and a trail whose
// making was cut short can be made.
func TestOtherDirectories(t *testing.T) {
	dir := t.TempDir()
	if err := errors.Join(os.MkdirAll(filepath.Join(dir, "trails", "lost+found"), 0o700), os.MkdirAll(filepath.Join(dir, "trails", "half"), 0o700)); err != nil {
		t.Fatal(err)
	}
	s := open(t, dir)
	if got := names(s); got != "default system" {
		t.Errorf("the trails are %q", got)
	}
	if _, err := s.Create("half"); err != nil {
		t.Error(err)
	}
}
