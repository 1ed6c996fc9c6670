package filestore

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"sync"

	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/internal/index"
	"github.com/custodylog/custody/internal/segment"
	"github.com/custodylog/custody/internal/storage"
	"github.com/custodylog/custody/internal/vfs"
)

// sealed is a sealed segment and its index.
type sealed struct {
	first uint64
	name  string
	file  vfs.File
	seg   *segment.Sealed
	err   error // why both seg and pruned are nil; the entries are then not readable

	pruned *pruned // what was kept of it; seg is nil then, and file and index are not used

	gone bool // the file is missing

	use     sync.RWMutex // held for reading while the files are read (acquire), for writing to retire it
	retired bool         // guarded by use: replaced by a segment with fewer payloads, and closed

	mu      sync.Mutex
	index   *index.Sealed // guarded by mu; nil: not opened yet
	idxFile vfs.File      // guarded by mu; nil: index lies in memory
	idxBad  error         // guarded by mu; what was wrong with the index file

	superseded bool // guarded by mu: it is being replaced, so its index is not written again
}

// openSealed opens a segment. What is wrong with it is in err.
func openSealed(fsys vfs.FS, dir string, first uint64) *sealed {
	p := &sealed{first: first, name: segmentName(dir, first)}
	file, err := fsys.Open(p.name)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			p.gone = true
			err = &storage.FormatError{Err: storage.ErrAltered, File: p.name,
				Detail: fmt.Sprintf("the segment with the entries from %d to %d is missing", first, first+segment.Entries-1)}
		}
		p.err = err
		return p
	}
	size, err := file.Size()
	if err == nil {
		p.seg, err = segment.OpenSealed(file, size)
	}
	if err == nil && p.seg.First != first {
		err = fmt.Errorf("%w: it says that it begins at index %d", storage.ErrAltered, p.seg.First)
	}
	if err != nil {
		p.err = errors.Join(formatError(err, p.name, 0), file.Close())
		return p
	}
	p.file = file
	return p
}

func (p *sealed) close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var err error
	if p.file != nil {
		err = p.file.Close()
	}
	if p.idxFile != nil {
		err = errors.Join(err, p.idxFile.Close())
	}
	return err
}

// number is the position of a segment among all.
func (p *sealed) number() int { return int(p.first / segment.Entries) }

// indexOf returns the index of a segment. One that is missing or does not check
// out is built again from the entries: by a writer on disk, by a reader in
// memory.
func (s *Store) indexOf(p *sealed) (*index.Sealed, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err != nil {
		return nil, p.err
	}
	if p.index != nil {
		return p.index, nil
	}
	name := indexName(s.dir, p.first)
	file, err := s.fsys.Open(name)
	if err == nil {
		idx, err := openIndex(file, p)
		if err == nil {
			p.index, p.idxFile = idx, file
			return idx, nil
		}
		p.idxBad = formatError(err, name, 0)
		if err := file.Close(); err != nil {
			return nil, err
		}
		if !errors.Is(err, storage.ErrAltered) && !errors.Is(err, storage.ErrNewer) {
			return nil, err
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return s.rebuildLocked(p)
}

func openIndex(file vfs.File, p *sealed) (*index.Sealed, error) {
	idx, err := index.OpenSealed(file)
	if err == nil && (idx.First() != p.first || idx.Root() != p.seg.Root) {
		err = fmt.Errorf("%w: it was made from other entries", storage.ErrAltered)
	}
	return idx, err
}

// brokenIndex reports whether an index is to be built again: it does not check
// out, or it was closed because somebody else found that.
func brokenIndex(err error) bool {
	return errors.Is(err, storage.ErrAltered) || errors.Is(err, fs.ErrClosed)
}

// rebuild replaces an index of which a page did not check out.
func (s *Store) rebuild(p *sealed, broken *index.Sealed, why error) (*index.Sealed, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.index != broken {
		return p.index, nil // somebody else did
	}
	p.idxBad = fmt.Errorf("%s: %w", indexName(s.dir, p.first), why)
	return s.rebuildLocked(p)
}

func (s *Store) rebuildLocked(p *sealed) (*index.Sealed, error) {
	content, err := s.buildIndex(p)
	if err != nil {
		return nil, fmt.Errorf("building the index of %s again: %w", p.name, err)
	}
	if p.idxFile != nil {
		err := p.idxFile.Close()
		if p.idxFile = nil; err != nil {
			return nil, err
		}
	}
	if p.idxBad != nil {
		s.problem(fmt.Errorf("%w; it was built again from the entries", p.idxBad))
	}
	if !s.opts.ReadOnly && !p.superseded && !errors.Is(p.idxBad, storage.ErrNewer) {
		name := indexName(s.dir, p.first)
		if err := vfs.WriteFileAtomic(s.fsys, name, content); err != nil {
			s.problem(fmt.Errorf("keeping an index that was built again: %w", err))
		}
	}
	p.index, err = index.OpenSealed(bytes.NewReader(content))
	return p.index, err
}

// buildIndex returns the bytes of the index file that belongs to a segment, which
// the caller has acquired.
func (s *Store) buildIndex(p *sealed) ([]byte, error) {
	m := index.NewMemory()
	var rec storage.Record
	var keys []storage.Key
	for pos := range uint32(segment.Entries) {
		if err := p.readHeld(pos, &rec); err != nil {
			return nil, err
		}
		keys = s.addToIndex(m, &rec, keys)
	}
	return m.Seal(p.first, p.seg.Root), nil
}

// addToIndex adds the next entry to an index. It returns keys, whose room it uses.
func (s *Store) addToIndex(m *index.Memory, rec *storage.Record, keys []storage.Key) []storage.Key {
	var payload []byte
	if rec.Body != nil {
		payload = rec.Body[evidence.SaltSize:]
	}
	keys, err := s.opts.Extract(keys[:0], rec.Envelope.Type, payload)
	if err != nil {
		keys = keys[:0] // found by nothing but its index
	}
	m.Add(rec.Envelope.Time.UnixMicro(), rec.Envelope.Type, keys)
	return keys
}

// loadFilters takes in the filters of segments, so that lookups pass over those
// that cannot hold what is looked for. Until then they look into each.
func (s *Store) loadFilters(parts []*sealed) {
	defer s.background.Done()
	for _, p := range parts {
		select {
		case <-s.stop:
			return
		default:
		}
		if p.err == nil {
			s.addFilter(p)
		}
	}
}

func (s *Store) addFilter(p *sealed) {
	if p.pruned != nil {
		return // what it may have from before does
	}
	if !p.acquire() {
		return // the one in its place has its own
	}
	defer p.release()
	idx, err := s.indexOf(p)
	if err != nil {
		s.problem(err)
		return
	}
	bits, err := idx.Filter()
	if err != nil {
		s.problem(err) // the segment stays one that may hold anything
		return
	}
	s.filter.Add(p.number(), bits)
}
