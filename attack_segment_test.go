package custody

import (
	"bytes"
	"encoding/binary"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/internal/segment"
)

// The trail of this table has two sealed segments of 65,536 entries and a tail of
// six. A segment keeps hashes beside the entries: leaf hashes, a tile with the
// roots of 256 each, and one root. Reading it all takes a while, so one row may
// make several changes that have nothing to do with each other.
func TestAttacksOnSegments(t *testing.T) {
	t.Parallel()
	retype := func(e *evidence.Entry) { e.Type = "turn_ended" }
	first := func(change func(f *sealedFile)) func(*attacker) {
		return func(a *attacker) { a.segment(firstSegment, change) }
	}
	runAttacks(t, sealedTrail, []attack{
		{name: "none", given: both},

		// Entries. Block n of them holds those from 64n on and is compressed
		// again.
		{name: "entry's type, commitment, time and index, links between segments", do: func(a *attacker) {
			a.segment(firstSegment, func(f *sealedFile) {
				f.edit(a, 700, retype)
				f.edit(a, 2000, func(e *evidence.Entry) { e.Payload[0] ^= 1 })
				f.edit(a, 3000, func(e *evidence.Entry) { e.Time = e.Time.Add(-time.Hour) })
				f.edit(a, 4000, func(e *evidence.Entry) { e.Index = 9 })
				f.edit(a, segment.Entries-1, func(e *evidence.Entry) { e.Prev[0] ^= 1 })
			})
			a.segment(secondSegment, func(f *sealedFile) { f.edit(a, 0, func(e *evidence.Entry) { e.Prev[0] ^= 1 }) })
		}, found: "altered 700, altered 2000, altered 3000, altered 4000, altered 65535, altered 65536"},
		{name: "entry dated back, with the time that the footer has for it; entry and its leaf hash; entry, leaf hash and tile", do: first(func(f *sealedFile) {
			root := f.root
			f.edit(t, 640, func(e *evidence.Entry) {
				e.Time = e.Time.Add(-time.Hour)
				binary.BigEndian.PutUint64(f.times[8*10:], uint64(e.Time.UnixMicro()))
			})
			f.edit(t, 5000, retype)
			f.rehash(t, 5000)
			f.retile()
			f.edit(t, 9000, retype)
			f.rehash(t, 9000)
			f.root = root
		}), found: "altered 640, altered 5000, altered 9000"},
		{name: "entry and all that is kept of it", do: first(func(f *sealedFile) {
			f.edit(t, 700, retype)
			f.rehash(t, 700)
			f.retile()
		}), found: "altered 700", open: ErrDamaged},
		{name: "rewritten from entry 131,000 on, links and all: the segment's checkpoint tells", do: func(a *attacker) {
			a.segment(secondSegment, func(f *sealedFile) {
				f.edit(a, 131_000-segment.Entries, retype)
				f.relink(a, 131_000-segment.Entries)
			})
		}, found: "altered 65536, index_wrong 65536", open: ErrDamaged},
		{name: "entries exchanged, deleted, stored twice, of a newer version; block that cannot be decompressed", do: first(func(f *sealedFile) {
			b := f.block(t, 10)
			b[60], b[61] = b[61], b[60]
			f.setBlock(10, b)
			f.setBlock(50, slices.Delete(f.block(t, 50), 7, 8))
			b = f.block(t, 60)
			f.setBlock(60, slices.Insert(b, 7, b[7]))
			b = f.block(t, 70)
			r := tailRecord{entry: b[7]}
			newer(&r)
			b[7] = r.entry
			f.setBlock(70, b)
			f.entries[80][0] ^= 1
		}), found: "altered 700, reordered 700, deleted 3207, inserted 3847, newer_format 4487, altered 5120"},
		{name: "entries deleted from the last blocks of three bundles in a row; last block emptied", do: first(func(f *sealedFile) {
			for _, n := range []int{11, 15, 19} {
				f.setBlock(n, f.block(t, n)[1:])
			}
			f.setBlock(1023, nil)
		}), found: "deleted 704, deleted 960, deleted 1216, deleted 65472", lost: "1021"},

		// Payloads and salts, of entry 65,536 and following, and of a block of
		// the first segment.
		{name: "payload, salt, payload taken out, block that cannot be decompressed", do: func(a *attacker) {
			a.segment(secondSegment, func(f *sealedFile) {
				f.payload(a, 100, func(b []byte) []byte { return bytes.Replace(b, []byte("turn-"), []byte("TURN-"), 1) })
				f.salt(2000)[7] ^= 1
				f.payload(a, 3000, func([]byte) []byte { return nil })
			})
			a.segment(firstSegment, func(f *sealedFile) { f.payloads[0].packed[0] ^= 1 })
		}, found: "altered 0, altered 65636, altered 67536, payload_missing 68536", lost: "0"},
		{name: "payload block's length", do: first(func(f *sealedFile) { f.payloads[0].raw-- }), found: "altered 0", lost: "0"},

		// Hashes.
		{name: "leaf hash; tile", do: first(func(f *sealedFile) {
			f.hashes[700][0] ^= 1
			f.tile[100][0] ^= 1
		}), found: "altered 700, altered 25600"},
		{name: "leaf hash, tile and root", do: first(func(f *sealedFile) {
			f.hashes[700][0] ^= 1
			f.retile()
		}), found: "altered 700", open: ErrDamaged},
		{name: "root", do: first(func(f *sealedFile) { f.root[0] ^= 1 }), found: "altered 0", open: ErrDamaged},

		// Checkpoints.
		{name: "checkpoint's text; signature", do: func(a *attacker) {
			a.segment(firstSegment, func(f *sealedFile) { change(a, f.notes[0], "\n65536\n", "\n65535\n") })
			a.segment(secondSegment, func(f *sealedFile) { f.notes[0][len(f.notes[0])-10] ^= 1 })
		}, found: "altered 65534, altered 65535, altered 131071"},
		{name: "checkpoint taken out; replaced by an earlier one", do: func(a *attacker) {
			a.segment(firstSegment, func(f *sealedFile) { f.notes = nil })
			a.segment(secondSegment, func(f *sealedFile) { f.notes[0] = a.f.earlier })
		}, found: "altered 65535, altered 131071"},

		// Directories and headers.
		{name: "footer, checksum wrong; trailer's offset", do: func(a *attacker) {
			a.flip(firstSegment, -5000)
			a.flip(secondSegment, -25)
		}, found: "altered 0, altered 65536", lost: "0-130688", open: ErrDamaged},
		{name: "trailer's length; trailer's checksum", do: func(a *attacker) {
			a.flip(firstSegment, -21)
			a.flip(secondSegment, -17)
		}, found: "altered 0, altered 65536", lost: "0-130688", open: ErrDamaged},
		{name: "trailer's end; header's magic", do: func(a *attacker) {
			a.flip(firstSegment, -1)
			a.flip(secondSegment, 3)
		}, found: "altered 0, altered 65536", lost: "0-130688", open: ErrDamaged},
		{name: "header's zeros, checksum wrong; header's first index, checksum right", do: func(a *attacker) {
			a.flip(firstSegment, 20)
			a.segment(secondSegment, func(f *sealedFile) { f.head[31] = 1 })
		}, found: "altered 0, altered 65536", lost: "0-130688", open: ErrDamaged},
		{name: "footer's times", do: first(func(f *sealedFile) {
			f.times[8*10+7] ^= 1
			f.times[len(f.times)-1] ^= 1
		}), found: "altered 640, altered 65535"},

		// The search index. It is derived: opening for writing puts it right.
		{name: "index, checksum wrong; index without meaning", do: func(a *attacker) {
			a.flip(firstIndex, 40_000)
			a.flip(secondIndex, 0)
		}, found: "index_wrong 0, index_wrong 65536"},
		{name: "index: entries of a key; filter, so that searches pass over the segment", do: func(a *attacker) {
			a.index(firstIndex, func(b []byte) { indexSection(b, 2)[1] ^= 1 })
			a.index(secondIndex, func(b []byte) { clear(indexSection(b, 3)) })
		}, found: "index_wrong 0, index_wrong 65536"},
		{name: "index removed; counts by type", do: func(a *attacker) {
			a.remove(firstIndex)
			a.index(secondIndex, func(b []byte) { change(a, indexSection(b, 4), "turn_started", "turn_stopped") })
		}, found: "index_wrong 65536"},

		// Files.
		{name: "segment removed", do: func(a *attacker) { a.remove(firstSegment) }, found: "deleted 0", lost: "0-65344", open: ErrDamaged},
		{name: "segment before the tail removed", do: func(a *attacker) { a.remove(secondSegment) }, found: "deleted 65536", lost: "66365-130688", open: ErrDamaged},
		{name: "both segments removed", do: func(a *attacker) {
			a.remove(firstSegment)
			a.remove(secondSegment)
		}, found: "deleted 0, deleted 65536", lost: "0-130688", open: ErrDamaged},
		{name: "segments exchanged", do: func(a *attacker) {
			one, two := readFile(a, filepath.Join(a.dir, firstSegment)), readFile(a, filepath.Join(a.dir, secondSegment))
			a.file(firstSegment, func([]byte) []byte { return two })
			a.file(secondSegment, func([]byte) []byte { return one })
		}, found: "altered 0, altered 65536", lost: "0-130688", open: ErrDamaged},
		{name: "tail removed", do: func(a *attacker) {
			a.remove(lastTail)
		}, found: "truncated 131072", open: ErrDamaged},
		{name: "tail and a segment removed, and the checkpoint file: only a kept checkpoint tells", do: func(a *attacker) {
			a.remove(lastTail)
			a.remove(secondSegment)
			a.remove("checkpoint")
		}, lost: "66365-130688", given: both, then: "rolled_back 65536"},
		{name: "everything removed", do: func(a *attacker) {
			for _, name := range []string{lastTail, firstSegment, secondSegment} {
				a.remove(name)
			}
		}, found: "wiped 0", lost: "0-130688", open: ErrDamaged},

		// Newer versions.
		{name: "segment of a newer version; index of a newer version", do: func(a *attacker) {
			a.file(firstSegment, func(b []byte) []byte { return append([]byte("custody segment v2\n"), b[19:]...) })
			a.file(secondIndex, func(b []byte) []byte { return append([]byte("custody index v2\n"), b[17:]...) })
		}, found: "newer_format 0, newer_format 65536", lost: "0-65344", open: ErrNewer},
		{name: "segments and tail of a newer version", do: func(a *attacker) {
			for _, name := range []string{firstSegment, secondSegment} {
				a.file(name, func(b []byte) []byte { return append([]byte("custody segment v2\n"), b[19:]...) })
			}
			a.file(lastTail, func(b []byte) []byte { return append([]byte("custody tail v2\n"), b[16:]...) })
		}, found: "newer_format 0, newer_format 65536, newer_format 131072", lost: "0-130688", open: ErrNewer},
	})
}
