package main

import (
	"encoding/binary"
	"errors"
	"path/filepath"

	"github.com/cockroachdb/pebble/v2"
)

// pebbleStore keeps events in an LSM tree: under their index, and for each
// field that Custody indexes an empty value under Custody's own key and the
// index.
type pebbleStore struct {
	db    *pebble.DB
	value []byte
}

func openPebble(dir string) (store, error) {
	cache := pebble.NewCache(64 << 20)
	defer cache.Unref()
	db, err := pebble.Open(filepath.Join(dir, "entries"), &pebble.Options{
		Cache: cache, MemTableSize: 32 << 20, FormatMajorVersion: pebble.FormatNewest, Logger: silent{},
	})
	if err != nil {
		return nil, err
	}
	return &pebbleStore{db: db}, nil
}

func (s *pebbleStore) commit(rows []row) (err error) {
	b := s.db.NewBatch()
	defer func() { err = errors.Join(err, b.Close()) }()
	var key [16]byte
	for i := range rows {
		r := &rows[i]
		if err := b.Set(entryKey(key[:], r), r.appendValue(&s.value), nil); err != nil {
			return err
		}
		for _, k := range r.keys {
			if err := b.Set(indexKey(key[:], uint64(k), r), nil, nil); err != nil {
				return err
			}
		}
	}
	return b.Commit(pebble.Sync)
}

func (s *pebbleStore) Close() error { return s.db.Close() }

// entryKey writes the key of a row: "e" and its index.
func entryKey(key []byte, r *row) []byte {
	key[0] = 'e'
	binary.BigEndian.PutUint64(key[1:], r.index)
	return key[:9]
}

// indexKey writes the key of a row in the index of a field: "i", the 48 bits of
// the key and the row's index.
func indexKey(key []byte, k uint64, r *row) []byte {
	binary.BigEndian.PutUint64(key[:], k)
	key[1] = 'i' // the key leaves the upper 16 bits free
	binary.BigEndian.PutUint64(key[8:], r.index)
	return key[1:16]
}

// appendValue writes what is stored of a row into buf.
func (r *row) appendValue(buf *[]byte) []byte {
	b := binary.BigEndian.AppendUint64((*buf)[:0], uint64(r.time))
	b = append(b, r.hash[:]...)
	*buf = append(b, r.payload...)
	return *buf
}

// silent takes what Pebble has to say and drops it.
type silent struct{}

func (silent) Infof(string, ...any)  {}
func (silent) Errorf(string, ...any) {}
func (silent) Fatalf(format string, args ...any) {
	panic("pebble: " + format)
}
