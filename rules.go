package custody

import (
	"context"
	"errors"
	"fmt"

	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/redaction"
)

// describeRules says which rules a redactor goes by. Of one that does not tell, its
// type is all that is known.
func describeRules(r redaction.Redactor) redaction.Description {
	if d, ok := r.(redaction.Described); ok {
		return d.Description()
	}
	return redaction.Description{Digest: fmt.Sprintf("unknown rules of %T", r)}
}

// noteRules records that the rules of redaction are others than they were, if they
// are. A trail made by a version that did not say which they were begins with
// those of this version.
func (t *Trail) noteRules(ctx context.Context) error {
	now := describeRules(t.opts.Redactor)
	last := ""
	for e, err := range t.Entries(ctx, Query{Types: []event.Type{event.RedactionChanged, event.LogOpened}, Newest: true, Limit: 1}) {
		if errors.Is(err, ErrAltered) || errors.Is(err, ErrNewer) {
			break // verification says so
		}
		if err != nil {
			return err
		}
		ev, err := e.Event()
		if err != nil {
			return err
		}
		for _, name := range [...]string{"digest", "redaction"} {
			if s, ok := ev.Details[name].(string); ok {
				last = s
			}
		}
	}
	if last == now.Digest || last == "" && now.Digest == describeRules(redaction.Default()).Digest {
		return nil
	}
	details := map[string]any{"digest": now.Digest, "include_sensitive": now.IncludeSensitive, "rules": now.Rules}
	if last != "" {
		details["before"] = last
	}
	if now.HMACKeyID != "" {
		details["hmac_key_id"] = now.HMACKeyID
	}
	_, err := t.recordSelf(ctx, event.Event{Type: event.RedactionChanged, Source: sourceSelf, Details: details})
	return err
}
