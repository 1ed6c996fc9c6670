package main

import (
	"path/filepath"

	"go.etcd.io/bbolt"
)

// bboltStore keeps events in a B+ tree, under the same keys as pebbleStore.
type bboltStore struct{ db *bbolt.DB }

var (
	entriesBucket = []byte("entries")
	indexBucket   = []byte("index")
)

func openBBolt(dir string) (store, error) {
	db, err := bbolt.Open(filepath.Join(dir, "entries.db"), 0o600, &bbolt.Options{FreelistType: bbolt.FreelistMapType, NoFreelistSync: true})
	if err != nil {
		return nil, err
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		if _, err := tx.CreateBucket(entriesBucket); err != nil {
			return err
		}
		_, err := tx.CreateBucket(indexBucket)
		return err
	})
	return &bboltStore{db}, err
}

func (s *bboltStore) commit(rows []row) error {
	return s.db.Update(func(tx *bbolt.Tx) error {
		entries, index := tx.Bucket(entriesBucket), tx.Bucket(indexBucket)
		entries.FillPercent = 1 // they come in order
		for i := range rows {
			r := &rows[i]
			var value []byte // bbolt keeps values until the commit, and copies keys
			if err := entries.Put(entryKey(make([]byte, 9), r), r.appendValue(&value)); err != nil {
				return err
			}
			for _, k := range r.keys {
				var key [16]byte
				if err := index.Put(indexKey(key[:], uint64(k), r), nil); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

func (s *bboltStore) Close() error { return s.db.Close() }
