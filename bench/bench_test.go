package main

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"path/filepath"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"go.etcd.io/bbolt"

	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/internal/benchmark"
	"github.com/custodylog/custody/internal/storage"
)

// stored is what a database holds of an event.
type stored struct {
	time    int64
	hash    [32]byte
	payload []byte
}

// holding says what a database holds after it was closed: its entries by index,
// and the indices that each key leads to.
type holding struct {
	entries map[uint64]stored
	index   map[storage.Key]map[uint64]bool
}

// TestLogs puts events on each database from several callers, and checks that
// it holds all of them, chained, under every key that Custody gives them.
func TestLogs(t *testing.T) {
	read := map[string]func(t *testing.T, dir string) holding{"sqlite": readSQLite, "pebble": readPebble, "bbolt": readBBolt}
	for _, name := range logNames[1:] {
		t.Run(name, func(t *testing.T) {
			const n = 300
			dir := filepath.Join(t.TempDir(), name)
			log, closer, err := openLog(name, dir)
			if err != nil {
				t.Fatal(err)
			}
			l := benchmark.Load{Callers: 4, Batch: 5}
			s, err := l.Run(context.Background(), log, benchmark.NewWorkload(1), 0, n)
			if err != nil {
				t.Fatal(err)
			}
			if s.Commits < n/20 || s.Commits > n/5 {
				t.Errorf("%d commits, want %d to %d", s.Commits, n/20, n/5)
			}
			if err := closer.Close(); err != nil {
				t.Fatal(err)
			}
			h := read[name](t, dir)
			if len(h.entries) != n {
				t.Fatalf("%d entries, want %d", len(h.entries), n)
			}
			pairs := 0
			for _, indices := range h.index {
				pairs += len(indices)
			}
			if pairs != n*event.NumFields {
				t.Errorf("%d keys, want %d", pairs, n*event.NumFields)
			}
			var head [32]byte
			for i := range uint64(n) {
				e := h.entries[i]
				payload := sha256.Sum256(e.payload)
				var b []byte
				b = append(b, head[:]...)
				b = binary.BigEndian.AppendUint64(b, i)
				b = binary.BigEndian.AppendUint64(b, uint64(e.time))
				head = sha256.Sum256(append(b, payload[:]...))
				if e.hash != head {
					t.Fatalf("entry %d has another hash", i)
				}
				err := event.ScanFields(e.payload, func(f event.Field, value []byte) {
					if !h.index[storage.KeyOf(uint8(f), value)][i] {
						t.Errorf("entry %d is not found by %s", i, f)
					}
				})
				if err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

func (h *holding) add(k storage.Key, index uint64) {
	if h.index == nil {
		h.index = map[storage.Key]map[uint64]bool{}
	}
	if h.index[k] == nil {
		h.index[k] = map[uint64]bool{}
	}
	h.index[k][index] = true
}

// pair takes in one pair of a key-value store.
func (h *holding) pair(key, value []byte) {
	switch {
	case len(key) == 9 && key[0] == 'e':
		e := stored{time: int64(binary.BigEndian.Uint64(value)), payload: append([]byte(nil), value[40:]...)}
		copy(e.hash[:], value[8:])
		if h.entries == nil {
			h.entries = map[uint64]stored{}
		}
		h.entries[binary.BigEndian.Uint64(key[1:])] = e
	case len(key) == 15 && key[0] == 'i' && len(value) == 0:
		var k [8]byte
		copy(k[2:], key[1:7])
		h.add(storage.Key(binary.BigEndian.Uint64(k[:])), binary.BigEndian.Uint64(key[7:]))
	}
}

func readPebble(t *testing.T, dir string) (h holding) {
	db, err := pebble.Open(filepath.Join(dir, "entries"), &pebble.Options{ReadOnly: true, Logger: silent{}})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	it, err := db.NewIter(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer it.Close()
	for it.First(); it.Valid(); it.Next() {
		h.pair(it.Key(), it.Value())
	}
	return h
}

func readBBolt(t *testing.T, dir string) (h holding) {
	db, err := bbolt.Open(filepath.Join(dir, "entries.db"), 0o600, &bbolt.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	err = db.View(func(tx *bbolt.Tx) error {
		for _, bucket := range [][]byte{entriesBucket, indexBucket} {
			if err := tx.Bucket(bucket).ForEach(func(k, v []byte) error {
				h.pair(k, v)
				return nil
			}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// readSQLite also checks that each column has an index that queries use.
func readSQLite(t *testing.T, dir string) (h holding) {
	db, err := sql.Open("sqlite3", "file:"+filepath.Join(dir, "entries.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	columns := map[string]event.Field{"id": event.FieldID, "type": event.FieldType, "agent": event.FieldAgent, "action": event.FieldAction, "project": event.FieldProject,
		"session": event.FieldSession, "user": event.FieldUser, "decision": event.FieldDecision, "correlation": event.FieldCorrelation}
	for column, field := range columns {
		var id, parent, unused int
		var plan string
		if err := db.QueryRow("EXPLAIN QUERY PLAN SELECT payload FROM entries WHERE "+column+" = 'x'").Scan(&id, &parent, &unused, &plan); err != nil {
			t.Fatal(err)
		}
		if want := "SEARCH entries USING INDEX by_" + column + " (" + column + "=?)"; plan != want {
			t.Errorf("%q, want %q", plan, want)
		}
		rows, err := db.Query("SELECT idx, " + column + " FROM entries")
		if err != nil {
			t.Fatal(err)
		}
		for rows.Next() {
			var index uint64
			var value string
			if err := rows.Scan(&index, &value); err != nil {
				t.Fatal(err)
			}
			h.add(storage.KeyOf(uint8(field), value), index)
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
	}
	h.entries = map[uint64]stored{}
	rows, err := db.Query("SELECT idx, time, hash, payload FROM entries")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var index uint64
		var e stored
		var hash []byte
		if err := rows.Scan(&index, &e.time, &hash, &e.payload); err != nil {
			t.Fatal(err)
		}
		copy(e.hash[:], hash)
		h.entries[index] = e
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return h
}

// TestMeasure runs the whole comparison on a small scale. Times are not looked
// at.
func TestMeasure(t *testing.T) {
	opts := options{dir: t.TempDir(), logs: logNames, loads: []benchmark.Load{{Name: "two", Callers: 2, Batch: 1}},
		rounds: benchmark.Rounds{N: 1, Each: 20 * time.Millisecond}, events: 3000, limit: time.Minute}
	var rep report
	if err := opts.measure(context.Background(), opts.dir, &rep); err != nil {
		t.Fatal(err)
	}
	if len(rep.Loads) != len(logNames) || len(rep.Growth) != len(logNames) {
		t.Fatalf("%d results and %d long runs, want %d", len(rep.Loads), len(rep.Growth), len(logNames))
	}
	for i, name := range logNames {
		if r := rep.Loads[i]; r.Log != name || r.Rate <= 0 || r.Behind <= 0 {
			t.Errorf("%+v", r)
		}
		if g := rep.Growth[i]; g.Log != name || g.Events != opts.events || g.Rate <= 0 || g.Disk < 100 {
			t.Errorf("%+v", g)
		}
	}
}
