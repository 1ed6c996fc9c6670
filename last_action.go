package custody

import (
	"context"
	"errors"
	"fmt"

	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/internal/storage"
)

// LastAction returns the entry of the last action that any of several agents ran, well
// or not, among those with index from or more: [event.ActionExecuted] or
// [event.ActionFailed]. It fails with ErrNotFound when there is none. One search of the
// index finds it, for however many agents.
func (t *Trail) LastAction(ctx context.Context, agents []string, from uint64) (Entry, error) {
	q := Query{Types: []event.Type{event.ActionExecuted, event.ActionFailed}, From: from, Newest: true}
	sel := q.selection()
	wanted, keys := make(map[string]bool, len(agents)), make([]storage.Key, len(agents))
	for i, id := range agents {
		wanted[id], keys[i] = true, storage.KeyOf(uint8(event.FieldAgent), id)
	}
	sel.All = append(sel.All, keys)
	var r storage.Record
	for i, err := range t.store.Select(ctx, sel) {
		if err != nil {
			return Entry{}, t.closed(err)
		}
		e, err := t.entryAt(ctx, i, &r)
		if errors.Is(err, ErrPruned) {
			continue // since it was selected
		}
		if err != nil {
			return Entry{}, err
		}
		ev, err := e.Event() // keys are hashes, which others may share
		if err != nil {
			return Entry{}, err
		}
		if wanted[ev.AgentID] {
			return e, nil
		}
	}
	return Entry{}, fmt.Errorf("an action of these agents, in entry %d or later: %w", from, ErrNotFound)
}
