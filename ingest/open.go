package ingest

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// Open opens a file for reading and decompresses it as [Decompress] does.
// Errors name the path.
func Open(path string) (io.ReadCloser, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	r, err := Decompress(f)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, err), f.Close())
	}
	return &openFile{r, f}, nil
}

// openFile reads from r and closes both r, where that has something to close,
// and the file.
type openFile struct {
	io.Reader
	file *os.File
}

func (o *openFile) Close() error {
	if d, ok := o.Reader.(*decompressor); ok {
		d.close()
	}
	return o.file.Close()
}

// maxWindow bounds the memory that a zstd frame may ask for; it is what the
// zstd program's --long takes by default.
const maxWindow = 128 << 20

// Decompress returns what r holds, decompressed if it begins as gzip or zstd
// data do. Members or frames that follow each other are read as one. Where the
// data is cut off or damaged, reading fails with an error that says at which
// byte of the compressed data; everything before that has been returned.
func Decompress(r io.Reader) (io.Reader, error) {
	c := &counter{r: r}
	b := bufio.NewReaderSize(c, 64<<10)
	head, err := b.Peek(4)
	if err != nil && err != io.EOF {
		return nil, err
	}
	d := &decompressor{in: c}
	switch {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		d.format = "gzip"
		z, err := gzip.NewReader(b)
		if err != nil {
			return nil, d.explain(err)
		}
		d.r, d.close = z, func() { z.Close() }
	case isZstd(head):
		d.format = "zstd"
		z, err := zstd.NewReader(b, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, d.explain(err)
		}
		d.r, d.close = z, z.Close
	default:
		return b, nil
	}
	return d, nil
}

// isZstd knows the magic numbers of a frame and of a skippable frame (RFC 8878,
// sections 3.1.1 and 3.1.2).
func isZstd(b []byte) bool {
	return len(b) == 4 && (bytes.Equal(b, []byte{0x28, 0xb5, 0x2f, 0xfd}) ||
		b[0]&0xf0 == 0x50 && bytes.Equal(b[1:], []byte{0x2a, 0x4d, 0x18}))
}

type decompressor struct {
	r      io.Reader
	close  func()
	format string
	in     *counter
}

func (d *decompressor) Read(p []byte) (int, error) {
	n, err := d.r.Read(p)
	if err != nil && err != io.EOF {
		err = d.explain(err)
	}
	return n, err
}

func (d *decompressor) explain(err error) error {
	if d.in.err != nil {
		return d.in.err // reading the compressed data failed
	}
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return fmt.Errorf("the %s data ends at byte %d, before its end: it was cut off; get the whole of it again (%w)", d.format, d.in.n, io.ErrUnexpectedEOF)
	}
	return fmt.Errorf("the %s data is damaged at or before byte %d: %w", d.format, d.in.n, err)
}

// counter counts what was read and keeps the error that ended it.
type counter struct {
	r   io.Reader
	n   int64
	err error // other than io.EOF
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	if err != nil && err != io.EOF {
		c.err = err
	}
	return n, err
}
