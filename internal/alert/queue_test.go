package alert

import (
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/custodylog/custody/internal/vfs"
)

// TestQueueOfEach: a webhook that takes nothing does not keep alerts from the others.
func TestQueueOfEach(t *testing.T) {
	dropped := map[string]int{}
	q := &queue{fs: vfs.OS{}, dir: t.TempDir(), log: slog.New(slog.DiscardHandler), drop: func(d *delivery, _ error) { dropped[d.Webhook]++ },
		wake: map[string]chan struct{}{"dead": make(chan struct{}, 1), "alive": make(chan struct{}, 1)}}
	add := func(id int, keep bool, webhooks ...string) {
		q.add(message{ID: fmt.Sprint(id), About: "r", Kind: "alert.raised", Time: time.Unix(0, 0)}, webhooks, keep)
	}
	for i := range maxQueued {
		add(i, false, "dead")
	}
	add(maxQueued, true, "dead", "alive")
	if q.count("alive") != 1 || dropped["alive"] != 0 || dropped["dead"] != 1 {
		t.Errorf("%d wait, dropped %v", q.count("alive"), dropped)
	}
	add(maxQueued+1, false, "dead") // of the operation
	if q.count("dead") != maxQueued+1 {
		t.Errorf("alerts of the operation have no room: %d wait", q.count("dead"))
	}
}
