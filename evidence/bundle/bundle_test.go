package bundle

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/internal/chromiumtest"
	"github.com/custodylog/custody/internal/testlong"
)

func TestBundleChecksOut(t *testing.T) {
	f := trail(t, 100)
	policy, err := evidence.ParsePolicy(f.policy())
	if err != nil {
		t.Fatal(err)
	}
	for _, span := range []Span{{0, 100}, {0, 1}, {5, 13}, {40, 50}, {99, 100}, {50, 50}} {
		b := write(t, f.contents(t, span.From, span.To))
		report := check(t, b, &CheckOptions{Policy: policy, Keys: []note.Verifier{f.old.Verifier()}, CheckTimestamp: func(token, checkpoint []byte) (time.Time, error) { return start, nil }})
		if !report.OK() {
			t.Fatalf("%v: %v", span, report.Findings)
		}
		if !report.Trusted || !report.KnownPage || !report.Completeness.Proven || len(report.Cosigned) != 1 || !report.Timestamps[0].Checked ||
			report.Checkpoint.Size != 100 || report.Manifest.Counts.Asked != span.To-span.From {
			t.Errorf("%v: %+v", span, report)
		}
		if again := write(t, f.contents(t, span.From, span.To)); !bytes.Equal(b, again) {
			t.Errorf("%v: the same contents gave two bundles", span)
		}
	}
}

// TestAnyByte alters each byte of a bundle in turn, and makes the comment fit.
func TestAnyByte(t *testing.T) {
	f := trail(t, 20)
	c := f.contents(t, 15, 17)
	c.Schema = nil
	b := write(t, c)
	// Every byte, or every seventh from a place of chance, so that some runs see each.
	step, first := testlong.Of(7, 1), 0
	if step > 1 {
		first = rand.IntN(step)
		t.Logf("from byte %d", first)
	}
	// index.html and VERIFY.md are the same in all bundles, and by far the largest.
	texts := [][2]int{{100, bytes.Index(b, []byte(manifestFile)) - localHeader}, {bytes.Index(b, []byte(verifyFile)), bytes.Index(b, []byte(checkpointFile)) - localHeader}}
	const workers = 4
	for worker := range workers {
		t.Run(strconv.Itoa(worker), func(t *testing.T) {
			t.Parallel()
			for i := first + worker*step; i < len(b)-commentSize; i += workers * step {
				if i%31 != 0 && slices.ContainsFunc(texts, func(r [2]int) bool { return r[0] < i && i < r[1] }) {
					continue
				}
				altered := bytes.Clone(b)
				altered[i] ^= 1 << (i % 8)
				if i%61 < step && check(t, altered, nil).OK() {
					t.Errorf("byte %d of %d: not seen", i, len(b))
				}
				recomment(altered)
				if check(t, altered, nil).OK() && !sameFiles(t, b, altered) {
					t.Errorf("byte %d of %d, with a comment that fits: not seen", i, len(b))
				}
			}
		})
	}
	for i := len(b) - commentSize; i < len(b); i++ {
		altered := bytes.Clone(b)
		altered[i] ^= 1
		if check(t, altered, nil).OK() {
			t.Errorf("byte %d of the comment: not seen", i)
		}
	}
	for n := 0; n < len(b); n += 251 {
		if check(t, b[:n], nil).OK() {
			t.Errorf("cut to %d bytes: not seen", n)
		}
	}
}

// recomment makes the comment of an altered zip fit it.
func recomment(b []byte) {
	copy(b[len(b)-commentSize:], comment(b[:len(b)-commentSize]))
}

// sameFiles reports whether two zips unpack to the same: some bits of deflated data
// stand for nothing, and some have the same bytes copied from another place. A change to
// them is seen by the comment alone.
func sameFiles(tb testing.TB, a, b []byte) bool {
	tb.Helper()
	var files [2][]file
	for i, zip := range [][]byte{a, b} {
		var err error
		if files[i], err = unpack(zip, func(file, detail string) { tb.Error(file, detail) }); err != nil {
			tb.Error(err)
		}
	}
	return slices.EqualFunc(files[0], files[1], func(a, b file) bool { return a.name == b.name && bytes.Equal(a.content, b.content) })
}

// wrongSum makes both headers of a file in a zip name another CRC-32.
func wrongSum(b []byte, name string) []byte {
	b = bytes.Clone(b)
	b[bytes.Index(b, []byte(name))-16] ^= 1
	b[bytes.LastIndex(b, []byte(name))-30] ^= 1
	recomment(b)
	return b
}

// otherPage changes the page of a bundle, and nothing else.
func otherPage(tb testing.TB, b []byte, old, new string) []byte {
	tb.Helper()
	files, err := unpack(b, func(file, detail string) { tb.Fatal(file, detail) })
	if err != nil {
		tb.Fatal(err)
	}
	page := bytes.Replace(files[0].content, []byte(old), []byte(new), 1)
	if bytes.Equal(page, files[0].content) {
		tb.Fatalf("the page has no %q", old)
	}
	files[0].content = page
	if b, err = pack(files); err != nil {
		tb.Fatal(err)
	}
	return b
}

// otherPages are changes to the page of a bundle of the entries from 5 on.
var otherPages = []struct{ name, old, new, index string }{
	{"payload", `\"agent_id\\\":\\\"coder`, `\"agent_id\\\":\\\"other`, "6"},
	{"script", `"use strict";`, `"use strict"; `, ""},
	{"no data", `id="data"`, `id="date"`, ""},
}

func TestOtherPage(t *testing.T) {
	b := write(t, trail(t, 100).contents(t, 5, 20))
	for _, tt := range otherPages {
		report := check(t, otherPage(t, b, tt.old, tt.new), nil)
		if !slices.ContainsFunc(report.Findings, func(found Finding) bool { return found.File == pageFile && found.Entries.String() == tt.index }) || report.KnownPage && tt.name == "script" {
			t.Errorf("%s: %v, known %v", tt.name, report.Findings, report.KnownPage)
		}
	}
	if report := check(t, wrongSum(b, keysFile), nil); len(report.Findings) != 1 || report.Findings[0].File != keysFile {
		t.Errorf("wrong CRC-32: %v", report.Findings)
	}
}

// line changes the n-th line of a file.
func line(file string, n int, old, new string) func(name string, content []byte) []byte {
	return func(name string, content []byte) []byte {
		if name != file {
			return content
		}
		lines := bytes.SplitAfter(content, []byte("\n"))
		changed := bytes.Replace(lines[n], []byte(old), []byte(new), 1)
		if bytes.Equal(changed, lines[n]) {
			panic(fmt.Sprintf("line %d of %s has no %q: %s", n, file, old, lines[n]))
		}
		lines[n] = changed
		return bytes.Join(lines, nil)
	}
}

func whole(file, old, new string) func(name string, content []byte) []byte {
	return func(name string, content []byte) []byte {
		if name != file {
			return content
		}
		if !bytes.Contains(content, []byte(old)) {
			panic(fmt.Sprintf("%s has no %q", file, old))
		}
		return bytes.ReplaceAll(content, []byte(old), []byte(new))
	}
}

func without(file string) func(name string, content []byte) []byte {
	return func(name string, content []byte) []byte {
		if name == file {
			return nil
		}
		return content
	}
}

// forgery is a change to a bundle of the entries 5 to 19 of 100, made by somebody
// who makes manifest, page and zip fit it. Line n of the entries is entry 4+n.
type forgery struct {
	name   string
	change func(name string, content []byte) []byte
	index  string // of the entry that a finding has to name; "" if it is about none
	cause  evidence.Cause
}

var forgeries = []forgery{
	{"entry's time", line(entriesFile, 6, "22:10:10.", "22:10:11."), "10", evidence.Altered},
	{"entry's type", line(entriesFile, 5, "action_requested", "action_validated"), "9", evidence.Altered},
	{"entry's time, nothing behind it", line(entriesFile, 16, "22:10:20.", "22:10:21."), "20", evidence.Altered},
	{"entry no longer JSON", line(entriesFile, 5, "{", "["), "9", evidence.Altered},
	{"entry removed", line(entriesFile, 6, `{"index":10`, "\x00"), "10", evidence.Altered},
	{"payload", line(eventsFile, 1, "coder", "other"), "6", evidence.Altered},
	{"salt", line(eventsFile, 1, `"salt":"`, `"salt":"AAAA`), "6", evidence.Altered},
	{"event of another entry", line(eventsFile, 1, `"index":6`, `"index":5`), "6", evidence.Reordered},
	{"event removed", func(name string, b []byte) []byte {
		if name == eventsFile {
			b = b[bytes.IndexByte(b, '\n')+1:]
		}
		return b
	}, "5", evidence.PayloadMissing},
	{"entry left out", func(name string, b []byte) []byte {
		if name == entriesFile {
			lines := bytes.SplitAfter(b, []byte("\n"))
			b = bytes.Join(append(lines[:6:6], lines[7:]...), nil)
		}
		return b
	}, "10", evidence.Deleted},
	{"entries swapped", func(name string, b []byte) []byte {
		if name == entriesFile {
			lines := bytes.SplitAfter(b, []byte("\n"))
			lines[6], lines[7] = lines[7], lines[6]
			b = bytes.Join(lines, nil)
		}
		return b
	}, "10", evidence.Reordered},
	{"removal without its event", whole(removalsFile, `"event":12`, `"event":13`), "13", evidence.PayloadMissing},
	{"removal of an event that is there", whole(removalsFile, "7,9", "7,9-10"), "12", evidence.PayloadMissing},
	{"removal not told", whole(removalsFile, `[{"entries":"7,9","event":12,"type":"payload_erased"}]`, "[]"), "7,9", evidence.PayloadMissing},
	{"removal of another kind", whole(removalsFile, `"type":"payload_erased"`, `"type":"retention_applied"`), "12", evidence.PayloadMissing},
	{"removal of payloads told as one of entries", whole(removalsFile, `"event":12,`, `"event":12,"minimum":5,`), "12", evidence.PayloadMissing},
	{"hold without its event", whole(holdsFile, `"event":14`, `"event":13`), "13", evidence.Altered},
	{"hold of another name", whole(holdsFile, `"id":"h-1"`, `"id":"h-2"`), "14", evidence.Altered},
	{"hold of more than it covers", whole(holdsFile, `"10-11,`, `"6,10-11,`), "6", evidence.Altered},
	{"hold of less than it covers", whole(holdsFile, `15-19"`, `15-18"`), "19", evidence.Altered},
	{"hold not told", whole(holdsFile, `[{"entries":"10-11,13,15-19","event":14,"id":"h-1"}]`, "[]"), "", evidence.Altered},
	{"holds left out", without(holdsFile), "", evidence.Deleted},
	{"proof: leaf", func(name string, b []byte) []byte {
		if name == proofFile {
			at := bytes.Index(b, []byte(`"leaves":["`)) + len(`"leaves":["`)
			b[at] ^= 1
		}
		return b
	}, "4", evidence.Altered},
	{"proof: node", func(name string, b []byte) []byte {
		if name == proofFile {
			at := bytes.Index(b, []byte(`"nodes":["`)) + len(`"nodes":["`)
			b[at] ^= 1
		}
		return b
	}, "4-20", evidence.Forked},
	{"completeness", whole(completenessFile, `"withheld":""`, `"withheld":"5"`), "", evidence.Altered},
	{"range", whole(manifestFile, `"range":{"from":5`, `"range":{"from":6`), "5", evidence.Altered},
	{"origin", whole(manifestFile, `"origin":"example.com/agents"`, `"origin":"example.com/others"`), "", evidence.Altered},
	{"checkpoint's size", whole(checkpointFile, "\n100\n", "\n101\n"), "", evidence.Unsigned},
	{"checkpoint's signature", func(name string, b []byte) []byte {
		if name == checkpointFile {
			at := bytes.Index(b, []byte("— "+origin+" ")) + len("— "+origin+" ") + 20
			b[at] ^= 1
		}
		return b
	}, "", evidence.Unsigned},
	{"cosignature", func(name string, b []byte) []byte {
		if name == checkpointFile {
			at := bytes.Index(b, []byte("— witness.example.com ")) + len("— witness.example.com ") + 20
			b[at] ^= 1
		}
		return b
	}, "", evidence.Altered},
	{"rotation", func(name string, b []byte) []byte {
		if name == rotationFolder+"1" {
			b[len(b)-10] ^= 1
		}
		return b
	}, "", evidence.KeySwapped},
	{"rotation left out", without(rotationFolder + "1"), "", evidence.KeySwapped},
	{"checkpoint left out", without(checkpointFile), "", evidence.Altered},
	{"entries left out", without(entriesFile), "4-20", evidence.Deleted},
	{"white space in the manifest's counts", whole(manifestFile, `"asked":15`, `"asked":14`), "", evidence.Altered},
}

func TestForgeries(t *testing.T) {
	f := trail(t, 100)
	b := write(t, f.contents(t, 5, 20))
	for _, tt := range forgeries {
		t.Run(tt.name, func(t *testing.T) {
			report := check(t, edit(t, b, tt.change), nil)
			for _, found := range report.Findings {
				if found.Cause == tt.cause && found.Entries.String() == tt.index {
					return
				}
			}
			t.Errorf("no finding %s at %q: %v", tt.cause, tt.index, report.Findings)
		})
	}
}

func TestTrust(t *testing.T) {
	f := trail(t, 30)
	b := write(t, f.contents(t, 5, 20))
	stranger, err := evidence.NewSigner(origin, privateKey("stranger"))
	if err != nil {
		t.Fatal(err)
	}
	witness, err := evidence.NewCosignatureSigner("other.example.com", privateKey("other witness"))
	if err != nil {
		t.Fatal(err)
	}
	policy := func(text string) *evidence.Policy {
		p, err := evidence.ParsePolicy([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	for _, tt := range []struct {
		name    string
		opts    CheckOptions
		trusted bool
		cause   evidence.Cause
	}{
		{"nothing known", CheckOptions{}, false, ""},
		{"the key", CheckOptions{Keys: []note.Verifier{f.key.Verifier()}}, true, ""},
		{"an older key", CheckOptions{Keys: []note.Verifier{stranger.Verifier(), f.old.Verifier()}}, true, ""},
		{"another key", CheckOptions{Keys: []note.Verifier{stranger.Verifier()}}, false, evidence.KeySwapped},
		{"policy", CheckOptions{Policy: policy(string(f.policy()))}, true, ""},
		{"policy of another log", CheckOptions{Policy: policy("log " + stranger.VerifierKey() + "\nquorum none\n")}, false, evidence.KeySwapped},
		{"policy with another witness", CheckOptions{Policy: policy("log " + f.key.VerifierKey() + "\nwitness w " + witness.VerifierKey() + "\nquorum w\n")}, false, evidence.Unwitnessed},
		{"policy, and another key", CheckOptions{Policy: policy(string(f.policy())), Keys: []note.Verifier{stranger.Verifier()}}, false, evidence.KeySwapped},
		{"time-stamp", CheckOptions{CheckTimestamp: func([]byte, []byte) (time.Time, error) { return time.Time{}, errors.New("wrong") }}, false, evidence.Altered},
	} {
		t.Run(tt.name, func(t *testing.T) {
			report := check(t, b, &tt.opts)
			var cause evidence.Cause
			if !report.OK() {
				cause = report.Findings[0].Cause
			}
			if report.Trusted != tt.trusted || cause != tt.cause || len(report.Findings) > 1 {
				t.Errorf("trusted %v, findings %v", report.Trusted, report.Findings)
			}
		})
	}
}

func TestCompleteness(t *testing.T) {
	f := trail(t, 60)
	at := func(i int) Time { return Time{start.Add(time.Duration(i) * time.Second)} }
	for _, tt := range []struct {
		name     string
		scope    Scope
		from, to uint64
		change   func(*Contents)
		proven   bool
		reason   string
	}{
		{"indices", Scope{}, 20, 30, nil, true, "Every entry of the range is disclosed"},
		{"indices, without neighbours", Scope{}, 20, 30, func(c *Contents) {
			c.Entries, c.Removals = f.items(evidence.Ranges{{First: 20, Last: 29}}, func(uint64) bool { return true }), nil
		}, true, "Every entry of the range is disclosed"},
		{"indices, one left out", Scope{}, 20, 30, func(c *Contents) {
			c.Entries, c.Removals = f.items(evidence.Ranges{{First: 20, Last: 24}, {First: 26, Last: 29}}, func(uint64) bool { return true }), nil
		}, false, "from entry 25 on"},
		{"time", Scope{Since: at(20), Until: at(30)}, 20, 30, nil, true, "neighbours"},
		{"time without an entry", Scope{Since: Time{at(20).Add(time.Millisecond)}, Until: Time{at(20).Add(2 * time.Millisecond)}}, 21, 21, nil, true, "before and behind"},
		{"time up to the end", Scope{Since: at(50)}, 50, 60, nil, true, "what was recorded later is not covered"},
		{"time from the start", Scope{Until: at(20)}, 0, 20, nil, true, "before and behind"},
		{"time, range too small", Scope{Since: at(19), Until: at(30)}, 20, 30, nil, false, "19, is not shown to be older"},
		{"time, range cut at the end", Scope{Since: at(20), Until: at(31)}, 20, 30, nil, false, "30, is not shown to be later"},
		{"time, range too large", Scope{Since: at(21), Until: at(30)}, 20, 30, nil, false, "Entry 20, which is in the range, is outside"},
		{"time, no bound and no end", Scope{Since: at(20)}, 20, 30, nil, false, "30, is not shown to be later"},
		{"time, without the neighbour", Scope{Since: at(20), Until: at(30)}, 20, 30, func(c *Contents) {
			c.Entries, c.Removals = f.items(evidence.Ranges{{First: 20, Last: 30}}, func(i uint64) bool { return i < 30 }), nil
		}, false, "19, is not shown to be older"},
		{"session", Scope{Fields: map[string]string{"session_id": "s-2"}}, 0, 60, func(c *Contents) {
			c.Entries, c.Holds = f.items(evidence.Ranges{{First: 12, Last: 12}, {First: 20, Last: 29}}, func(i uint64) bool { return i >= 20 }), nil
		}, false, "the word of whoever made the bundle"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := f.contents(t, tt.from, tt.to)
			c.Scope = tt.scope
			if tt.change != nil {
				tt.change(c)
			}
			report := check(t, write(t, c), nil)
			if got := report.Completeness; !report.OK() || got.Proven != tt.proven || !strings.Contains(got.Reason, strings.Replace(tt.reason, "neighbours", "before and behind", 1)) {
				t.Errorf("proven %v: %s\n%v", got.Proven, got.Reason, report.Findings)
			}
		})
	}
}

// TestWriteRefuses tries contents that do not fit together.
func TestWriteRefuses(t *testing.T) {
	f := trail(t, 30)
	stranger, err := evidence.NewSigner(origin, privateKey("stranger"))
	if err != nil {
		t.Fatal(err)
	}
	elsewhere, err := evidence.SignRotation(f.old, stranger)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name   string
		change func(*Contents)
		want   string
	}{
		{"altered payload", func(c *Contents) {
			c.Entries = func(yield func(Item, error) bool) {
				for item, err := range f.items(evidence.Ranges{{First: 5, Last: 14}}, func(uint64) bool { return true }) {
					if item.Index == 6 {
						item.Payload = []byte(`{"agent_id":"other"}`)
					}
					if !yield(item, err) {
						return
					}
				}
			}
		}, "at index 6: the payload"},
		{"missing payload that nothing explains", func(c *Contents) { c.Removals = nil }, "at indices 7,9: there is no payload"},
		{"key that did not sign", func(c *Contents) { c.Keys, c.Rotations = c.Keys[:1], nil }, "unsigned (checkpoint)"},
		{"rotation to another key", func(c *Contents) { c.Rotations[0] = elsewhere }, "passes to another key"},
		{"range beyond the end", func(c *Contents) { c.Range.To = 31 }, "the trail has 30 entries"},
		{"error of the source", func(c *Contents) { c.Entries = func(y func(Item, error) bool) { y(Item{}, errors.New("disk gone")) } }, "disk gone"},
		{"entries twice", func(c *Contents) {
			c.Entries = func(y func(Item, error) bool) {
				for range 2 {
					if !y(Item{Index: 3, Entry: f.entries[3]}, nil) {
						return
					}
				}
			}
		}, "entry 3 comes behind entry 3"},
		{"name of an authority", func(c *Contents) { c.Timestamps[0].Name = "../x" }, "no file of a bundle has this name"},
		{"field", func(c *Contents) { c.Scope.Fields = map[string]string{"é": "x"} }, "cannot name a member"},
		{"payload that is not UTF-8", func(c *Contents) {
			c.Entries = func(y func(Item, error) bool) {
				y(Item{Index: 3, Entry: f.entries[3], Salt: f.salts[3], Payload: []byte{0xff}}, nil)
			}
		}, "not UTF-8"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := f.contents(t, 5, 15)
			tt.change(c)
			var buf bytes.Buffer
			err := Write(&buf, c)
			if err == nil || !strings.Contains(err.Error(), tt.want) || buf.Len() > 0 {
				t.Errorf("%d bytes, %v; want %q", buf.Len(), err, tt.want)
			}
		})
	}
}

var update = flag.Bool("update", false, "write the golden file anew: never that of a version that was released")

// TestGolden holds that a bundle of each version of the format is read for ever.
func TestGolden(t *testing.T) {
	const name = "testdata/golden/v1.zip"
	f := trail(t, 100)
	if *update {
		if err := os.WriteFile(name, write(t, f.contents(t, 5, 20)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	report := check(t, b, &CheckOptions{Keys: []note.Verifier{f.old.Verifier()}})
	if !report.OK() || !report.Trusted || !report.Completeness.Proven || report.Manifest.Counts != (Counts{15, 17, 13, 2}) {
		t.Errorf("%+v", report)
	}
}

// TestVerifyText runs the commands of VERIFY.md.
func TestVerifyText(t *testing.T) {
	for _, command := range []string{"jq", "xxd", "unzip", "openssl", "python3"} {
		chromiumtest.Need(t, command, command)
	}
	var script strings.Builder
	for _, block := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(string(verifyText), -1) {
		script.WriteString(block[1])
	}
	run := func(b []byte) (string, error) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "case.zip"), b, 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("sh", "-c", script.String())
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	f := trail(t, 100)
	b := write(t, f.contents(t, 5, 20))
	out, err := run(b)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{"Signature Verified Successfully", f.key.VerifierKey(), "w1 cosigned at 2026-11-24T22:10:00Z", "payloads of entries 7,9 were removed; event 12", "under legal hold h-1; event 14", "erased 7,9;", "Every entry of the range is disclosed"} {
		if !strings.Contains(out, want) {
			t.Errorf("does not say %q:\n%s", want, out)
		}
	}
	for _, tt := range forgeries {
		switch tt.name {
		case "removal of payloads told as one of entries", "hold of another name", "entry's time", "payload", "proof: leaf", "proof: node", "checkpoint's size", "checkpoint's signature", "entry left out", "entries swapped", "cosignature":
			if out, err := run(edit(t, b, tt.change)); err == nil {
				t.Errorf("%s: not seen\n%s", tt.name, out)
			}
		}
	}
	b[len(b)/2] ^= 1
	if out, err := run(b); err == nil {
		t.Errorf("flipped bit: not seen\n%s", out)
	}
}
