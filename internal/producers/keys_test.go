package producers

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/internal/vfs"
)

// newSigner returns a key that is derived from words, and protects nothing.
func newSigner(t testing.TB, name, words string) *evidence.Signer {
	t.Helper()
	seed := sha256.Sum256([]byte(words))
	s, err := evidence.NewSigner(name, ed25519.NewKeyFromSeed(seed[:]))
	must(t, err)
	return s
}

func openKeys(t testing.TB) *Keys {
	t.Helper()
	k, err := OpenKeys(vfs.OS{}, filepath.Join(t.TempDir(), KeysFile))
	must(t, err)
	return k
}

func enroll(t testing.TB, k *Keys, s *evidence.Signer, spec Key) Key {
	t.Helper()
	spec.VKey, spec.EnrolledBy = s.VerifierKey(), "test"
	key, err := k.Enroll(spec)
	must(t, err)
	return key
}

func TestEnrollAndRevoke(t *testing.T) {
	k := openKeys(t)
	if _, err := k.Revoke("00000000", "test", ""); !errors.Is(err, ErrNoKey) {
		t.Errorf("there is no file: %v", err)
	}
	s := newSigner(t, "a.example.com", "1")
	key := enroll(t, k, s, Key{Agents: []string{"a1"}, MustSign: true})
	if key.ID != evidence.KeyID(s.KeyHash()) || key.Producer() != "a.example.com" || key.Enrolled.IsZero() {
		t.Errorf("enrolled %+v", key)
	}
	if _, err := k.Enroll(Key{VKey: s.VerifierKey(), EnrolledBy: "test"}); !errors.Is(err, ErrEnrolled) {
		t.Errorf("a second time: %v", err)
	}
	other, err := OpenKeys(vfs.OS{}, k.name)
	must(t, err)
	revoked, err := other.Revoke(key.ID, "boss", "lost")
	must(t, err)
	again, err := other.Revoke(key.ID, "another", "later")
	must(t, err)
	if revoked.RevokedBy != "boss" || again.RevokedBy != "boss" || again.Reason != "lost" || revoked.Revoked.IsZero() {
		t.Errorf("revoked %+v, again %+v", revoked, again)
	}
	list, err := k.List()
	must(t, err)
	if len(list) != 1 || list[0].RevokedBy != "boss" {
		t.Errorf("the other process sees %+v", list)
	}
	if info, err := os.Stat(k.name); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	types := []event.Type{}
	for _, e := range Announcements(list) {
		types = append(types, e.Type)
		if ps := e.Check(); len(ps) > 0 {
			t.Errorf("%s: %q", e.Type, ps)
		}
	}
	if len(types) != 2 || types[0] != event.ProducerEnrolled || types[1] != event.ProducerRevoked {
		t.Errorf("told of %v", types)
	}
}

func TestEnrollRefuses(t *testing.T) {
	k := openKeys(t)
	vkey := newSigner(t, "a.example.com", "1").VerifierKey()
	for name, spec := range map[string]Key{
		"no key":            {EnrolledBy: "test"},
		"a signing key":     {VKey: "PRIVATE+KEY+a+00000000+AAAA", EnrolledBy: "test"},
		"by nobody":         {VKey: vkey},
		"must sign nothing": {VKey: vkey, EnrolledBy: "test", MustSign: true},
		"an empty agent":    {VKey: vkey, EnrolledBy: "test", Agents: []string{""}},
		"a line break":      {VKey: vkey, EnrolledBy: "test", Principals: []string{"a\nb"}},
		"too many":          {VKey: vkey, EnrolledBy: "test", Principals: make([]string, maxBounds+1)},
	} {
		if _, err := k.Enroll(spec); !errors.Is(err, ErrKeySpec) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := os.Stat(k.name); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("there is a file: %v", err)
	}
}

func TestAdmit(t *testing.T) {
	k := openKeys(t)
	free, bound, agent, shared := newSigner(t, "free.example.com", "1"), newSigner(t, "bound.example.com", "2"), newSigner(t, "agent.example.com", "3"), newSigner(t, "shared.example.com", "4")
	gone, next, unknown := newSigner(t, "gone.example.com", "5"), newSigner(t, "gone.example.com", "6"), newSigner(t, "unknown.example.com", "7")
	enroll(t, k, free, Key{})
	enroll(t, k, bound, Key{Principals: []string{"token:bound"}, MustSign: true})
	enroll(t, k, agent, Key{Agents: []string{"a1"}, MustSign: true})
	enroll(t, k, shared, Key{Agents: []string{"a2"}})
	old := enroll(t, k, gone, Key{Agents: []string{"a3"}, MustSign: true})
	lost := enroll(t, k, newSigner(t, "lost.example.com", "8"), Key{Agents: []string{"a5"}, MustSign: true})
	for _, id := range []string{old.ID, lost.ID} {
		_, err := k.Revoke(id, "test", "")
		must(t, err)
	}
	enroll(t, k, next, Key{Agents: []string{"a4"}})
	for name, tt := range map[string]struct {
		sender, agent string
		signer        *evidence.Signer
		edit          func(text string) string
		want          string // of the refusal
	}{
		"unsigned":                         {"local", "a9", nil, nil, ""},
		"signed":                           {"local", "a9", free, nil, ""},
		"unsigned by who has to sign":      {"token:bound", "a9", nil, nil, "has to be signed by bound.example.com"},
		"signed by who has to":             {"token:bound", "a9", bound, nil, ""},
		"signed by another one, as sender": {"token:bound", "a9", free, nil, ""},
		"sent by another one":              {"token:x", "a9", bound, nil, "which token:x may not send|whose events token:x may not send"},
		"unsigned for an agent":            {"local", "a1", nil, nil, `events of agent "a1" have to be signed by agent.example.com`},
		"signed for it":                    {"local", "a1", agent, nil, ""},
		"signed for it by another one":     {"local", "a1", free, nil, `agent.example.com acts for agent "a1"`},
		"signed for another agent":         {"local", "a9", agent, nil, `does not act for agent "a9"`},
		"an agent that need not be signed": {"local", "a2", nil, nil, ""},
		"signed there by another one":      {"local", "a2", free, nil, `shared.example.com acts for agent "a2"`},
		"a revoked key":                    {"local", "a4", gone, nil, "was revoked at"},
		"the next key":                     {"local", "a4", next, nil, ""},
		"what an older key asked for":      {"local", "a3", nil, nil, ""},
		"the only key was revoked":         {"local", "a5", nil, nil, `events of agent "a5" have to be signed`},
		"what an older key was bound to":   {"local", "a3", next, nil, `does not act for agent "a3"`},
		"an unknown key":                   {"local", "a9", unknown, nil, "custody producer enroll"},
		"changed on the way":               {"local", "a9", free, func(s string) string { return strings.Replace(s, `"s1"`, `"s2"`, 1) }, "differs from the one that was signed"},
		"a signature of another form":      {"local", "a9", nil, func(s string) string { return `{"signature":"x",` + s[1:] }, "does not have the form"},
		"without a salt": {"local", "a9", free, func(s string) string {
			i := strings.Index(s, `,"salt":`)
			s = s[:i] + s[i+len(`,"salt":"AAAAAAAAAAAAAAAAAAAAAA=="`):]
			i = strings.Index(s, `,"unsigned":[`)
			return s[:i] + s[i+strings.Index(s[i:], "]")+1:]
		}, "has no salt"},
	} {
		t.Run(name, func(t *testing.T) {
			e := event.Event{ID: "1", Type: event.TurnEnded, AgentID: tt.agent, SessionID: "s1"}
			if tt.signer != nil {
				var err error
				e, err = e.Sign(tt.signer)
				must(t, err)
			}
			text, err := e.AppendPayload(nil)
			must(t, err)
			if tt.edit != nil {
				text = []byte(tt.edit(string(text)))
			}
			e, _, err = event.Decode(text)
			must(t, err)
			err = k.Admit(tt.sender, &e, text)
			var refusal *Refusal
			switch {
			case tt.want == "" && err != nil:
				t.Error(err)
			case tt.want != "" && (!errors.As(err, &refusal) || !containsOne(err.Error(), tt.want)):
				t.Errorf("got %v, want …%s…", err, tt.want)
			}
		})
	}
}

func containsOne(s, words string) bool {
	for word := range strings.SplitSeq(words, "|") {
		if strings.Contains(s, word) {
			return true
		}
	}
	return false
}

// A file that is broken lets nothing in; one that was repaired does again.
func TestBrokenKeyFile(t *testing.T) {
	k := openKeys(t)
	enroll(t, k, newSigner(t, "a.example.com", "1"), Key{})
	content, err := os.ReadFile(k.name)
	must(t, err)
	must(t, os.WriteFile(k.name, []byte("{"), 0o600))
	k.checked = time.Time{}
	var refusal *Refusal
	if err := k.Admit("local", &event.Event{}, []byte("{}")); err == nil || errors.As(err, &refusal) {
		t.Errorf("broken: %v", err)
	}
	must(t, os.WriteFile(k.name, content, 0o600))
	if err := k.Admit("local", &event.Event{}, []byte("{}")); err != nil {
		t.Errorf("repaired: %v", err)
	}
}

func TestParseKeyFileRefuses(t *testing.T) {
	vkey := newSigner(t, "a.example.com", "1").VerifierKey()
	id := strings.Split(vkey, "+")[1]
	key := `{"key_id":"` + id + `","vkey":"` + vkey + `","enrolled":"2026-11-25T10:00:00Z","enrolled_by":"x"`
	if _, err := parseKeyFile([]byte(`{"format":1,"keys":[` + key + `}]}`)); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ in, want string }{
		{``, "unexpected end"},
		{`{"format":2}`, "a newer version"},
		{`{"format":0}`, "format: 0"},
		{`{"format":1,"more":1}`, "unknown field"},
		{`{"format":1,"keys":[` + key + `},` + key + `}]}`, "another one has the key_id"},
		{`{"format":1,"keys":[` + strings.Replace(key, id+`","vkey`, `00000000","vkey`, 1) + `}]}`, "the vkey has the id " + id},
		{`{"format":1,"keys":[` + key + `,"revoked":"2026-11-25T10:00:00Z"}]}`, "one without the other"},
		{`{"format":1,"keys":[{"key_id":"x"}]}`, "vkey: "},
	} {
		if _, err := parseKeyFile([]byte(tt.in)); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want …%s…", tt.in, err, tt.want)
		}
	}
}

func FuzzParseKeyFile(f *testing.F) {
	k := openKeys(f)
	enroll(f, k, newSigner(f, "a.example.com", "1"), Key{Agents: []string{"a1"}, MustSign: true})
	f.Add(k.content)
	f.Add([]byte(`{"format":1,"keys":[]}`))
	f.Fuzz(func(t *testing.T, content []byte) {
		file, err := parseKeyFile(content)
		if err != nil {
			return
		}
		written, err := file.encode()
		must(t, err)
		again, err := parseKeyFile(written)
		must(t, err)
		if twice, err := again.encode(); err != nil || !bytes.Equal(twice, written) {
			t.Fatalf("written %s\nand again %s, %v", written, twice, err)
		}
		newKnown(file.Keys)
		Announcements(file.Keys)
	})
}

func FuzzParseState(f *testing.F) {
	n := uint64(5)
	tr := newTracker(Config{})
	for i, e := range []event.Event{{SourceSeq: &n}, {Type: event.Heartbeat, SourceRun: "r", Details: map[string]any{"interval_ms": json.Number("100")}}} {
		tr.see(uint64(i), time.Unix(1, 0).UTC(), &e, 0)
	}
	seed, err := tr.encode("example.org/x", "")
	must(f, err)
	f.Add(seed)
	f.Add([]byte(`{"format":1,"streams":[{"first":1,"next":9,"open":[{"from":2,"to":4,"after":{}}],"reported":[{"First":5,"Last":6}],"silent":{},"resumed":{}}]}`))
	f.Fuzz(func(t *testing.T, content []byte) {
		st, err := parseState(content)
		if err != nil {
			return
		}
		tr := st.tracker(Config{}, 0)
		for _, n := range []uint64{0, 1, 3, 5, 1 << 40} {
			for key := range tr.streams {
				e := event.Event{Principal: key.Principal, Source: key.Source, SourceRun: key.Run, SourceSeq: &n}
				tr.see(tr.next, time.Time{}, &e, time.Second)
				break
			}
		}
		tr.due(time.Hour, tr.next)
		for _, r := range tr.due(time.Hour, tr.next) {
			tr.told(&r.event, time.Hour)
		}
	})
}

// An event that says it is of a gap is read without harm, whatever it says.
func FuzzDetailsOf(f *testing.F) {
	f.Add([]byte(`{"event_type":"gap_detected","principal":"custody:producers","details":{"kind":"missing","from_seq":1,"to_seq":3,"numbers":"1-2","producer":"p","source":"hook"}}`))
	f.Add([]byte(`{"event_type":"gap_detected","principal":"custody:producers","details":{"kind":"silence","before":7,"before_time":"2026-11-25T10:00:00Z"}}`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		ev, err := event.ParsePayload(payload)
		if err != nil {
			return
		}
		ev.Type, ev.Principal = event.GapDetected, Principal
		tr := newTracker(Config{})
		key := detailsOf(&ev).key
		for i, n := range []uint64{1, 3, 9} {
			e := event.Event{Principal: key.Principal, Source: key.Source, SourceRun: key.Run, SourceSeq: &n, Type: event.Heartbeat}
			tr.see(uint64(i), time.Time{}, &e, 0)
		}
		tr.see(3, time.Time{}, &ev, 0)
		tr.due(time.Hour, 4)
		tr.due(time.Hour, 4)
	})
}

// TestAnnouncedAgain: a key that was taken out of the file and enrolled again is told of.
func TestAnnouncedAgain(t *testing.T) {
	key := Key{ID: "0123abcd", VKey: "p.example.com+0123abcd+AQ==", Enrolled: time.Unix(1_800_000_000, 0)}
	again := key
	again.Enrolled = key.Enrolled.Add(time.Hour)
	if events := Announcements([]Key{key, again}); events[0].ID == events[1].ID {
		t.Errorf("both have the id %s", events[0].ID)
	}
}
