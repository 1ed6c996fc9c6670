package alert

import (
	"io"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/internal/trails"
	"github.com/custodylog/custody/internal/vfs/vfstest"
)

// Whatever is in the files of the data directory, what is taken of them can be used.
func FuzzFiles(f *testing.F) {
	f.Add([]byte(`{"version":1,"origin":"example.org/default","next":1,"windows":{"r":{"digest":"x","times":["2026-01-01T00:00:00Z"]}}}`))
	f.Add([]byte(`{"version":1,"id":"id","webhook":"ops","about":"r","since":"2026-01-01T00:00:00Z","body":{}}`))
	f.Add([]byte(`{"version":1,"origin":"example.org/default","next":1}`))
	f.Add([]byte(`{"version":1,"origin":"example.org/default","next":1,"marks":[{"index":0,"hash":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}]}`))
	f.Add([]byte(`{"version":1,"origin":"example.org/default","next":9,"marks":[{"index":8},{"index":8}]}`))
	f.Add([]byte("{"))
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	set, err := trails.Open(trails.Config{Dir: f.TempDir(), Origin: "example.org", Options: custody.Options{Logger: log, DiskWarning: -1}})
	must(f, err)
	f.Cleanup(func() { set.Close() })
	d, err := set.Get(trails.Default)
	must(f, err)
	f.Fuzz(func(t *testing.T, content []byte) {
		disk := vfstest.NewMem()
		q := &queue{fs: disk, dir: "queue", log: log, wake: map[string]chan struct{}{}}
		q.wake["ops"] = make(chan struct{}, 1)
		for _, dir := range []string{q.dir, "state"} {
			must(t, disk.MkdirAll(dir))
		}
		must(t, disk.WriteAll(filepath.Join(q.dir, "id.ops.json"), content))
		must(t, q.load())
		for _, w := range q.waiting {
			if w.ID != "id" || w.Webhook != "ops" || !w.kept {
				t.Errorf("taken: %+v", w)
			}
		}
		must(t, disk.WriteAll(filepath.Join("state", "default.json"), content))
		fw := &follower{a: &Alerts{fs: disk, log: log}, trail: d, rules: denials(2), file: filepath.Join("state", "default.json")}
		p, _, _ := fw.load()
		if p.Version != stateVersion || p.Origin != d.Origin() || p.Next > d.Size() {
			t.Errorf("taken: %+v", p)
		}
		for _, w := range p.Windows {
			w.count(&fw.rules[0], d, &custody.Entry{}, "", time.Now())
		}
		if p.Windows == nil {
			t.Error("it cannot be written to")
		}
	})
}
