package evidence

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// fixed is an entry whose bytes are written out below.
var fixed = Entry{
	Index:   41,
	Payload: sha256.Sum256([]byte("payload")),
	Prev:    sha256.Sum256([]byte("entry 40")),
	Time:    time.Date(2026, 11, 23, 22, 10, 0, 123456000, time.UTC),
	Type:    "action_denied",
}

const (
	fixedText = `{"index":41,"payload":"I59Z7VXnN8dxR89VrQwbAwttfudIp0JpUvm4UtWpNeU=","prev":"dADFI6zM4yiWu3oAL5Vbt0HpQRB3Gu6XUdWPa3B6yr4=","time":"2026-11-23T22:10:00.123456Z","type":"action_denied","v":1}`
	fixedHash = "RYb5UaArT7xj2l877vvsw22b8PkPguMj6FTQoPX4Iaw="
)

func TestEntryGolden(t *testing.T) {
	got := AppendEntry([]byte("x"), &fixed)
	if string(got) != "x"+fixedText {
		t.Errorf("AppendEntry:\n got %s\nwant x%s", got, fixedText)
	}
	e, err := ParseEntry([]byte(fixedText))
	if err != nil || e != fixed {
		t.Errorf("ParseEntry = %+v, %v", e, err)
	}
	if h := LeafHash([]byte(fixedText)); h.String() != fixedHash {
		t.Errorf("LeafHash = %v, want %s", h, fixedHash)
	}
}

func TestLeafHashIsThatOfRFC6962(t *testing.T) {
	for _, n := range []int{0, 1, 200, 510, 511, 512, 513, 70000} {
		b := bytes.Repeat([]byte{'e'}, n)
		if want := Hash(sha256.Sum256(append([]byte{0}, b...))); LeafHash(b) != want {
			t.Errorf("%d bytes: %v, want %v", n, LeafHash(b), want)
		}
	}
	var l, r Hash
	l[0], r[31] = 1, 2
	if want := Hash(sha256.Sum256(append(append([]byte{1}, l[:]...), r[:]...))); NodeHash(l, r) != want {
		t.Errorf("NodeHash = %v, want %v", NodeHash(l, r), want)
	}
}

func TestEntryRoundTrip(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	for range 2000 {
		e := randomEntry(r)
		b := AppendEntry(nil, &e)
		got, err := ParseEntry(b)
		if err != nil || got != e {
			t.Fatalf("%s\nparsed %+v, %v\nwant   %+v", b, got, err, e)
		}
	}
}

func randomEntry(r *rand.Rand) Entry {
	e := Entry{Index: r.Uint64N(MaxIndex+1) >> r.IntN(54)}
	for i := range e.Payload {
		e.Payload[i], e.Prev[i] = byte(r.Uint32()), byte(r.Uint32())
	}
	e.Time = time.Date(r.IntN(10000), 1, 1+r.IntN(365), 0, 0, 0, 0, time.UTC).Add(time.Duration(r.Int64N(86400e6)) * time.Microsecond)
	if e.Time.Year() > 9999 {
		e.Time = epoch
	}
	const letters = "abcxyz_.-019"
	e.Type = "a"
	for range r.IntN(20) {
		e.Type += string(letters[r.IntN(len(letters))])
	}
	return e
}

// TestEntryHasOneEncoding changes every byte of a good entry to every other
// value: each is refused, or is another entry and has no other encoding.
func TestEntryHasOneEncoding(t *testing.T) {
	good := []byte(fixedText)
	accepted := 0
	for i := range good {
		for v := range 256 {
			b := bytes.Clone(good)
			if b[i] == byte(v) {
				continue
			}
			b[i] = byte(v)
			e, err := ParseEntry(b)
			if err != nil {
				continue
			}
			accepted++
			if e == fixed {
				t.Fatalf("byte %d as %#02x: parsed to the same entry", i, v)
			}
			if again := AppendEntry(nil, &e); !bytes.Equal(again, b) {
				t.Fatalf("byte %d as %#02x: read from %s\nwritten as %s", i, v, b, again)
			}
		}
	}
	if accepted == 0 {
		t.Fatal("no change was accepted, so nothing was tested")
	}
	for n := range good {
		if _, err := ParseEntry(good[:n]); err == nil {
			t.Errorf("cut short at %d: accepted", n)
		}
	}
}

func TestParseEntryRefuses(t *testing.T) {
	with := func(old, new string) string {
		if !strings.Contains(fixedText, old) {
			t.Fatalf("%s is not in the entry", old)
		}
		return strings.Replace(fixedText, old, new, 1)
	}
	for _, tt := range []struct{ name, entry, want string }{
		{"nothing", "", `at byte 0: expected {"index":`},
		{"white space", with(`,"payload"`, `, "payload"`), `at byte 11: expected ,"payload":"`},
		{"trailing newline", fixedText + "\n", "bytes after the end"},
		{"other order", with(`"index":41,"payload"`, `"payload":"","index"`), `expected {"index":`},
		{"further member", with(`,"v":1`, `,"u":0,"v":1`), `expected ","v":`},
		{"leading zero", with(`41`, `041`), "at byte 9: expected a number"},
		{"sign", with(`41`, `+41`), "expected a number"},
		{"fraction", with(`41`, `41.0`), `expected ,"payload":"`},
		{"exponent", with(`41`, `4e1`), `expected ,"payload":"`},
		{"no index", with(`41`, ``), "expected a number"},
		{"index 2^53", with(`41`, `9007199254740992`), "number too large"},
		{"index of many digits", with(`41`, strings.Repeat("9", 400)), "number too large"},
		{"hash without padding", with(`pNeU="`, `pNeU" `), "not the base64 of a hash"},
		{"hash with stray bits", with(`pNeU="`, `pNeV="`), "not the base64 of a hash"},
		{"hash in URL base64", with(`I59Z`, `I5_Z`), "not the base64 of a hash"},
		{"hash with a line break", with(`I59Z`, "\n59Z"), "not the base64 of a hash"},
		{"hash with line breaks", with(`I59Z7VXn`, "\n\n\n\n7VXn"), "not the base64 of a hash"},
		{"date that does not exist", with(`2026-11-23`, `2026-11-31`), `time "2026-11-31T22:10:00.123456Z" does not exist`},
		{"leap second", with(`22:10:00`, `22:10:60`), "does not exist"},
		{"hour 24", with(`22:10:00`, `24:10:00`), "does not exist"},
		{"other zone", with(`123456Z`, `123456+`), "is not of the form"},
		{"no type", with(`action_denied`, ``), "which is not a type name"},
		{"upper case type", with(`action_denied`, `Action_denied`), "which is not a type name"},
		{"type with an escape", with(`action_denied`, `action\u005fdenied`), "which is not a type name"},
		{"long type", with(`action_denied`, strings.Repeat("a", MaxTypeLen+1)), "which is not a type name"},
		{"version 0", with(`"v":1`, `"v":0`), "expected version 1"},
		{"version 01", with(`"v":1`, `"v":01`), "expected a number"},
		{"no version", with(`,"v":1`, ``), `expected ","v":`},
		{"too long", `{"index":` + strings.Repeat(" ", MaxEntrySize), "more than 65535"},
	} {
		_, err := ParseEntry([]byte(tt.entry))
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
		if errors.Is(err, ErrEntryVersion) {
			t.Errorf("%s: said to be of a newer version", tt.name)
		}
	}
	if _, err := ParseEntry([]byte(with("action_denied", strings.Repeat("a", MaxTypeLen)))); err != nil {
		t.Errorf("longest type: %v", err)
	}
	if _, err := ParseEntry([]byte(with("41", "9007199254740991"))); err != nil {
		t.Errorf("largest index: %v", err)
	}
}

func TestParseEntryOfNewerVersion(t *testing.T) {
	for _, entry := range []string{
		strings.Replace(fixedText, `"v":1`, `"v":2`, 1),
		strings.Replace(fixedText, `"v":1`, `"v":10`, 1),
		`{"alg":"sha512","index":41,"v":2}`,
		`{"type":"bad \"v\":1} type","v":3}`,
	} {
		_, err := ParseEntry([]byte(entry))
		if !errors.Is(err, ErrEntryVersion) {
			t.Errorf("%s: %v", entry, err)
		}
	}
	for _, entry := range []string{
		`"v":2}`, `,"v":2}`, `{"a":0,"v":2`, `{"a":0,"v":2}}`, `{"a":0,"v":2} `, `{"a":0,"v":02}`, `{"a":0,"v":1}`, `{"a":0,"v":-2}`,
		`{"a":0,"v":99999999999999999999}`, `{"v":2,"w":0}`,
	} {
		_, err := ParseEntry([]byte(entry))
		if err == nil || errors.Is(err, ErrEntryVersion) {
			t.Errorf("%s: %v", entry, err)
		}
	}
}

// TestTime compares with package time, which knows RFC 3339.
func TestTime(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	times := []time.Time{
		time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC),
		time.Date(9999, 12, 31, 23, 59, 59, 999999999, time.UTC),
		time.Date(2024, 2, 29, 0, 0, 0, 1000, time.UTC),
		time.Unix(0, -1),
		time.Date(2026, 7, 1, 1, 30, 0, 999, time.FixedZone("", -5*3600-1800)),
	}
	for range 2000 {
		times = append(times, time.Unix(r.Int64N(253402300799+62167219200)-62167219200, r.Int64N(1e9)))
	}
	for _, at := range times {
		want := at.UTC().Truncate(time.Microsecond)
		got := AppendTime(nil, at)
		if string(got) != want.Format(TimeLayout) {
			t.Fatalf("AppendTime(%v) = %s, want %s", at, got, want.Format(TimeLayout))
		}
		back, err := ParseTime(got)
		if err != nil || !back.Equal(want) || back.Location() != time.UTC {
			t.Fatalf("ParseTime(%s) = %v, %v", got, back, err)
		}
		if std, err := time.Parse(time.RFC3339Nano, string(got)); err != nil || !std.Equal(want) {
			t.Fatalf("package time reads %s as %v, %v", got, std, err)
		}
	}
}

func TestParseTimeRefuses(t *testing.T) {
	for _, s := range []string{
		"", "2026-01-01T00:00:00Z", "2026-01-01T00:00:00.000Z", "2026-01-01T00:00:00.0000000Z",
		"2026-01-01t00:00:00.000000Z", "2026-01-01T00:00:00.000000z", "2026-01-01 00:00:00.000000Z",
		"2026-01-01T00:00:00,000000Z", "+026-01-01T00:00:00.000000Z", "2026-1 -01T00:00:00.000000Z",
		"2026-00-01T00:00:00.000000Z", "2026-13-01T00:00:00.000000Z", "2026-01-00T00:00:00.000000Z",
		"2025-02-29T00:00:00.000000Z", "2100-02-29T00:00:00.000000Z", "2026-04-31T00:00:00.000000Z",
		"2026-01-01T24:00:00.000000Z", "2026-01-01T00:60:00.000000Z", "2016-12-31T23:59:60.000000Z",
		"2026-01-01T00:00:00.00000\xd9\xa0Z", "9999-12-31T24:00:00.000000Z",
	} {
		if at, err := ParseTime([]byte(s)); err == nil {
			t.Errorf("%q: read as %v", s, at)
		}
	}
}

func TestValidType(t *testing.T) {
	for s, want := range map[string]bool{
		"a": true, "action_denied": true, "vendor.x-1": true, "z9": true, strings.Repeat("a", MaxTypeLen): true,
		"": false, "A": false, "1a": false, "_a": false, "aB": false, "a b": false, "a\"": false, "a\\": false, "ä": false, "a\x00": false,
		strings.Repeat("a", MaxTypeLen+1): false,
	} {
		if ValidType(s) != want || ValidType([]byte(s)) != want {
			t.Errorf("ValidType(%q) = %v", s, !want)
		}
	}
}

func TestDecodeHash(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	for range 1000 {
		var want, got Hash
		for i := range want {
			want[i] = byte(r.Uint32())
		}
		text := base64.StdEncoding.EncodeToString(want[:])
		if err := decodeHash(&got, []byte(text)); err != nil || got != want {
			t.Fatalf("%s: %v, %v", text, got, err)
		}
		// Every other last digit before the padding is another spelling.
		for _, c := range "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/" {
			other := text[:42] + string(c) + "="
			if err := decodeHash(&got, []byte(other)); err == nil && base64.StdEncoding.EncodeToString(got[:]) != other {
				t.Fatalf("%s: accepted, though it is written %s", other, got)
			}
		}
	}
}

func ExampleAppendEntry() {
	fmt.Printf("%s\n", AppendEntry(nil, &Entry{Time: time.Date(2026, 11, 23, 22, 10, 0, 0, time.UTC), Type: "log_opened"}))
	// Output:
	// {"index":0,"payload":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=","prev":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=","time":"2026-11-23T22:10:00.000000Z","type":"log_opened","v":1}
}
