package ingest_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"testing"

	"github.com/custodylog/custody/ingest"
	"github.com/custodylog/custody/ingest/ingesttest"
)

func itoa(n int) string { return strconv.Itoa(n) }

// split returns the records as "line:text", with "…" where that is not all.
func split(r io.Reader, src ingest.Source, f ingest.Framing) ([]string, error) {
	var got []string
	for rec, err := range ingest.Records(r, src, f) {
		if err != nil {
			return got, err
		}
		s := fmt.Sprintf("%d:%s", rec.Line, rec.Text)
		if !rec.Whole() {
			s += "…"
		} else if rec.Sum != sha256.Sum256(rec.Text) {
			s += " (wrong digest)"
		}
		got = append(got, s)
	}
	return got, nil
}

func TestRecords(t *testing.T) {
	lines := ingest.Framing{}
	arrays := ingest.Framing{Arrays: true}
	wrapped := ingest.Framing{Arrays: true, Wrapper: "Records"}
	long := `{"k":"` + strings.Repeat("v", 5000) + `"}`
	for _, tt := range []struct {
		name    string
		framing ingest.Framing
		in      string
		want    []string
		err     string
	}{
		{"nothing", lines, "", nil, ""},
		{"only space", lines, " \n\r\n\t", nil, ""},
		{"lines", lines, "a\nb\n", []string{"1:a", "2:b"}, ""},
		{"no end", lines, "a\nb", []string{"1:a", "2:b"}, ""},
		{"CRLF, blank lines, space before", lines, "a\r\n\r\n  \n  b c \r\n", []string{"1:a", "4:b c "}, ""},
		{"byte order mark", lines, "\xef\xbb\xbfa\n\xef\xbb\xbfb", []string{"1:a", "2:\xef\xbb\xbfb"}, ""},
		{"UTF-16", lines, "\xff\xfea\x00", nil, "UTF-16"},
		{"brackets in lines", lines, "[\n{}\n", []string{"1:[", "2:{}"}, ""},

		{"array", arrays, `[{"a":1},{"b":[2,{"c":"]"}]}]`, []string{`1:{"a":1}`, `1:{"b":[2,{"c":"]"}]}`}, ""},
		{"array over lines", arrays, "[\n {\n\"a\": 1\n},\n\n {}\n]\nx", []string{"2:{\n\"a\": 1\n}", "6:{}", "8:x"}, ""},
		{"empty array", arrays, "[ ]\n[]", nil, ""},
		{"array of other things", arrays, "[1]\n[\"a\"]\n[2026-01-01] x\n[", []string{"1:[1]", `2:["a"]`, "3:[2026-01-01] x", "4:["}, ""},
		{"mixed elements", arrays, `[{},1, "a,]" ,null,[1,[2]],tru e,{}]`, []string{"1:{}", "1:1", `1:"a,]"`, "1:null", "1:[1,[2]]", "1:tru e", "1:{}"}, ""},
		{"no commas", arrays, `[{}{}` + "\n" + `{}]`, []string{"1:{}", "1:{}", "2:{}"}, ""},
		{"quotes and escapes", arrays, `[{"a":"\"}\\"},{"\u007d":"{"}]`, []string{`1:{"a":"\"}\\"}`, `1:{"\u007d":"{"}`}, ""},
		{"string that does not end", arrays, "[{\"a\":\"b\n},{\"c\":1}]", []string{`1:{"a":"b`, "2:}", `2:{"c":1}`}, ""},
		{"string that ends in an escape", arrays, "[{\"a\\\n},{}]", []string{`1:{"a\`, "2:}", "2:{}"}, ""},
		{"cut off between elements", arrays, "\n[{},\n", []string{"2:{}"}, "line 3: the array of records that begins on line 2 never ends"},
		{"cut off in an element", arrays, `[{},{"a":`, []string{"1:{}", `1:{"a":`}, "never ends"},
		{"arrays and lines", arrays, "[{}] x\n[{}][{}]", []string{"1:{}", "1:x", "2:{}", "2:{}"}, ""},

		{"wrapper", wrapped, `{"Records":[{"a":1},{}]}`, []string{`1:{"a":1}`, "1:{}"}, ""},
		{"wrappers", wrapped, `{"Records":[{}]}{"Records":[{}]}` + "\n" + ` { "Records" : [ ] } {"Records":[{}]} `, []string{"1:{}", "1:{}", "2:{}"}, ""},
		{"members before", wrapped, `{"a":{"Records":[1]},"b":"\"Records\":[","c":[{}],"d":1.5,"e":null,"Records":[{}]}`, []string{"1:{}"}, ""},
		{"members behind", wrapped, `{"Records":[{}],"next":"x"}` + "\n{}", []string{"1:{}", `1:,"next":"x"}`, "2:{}"}, ""},
		{"not an array", wrapped, `{"Records":{}}`, []string{`1:{"Records":{}}`}, ""},
		{"no such member", wrapped, `{"a":[{}]}` + "\n{}\n{\"a\"", []string{`1:{"a":[{}]}`, "2:{}", `3:{"a"`}, ""},
		{"malformed object", wrapped, `{"a" 1,"Records":[{}]}` + "\n{1}\n{\"a\":1;}", []string{`1:{"a" 1,"Records":[{}]}`, "2:{1}", `3:{"a":1;}`}, ""},
		{"long member before", wrapped, `{"a":` + long + `,"Records":[{}]}`, []string{`1:{"a":` + long + `,"Records":[{}]}`}, ""},
		{"long line", wrapped, long + "\n" + long, []string{"1:" + long, "2:" + long}, ""},
		{"array in a framing with wrapper", wrapped, `[{"Records":[1]}]`, []string{`1:{"Records":[1]}`}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for way, r := range map[string]io.Reader{"whole": strings.NewReader(tt.in), "byte by byte": ingesttest.OneByte(strings.NewReader(tt.in))} {
				got, err := split(r, ingest.Source{Name: "log"}, tt.framing)
				if strings.Join(got, "\n") != strings.Join(tt.want, "\n") {
					t.Errorf("%s:\ngot  %q\nwant %q", way, got, tt.want)
				}
				if (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), "log: line ") || err != nil && !strings.Contains(err.Error(), tt.err) {
					t.Errorf("%s: error %v, want …%s…", way, err, tt.err)
				}
			}
		})
	}
}

func TestLongRecords(t *testing.T) {
	long := strings.Repeat("0123456789", 20)
	in := "short\n" + long + "\r\nnext\n[{\"a\":\"" + long + "\"},{}]"
	src := ingest.Source{MaxRecord: 100}
	for _, r := range []io.Reader{strings.NewReader(in), ingesttest.OneByte(strings.NewReader(in))} {
		var got []string
		for rec, err := range ingest.Records(r, src, ingest.Framing{Arrays: true}) {
			if err != nil {
				t.Fatal(err)
			}
			if rec.Whole() {
				got = append(got, string(rec.Text))
				continue
			}
			whole := long + "\r"
			if rec.Text[0] == '{' {
				whole = `{"a":"` + long + `"}`
			}
			if rec.Size != int64(len(whole)) || rec.Sum != sha256.Sum256([]byte(whole)) || string(rec.Text) != whole[:100] {
				t.Errorf("%d bytes, digest %x, beginning %q", rec.Size, rec.Sum, rec.Text)
			}
			got = append(got, "long")
		}
		if s := strings.Join(got, " "); s != "short long next long {}" {
			t.Errorf("got %s", s)
		}
	}
	// The beginning of what is too long has no half characters.
	for rec := range ingest.Records(strings.NewReader(strings.Repeat("☃", 100)), src, ingest.Framing{}) {
		if string(rec.Text) != strings.Repeat("☃", 33) {
			t.Errorf("%q", rec.Text)
		}
	}
}

func TestRecordsPassErrors(t *testing.T) {
	for _, in := range []string{"", "a", "a\nb\n", `[{},`, `[{"a":`, `{"Records":[`, `{"Rec`} {
		got, err := split(io.MultiReader(strings.NewReader(in), failing{}), ingest.Source{Name: "log"}, ingest.Framing{Arrays: true, Wrapper: "Records"})
		if !errors.Is(err, errDisk) || !strings.HasPrefix(err.Error(), "log: line ") {
			t.Errorf("%q: %q, %v", in, got, err)
		}
	}
}

func TestRecordsStop(t *testing.T) {
	for _, in := range []string{"a\nb\nc", "[{},{},{}]"} {
		n := 0
		for _, err := range ingest.Records(strings.NewReader(in), ingest.Source{}, ingest.Framing{Arrays: true}) {
			if err != nil {
				t.Fatal(err)
			}
			if n++; n == 2 {
				break
			}
		}
		if n != 2 {
			t.Errorf("%q: %d records", in, n)
		}
	}
}

// A source that is still being written is not waited for.
func TestRecordsComeAtOnce(t *testing.T) {
	r, w := io.Pipe()
	defer w.Close()
	for _, framing := range []ingest.Framing{{}, {Arrays: true, Wrapper: "Records"}} {
		done := make(chan string)
		go func() {
			defer close(done)
			for rec := range ingest.Records(r, ingest.Source{}, framing) {
				done <- string(rec.Text)
				return
			}
		}()
		line := `{"a":[1,"x"],"b":{}}`
		if _, err := io.WriteString(w, line+"\n"); err != nil {
			t.Fatal(err)
		}
		if got := <-done; got != line {
			t.Errorf("%q", got)
		}
		<-done
	}
}

func FuzzRecords(f *testing.F) {
	for _, s := range []string{"a\r\n\nb", `[{"a":"]"},1]x`, `{"a":1,"Records":[{}]}{"Records":[`, "[{\"\n\\\"", "\xef\xbb\xbf[ ]"} {
		f.Add([]byte(s), uint8(3))
	}
	f.Fuzz(func(t *testing.T, data []byte, limit uint8) {
		src := ingest.Source{MaxRecord: int(limit) + 1}
		framing := ingest.Framing{Arrays: true, Wrapper: "Records"}
		got, err := split(bytes.NewReader(data), src, framing)
		again, err2 := split(ingesttest.OneByte(bytes.NewReader(data)), src, framing)
		if strings.Join(got, "\n") != strings.Join(again, "\n") || fmt.Sprint(err) != fmt.Sprint(err2) {
			t.Fatalf("%q, %v\nthen %q, %v", got, err, again, err2)
		}
		// Without framing every byte but space between lines is in a record.
		size := 0
		for rec, err := range ingest.Records(bytes.NewReader(data), ingest.Source{}, ingest.Framing{}) {
			if err != nil {
				return
			}
			size += len(bytes.TrimSpace(rec.Text))
		}
		want := 0
		for _, line := range bytes.Split(bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")), []byte("\n")) {
			want += len(bytes.TrimSpace(line))
		}
		if size != want {
			t.Fatalf("%d bytes in records, want %d", size, want)
		}
	})
}
