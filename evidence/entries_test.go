package evidence

import (
	"bytes"
	"strings"
	"testing"
)

func bundle(t testing.TB, entries ...[]byte) []byte {
	t.Helper()
	var b []byte
	for _, e := range entries {
		var err error
		if b, err = AppendToBundle(b, e); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

func TestBundle(t *testing.T) {
	longest := bytes.Repeat([]byte("x"), MaxEntrySize)
	entries := [][]byte{[]byte("a"), {}, longest, []byte("bcd")}
	b := bundle(t, entries...)
	if want := "\x00\x01a\x00\x00\xff\xff" + string(longest) + "\x00\x03bcd"; string(b) != want {
		t.Fatalf("bundle has %d bytes and begins with %q", len(b), b[:20])
	}
	got, err := ParseBundle(b, len(entries))
	if err != nil || len(got) != len(entries) {
		t.Fatalf("%d entries, %v", len(got), err)
	}
	for i := range got {
		if !bytes.Equal(got[i], entries[i]) {
			t.Errorf("entry %d is %.20q", i, got[i])
		}
		if cap(got[i]) != len(got[i]) {
			t.Errorf("entry %d could be grown over the one behind it", i)
		}
	}
	if b, err := AppendToBundle(nil, append(longest, 'x')); err == nil || b != nil || !strings.Contains(err.Error(), "65536 bytes") {
		t.Errorf("an entry that is too long: %d bytes, %v", len(b), err)
	}
}

func TestParseBundleRefuses(t *testing.T) {
	b := bundle(t, []byte("first"), []byte("second"))
	for _, tt := range []struct {
		name  string
		b     []byte
		width int
		want  string
	}{
		{"width 0", nil, 0, "cannot have 0 entries"},
		{"width 257", b, 257, "cannot have 257 entries"},
		{"negative width", b, -1, "cannot have -1 entries"},
		{"nothing", nil, 1, "ends at byte 0, before the length of entry 0 of 1"},
		{"fewer entries", b, 3, "ends at byte 15, before the length of entry 2 of 3"},
		{"more entries", b, 1, "goes on at byte 7, behind the last of 1 entries"},
		{"one byte behind", append(bytes.Clone(b), 0), 2, "goes on at byte 15"},
		{"half a length", b[:8], 2, "ends at byte 8, before the length of entry 1"},
		{"half an entry", b[:len(b)-1], 2, "ends at byte 14, within entry 1 of 2, which has 6 bytes from byte 9"},
	} {
		if got, err := ParseBundle(tt.b, tt.width); err == nil || got != nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %q, %v, want an error with %q", tt.name, got, err, tt.want)
		}
	}
}

// CutEntry takes what there is, however it goes on.
func TestCutEntry(t *testing.T) {
	rest := append(bundle(t, []byte("first"), nil), 0, 9, 'x')
	for _, want := range []string{"first", ""} {
		entry, behind, ok := CutEntry(rest)
		if !ok || string(entry) != want || cap(entry) != len(entry) {
			t.Fatalf("%q, %t; want %q", entry, ok, want)
		}
		rest = behind
	}
	for _, b := range [][]byte{rest, rest[:1], nil} {
		if entry, behind, ok := CutEntry(b); ok || entry != nil || !bytes.Equal(behind, b) {
			t.Errorf("%q, %q, %t from %q", entry, behind, ok, b)
		}
	}
}

func FuzzParseBundle(f *testing.F) {
	f.Add([]byte("\x00\x01a\x00\x00"), 2)
	f.Add([]byte("\x00\x05a"), 1)
	f.Add([]byte{}, 256)
	f.Fuzz(func(t *testing.T, b []byte, width int) {
		entries, err := ParseBundle(b, width)
		if err != nil {
			return
		}
		if again := bundle(t, entries...); len(entries) != width || !bytes.Equal(again, b) {
			t.Fatalf("%d entries of %d, written again as %q", len(entries), width, again)
		}
	})
}
