package filestore_test

import (
	"encoding/binary"
	"hash/crc32"
	"path"
	"runtime"
	"testing"

	"github.com/custodylog/custody/internal/filestore"
	"github.com/custodylog/custody/internal/segment"
	"github.com/custodylog/custody/internal/storage/storetest"
	"github.com/custodylog/custody/internal/vfs/vfstest"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// FuzzOpenTail puts arbitrary bytes in the place of each of a trail's files and
// uses the trail. Nothing may panic or take memory without bound, and what can
// be opened for writing once can be so again.
func FuzzOpenTail(f *testing.F) {
	names := []string{
		tailPath(0), tailPath(1), sparePath, segmentPath(0), indexPath(0),
		path.Join(dir, "checkpoint"), path.Join(dir, "trail.json"), path.Join(dir, "lock"),
	}
	disk := vfstest.NewMem()
	must(f, filestore.Create(disk, dir, meta))
	s, err := filestore.Open(disk, dir, writing)
	must(f, err)
	w := storetest.NewWriter(1)
	w.PayloadSize = 10
	for range 3 {
		must(f, s.Append(w.Batch(2)))
	}
	must(f, s.Close())
	for i, name := range names {
		if b, err := disk.ReadAll(name); err == nil {
			f.Add(uint8(i), b, false)
			f.Add(uint8(i), b[:len(b)-1], true)
		}
	}
	f.Add(uint8(1), segment.AppendTailHeader(nil, segment.TailHeader{First: storetest.Boundary}), false)
	f.Add(uint8(3), []byte("custody segment v1\n\x00\x00\x00\x00\x00"), false)
	f.Add(uint8(4), []byte("custody index v1\n"), false)
	f.Add(uint8(6), []byte(`{"format":1,"origin":"x","key":"x+00000000+AA=="}`), false)

	f.Fuzz(func(t *testing.T, file uint8, content []byte, fix bool) {
		name := names[int(file)%len(names)]
		if fix {
			fixSums(content)
		}
		disk := disk.Clone()
		must(t, disk.WriteAll(name, content))
		bounded(t, len(content), func() { useAnyhow(t, disk) })
	})
}

// fixSums makes the checksums of a tail right, so that what is behind them is
// looked at.
func fixSums(tail []byte) {
	if len(tail) < segment.TailHeaderSize {
		return
	}
	binary.BigEndian.PutUint32(tail[44:], crc32.Checksum(tail[:44], castagnoli))
	for b := tail[segment.TailHeaderSize:]; len(b) >= segment.FrameHeaderSize; {
		n := segment.FrameHeaderSize + int64(binary.BigEndian.Uint32(b[4:]))
		if n > int64(len(b)) {
			break
		}
		copy(b[24:40], tail[24:40])
		binary.BigEndian.PutUint32(b[40:], crc32.Update(crc32.Checksum(b[:40], castagnoli), castagnoli, b[segment.FrameHeaderSize:n]))
		b = b[n:]
	}
}

// FuzzSegment puts arbitrary bytes into a sealed segment, counted from its end,
// and makes the checksum of its footer right.
func FuzzSegment(f *testing.F) {
	f.Add(uint32(0), []byte("x"))
	f.Add(uint32(segment.Entries*32), make([]byte, 32))
	f.Add(uint32(1000), []byte{0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, fromEnd uint32, patch []byte) {
		disk := twoSegments().disk.Clone()
		b := readAll(t, disk, segmentPath(0))
		copy(b[len(b)-int(fromEnd)%len(b)-1:], patch)
		const header, trailer = 32, 32
		end := b[len(b)-trailer:]
		if at := binary.BigEndian.Uint64(end); at < uint64(len(b)-trailer) {
			sum := crc32.Update(crc32.Checksum(b[:header], castagnoli), castagnoli, b[at:len(b)-trailer])
			binary.BigEndian.PutUint32(end[12:], sum)
		}
		must(t, disk.WriteAll(segmentPath(0), b))
		bounded(t, len(b), func() { useAnyhow(t, disk) })
	})
}

// bounded fails when do takes more memory than what size bytes of input ask
// for: the tables of a few tails and buffers, and each byte some times over.
func bounded(t *testing.T, size int, do func()) {
	t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	do()
	runtime.ReadMemStats(&after)
	if took, most := after.TotalAlloc-before.TotalAlloc, uint64(256<<20+100*size); took > most {
		t.Errorf("%d MiB were taken for a file of %d bytes", took>>20, size)
	}
}

// useAnyhow uses a trail of which nothing is known.
func useAnyhow(t *testing.T, disk *vfstest.Mem) {
	if r, err := filestore.Open(disk, dir, reading); err == nil {
		use(t, r)
		must(t, r.Close())
	}
	s, err := filestore.Open(disk, dir, writing)
	if err != nil {
		return
	}
	use(t, s)
	size := s.Size()
	if head := s.Head(); head.Tree.Size() != size {
		t.Errorf("the head has the tree of %d entries, the trail has %d", head.Tree.Size(), size)
	}
	must(t, s.Close())
	s, err = filestore.Open(disk, dir, writing)
	must(t, err)
	if s.Size() != size || s.Recovery() != (filestore.Recovery{}) {
		t.Errorf("opened again it has %d entries, not %d, and was recovered once more: %+v", s.Size(), size, s.Recovery())
	}
	must(t, s.Close())
}
