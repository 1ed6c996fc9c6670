package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"path/filepath"
	"slices"
	"time"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/internal/config"
	"github.com/custodylog/custody/internal/trails"
	"github.com/custodylog/custody/internal/vfs"
)

// settingsFile is the name of the file with the digests of the settings that the server
// was started with last. It only tells which settings changed: that some did is told by
// the trail system, which nobody can change.
const settingsFile = "settings.json"

// digests are those of settings by name, in hex. Where a setting names a file that says
// what the server does, what is in it counts too.
type digests map[string]string

// naming are the settings that name such a file.
var naming = []string{"redaction", "retention.policy", "witnesses.policy", "tls.client_ca"}

// maxNamed bounds what is read of such a file, in bytes.
const maxNamed = 16 << 20

func digestsOf(settings []config.Setting) (digests, error) {
	all := digests{}
	for _, s := range settings {
		content := []byte(s.Value + "\x00")
		if s.Value != "" && slices.Contains(naming, s.Name) {
			b, err := vfs.ReadFile(vfs.OS{}, s.Value, maxNamed)
			if err != nil {
				return nil, err
			}
			content = append(content, b...)
		}
		all[s.Name] = digest(content)
	}
	return all, nil
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// all returns the digest of all settings.
func (d digests) all() string {
	var b []byte
	for _, name := range slices.Sorted(maps.Keys(d)) {
		b = append(b, name+"\x00"+d[name]+"\n"...)
	}
	return digest(b)
}

// changed returns the names of the settings that are not the same in both, sorted.
func (d digests) changed(before digests) []string {
	names := maps.Clone(d)
	maps.Copy(names, before)
	return slices.DeleteFunc(slices.Sorted(maps.Keys(names)), func(name string) bool { return d[name] == before[name] })
}

// tellStart records that the server began to serve, and that it does so with other
// settings than the last time.
func (s *service) tellStart(ctx context.Context, url string) error {
	now, err := digestsOf(s.settings)
	if err != nil {
		return err
	}
	system, err := s.trails.Get(trails.System)
	if err != nil {
		return err
	}
	before, err := lastSettings(ctx, system.Trail)
	if err != nil {
		return err
	}
	file := filepath.Join(s.cfg.Data, settingsFile)
	kept, kerr := readSettings(file)
	content, err := json.MarshalIndent(now, "", "  ")
	if err != nil {
		return err
	}
	if err := vfs.WriteFileAtomic(vfs.OS{}, file, append(content, '\n')); err != nil {
		return err
	}
	if before != "" && before != now.all() {
		details := map[string]any{"before": before, "digest": now.all()}
		if kerr == nil && kept.all() == before {
			details["changed"] = now.changed(kept)
		}
		s.api.Tell(ctx, event.Event{Type: event.ServerConfigChanged, Details: details})
	}
	s.api.Tell(ctx, event.Event{Type: event.ServerStarted, Details: map[string]any{
		"version": version(), "config_digest": now.all(), "listen": url, "trails": len(s.trails.List())}})
	return nil
}

// tellStop records that the server stopped.
func (s *service) tellStop(ctx context.Context, began time.Time, err error) {
	reason := "it was told to stop"
	if err != nil {
		reason = err.Error()
	}
	s.api.Tell(ctx, event.Event{Type: event.ServerStopped, Details: map[string]any{"reason": reason, "uptime_ms": time.Since(began).Milliseconds()}})
}

// lastSettings returns the digest of the settings of the last start; empty: it is not
// known.
func lastSettings(ctx context.Context, system *custody.Trail) (string, error) {
	for e, err := range system.Entries(ctx, custody.Query{Types: []event.Type{event.ServerStarted}, Newest: true, Limit: 1}) {
		if err != nil {
			return "", err
		}
		var payload struct {
			Details struct {
				Digest string `json:"config_digest"`
			} `json:"details"`
		}
		if json.Unmarshal(e.Payload, &payload) == nil {
			return payload.Details.Digest, nil
		}
	}
	return "", nil
}

// readSettings reads the digests of the last start.
func readSettings(file string) (d digests, err error) {
	b, err := vfs.ReadFile(vfs.OS{}, file, 1<<20)
	if err == nil {
		err = json.Unmarshal(b, &d)
	}
	return d, err
}
