package custody

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/internal/segment"
)

// TestAttacks is also the documentation of what is found, of what, and how it is
// called. Each attack is made on a copy of a trail that checks out.
//
// The trail of the first table has one tail, as makeSmall shows. "Checksum
// wrong" is a byte that changed on the disk, or an attacker who knows no better;
// all others make lengths and checksums fit, but have no key unless they say so.
func TestAttacks(t *testing.T) {
	runAttacks(t, smallTrail, []attack{
		{name: "none"},

		// One byte, checksum wrong.
		{name: "entry, checksum wrong", do: func(a *attacker) {
			a.naive(8, func(b []byte) { change(a, b, `"type":"turn_started"`, `"type":"turn_startEd"`) })
		}, found: "altered 7", lost: "7-10", open: ErrDamaged},
		{name: "payload, checksum wrong", do: func(a *attacker) {
			a.naive(8, func(b []byte) { change(a, b, `"n":8`, `"n":9`) })
		}, found: "altered 8", lost: "7-10", open: ErrDamaged},
		{name: "salt, checksum wrong", do: func(a *attacker) {
			a.naive(8, func(b []byte) { saltOf(a, b, 8)[3] ^= 1 })
		}, found: "altered 8", lost: "7-10", open: ErrDamaged},
		{name: "checkpoint's text, checksum wrong", do: func(a *attacker) {
			a.naive(8, func(b []byte) { change(a, b, origin+"\n11\n", origin+"\n19\n") })
		}, found: "altered 10", lost: "7-10", open: ErrDamaged},
		{name: "checkpoint's signature, checksum wrong", do: func(a *attacker) {
			a.naive(8, func(b []byte) { b[len(b)-10] ^= 1 })
		}, found: "altered 10", lost: "7-10", open: ErrDamaged},
		{name: "the checksum", do: func(a *attacker) {
			a.naive(8, func(b []byte) { b[40] ^= 1 })
		}, found: "altered 7", lost: "7-10", open: ErrDamaged},
		{name: "commit's magic, checksum wrong", do: func(a *attacker) {
			a.naive(8, func(b []byte) { b[0] ^= 1 })
		}, found: "altered 7", lost: "7-10", open: ErrDamaged},
		{name: "commit's length, checksum wrong", do: func(a *attacker) {
			a.naive(8, func(b []byte) { b[7] ^= 1 })
		}, found: "altered 7", lost: "7-10", open: ErrDamaged},
		{name: "commit's length made huge, checksum wrong", do: func(a *attacker) {
			a.naive(8, func(b []byte) { b[4] ^= 0x80 })
		}, found: "altered 7", lost: "7-10", open: ErrDamaged},
		{name: "commit's first index, checksum wrong", do: func(a *attacker) {
			a.naive(8, func(b []byte) { b[15] ^= 1 })
		}, found: "altered 7", lost: "7-10", open: ErrDamaged},
		{name: "commit's count, checksum wrong", do: func(a *attacker) {
			a.naive(8, func(b []byte) { b[19] ^= 1 })
		}, found: "altered 7", lost: "7-10", open: ErrDamaged},
		{name: "commit's length of the checkpoint, checksum wrong", do: func(a *attacker) {
			a.naive(8, func(b []byte) { b[23] ^= 1 })
		}, found: "altered 7", lost: "7-10", open: ErrDamaged},
		{name: "commit's nonce, checksum wrong", do: func(a *attacker) {
			a.naive(8, func(b []byte) { b[30] ^= 1 })
		}, found: "altered 7", lost: "7-10", open: ErrDamaged},
		{name: "the last commit, which the checkpoint file covers, checksum wrong", do: func(a *attacker) {
			a.flip(firstTail, -10)
		}, found: "altered 14", lost: "14-15", open: ErrDamaged},
		{name: "tail's magic", do: func(a *attacker) { a.flip(firstTail, 3) }, found: "altered 0", open: ErrDamaged},
		{name: "tail's first index, checksum wrong", do: func(a *attacker) { a.flip(firstTail, 23) }, found: "altered 0", open: ErrDamaged},
		{name: "tail's nonce, checksum wrong", do: func(a *attacker) { a.flip(firstTail, 24) }, found: "altered 0", open: ErrDamaged},
		{name: "tail's zeros, checksum wrong", do: func(a *attacker) { a.flip(firstTail, 41) }, found: "altered 0", open: ErrDamaged},
		{name: "tail's checksum", do: func(a *attacker) { a.flip(firstTail, 45) }, found: "altered 0", open: ErrDamaged},

		// An entry, checksum made right. The entry behind it names its hash.
		{name: "entry's index", do: func(a *attacker) {
			a.entry(8, func(e *evidence.Entry) { e.Index = 9 })
		}, found: "altered 8", lost: "7-10", open: ErrDamaged},
		{name: "entry's commitment", do: func(a *attacker) {
			a.entry(8, func(e *evidence.Entry) { e.Payload[0] ^= 1 })
		}, found: "altered 8", lost: "8", open: ErrDamaged},
		{name: "entry's link", do: func(a *attacker) {
			a.entry(8, func(e *evidence.Entry) { e.Prev[0] ^= 1 })
		}, found: "altered 8", lost: "8", open: ErrDamaged},
		{name: "entry's time, later", do: func(a *attacker) {
			a.entry(8, func(e *evidence.Entry) { e.Time = e.Time.Add(time.Hour) })
		}, found: "altered 8", lost: "8", open: ErrDamaged},
		{name: "entry's time, earlier", do: func(a *attacker) {
			a.entry(8, func(e *evidence.Entry) { e.Time = e.Time.Add(-time.Hour) })
		}, found: "altered 8", lost: "8", open: ErrDamaged},
		{name: "entry's type", do: func(a *attacker) {
			a.entry(8, func(e *evidence.Entry) { e.Type = "turn_ended" })
		}, found: "altered 8", lost: "8", open: ErrDamaged},
		{name: "entry's form", do: func(a *attacker) {
			a.tail(firstTail, func(f *tailFile) { _, r := f.at(8); r.entry = append([]byte(" "), r.entry...) })
		}, found: "altered 8", lost: "7-10", open: ErrDamaged},
		{name: "first entry's type", do: func(a *attacker) {
			a.entry(0, func(e *evidence.Entry) { e.Type = "turn_ended" })
		}, found: "altered 0", lost: "0", open: ErrDamaged},
		{name: "last entry's link", do: func(a *attacker) {
			a.entry(15, func(e *evidence.Entry) { e.Prev[0] ^= 1 })
		}, found: "altered 14", lost: "15", open: ErrDamaged}, // nothing but the commit's checkpoint vouches for it
		{name: "last entry's type", do: func(a *attacker) {
			a.entry(15, func(e *evidence.Entry) { e.Type = "turn_ended" })
		}, found: "altered 14", lost: "15", open: ErrDamaged},
		{name: "last entry's index", do: func(a *attacker) {
			a.entry(15, func(e *evidence.Entry) { e.Index = 1 << 40 })
		}, found: "altered 15", lost: "14-15", open: ErrDamaged},
		{name: "link of an entry that is the last of its commit", do: func(a *attacker) {
			a.entry(10, func(e *evidence.Entry) { e.Prev[0] ^= 1 })
		}, found: "altered 10", lost: "10", open: ErrDamaged},

		// A payload, checksum made right. The entry commits to it.
		{name: "payload", do: func(a *attacker) {
			a.tail(firstTail, func(f *tailFile) {
				_, r := f.at(8)
				r.body = forgedBody(a, r.body, func(e *event.Event) { e.UserID = "mallory" })
			})
		}, found: "altered 8", lost: "8", open: ErrDamaged},
		{name: "last payload", do: func(a *attacker) {
			a.tail(firstTail, func(f *tailFile) {
				_, r := f.at(15)
				r.body = forgedBody(a, r.body, func(e *event.Event) { e.UserID = "mallory" })
			})
		}, found: "altered 15", lost: "15", open: ErrDamaged},
		{name: "salt", do: func(a *attacker) {
			a.tail(firstTail, func(f *tailFile) { _, r := f.at(8); r.body[0] ^= 1 })
		}, found: "altered 8", lost: "8", open: ErrDamaged},
		{name: "payload and the commitment to it", do: func(a *attacker) {
			a.tail(firstTail, func(f *tailFile) {
				_, r := f.at(8)
				r.body = forgedBody(a, r.body, func(e *event.Event) { e.UserID = "mallory" })
				r.edit(a, func(e *evidence.Entry) { e.Payload = evidence.CommitBody(r.body) })
			})
		}, found: "altered 8", lost: "8", open: ErrDamaged},
		{name: "payloads of two entries exchanged", do: func(a *attacker) {
			a.tail(firstTail, func(f *tailFile) {
				_, r := f.at(8)
				_, s := f.at(12)
				r.body, s.body = s.body, r.body
			})
		}, found: "altered 8, altered 12", lost: "8 12", open: ErrDamaged},
		{name: "payload taken out", do: func(a *attacker) {
			a.tail(firstTail, func(f *tailFile) { _, r := f.at(8); r.body = nil })
		}, found: "payload_missing 8", lost: "8"},

		// What stands around the entries, checksum made right.
		{name: "commit's first index", do: func(a *attacker) {
			a.frame(8, func(b []byte) { b[15] = 200 })
		}, found: "altered 7", lost: "7-10", open: ErrDamaged},
		{name: "commit's first index, lower", do: func(a *attacker) {
			a.frame(8, func(b []byte) { b[15] = 2 })
		}, found: "altered 7", lost: "7-10", open: ErrDamaged},
		{name: "commit's count, higher", do: func(a *attacker) {
			a.frame(8, func(b []byte) { b[19]++ })
		}, found: "altered 7", lost: "7-10", open: ErrDamaged},
		{name: "commit's count, lower", do: func(a *attacker) {
			a.frame(8, func(b []byte) { b[19]-- })
		}, found: "altered 7", lost: "7-10", open: ErrDamaged},
		{name: "commit's nonce", do: func(a *attacker) {
			a.frame(8, func(b []byte) { b[30] ^= 1 })
		}, found: "altered 7", lost: "7-10", open: ErrDamaged},
		{name: "record's length", do: func(a *attacker) {
			a.frame(8, func(b []byte) { b[segment.FrameHeaderSize+5] ^= 1 })
		}, found: "altered 7", lost: "7-10", open: ErrDamaged},
		{name: "tail's first index", do: func(a *attacker) {
			a.tail(firstTail, func(f *tailFile) { f.header.First = segment.Entries })
		}, found: "altered 0", open: ErrDamaged},
		{name: "checkpoint's text", do: func(a *attacker) {
			a.frame(8, func(b []byte) { change(a, b, origin+"\n11\n", origin+"\n10\n") })
		}, found: "altered 10"},
		{name: "checkpoint's signature", do: func(a *attacker) {
			a.frame(8, func(b []byte) { b[len(b)-10] ^= 1 })
		}, found: "altered 10"},
		{name: "checkpoint's signature, in the last commit", do: func(a *attacker) {
			a.frame(15, func(b []byte) { b[len(b)-10] ^= 1 })
		}, found: "altered 14", open: ErrDamaged},
		{name: "checkpoint replaced by an earlier one", do: func(a *attacker) {
			a.tail(firstTail, func(f *tailFile) { f.frames[6].checkpoint = f.frames[5].checkpoint })
		}, found: "altered 11"},
		{name: "checkpoint taken out", do: func(a *attacker) {
			a.tail(firstTail, func(f *tailFile) { f.frames[6].checkpoint = nil })
		}, found: "altered 11"},

		// Files beside the entries.
		{name: "checkpoint file's text", do: func(a *attacker) {
			a.file("checkpoint", func(b []byte) []byte { return bytes.Replace(b, []byte("\n16\n"), []byte("\n15\n"), 1) })
		}, found: "altered 16"},
		{name: "checkpoint file's signature", do: func(a *attacker) { a.flip("checkpoint", -10) }, found: "altered 16"},
		{name: "checkpoint file without meaning", do: func(a *attacker) { a.setCheckpoint([]byte("none")) }, found: "altered 0", open: ErrDamaged},
		{name: "checkpoint file without end", do: func(a *attacker) { a.setCheckpoint(make([]byte, 1<<20)) }, found: "altered 0", open: ErrDamaged},
		{name: "checkpoint file older than it could be", do: func(a *attacker) { a.setCheckpoint(a.f.earlier) }},
		{name: "checkpoint file removed", do: func(a *attacker) { a.remove("checkpoint") }}, // it comes back when the trail is written
		{name: "trail.json's origin", do: func(a *attacker) {
			a.file("trail.json", func(b []byte) []byte {
				return bytes.Replace(b, []byte(`"origin": "example.org`), []byte(`"origin": "example.com`), 1)
			})
		}, found: "altered 0", open: ErrDamaged},
		{name: "trail.json's key", do: func(a *attacker) {
			a.file("trail.json", func(b []byte) []byte {
				return bytes.Replace(b, []byte(a.f.vkey), []byte(a.otherSigner().VerifierKey()), 1)
			})
		}, found: "key_swapped 0", given: key, then: "key_swapped 0", open: ErrDamaged},
		{name: "trail.json without meaning", do: func(a *attacker) { a.flip("trail.json", 0) }, found: "altered 0", open: ErrDamaged},
		{name: "trail.json removed", do: func(a *attacker) { a.remove("trail.json") }, found: "altered 0", open: ErrNotFound},
		{name: "lock file", do: func(a *attacker) { a.flip("lock", 0) }}, // it says nothing about the trail

		// Entries taken out, put in, moved.
		{name: "entry deleted", do: func(a *attacker) {
			a.tail(firstTail, func(f *tailFile) {
				frame, _ := f.at(8)
				frame.records = slices.Delete(frame.records, 1, 2)
			})
		}, found: "deleted 8", lost: "7-10", open: ErrDamaged},
		{name: "commit deleted", do: func(a *attacker) {
			a.tail(firstTail, func(f *tailFile) { f.frames = slices.Delete(f.frames, 5, 6) })
		}, found: "deleted 7", lost: "7-10", open: ErrDamaged},
		{name: "commit deleted, and the checkpoint file set back to before it", do: func(a *attacker) {
			a.tail(firstTail, func(f *tailFile) {
				a.setCheckpoint(f.frames[4].checkpoint)
				f.frames = slices.Delete(f.frames, 5, 6)
			})
		}, found: "deleted 7", lost: "7-10", open: ErrDamaged},
		{name: "first commit deleted", do: func(a *attacker) {
			a.tail(firstTail, func(f *tailFile) { f.frames = f.frames[1:] })
		}, found: "deleted 0", lost: "0", open: ErrDamaged},
		{name: "entry put in", do: func(a *attacker) {
			a.tail(firstTail, func(f *tailFile) {
				frame, r := f.at(8)
				forged := tailRecord{entry: edited(a, r.entry, func(e *evidence.Entry) { e.Index, e.Type = 9, "turn_ended" }), body: r.body}
				frame.records = slices.Insert(frame.records, 2, forged)
			})
		}, found: "inserted 9", lost: "7-10", open: ErrDamaged},
		{name: "entry stored twice", do: func(a *attacker) {
			a.tail(firstTail, func(f *tailFile) {
				frame, r := f.at(8)
				frame.records = slices.Insert(frame.records, 1, *r)
			})
		}, found: "inserted 8", lost: "7-10", open: ErrDamaged},
		{name: "commit stored twice", do: func(a *attacker) {
			a.tail(firstTail, func(f *tailFile) { f.frames = slices.Insert(f.frames, 5, f.frames[5]) })
		}, found: "inserted 7", open: ErrDamaged},
		{name: "two entries exchanged", do: func(a *attacker) {
			a.tail(firstTail, func(f *tailFile) {
				frame, _ := f.at(8)
				frame.records[1], frame.records[2] = frame.records[2], frame.records[1]
			})
		}, found: "reordered 8", lost: "7-10", open: ErrDamaged},
		{name: "two commits exchanged", do: func(a *attacker) {
			a.tail(firstTail, func(f *tailFile) { f.frames[5], f.frames[6] = f.frames[6], f.frames[5] })
		}, found: "reordered 7", lost: "7-10", open: ErrDamaged},

		// History rewritten from an entry on: links, tree and all, but no key.
		// The first commit that is not signed as it should be begins with 7.
		{name: "rewritten from entry 9 on, checkpoints left as they were", do: func(a *attacker) {
			a.tail(firstTail, func(f *tailFile) {
				old := checkpoints(f)
				rewrite(a, f, 9, nil)
				for i, c := range old {
					f.frames[i].checkpoint = c
				}
			})
			a.remove("checkpoint")
		}, found: "altered 7", lost: "9-15", open: ErrDamaged},
		{name: "rewritten from entry 9 on, checkpoints with the signatures that were there", do: func(a *attacker) {
			a.tail(firstTail, func(f *tailFile) { rewrite(a, f, 9, nil) })
			a.remove("checkpoint")
		}, found: "altered 7", lost: "9-15", open: ErrDamaged},
		{name: "entry deleted, the rest moved up", do: func(a *attacker) {
			a.tail(firstTail, func(f *tailFile) {
				frame, _ := f.at(12)
				frame.records = nil
				f.frames = slices.DeleteFunc(f.frames, func(f *tailFrame) bool { return f == frame })
				f.relink(a, 12, nil)
			})
			a.remove("checkpoint")
		}, found: "altered 12", lost: "12-15", open: ErrDamaged},

		// The same by somebody who has the key. Only a checkpoint that is kept
		// elsewhere helps; of two, the largest that fits says from where on.
		{name: "rewritten from entry 9 on with the key (a fork)", do: func(a *attacker) {
			a.tail(firstTail, func(f *tailFile) {
				rewrite(a, f, 9, a.signer())
				a.setCheckpoint(f.frames[len(f.frames)-1].checkpoint)
			})
		}, lost: "9-15", given: newest, then: "forked 0"},
		{name: "rewritten from entry 12 on with the key (a fork)", do: func(a *attacker) {
			a.tail(firstTail, func(f *tailFile) {
				rewrite(a, f, 12, a.signer())
				a.setCheckpoint(f.frames[len(f.frames)-1].checkpoint)
			})
		}, lost: "12-15", given: both, then: "forked 11"},
		{name: "an entry dated back with the key", do: func(a *attacker) {
			a.tail(firstTail, func(f *tailFile) {
				_, r := f.at(12)
				r.edit(a, func(e *evidence.Entry) { e.Time = e.Time.Add(-time.Hour) })
				f.relink(a, 12, a.signer())
				a.setCheckpoint(f.frames[len(f.frames)-1].checkpoint)
			})
		}, found: "time_reversed 12", lost: "12-15", given: newest, then: "forked 0, time_reversed 12"},

		// The end is cut off.
		{name: "cut off after an earlier commit", do: func(a *attacker) {
			a.tail(firstTail, func(f *tailFile) { f.frames = f.frames[:8] })
		}, found: "truncated 13", lost: "13-15", given: newest, then: "rolled_back 13, truncated 13", open: ErrDamaged},
		{name: "cut off, and the checkpoint file set back: only a kept checkpoint tells", do: func(a *attacker) {
			a.tail(firstTail, func(f *tailFile) {
				f.frames = f.frames[:8]
				a.setCheckpoint(f.frames[7].checkpoint)
			})
		}, lost: "13-15", given: newest, then: "rolled_back 13"},
		{name: "cut off, and the checkpoint file removed: only a kept checkpoint tells", do: func(a *attacker) {
			a.tail(firstTail, func(f *tailFile) { f.frames = f.frames[:8] })
			a.remove("checkpoint")
		}, lost: "13-15", given: newest, then: "rolled_back 13"},
		{name: "yesterday's copy restored: only a kept checkpoint tells", do: func(a *attacker) {
			a.tail(firstTail, func(f *tailFile) {
				f.frames = f.frames[:6]
				a.setCheckpoint(f.frames[5].checkpoint)
			})
		}, lost: "11-15", given: both, then: "rolled_back 11"},

		// Everything is gone. Nothing to verify is never a pass.
		{name: "tail emptied", do: func(a *attacker) {
			a.tail(firstTail, func(f *tailFile) { f.frames = nil })
		}, found: "wiped 0", lost: "0-15", given: newest, then: "wiped 0", open: ErrDamaged},
		{name: "tail removed", do: func(a *attacker) { a.remove(firstTail) }, found: "wiped 0", lost: "0-15", given: newest, then: "wiped 0", open: ErrDamaged},
		{name: "tail and checkpoint file removed", do: func(a *attacker) {
			a.remove(firstTail)
			a.remove("checkpoint")
		}, found: "wiped 0", lost: "0-15", given: newest, then: "wiped 0"},
		{name: "tail cut to nothing", do: func(a *attacker) {
			a.file(firstTail, func([]byte) []byte { return []byte{} })
		}, found: "wiped 0", lost: "0-15", given: newest, then: "wiped 0", open: ErrDamaged},
		{name: "tail's nonce, so that its commits count as left over", do: func(a *attacker) {
			a.file(firstTail, func(b []byte) []byte {
				f := parseTail(a, b)
				f.header.Nonce[0] ^= 1
				return append(segment.AppendTailHeader(nil, f.header), b[segment.TailHeaderSize:]...)
			})
		}, found: "altered 0", lost: "0-15", given: newest, then: "altered 0", open: ErrDamaged},
		{name: "all directories removed", do: func(a *attacker) {
			must(a, os.RemoveAll(filepath.Join(a.dir, "tail")))
			must(a, os.RemoveAll(filepath.Join(a.dir, "segments")))
		}, found: "wiped 0", lost: "0-15", given: newest, then: "wiped 0", open: ErrDamaged},

		// Another key.
		{name: "signed again with another key", do: func(a *attacker) {
			a.tail(firstTail, func(f *tailFile) { f.relink(a, 0, a.otherSigner()) })
			a.remove("checkpoint")
		}, found: "key_swapped 0", given: key, then: "key_swapped 0", open: ErrKey},
		{name: "signed with another key from entry 12 on", do: func(a *attacker) {
			a.tail(firstTail, func(f *tailFile) { rewrite(a, f, 12, a.otherSigner()) })
			a.remove("checkpoint")
		}, found: "key_swapped 12", lost: "12-15", open: ErrKey},
		{name: "signed again with another key, which trail.json names", do: func(a *attacker) {
			other := a.otherSigner()
			a.tail(firstTail, func(f *tailFile) { f.relink(a, 0, other) })
			a.remove("checkpoint")
			a.file("trail.json", func(b []byte) []byte { return bytes.Replace(b, []byte(a.f.vkey), []byte(other.VerifierKey()), 1) })
		}, found: "key_swapped 0", given: key, then: "key_swapped 0", open: ErrDamaged},
		{name: "another trail in its place: only the key or a kept checkpoint tells", do: func(a *attacker) {
			other := filepath.Join(a.TempDir(), "other")
			get(Create(other, CreateOptions{Origin: origin, KeyDir: a.TempDir()}))(a)
			must(a, os.RemoveAll(a.dir))
			copyTrail(a, a.dir, other)
		}, lost: "0-15", given: key, then: "key_swapped 0", open: ErrKey},
		{name: "another trail in its place, with a kept checkpoint", do: func(a *attacker) {
			other := filepath.Join(a.TempDir(), "other")
			get(Create(other, CreateOptions{Origin: origin, KeyDir: a.TempDir()}))(a)
			must(a, os.RemoveAll(a.dir))
			copyTrail(a, a.dir, other)
		}, lost: "0-15", given: newest, then: "key_swapped 0", open: ErrKey},

		// Not attacks.
		{name: "entry of a newer version", do: func(a *attacker) {
			a.tail(firstTail, func(f *tailFile) { _, r := f.at(12); newer(r) })
		}, found: "newer_format 12", lost: "12", open: ErrNewer},
		{name: "tail of a newer version", do: func(a *attacker) {
			a.file(firstTail, func(b []byte) []byte { return append([]byte("custody tail v2\n"), b[16:]...) })
		}, found: "newer_format 0", lost: "0-15", open: ErrNewer},
		{name: "tail of a version with two digits", do: func(a *attacker) {
			a.file(firstTail, func(b []byte) []byte { return append([]byte("custody tail v10\n"), b[17:]...) })
		}, found: "newer_format 0", lost: "0-15", open: ErrNewer},
		{name: "a crash cut a write short", do: func(a *attacker) {
			a.file(firstTail, func(b []byte) []byte {
				offset, size := parseTail(a, b).frameAt(a, 15)
				half := slices.Clone(b[offset : offset+size/2])
				binary.BigEndian.PutUint64(half[8:], 16)
				return append(b, half...)
			})
		}, found: "torn 16"},
		{name: "a crash came before the first byte of a header was whole", do: func(a *attacker) {
			a.file(firstTail, func(b []byte) []byte { return append(b, 'C') })
		}, found: "torn 16"},
		{name: "room that was reserved behind the end", do: func(a *attacker) {
			a.file(firstTail, func(b []byte) []byte { return append(b, make([]byte, 100_000)...) })
		}},
		{name: "what is left of an earlier use of the file behind the end", do: func(a *attacker) {
			a.file(firstTail, func(b []byte) []byte {
				old := parseTail(a, b)
				old.header.Nonce[0] ^= 1
				return append(b, old.bytes(a)[segment.TailHeaderSize:]...)
			})
		}},
	})
}

// The trail of this table passes from one key to another with entry 5; every
// entry has a commit of its own.
func TestAttacksOnKeys(t *testing.T) {
	runAttacks(t, rotatedTrail, []attack{
		{name: "none", given: newest},
		{name: "statement of the change of key", do: func(a *attacker) {
			a.tail(firstTail, func(f *tailFile) {
				_, r := f.at(5)
				r.body = forgedBody(a, r.body, func(e *event.Event) { e.Details["statement"] = "none" })
			})
		}, found: "altered 5, key_swapped 6", lost: "5", open: ErrDamaged},
		{name: "event of the change of key, but not its statement", do: func(a *attacker) {
			a.tail(firstTail, func(f *tailFile) {
				_, r := f.at(5)
				r.body = forgedBody(a, r.body, func(e *event.Event) { e.UserID = "mallory" })
			})
		}, found: "altered 5, key_swapped 6", lost: "5", open: ErrDamaged},
		{name: "payload of the change of key taken out", do: func(a *attacker) {
			a.tail(firstTail, func(f *tailFile) { _, r := f.at(5); r.body = nil })
		}, found: "payload_missing 5, key_swapped 6", lost: "5"},
		{name: "commit of the change of key deleted", do: func(a *attacker) {
			a.tail(firstTail, func(f *tailFile) { f.frames = slices.Delete(f.frames, 5, 6) })
		}, found: "deleted 5, key_swapped 5", lost: "5", open: ErrDamaged},
		{name: "old key's signature on the checkpoint that both signed", do: func(a *attacker) {
			a.frame(5, func(b []byte) { b[len(b)-140] ^= 1 })
		}, found: "altered 5"},
		{name: "new key's signature on the checkpoint that both signed", do: func(a *attacker) {
			a.frame(5, func(b []byte) { b[len(b)-10] ^= 1 })
		}, found: "altered 5"},
		{name: "old key's signature taken off the checkpoint that both signed", do: func(a *attacker) {
			a.tail(firstTail, func(f *tailFile) {
				frame, _ := f.at(5)
				text, sigs, _ := bytes.Cut(frame.checkpoint, []byte("\n\n"))
				_, sigs, _ = bytes.Cut(sigs, []byte("\n"))
				frame.checkpoint = slices.Concat(text, []byte("\n\n"), sigs)
			})
		}, found: "altered 5"},
		{name: "entry behind the change of key, with the old key, which was stolen", do: func(a *attacker) {
			a.tail(firstTail, func(f *tailFile) { rewrite(a, f, 7, a.signer()) })
			a.remove("checkpoint")
		}, found: "key_swapped 7", lost: "7-9"},
		{name: "change of key to a key of somebody who has none", do: func(a *attacker) {
			a.tail(firstTail, func(f *tailFile) {
				_, r := f.at(5)
				other, third := a.otherSigner(), a.otherSigner()
				r.body = forgedBody(a, r.body, func(e *event.Event) {
					e.Details["statement"] = string(get(evidence.SignRotation(other, third))(a))
					e.Details["new_key"] = third.VerifierKey()
				})
				r.edit(a, func(e *evidence.Entry) { e.Payload = evidence.CommitBody(r.body) })
				f.relink(a, 5, third)
			})
			a.remove("checkpoint")
		}, found: "key_swapped 5", lost: "5-9", open: ErrKey},
		{name: "entry before the change of key, with the new key", do: func(a *attacker) {
			a.tail(firstTail, func(f *tailFile) {
				rewrite(a, f, 3, a.secondKey())
				a.setCheckpoint(f.frames[len(f.frames)-1].checkpoint)
			})
		}, found: "key_swapped 3, altered 5", lost: "3-9", given: both, then: "forked 0, key_swapped 3, altered 5"},
		{name: "last entry's link", do: func(a *attacker) {
			a.entry(9, func(e *evidence.Entry) { e.Prev[0] ^= 1 })
		}, found: "altered 9", lost: "9", open: ErrDamaged},
		{name: "another history without the change of key, with the old key: only a kept checkpoint tells", do: func(a *attacker) {
			a.tail(firstTail, func(f *tailFile) {
				f.frames = f.frames[:5]
				rewrite(a, f, 4, a.signer())
				a.setCheckpoint(f.frames[4].checkpoint)
			})
		}, lost: "4-9", given: both, then: "forked 0, key_swapped 0"},
		{name: "yesterday's copy, from before the change of key", do: func(a *attacker) {
			a.tail(firstTail, func(f *tailFile) {
				f.frames = f.frames[:5]
				a.setCheckpoint(f.frames[4].checkpoint)
			})
		}, lost: "5-9", given: newest, then: "key_swapped 0"}, // nothing here vouches for the key that signed it
	})
}
