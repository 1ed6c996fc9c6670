package filestore

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// Whatever is held of the end of a tail is what was appended there, however often the
// ring is full, grows or begins with another tail.
func TestRecent(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	var r recent
	current, file := new(tail), []byte(nil)
	held, least := 0, 0
	for range 3000 {
		switch rnd.IntN(100) {
		case 0:
			current, file, least = new(tail), make([]byte, rnd.IntN(5000)), 0
		case 1:
			r.forget()
			if bytes.ContainsFunc(r.ring, func(c rune) bool { return c != 0 }) {
				t.Fatal("what was to be forgotten is still there")
			}
			least = 0
		}
		frame := make([]byte, 1+rnd.IntN(1<<(4+rnd.IntN(13))))
		if rnd.IntN(200) == 0 {
			frame = make([]byte, rnd.IntN(2*maxRecent))
		}
		for i := range frame {
			frame[i] = byte(rnd.Uint32())
		}
		size := len(r.ring)
		r.add(current, int64(len(file)), frame)
		file = append(file, frame...)
		if least += len(frame); len(r.ring) != size {
			least = len(frame)
		}
		// What was appended last is held, as far as there is room.
		if n := min(least, len(r.ring), minRecent); !r.read(current, make([]byte, n), int64(len(file)-n)) {
			t.Fatalf("the last %d of %d bytes are not held", n, len(file))
		}
		for range 10 {
			n := rnd.IntN(min(len(file), 4000) + 1)
			at := len(file) - n - rnd.IntN(min(len(file)-n, 1<<(4+rnd.IntN(18)))+1)
			b := make([]byte, n)
			if !r.read(current, b, int64(at)) {
				continue
			}
			if held++; !bytes.Equal(b, file[at:at+n]) {
				t.Fatalf("bytes %d to %d of %d are not what was appended", at, at+n, len(file))
			}
		}
		if r.read(new(tail), nil, int64(len(file))) || r.read(current, make([]byte, 1), int64(len(file))) {
			t.Fatal("what was never appended is held")
		}
	}
	if held < 5000 {
		t.Errorf("only %d reads found what they wanted", held)
	}
}
