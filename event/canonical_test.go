package event

import (
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"
)

// RFC 8785, appendix B.
var numberVectors = []struct {
	bits uint64
	want string
}{
	{0x0000000000000000, "0"},
	{0x8000000000000000, "0"},
	{0x0000000000000001, "5e-324"},
	{0x8000000000000001, "-5e-324"},
	{0x7fefffffffffffff, "1.7976931348623157e+308"},
	{0xffefffffffffffff, "-1.7976931348623157e+308"},
	{0x4340000000000000, "9007199254740992"},
	{0xc340000000000000, "-9007199254740992"},
	{0x4430000000000000, "295147905179352830000"},
	{0x44b52d02c7e14af5, "9.999999999999997e+22"},
	{0x44b52d02c7e14af6, "1e+23"},
	{0x44b52d02c7e14af7, "1.0000000000000001e+23"},
	{0x444b1ae4d6e2ef4e, "999999999999999700000"},
	{0x444b1ae4d6e2ef4f, "999999999999999900000"},
	{0x444b1ae4d6e2ef50, "1e+21"},
	{0x3eb0c6f7a0b5ed8c, "9.999999999999997e-7"},
	{0x3eb0c6f7a0b5ed8d, "0.000001"},
	{0x41b3de4355555553, "333333333.3333332"},
	{0x41b3de4355555554, "333333333.33333325"},
	{0x41b3de4355555555, "333333333.3333333"},
	{0x41b3de4355555556, "333333333.3333334"},
	{0x41b3de4355555557, "333333333.33333343"},
	{0xbecbf647612f3696, "-0.0000033333333333333333"},
	{0x43143ff3c1cb0959, "1424953923781206.2"},
}

func TestNumberVectors(t *testing.T) {
	for _, v := range numberVectors {
		got, err := AppendJSON(nil, math.Float64frombits(v.bits))
		if err != nil || string(got) != v.want {
			t.Errorf("%016x: got %s, %v; want %s", v.bits, got, err, v.want)
		}
		// The canonical text is a fixed point.
		again, err := Canonicalize(nil, got)
		if err != nil || string(again) != v.want {
			t.Errorf("Canonicalize(%s) = %s, %v", got, again, err)
		}
	}
	for _, bits := range []uint64{0x7fffffffffffffff, 0x7ff0000000000000, 0xfff0000000000000} {
		if _, err := AppendJSON(nil, math.Float64frombits(bits)); err == nil {
			t.Errorf("%016x: accepted", bits)
		}
	}
}

func TestCanonicalizeVectors(t *testing.T) {
	for _, tt := range []struct{ name, in, want string }{
		{"RFC 8785 3.2.2", `{
			"numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
			"string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
			"literals": [null, true, false]
		}`, `{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"string":"€$\u000f\nA'B\"\\\\\"/"}`},
		{"RFC 8785 3.2.3", `{
			"\u20ac": "Euro Sign",
			"\r": "Carriage Return",
			"\ufb33": "Hebrew Letter Dalet With Dagesh",
			"1": "One",
			"\ud83d\ude00": "Emoji: Grinning Face",
			"\u0080": "Control",
			"\u00f6": "Latin Small Letter O With Diaeresis"
		}`, "{\"\\r\":\"Carriage Return\",\"1\":\"One\",\"\u0080\":\"Control\",\"ö\":\"Latin Small Letter O With Diaeresis\",\"€\":\"Euro Sign\",\"😀\":\"Emoji: Grinning Face\",\"\ufb33\":\"Hebrew Letter Dalet With Dagesh\"}"},
		{"empty", ` { } `, `{}`},
		{"nested", `{"b":[{},[],{"y":1,"x":[2]}],"a":{"":0}}`, `{"a":{"":0},"b":[{},[],{"x":[2],"y":1}]}`},
		{"prefix names", `{"ab":1,"a":2,"abc":3}`, `{"a":2,"ab":1,"abc":3}`},
		{"no HTML escapes", `"<>&\u2028\u2029\u007f"`, "\"<>&\u2028\u2029\u007f\""},
		{"control characters", `"\u0000\u0001\u0008\u0009\u000a\u000b\u000c\u000d\u001f"`, `"\u0000\u0001\b\t\n\u000b\f\r\u001f"`},
		{"zero", `[-0, 0.0, 0e5, -0.0e-9]`, `[0,0,0,0]`},
		{"big but exact", `[9007199254740994, 1152921504606846976, 1152921504606847000, 1e22, 18446744073709551616]`,
			`[9007199254740994,1152921504606847000,1152921504606847000,1e+22,18446744073709552000]`},
		{"exact long fraction", `0.1000000000000000055511151231257827021181583404541015625`, `0.1`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Canonicalize([]byte("x"), []byte(tt.in))
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != "x"+tt.want {
				t.Errorf("got  %s\nwant x%s", got, tt.want)
			}
		})
	}
}

func TestCanonicalizeRefuses(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{``, "byte 0: it ends where a value should be"},
		{`{"a":1,"a":2}`, `byte 7: the name "a" stands twice`},
		{`{"a":1,"\u0061":2}`, `the name "a" stands twice`},
		{`{"a":1,}`, `byte 7: "}" where a name in quotes should be`},
		{`{"a" 1}`, `byte 5: "1" where ':' should be`},
		{`[1 2]`, `byte 3: "2" where ',' or ']' should be`},
		{`[1,]`, `byte 3: "]" where a value should be`},
		{`{"a":1`, "byte 6: it ends where"},
		{`"abc`, "byte 0: a string that begins here never ends"},
		{`"a` + "\n" + `"`, "byte 2: the control character 0x0a"},
		{`"\x"`, `byte 1: "\\x" is not an escape sequence`},
		{`"\u12"`, `four hex digits`},
		{`"\ud800"`, "half of a surrogate pair"},
		{`"\ud800\u0041"`, "half of a surrogate pair"},
		{`"\udc00\ud800"`, "half of a surrogate pair"},
		{"\"\xff\"", "byte 1: the string is not valid UTF-8"},
		{"\"\xed\xa0\x80\"", "not valid UTF-8"},
		{`01`, "the end of the text"},
		{`1.`, "a value should be"},
		{`-`, "a value should be"},
		{`+1`, "a value should be"},
		{`nul`, "a value should be"},
		{`NaN`, "a value should be"},
		{`[1] x`, "byte 4"},
		{`9007199254740993`, "the number 9007199254740993 is not exact"},
		{`-9007199254740993`, "not exact"},
		{`12345678901234567890`, "send it as a string"},
		{`{"a":[1,{"b/~":9007199254740993}]}`, "/a/1/b~1~0: the number"},
		{`1e400`, "too large"},
		{`1e-400`, "not exact"},
		{`0.12345678901234567890`, "not exact"},
		{`1.2345678901234567e-320`, "not exact"},
		{strings.Repeat("[", 129) + strings.Repeat("]", 129), "deeper than 128"},
	} {
		dst := []byte("kept")
		got, err := Canonicalize(dst, []byte(tt.in))
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%.40q: got %v, want …%s…", tt.in, err, tt.want)
		}
		if string(got) != "kept" {
			t.Errorf("%.40q: dst became %q", tt.in, got)
		}
	}
	if _, err := Canonicalize(nil, []byte(strings.Repeat("[", 128)+strings.Repeat("]", 128))); err != nil {
		t.Errorf("128 levels: %v", err)
	}
}

type level int

func (l level) MarshalText() ([]byte, error) { return []byte("level " + strconv.Itoa(int(l))), nil }

func TestAppendJSONKinds(t *testing.T) {
	at := time.Date(2026, 11, 23, 23, 10, 0, 123456789, time.FixedZone("", 3600))
	var nilMap map[string]any
	for _, tt := range []struct {
		in   any
		want string
	}{
		{nil, `null`},
		{true, `true`},
		{"a\x7fé", "\"a\x7fé\""},
		{int8(-8), `-8`}, {int16(-16), `-16`}, {int32(-32), `-32`}, {int64(-64), `-64`}, {int(-1), `-1`},
		{uint8(8), `8`}, {uint16(16), `16`}, {uint32(32), `32`}, {uint64(64), `64`}, {uint(1), `1`}, {uintptr(2), `2`},
		{int64(math.MinInt64), `-9223372036854776000`},
		{int64(-1 << 53), `-9007199254740992`},
		{int64(-1<<53 - 2), `-9007199254740994`},
		{uint64(1 << 63), `9223372036854776000`},
		{float32(0.1), `0.1`},
		{json.Number("1.50"), `1.5`},
		{json.Number("123456789012345"), `123456789012345`},
		{[]any{1, "a"}, `[1,"a"]`},
		{[]any(nil), `null`},
		{[]string{}, `[]`},
		{[]string(nil), `null`},
		{nilMap, `null`},
		{map[string]any{}, `{}`},
		{map[string]string{"b": "1", "a": "2"}, `{"a":"2","b":"1"}`},
		{map[string]string(nil), `null`},
		{json.RawMessage(` {"b":1, "a":2} `), `{"a":2,"b":1}`},
		{json.RawMessage(nil), `null`},
		{at, `"2026-11-23T22:10:00.123456Z"`},
		{errors.New("broke"), `"broke"`},
		{ActionDenied, `"action_denied"`}, {Deny, `"deny"`}, {ByHook, `"hook"`}, {OutcomeSuccess, `"success"`}, {SeverityInfo, `"info"`},
		{level(3), `"level 3"`},
		{[]int{3, 1}, `[3,1]`},
		{struct {
			B int    `json:"b"`
			A string `json:"a"`
		}{1, "<"}, `{"a":"<","b":1}`},
		{[]byte("hi"), `"aGk="`},
		{(*int)(nil), `null`},
	} {
		got, err := AppendJSON(nil, tt.in)
		if err != nil || string(got) != tt.want {
			t.Errorf("%T %v: got %s, %v; want %s", tt.in, tt.in, got, err, tt.want)
		}
	}
}

func TestAppendJSONRefuses(t *testing.T) {
	deep := any("x")
	for range 129 {
		deep = []any{deep}
	}
	loop := map[string]any{}
	loop["self"] = loop
	for _, tt := range []struct {
		in            any
		pointer, want string
	}{
		{map[string]any{"a": []any{0, "\xff"}}, "/a/1", "UTF-8"},
		{map[string]any{"a\xff": 1}, "/a\uFFFD", "name is not valid UTF-8"},
		{map[string]any{"n": math.NaN()}, "/n", "NaN"},
		{float32(math.Inf(1)), "", "NaN and infinity"},
		{int64(1<<53 + 1), "", "9007199254740993"},
		{int64(-1<<53 - 1), "", "-9007199254740993"},
		{int64(math.MaxInt64), "", "9223372036854775807"},
		{uint64(math.MaxUint64), "", "18446744073709551615"},
		{json.Number(""), "", "not a JSON number"},
		{json.Number("0x10"), "", "not a JSON number"},
		{json.Number("1_000"), "", "not a JSON number"},
		{[]string{"ok", "\xc3"}, "/1", "UTF-8"},
		{errors.New("\xff"), "", "UTF-8"},
		{time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC), "", "year"},
		{json.RawMessage(`{"a":1,"a":2}`), "", "stands twice"},
		{struct{ S string }{"\xff"}, "", "UTF-8"},
		{struct{ N int64 }{1<<53 + 1}, "/N", "not exact"},
		{make(chan int), "", "chan int"},
		{func() {}, "", "does not become JSON"},
		{deep, "/0/0", "deeper than 128"},
		{loop, "/self/self", "deeper than 128"},
		{map[string]string{"k": "\xff"}, "/k", "UTF-8"},
	} {
		_, err := AppendJSON(nil, tt.in)
		var fe *FieldError
		if !errors.As(err, &fe) || !strings.HasPrefix(fe.Pointer, tt.pointer) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%T: got %v, want %s … %s", tt.in, err, tt.pointer, tt.want)
		}
	}
	// A replacement character that somebody really wrote is text.
	if got, err := AppendJSON(nil, struct{ S string }{"\uFFFD"}); err != nil || string(got) != "{\"S\":\"\uFFFD\"}" {
		t.Errorf("U+FFFD: got %s, %v", got, err)
	}
}

func TestAppendPayloadRefuses(t *testing.T) {
	big := uint64(1<<53 + 1)
	for _, tt := range []struct {
		e    Event
		want string
	}{
		{Event{AgentID: "\xff"}, "/agent_id: not valid UTF-8"},
		{Event{Details: map[string]any{"a": map[string]any{"b": math.Inf(1)}}}, "/details/a/b: NaN"},
		{Event{Defects: []string{"", "\xff"}}, "/defects/1: "},
		{Event{Redactions: []Redaction{{Rule: "\xff"}}}, "/redactions/0/rule: "},
		{Event{SourceSeq: &big}, "/source_seq: the number 9007199254740993"},
		{Event{Timestamp: time.Date(-1, 1, 1, 0, 0, 0, 0, time.UTC)}, "/timestamp: the year"},
		{Event{OccurredAt: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)}, "/occurred_at: the year"},
	} {
		got, err := tt.e.AppendPayload([]byte("kept"))
		if err == nil || !strings.HasPrefix(err.Error(), tt.want) || string(got) != "kept" {
			t.Errorf("got %q, %v; want %s", got, err, tt.want)
		}
	}
	nest := any(1)
	for range 126 {
		nest = []any{nest}
	}
	e := Event{Details: map[string]any{"a": nest}}
	b, err := e.AppendPayload(nil)
	if err != nil {
		t.Fatalf("128 levels: %v", err)
	}
	if _, err := ParsePayload(b); err != nil {
		t.Errorf("reading 128 levels: %v", err)
	}
	e.Details["a"] = []any{nest}
	if _, err := e.AppendPayload(nil); err == nil {
		t.Error("129 levels: accepted")
	}
}

// Every float64 has a canonical text that reads as the same float64.
func TestFloatsRoundTrip(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 20000 {
		f := math.Float64frombits(r.Uint64())
		if math.IsNaN(f) || math.IsInf(f, 0) {
			continue
		}
		text, err := AppendJSON(nil, f)
		if err != nil {
			t.Fatal(err)
		}
		back, err := strconv.ParseFloat(string(text), 64)
		if err != nil || back != f {
			t.Fatalf("%x: wrote %s, read %x, %v", f, text, back, err)
		}
		again, err := AppendJSON(nil, json.Number(text))
		if err != nil || string(again) != string(text) {
			t.Fatalf("%s became %s, %v", text, again, err)
		}
		// What printf's %.17g writes names the same number.
		if math.Abs(f) >= minNormal {
			long := json.Number(strconv.FormatFloat(f, 'e', 16, 64))
			if digits, exp := decimal(string(long)); exp < len(digits) {
				if again, err := AppendJSON(nil, long); err != nil || string(again) != string(text) {
					t.Fatalf("%s became %s, %v; want %s", long, again, err, text)
				}
			}
		}
	}
}

// Integers are refused exactly where a float64 does not hold them.
func TestIntegersExact(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 20000 {
		n := r.Uint64() >> r.IntN(64) << r.IntN(12)
		exact := n == 0 || float64(n) < 1<<64 && uint64(float64(n)) == n
		got, err := AppendJSON(nil, n)
		if (err == nil) != exact {
			t.Fatalf("%d: %s, %v; exact is %v", n, got, err, exact)
		}
		text := strconv.FormatUint(n, 10)
		number, nerr := AppendJSON(nil, json.Number(text))
		if exact && (nerr != nil || string(number) != string(got)) {
			t.Fatalf("json.Number(%s): %s, %v; want %s", text, number, nerr, got)
		}
		// As text, an integer is also taken where it is the shortest name
		// of its float64: that is how a large one is written.
		if shortest, _ := AppendJSON(nil, float64(n)); !exact && nerr == nil && string(shortest) != text {
			t.Fatalf("json.Number(%s) became %s", text, number)
		}
		if int64(n) > 0 {
			got, err := AppendJSON(nil, -int64(n))
			if (err == nil) != exact {
				t.Fatalf("-%d: %s, %v; exact is %v", n, got, err, exact)
			}
		}
	}
}

func TestLessUTF16(t *testing.T) {
	inOrder := []string{"", "\r", "1", "1a", "a", "\u0080", "ö", "€", "\ud7ff", "\U00010000", "😀", "\U0010ffff", "\ue000", "\ufb33", "\uffff"}
	for i, a := range inOrder {
		for j, b := range inOrder {
			if got := lessUTF16(a, b); got != (i < j) {
				t.Errorf("lessUTF16(%q, %q) = %v", a, b, got)
			}
			if got := lessUTF16("x"+a, "x"+b); got != (i < j) {
				t.Errorf("lessUTF16(x%q, x%q) = %v", a, b, got)
			}
		}
	}
}

func TestManyMembersSorted(t *testing.T) {
	for _, n := range []int{31, 32, 33, 200} {
		m := map[string]any{}
		for i := range n {
			m[strconv.Itoa(i*7919%n)+"😀\uffff"[i%2*4:i%2*3+4]] = i
		}
		b, err := AppendJSON(nil, m)
		if err != nil {
			t.Fatal(err)
		}
		again, err := Canonicalize(nil, b)
		if err != nil || string(again) != string(b) {
			t.Errorf("%d members: %s became %s, %v", n, b, again, err)
		}
		var plain map[string]any
		if err := json.Unmarshal(b, &plain); err != nil || len(plain) != len(m) {
			t.Errorf("%d members: %d read, %v", n, len(plain), err)
		}
	}
}

func TestPlainLen(t *testing.T) {
	for at := range 20 {
		for c := range 256 {
			b := []byte("aaaaaaaaaaaaaaaaaaaaaaaa")
			b[at] = byte(c)
			want := at
			if c >= 0x20 && c < 0x80 && c != '"' && c != '\\' {
				want = len(b)
			}
			if got := plainLen(string(b)); got != want {
				t.Fatalf("byte %#x at %d: got %d, want %d", c, at, got, want)
			}
		}
	}
}
