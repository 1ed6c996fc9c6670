package evidence

import (
	"crypto/sha256"
	"encoding/binary"
)

// SamplePrefix opens the bytes that a draw of [Sample] hashes.
const SamplePrefix = "custody sample v1\n"

// Sample draws n different indices of a tree of size entries, in an order that
// anybody can compute again (docs/format/proof.md). An auditor checks these
// entries instead of all: of size entries of which b are bad, a sample misses all
// bad ones with a probability of at most (1 - b/size)^n.
//
// A larger n continues the same draw, so a sample can be extended. From size on,
// n gives all indices. Every set of n indices is as likely as any other, for a
// seed that nobody could know before the checkpoint with that root was signed;
// with a seed known earlier, who wrote the trail could choose what is not drawn.
func Sample(seed []byte, root Hash, size uint64, n int) []uint64 {
	if n <= 0 || size == 0 {
		return nil
	}
	draws := min(uint64(n), size)
	input := append([]byte(SamplePrefix), make([]byte, 8)...)
	binary.BigEndian.PutUint64(input[len(SamplePrefix):], uint64(len(seed)))
	input = append(input, seed...)
	input = append(input, root[:]...)
	input = binary.BigEndian.AppendUint64(input, size)
	source := drawing{input: input}

	// Fisher–Yates on the list of all indices. The list holds i at place i, but
	// where moved says otherwise.
	var sample []uint64
	moved := make(map[uint64]uint64)
	at := func(i uint64) uint64 {
		if v, ok := moved[i]; ok {
			return v
		}
		return i
	}
	for i := range draws {
		j := i + source.below(size-i)
		sample = append(sample, at(j))
		moved[j] = at(i)
	}
	return sample
}

// drawing gives random numbers: the first eight bytes of the hashes of input and
// a counter.
type drawing struct {
	input   []byte
	counter uint64
}

// below returns a number below m, each with the same probability: of the numbers
// of 64 bits it passes over the first 2^64 mod m, so that what is left is a
// multiple of m.
func (d *drawing) below(m uint64) uint64 {
	for {
		sum := sha256.Sum256(binary.BigEndian.AppendUint64(d.input[:len(d.input):len(d.input)], d.counter))
		d.counter++
		if x := binary.BigEndian.Uint64(sum[:]); x >= -m%m {
			return x % m
		}
	}
}
