package server

import (
	"bytes"
	"context"
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
	read := func(size int) (end func(), err error) {
		ctx, end := context.WithCancel(t.Context())
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://example.org/", io.NopCloser(bytes.NewReader(make([]byte, size))))
		must(t, err)
		b, err := s.readWhole(r)
		if err == nil && len(b) != size {
			t.Errorf("%d of %d bytes were read", len(b), size)
		}
		return end, err
	}
	var ends []func()
	for _, size := range []int{0, 1, freeBody - 1, freeBody, freeBody + room/2, freeBody + room/2} {
		end, err := read(size)
		must(t, err)
		ends = append(ends, end)
	}
	end, err := read(freeBody + 1)
	if end(); !errors.Is(err, custody.ErrFull) {
		t.Errorf("one that there is no room for: %v", err)
	}
	end, err = read(freeBody) // which counts as nothing
	must(t, err)
	for _, end := range append(ends, end) {
		end()
	}
	// What is given back is given back soon after.
	must(t, s.bodies.Acquire(t.Context(), room))
}
