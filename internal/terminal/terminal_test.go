package terminal

import (
	"strings"
	"testing"
	"time"
)

func TestClean(t *testing.T) {
	for _, c := range []struct{ name, in, clean, oneLine, lines string }{
		{"plain text stays", "ls -l naïve 文件", "ls -l naïve 文件", "ls -l naïve 文件", "ls -l naïve 文件"},
		{"an escape sequence", "a\x1b[31mb", `a\x1b[31mb`, `a\x1b[31mb`, `a\x1b[31mb`},
		{"line breaks", "a\n\n\tb", `a\n\n\tb`, "a b", "a\n\n    b"},
		{"a carriage return hides what was before it", "evil\rgood", `evil\x0dgood`, "evil good", `evil\x0dgood`},
		{"C1 control sequence introducer", "a\u009b31mb", `a\u009b31mb`, `a\u009b31mb`, `a\u009b31mb`},
		{"right-to-left override", "x\u202etxt", `x\u202etxt`, `x\u202etxt`, `x\u202etxt`},
		{"zero-width characters", "git\u200bhub", `git\u200bhub`, `git\u200bhub`, `git\u200bhub`},
		{"tag characters", "x\U000e0041", `x\U000e0041`, `x\U000e0041`, `x\U000e0041`},
		{"bytes that are not UTF-8", "a\xff", `a\xff`, `a\xff`, `a\xff`},
		{"delete", "a\x7f", `a\x7f`, `a\x7f`, `a\x7f`},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := Clean(c.in); got != c.clean {
				t.Errorf("Clean = %q, want %q", got, c.clean)
			}
			if got := OneLine(c.in); got != c.oneLine {
				t.Errorf("OneLine = %q, want %q", got, c.oneLine)
			}
			if got := Lines(c.in); got != c.lines {
				t.Errorf("Lines = %q, want %q", got, c.lines)
			}
		})
	}
}

func FuzzClean(f *testing.F) {
	f.Add("plain")
	f.Add("\x1b]0;title\x07\u202e\xff\n\t")
	f.Fuzz(func(t *testing.T, s string) {
		for name, got := range map[string]string{"Clean": Clean(s), "OneLine": OneLine(s), "Lines": strings.ReplaceAll(Lines(s), "\n", "")} {
			if strings.ContainsFunc(got, harmful) {
				t.Errorf("%s(%q) = %q", name, s, got)
			}
		}
		for n := range 5 {
			if got := Cut(s, n); Width(got) > n {
				t.Errorf("Cut(%q, %d) = %q, %d columns", s, n, got, Width(got))
			}
		}
	})
}

func TestCut(t *testing.T) {
	for _, c := range []struct {
		in      string
		columns int
		want    string
	}{
		{"abc", 3, "abc"},
		{"abcd", 3, "ab…"},
		{"日本語", 6, "日本語"},
		{"日本語", 5, "日本…"},
		{"日本語", 4, "日…"},
		{"e\u0301e\u0301", 2, "e\u0301e\u0301"},
		{"abc", 0, ""},
	} {
		if got := Cut(c.in, c.columns); got != c.want {
			t.Errorf("Cut(%q, %d) = %q, want %q", c.in, c.columns, got, c.want)
		}
	}
}

func TestNumbers(t *testing.T) {
	for got, want := range map[string]string{
		Count(0):                            "0",
		Count(999):                          "999",
		Count(1000):                         "1,000",
		Count(1234567):                      "1,234,567",
		Count(-1234):                        "-1,234",
		Plural(1, "entry", "entries"):       "1 entry",
		Plural(1200, "entry", "entries"):    "1,200 entries",
		Bytes(1):                            "1 byte",
		Bytes(999):                          "999 bytes",
		Bytes(1300):                         "1.3 kB",
		Bytes(999_600):                      "1.0 MB",
		Bytes(317_294):                      "317 kB",
		Bytes(int64(12_000_000_000)):        "12 GB",
		Duration(0):                         "0 s",
		Duration(400 * time.Microsecond):    "0.4 ms",
		Duration(320 * time.Millisecond):    "320 ms",
		Duration(4200 * time.Millisecond):   "4.2 s",
		Duration(59999 * time.Millisecond):  "1 min",
		Duration(200 * time.Second):         "3 min 20 s",
		Duration(125 * time.Minute):         "2 h 5 min",
		Duration(76 * time.Hour):            "3 d 4 h",
		Duration(-200 * time.Second):        "-3 min 20 s",
		PerSecond(2400, 2*time.Second):      "1,200/s",
		Time(time.Unix(1_700_000_000, 123)): "2023-11-14 22:13:20Z",
		Time(time.Time{}):                   "",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestTable(t *testing.T) {
	for _, c := range []struct {
		name  string
		width int
		want  string
	}{
		{"not on a terminal nothing is cut", 0, "" +
			"  N  NAME                      TEXT\n" +
			"  1  short                     a long text that goes on and on\n" +
			"200  a name of twenty letters\n" +
			"                               \\x1b[31mred\n"},
		{"on a terminal it fits", 40, "" +
			"  N  NAME        TEXT\n" +
			"  1  short       a long text that goes …\n" +
			"200  a name of…\n" +
			"                 \\x1b[31mred\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var b strings.Builder
			table := NewFixed(&b, c.width, false).NewTable(Column{Title: "N", Right: true}, Column{Title: "NAME", Max: 10}, Column{Title: "TEXT"})
			table.Row(Cell{Text: "1"}, Cell{Text: "short"}, Cell{Text: "a long text\nthat goes on and on"})
			table.Row(Cell{Text: "200"}, Cell{Text: "a name of twenty letters"})
			table.Row(Cell{}, Cell{}, Cell{Text: "\x1b[31mred"})
			if err := table.Flush(); err != nil {
				t.Fatal(err)
			}
			if got := b.String(); got != c.want {
				t.Errorf("got\n%swant\n%s", got, c.want)
			}
		})
	}
}

func TestTableDropsColumns(t *testing.T) {
	for width, want := range map[int]string{
		60: "A   B   C   TEXT\na1  b1  c1  a text of thirty-two letters, no, mo…\n",
		38: "A   C   TEXT\na1  c1  a text of thirty-two letters,…\n",
		36: "C   TEXT\nc1  a text of thirty-two letters, n…\n",
		20: "C   TEXT\nc1  a text of thirt…\n",
	} {
		var b strings.Builder
		table := NewFixed(&b, width, false).NewTable(Column{Title: "A", Drop: 2}, Column{Title: "B", Drop: 1}, Column{Title: "C"}, Column{Title: "TEXT", Max: 37})
		table.Row(Cell{Text: "a1"}, Cell{Text: "b1"}, Cell{Text: "c1"}, Cell{Text: "a text of thirty-two letters, no, more"})
		table.Flush()
		if got := b.String(); got != want {
			t.Errorf("at width %d:\n%swant\n%s", width, got, want)
		}
	}
}

func TestTableColours(t *testing.T) {
	var b strings.Builder
	table := NewFixed(&b, 80, true).NewTable(Column{Title: "N", Right: true, Min: 3}, Column{Title: "TEXT"})
	table.Row(Cell{Text: "1", Style: Red}, Cell{Text: "x"})
	table.Flush()
	want := "  \x1b[2mN\x1b[0m  \x1b[2mTEXT\x1b[0m\n  \x1b[31m1\x1b[0m  x\n"
	if b.String() != want {
		t.Errorf("got %q, want %q", b.String(), want)
	}
}

func TestFields(t *testing.T) {
	var b strings.Builder
	o := NewFixed(&b, 0, false)
	o.Fields(2, Field{"key", "abc"}, Field{"left out", ""}, Field{"longer", "one\ntwo"})
	o.Flush()
	want := "  key     abc\n  longer  one\n          two\n"
	if b.String() != want {
		t.Errorf("got %q, want %q", b.String(), want)
	}
}

// A line that is written while progress is shown takes its place.
func TestProgressGivesWay(t *testing.T) {
	var b strings.Builder
	o := NewFixed(&b, 60, false)
	p := o.NewProgress("verifying")
	p.start = p.start.Add(-progressDelay)
	p.Set(1, 2, func(time.Duration) string { return "1 of 2" })
	o.Printf("warning: something\n")
	p.Done()
	want := "verifying [==========          ]  50 %  1 of 2\r\x1b[Kwarning: something\n"
	if b.String() != want {
		t.Errorf("got %q, want %q", b.String(), want)
	}
}

func TestProgressNeedsATerminal(t *testing.T) {
	var b strings.Builder
	p := NewFixed(&b, 0, false).NewProgress("verifying")
	p.Set(1, 2, func(time.Duration) string { t.Error("text was asked for"); return "" })
	p.Done()
	if b.String() != "" {
		t.Errorf("got %q", b.String())
	}
}
