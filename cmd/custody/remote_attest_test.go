package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/evidence"
	"github.com/custodylog/custody/internal/auth"
	"github.com/custodylog/custody/internal/trails"
	"github.com/custodylog/custody/internal/tsatest"
	"github.com/custodylog/custody/internal/wire"
	"github.com/custodylog/custody/witness"
)

// A server asks the witnesses and the authority of its configuration when an operator wants
// it.
func TestRemoteAttesting(t *testing.T) {
	data, log := t.TempDir(), slog.New(slog.NewTextHandler(io.Discard, nil))
	set, err := trails.Open(trails.Config{Dir: data, Origin: "example.org", Options: custody.Options{Logger: log, DiskWarning: -1}})
	check(t, err)
	d, err := set.Get(trails.Default)
	check(t, err)
	key, err := evidence.ParseVerifier(d.FirstKey())
	check(t, err)
	check(t, set.Close())
	skey, vkey, err := evidence.GenerateCosignatureKey("witness.example.org/w1")
	check(t, err)
	_, nobody, err := evidence.GenerateCosignatureKey("witness.example.org/w2")
	check(t, err)
	signer, err := evidence.ParseCosignatureSigner(skey)
	check(t, err)
	w, err := witness.NewServer(t.TempDir(), signer, []witness.Log{{Origin: d.Origin(), Verifiers: []note.Verifier{key}}}, log)
	check(t, err)
	defer w.Close()
	witnesses, authority := httptest.NewServer(w), httptest.NewServer(tsatest.New(t, tsatest.Options{}))
	defer witnesses.Close()
	defer authority.Close()

	for _, tt := range []struct {
		name, quorum string // empty: nothing is configured
		line         string
		status       int
		says         string
	}{
		{"no witnesses", "", "cosign", exitFailure, "witnesses.policy"},
		{"no authority", "", "timestamp", exitFailure, "timestamps.url"},
		{"other witnesses", "w1", "cosign --policy x", exitFailure, "leave it out"},
		{"another authority", "w1", "timestamp --tsa http://127.0.0.1:1", exitFailure, "leave it out"},
		{"a quorum", "w1", "cosign", exitOK, "the checkpoint of 2 entries"},
		{"no quorum", "both", "cosign", exitFindings, "not the quorum"},
		{"a time-stamp", "w1", "timestamp", exitOK, "the checkpoint of 2 entries is time-stamped"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var by *custody.Witnessing
			var stamps *custody.Timestamping
			if tt.quorum != "" {
				policy, err := evidence.ParsePolicy(fmt.Appendf(nil, "log %s\nwitness w1 %s %s\nwitness w2 %s http://127.0.0.1:1\ngroup both all w1 w2\nquorum %s\n", d.FirstKey(), vkey, witnesses.URL, nobody, tt.quorum))
				check(t, err)
				by, stamps = &custody.Witnessing{Policy: policy, Every: time.Hour}, &custody.Timestamping{URL: authority.URL, Every: time.Hour}
			}
			s := newSiteIn(t, data, by, stamps)
			s.as(t, auth.Submitter)
			if _, errs, status := s.command(t, s.url, "", 0, "record", "--id", "e-1", "--type", "turn_ended", "--quiet"); status != exitOK {
				t.Fatal(errs)
			}
			s.as(t, auth.Operator)
			out, errs, status := s.command(t, s.url, "", 0, strings.Fields(tt.line)...)
			if status != tt.status || !strings.Contains(errs, tt.says) {
				t.Errorf("custody %s exits with %d: %s%s", tt.line, status, out, errs)
			}
			if tt.line != "cosign" || tt.quorum == "" {
				return
			}
			out, _, _ = s.command(t, s.url, "", 0, "cosign", "--json")
			var got wire.Cosigned
			if err := json.Unmarshal([]byte(out), &got); err != nil || len(got.Witnesses) != 2 || got.Size != 2 || got.Quorum != (tt.quorum == "w1") ||
				!got.Witnesses[0].Cosigned || got.Witnesses[1].Cosigned || !strings.Contains(got.Witnesses[1].Error, "127.0.0.1:1") {
				t.Errorf("as JSON it is %s, %v", out, err)
			}
		})
	}
}
