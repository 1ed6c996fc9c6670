package server

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"testing"

	"golang.org/x/sync/semaphore"

	"github.com/custodylog/custody"
)

// Larger bodies are read as long as there is room for all of them, and give it back with
// the end of their requests.
func TestBodiesHaveRoom(t *testing.T) {
	const room = 1 << 20
	s := &Server{bodies: semaphore.NewWeighted(room)}
	read := func(size int) (done func(), err error) {
		r, err := http.NewRequest(http.MethodPost, "http://example.org/", io.NopCloser(bytes.NewReader(make([]byte, size))))
		must(t, err)
		b, done, err := s.readWhole(r)
		if err == nil && len(b) != size {
			t.Errorf("%d of %d bytes were read", len(b), size)
		}
		return done, err
	}
	var all []func()
	for _, size := range []int{0, 1, freeBody - 1, freeBody, freeBody + room/2, freeBody + room/2} {
		done, err := read(size)
		must(t, err)
		all = append(all, done)
	}
	if _, err := read(freeBody + 1); !errors.Is(err, custody.ErrFull) {
		t.Errorf("one that there is no room for: %v", err)
	}
	done, err := read(freeBody) // which counts as nothing
	must(t, err)
	for _, done := range append(all, done) {
		done()
	}
	if !s.bodies.TryAcquire(room) {
		t.Error("not all room is given back")
	}
}
