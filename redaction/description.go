package redaction

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/custodylog/custody/event"
)

// Description says which rules are in force, without a secret in it.
type Description struct {
	// Digest is the SHA-256, in hex, of all that decides what is redacted and
	// how: the built-in tables, the rules, and which key is in use. Two redactors
	// with the same digest do the same.
	Digest string

	// IncludeSensitive: redaction is off, for all events or for those of a type.
	IncludeSensitive bool

	// HMACKeyID tells which key MethodHMAC uses, empty if none.
	HMACKeyID string

	// Rules is the number of names and detectors that say secret in all events.
	Rules int
}

// behaviour is changed with the code of this package wherever the same rules no
// longer do the same.
const behaviour = 1

func (r *engine) describe() (Description, error) {
	d := Description{IncludeSensitive: r.all.includeSensitive, Rules: len(r.all.names.terms) + len(r.all.detectors)}
	if len(r.all.hmacKey) > 0 {
		d.HMACKeyID = HMACKeyID(r.all.hmacKey)
	}
	types := map[string]any{}
	for t, own := range r.types {
		types[string(t)] = own.describe()
		d.IncludeSensitive = d.IncludeSensitive || own.includeSensitive
	}
	b, err := event.AppendJSON([]byte("custody redaction rules v1\n"), map[string]any{
		"behaviour": behaviour, "hmac_key_id": d.HMACKeyID, "all": r.all.describe(), "event_types": types,
		"words": []any{sorted(describing), sorted(prepositions), sorted(countedToken), sorted(countedTokens), sorted(sources)},
	})
	if err != nil {
		return d, fmt.Errorf("the rules cannot be described: %w", err)
	}
	sum := sha256.Sum256(b)
	d.Digest = hex.EncodeToString(sum[:])
	return d, nil
}

// describe returns the rules as JSON values.
func (r *ruleset) describe() map[string]any {
	names := map[string]any{}
	for _, t := range r.names.terms {
		names[t.rule] = map[string]any{"whole": t.whole, "other": t.other}
	}
	patterns := map[string]any{}
	for _, d := range r.detectors {
		patterns[d.Name] = map[string]any{"pattern": d.Pattern, "keywords": d.Keywords, "where": int(d.Where)}
	}
	allowed := map[string]bool{}
	for _, re := range r.allow {
		allowed[re.String()] = true
	}
	methods := map[string]any{}
	for rule, m := range r.methods {
		if m == "" {
			m = MethodMask
		}
		methods[rule] = string(m)
	}
	return map[string]any{
		"names": names, "allowed_names": sorted(r.names.allow), "detectors": patterns, "allowed_values": sorted(allowed),
		"method": string(r.method), "methods": methods, "include_sensitive": r.includeSensitive,
	}
}
