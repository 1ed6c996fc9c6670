package main

import (
	"database/sql"
	"errors"
	"path/filepath"

	_ "github.com/mattn/go-sqlite3" // the C library itself
)

// sqliteStore keeps events in a table with a column and an index for each field
// that Custody indexes.
type sqliteStore struct {
	db     *sql.DB
	insert *sql.Stmt
}

const schema = `
CREATE TABLE entries (
	idx INTEGER PRIMARY KEY, time INTEGER NOT NULL, hash BLOB NOT NULL, payload BLOB NOT NULL,
	id TEXT NOT NULL, type TEXT NOT NULL, agent TEXT, action TEXT, project TEXT, session TEXT,
	user TEXT, decision TEXT, correlation TEXT
);
CREATE INDEX by_id ON entries (id);
CREATE INDEX by_type ON entries (type);
CREATE INDEX by_agent ON entries (agent);
CREATE INDEX by_action ON entries (action);
CREATE INDEX by_project ON entries (project);
CREATE INDEX by_session ON entries (session);
CREATE INDEX by_user ON entries (user);
CREATE INDEX by_decision ON entries (decision);
CREATE INDEX by_correlation ON entries (correlation);
`

// openSQLite makes a database. 128 MiB of cache is what Custody's heap may take.
func openSQLite(dir string) (store, error) {
	db, err := sql.Open("sqlite3", "file:"+filepath.Join(dir, "entries.db")+"?_journal_mode=WAL&_synchronous=FULL&_cache_size=-131072")
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1) // there is one writer, and the cache is that of a connection
	s := &sqliteStore{db: db}
	if _, err := db.Exec(schema); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	if s.insert, err = db.Prepare("INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return s, nil
}

func (s *sqliteStore) commit(rows []row) error {
	tx, err := s.db.Begin()
	if err != nil {
		return err
	}
	insert := tx.Stmt(s.insert)
	for i := range rows {
		r := &rows[i]
		e := &r.event
		if _, err := insert.Exec(int64(r.index), r.time, r.hash[:], r.payload, e.ID, string(e.Type), e.AgentID, e.ActionID,
			e.ProjectID, e.SessionID, e.UserID, string(e.Decision), e.CorrelationID); err != nil {
			return errors.Join(err, tx.Rollback())
		}
	}
	return tx.Commit()
}

func (s *sqliteStore) Close() error { return errors.Join(s.insert.Close(), s.db.Close()) }
