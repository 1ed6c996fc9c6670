package ingest_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/custodylog/custody/ingest"
	"github.com/custodylog/custody/ingest/ingesttest"
)

// text does not compress to almost nothing.
func text() []byte {
	var b bytes.Buffer
	for i, x := 0, uint32(1); i < 30_000; i++ {
		x = x*1664525 + 1013904223
		b.WriteByte(' ' + byte(x>>24)%95)
	}
	return b.Bytes()
}

func TestDecompress(t *testing.T) {
	data := text()
	skippable := []byte("\x5a\x2a\x4d\x18\x03\x00\x00\x00abc")
	for name, in := range map[string][]byte{
		"plain":           data,
		"gzip":            ingesttest.Gzip(data),
		"zstd":            ingesttest.Zstd(data),
		"skippable frame": append(skippable, ingesttest.Zstd(data)...),
	} {
		for way, r := range map[string]io.Reader{"whole": bytes.NewReader(in), "byte by byte": ingesttest.OneByte(bytes.NewReader(in))} {
			d, err := ingest.Decompress(r)
			if err != nil {
				t.Errorf("%s, %s: %v", name, way, err)
				continue
			}
			if got, err := io.ReadAll(d); err != nil || !bytes.Equal(got, data) {
				t.Errorf("%s, %s: %d bytes, %v", name, way, len(got), err)
			}
		}
	}
	for _, in := range []string{"", "a", "\x1f", "PK\x03\x04"} {
		d, err := ingest.Decompress(strings.NewReader(in))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(d); err != nil || string(got) != in {
			t.Errorf("%q: %q, %v", in, got, err)
		}
	}
}

func TestDecompressCutOff(t *testing.T) {
	data := text()
	for name, in := range map[string][]byte{"gzip": ingesttest.Gzip(data), "zstd": ingesttest.Zstd(data)} {
		for _, n := range []int{5, 12, len(in) / 4, len(in)*3/4 + 1, len(in) - 1} {
			d, err := ingest.Decompress(bytes.NewReader(in[:n]))
			var got []byte
			if err == nil {
				got, err = io.ReadAll(d)
			}
			if !errors.Is(err, io.ErrUnexpectedEOF) || !strings.Contains(err.Error(), "the "+name+" data ends at byte "+itoa(n)+",") {
				t.Errorf("%s, %d of %d bytes: %v", name, n, len(in), err)
			}
			if !bytes.HasPrefix(data, got) {
				t.Errorf("%s, %d bytes: not the beginning of the data", name, n)
			}
		}
	}
}

func TestDecompressDamaged(t *testing.T) {
	data := text()
	for name, in := range map[string][]byte{"gzip": ingesttest.Gzip(data), "zstd": ingesttest.Zstd(data)} {
		in = bytes.Clone(in)
		in[len(in)/4] ^= 0x55
		d, err := ingest.Decompress(bytes.NewReader(in))
		if err == nil {
			_, err = io.ReadAll(d)
		}
		if err == nil || !strings.Contains(err.Error(), "the "+name+" data is damaged at or before byte ") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

var errDisk = errors.New("disk on fire")

func TestDecompressPassesErrors(t *testing.T) {
	in := ingesttest.Gzip(text())
	for _, n := range []int{0, 20, len(in) / 2} {
		d, err := ingest.Decompress(io.MultiReader(bytes.NewReader(in[:n]), failing{}))
		if err == nil {
			_, err = io.ReadAll(d)
		}
		if !errors.Is(err, errDisk) {
			t.Errorf("after %d bytes: %v", n, err)
		}
	}
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errDisk }

func TestOpen(t *testing.T) {
	dir := t.TempDir()
	data := text()
	for name, in := range map[string][]byte{"plain.gz": data, "gzip.txt": ingesttest.Gzip(data), "zstd": ingesttest.Zstd(data)} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, in, 0o600); err != nil {
			t.Fatal(err)
		}
		r, err := ingest.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r)
		if err != nil || !bytes.Equal(got, data) {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, err := ingest.Open(filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	if _, err := ingest.Open(dir); err == nil || !strings.Contains(err.Error(), dir) {
		t.Errorf("a directory: %v", err)
	}
}
