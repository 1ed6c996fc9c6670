package wire

import (
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/custodylog/custody"
)

// Receipts are written as encoding/json writes them, whatever is in them and whichever
// was written before.
func TestReceiptEncoder(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	const letters = "abc019-_.<>&\"\\\n\x00\x7f\u00e9\u2028\U0001f512\xff"
	text := func() string {
		var b strings.Builder
		for range rnd.IntN(20) {
			b.WriteByte(letters[rnd.IntN(len(letters))])
		}
		return b.String()
	}
	var e ReceiptEncoder
	var checkpoints [][]byte
	for range 4 {
		checkpoints = append(checkpoints, []byte("origin\n1\n"+text()+"\n\n\u2014 name sig\n"), nil)
	}
	for range 5000 {
		r := custody.Receipt{ID: text(), Index: rnd.Uint64() >> rnd.IntN(64), Time: time.UnixMicro(rnd.Int64N(4e15)),
			Checkpoint: checkpoints[rnd.IntN(len(checkpoints))], Duplicate: rnd.IntN(2) == 0}
		for i := range r.Hash {
			r.Hash[i] = byte(rnd.Uint32())
		}
		want, err := json.Marshal(ReceiptOf(&r))
		if err != nil {
			t.Fatal(err)
		}
		if got := string(e.Append([]byte("before "), &r)); got != "before "+string(want) {
			t.Fatalf("got %s\nwant before %s", got, want)
		}
	}
}
