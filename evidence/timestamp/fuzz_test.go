package timestamp

import (
	"bytes"
	"encoding/asn1"
	"reflect"
	"testing"
	"time"
)

// seed adds a value in DER, and the values within it, each alone and left out.
func seed(f *testing.F, der []byte) {
	f.Add(der)
	f.Add([]byte("<!DOCTYPE html>"))
	for n := 1; n < len(der); n *= 2 {
		f.Add(der[:n])
	}
	var v asn1.RawValue
	for rest, err := asn1.Unmarshal(der, &v); err == nil && v.IsCompound; rest, err = asn1.Unmarshal(v.Bytes, &v) {
		f.Add(v.Bytes)
		f.Add(rest)
	}
}

// FuzzParse: what passes for the response to the golden query holds a token that
// says what the golden one does. Nobody can make another.
func FuzzParse(f *testing.F) {
	g := readGolden(f)
	want, err := Verify(g.token, g.checkpoint, g.roots)
	must(f, err)
	seed(f, g.response)
	f.Fuzz(func(t *testing.T, response []byte) {
		token, err := Parse(response, g.asked)
		if err != nil {
			return
		}
		if !bytes.Contains(response, token) {
			t.Fatalf("token %x is not in the response %x", token, response)
		}
		// Certificates of the chain, which the signature does not cover, may be
		// gone from it.
		got, err := Verify(token, g.checkpoint, g.roots)
		if err == nil && !reflect.DeepEqual(got, want) {
			t.Fatalf("%x says %+v, want %+v", token, got, want)
		}
	})
}

// FuzzVerify: what passes for a token of the golden checkpoint says what the
// golden one does.
func FuzzVerify(f *testing.F) {
	g := readGolden(f)
	want, err := Verify(g.token, g.checkpoint, g.roots)
	must(f, err)
	seed(f, g.token)
	f.Fuzz(func(t *testing.T, token []byte) {
		got, err := Verify(token, g.checkpoint, g.roots)
		if err == nil && !reflect.DeepEqual(got, want) {
			t.Fatalf("%x says %+v, want %+v", token, got, want)
		}
	})
}

// FuzzParseInfo: what an authority signs may be anything, too.
func FuzzParseInfo(f *testing.F) {
	g := readGolden(f)
	seed(f, content(f, g.token))
	f.Fuzz(func(t *testing.T, der []byte) {
		info, err := parseInfo(der)
		if err != nil {
			return
		}
		if d := info.Accuracy.duration(); d < 0 || info.Serial == nil || info.Time.Location() != time.UTC {
			t.Fatalf("read %+v, accuracy %s", info, d)
		}
		info.Imprint.check(g.asked.imprint)
	})
}
