package evidence

import (
	"bytes"
	"encoding/base64"
	"strings"
	"testing"
)

func TestDisclosed(t *testing.T) {
	d := newProofTrail(t, 1).disclosed[0]
	for _, tt := range []struct {
		name string
		d    Disclosed
		text string
	}{
		{"entry", Disclosed{Entry: d.Entry}, "custody disclosed entry v1\n" + string(d.Entry) + "\n"},
		{"payload", d, "custody disclosed entry v1\n" + string(d.Entry) + "\n" + base64.StdEncoding.EncodeToString(d.Salt) + "\n" + string(d.Payload)},
		{"payload with newlines", Disclosed{d.Entry, d.Salt, []byte("\n\na\n")}, "custody disclosed entry v1\n" + string(d.Entry) + "\n" + base64.StdEncoding.EncodeToString(d.Salt) + "\n\n\na\n"},
		{"payload of no bytes", Disclosed{d.Entry, d.Salt, []byte{}}, "custody disclosed entry v1\n" + string(d.Entry) + "\n" + base64.StdEncoding.EncodeToString(d.Salt) + "\n"},
	} {
		if got := marshal(t, &tt.d); string(got) != tt.text {
			t.Errorf("%s: written as %q", tt.name, got)
		}
		got, err := ParseDisclosed([]byte(tt.text))
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if !bytes.Equal(got.Entry, tt.d.Entry) || !bytes.Equal(got.Salt, tt.d.Salt) || !bytes.Equal(got.Payload, tt.d.Payload) || (got.Payload == nil) != (tt.d.Payload == nil) {
			t.Errorf("%s: read as %+v", tt.name, got)
		}
	}
}

func TestParseDisclosedRefuses(t *testing.T) {
	const header = "custody disclosed entry v1\n"
	salt := base64.StdEncoding.EncodeToString(make([]byte, SaltSize))
	for _, tt := range []struct{ name, text, want string }{
		{"nothing", "", "line 1: expected \"custody disclosed entry v1\""},
		{"header without newline", header[:len(header)-1], "line 1"},
		{"newer version", "custody disclosed entry v2\n{}\n", "line 1"},
		{"no entry", header, "line 2: the entry does not end"},
		{"entry cut short", header + "{}", "line 2: the entry does not end"},
		{"empty entry", header + "\n", "the entry is empty"},
		{"entry that is too long", header + strings.Repeat("x", MaxEntrySize+1) + "\n", "the entry has 65536 bytes"},
		{"salt cut short", header + "{}\n" + salt, "line 3: the salt does not end"},
		{"empty salt", header + "{}\n\n{}", "line 3: \"\" is not the base64 of a salt"},
		{"short salt", header + "{}\nAAAA\n{}", "line 3: \"AAAA\" is not"},
		{"salt with stray bits", header + "{}\n" + strings.Replace(salt, "A==", "B==", 1) + "\n{}", "line 3"},
		{"salt with a carriage return", header + "{}\n" + salt + "\r\n{}", "line 3"},
		{"payload without salt", header + "{}\n{\"a\":1}\n", "line 3"},
	} {
		if got, err := ParseDisclosed([]byte(tt.text)); err == nil || got != nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
	for _, tt := range []struct {
		name string
		d    Disclosed
		want string
	}{
		{"nothing", Disclosed{}, "the entry is empty"},
		{"newline in the entry", Disclosed{Entry: []byte("{\n}")}, "has a newline"},
		{"payload without salt", Disclosed{Entry: []byte("{}"), Payload: []byte("{}")}, "without its salt"},
		{"salt of 15 bytes", Disclosed{Entry: []byte("{}"), Salt: make([]byte, 15)}, "the salt has 15 bytes instead of 16"},
	} {
		if b, err := tt.d.Marshal(); err == nil || b != nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("writing %s: %v, want %q", tt.name, err, tt.want)
		}
		if _, err := tt.d.Open(); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("opening %s: %v, want %q", tt.name, err, tt.want)
		}
	}
}

func FuzzParseDisclosed(f *testing.F) {
	d := newProofTrail(f, 1).disclosed[0]
	f.Add(marshal(f, &d))
	f.Add(marshal(f, &Disclosed{Entry: d.Entry}))
	f.Add([]byte("custody disclosed entry v1\n{}\nAAAA\n\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := ParseDisclosed(b)
		if err != nil {
			return
		}
		if again := marshal(t, got); !bytes.Equal(again, b) {
			t.Fatalf("read from %q\nwritten as %q", b, again)
		}
		if e, err := got.Open(); err == nil && got.Salt != nil {
			if sum, err := Commit(got.Salt, got.Payload); err != nil || sum != e.Payload {
				t.Fatalf("%q opens as %+v", b, e)
			}
		}
	})
}
