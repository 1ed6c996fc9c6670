package mcp

import (
	"maps"
	"slices"

	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/ingest"
	"github.com/custodylog/custody/ingest/sighting"
)

// Bounds of lists of tools.
const (
	maxTools = 5000
	maxPages = 16 // lists that are under way, of which a page is still to come
)

// listed takes in a page of the list of tools. When it is the last one, and the list
// differs from the one before, it returns e as the sighting of that. The digest of a
// list is that of the object of its tools' digests, by their names, so that their order
// and the pages do not matter. Tools of one name have one digest, and so have those that
// have no name, or for which there is no room: under the empty name.
func (s *Server) listed(e event.Event, r *request, result map[string]any) []sighting.Sighting {
	all := map[string]string{}
	if r.cursor != "" {
		before, ok := s.pages[r.cursor]
		if !ok {
			return nil // its beginning was not seen
		}
		delete(s.pages, r.cursor)
		all = before
	}
	tools, _ := result["tools"].([]any)
	for _, v := range tools {
		tool, _ := v.(map[string]any)
		name := ingest.Short(ingest.Text(tool, "name"), 200)
		if _, known := all[name]; !known && len(all) >= maxTools {
			name = ""
		}
		digest := ingest.Digest(v)
		if before, ok := all[name]; ok {
			digest = ingest.TextDigest(before + digest)
		}
		all[name] = digest
	}
	if next := ingest.Text(result, "nextCursor"); next != "" {
		if len(s.pages) == maxPages {
			clear(s.pages) // nobody asks on
		}
		s.pages[next] = all
		return nil
	}
	if !s.known && s.opts.Known != nil {
		s.tools = s.opts.Known(s.serverName())
	}
	s.known = true
	before := s.tools
	if before != nil && maps.Equal(before, all) {
		return nil
	}
	s.tools = all
	e.Details["new_digest"] = surface(all)
	e.Details["tools"] = named(all)
	if before == nil {
		e.Severity = event.SeverityInfo // nothing is known to compare it with
	} else {
		e.Details["old_digest"] = surface(before)
	}
	for name, digest := range all {
		switch old, ok := before[name]; {
		case !ok:
			add(e.Details, "added", name)
		case old != digest:
			add(e.Details, "changed", name)
		}
	}
	for name := range before {
		if _, ok := all[name]; !ok {
			add(e.Details, "removed", name)
		}
	}
	for _, list := range []string{"added", "changed", "removed"} {
		if names, ok := e.Details[list].([]string); ok {
			slices.Sort(names)
		}
	}
	return []sighting.Sighting{seen(e, nil)}
}

func add(details map[string]any, list, name string) {
	names, _ := details[list].([]string)
	details[list] = append(names, name)
}

func named(tools map[string]string) map[string]any {
	object := make(map[string]any, len(tools))
	for name, digest := range tools {
		object[name] = digest
	}
	return object
}

// surface returns the digest of a list of tools.
func surface(tools map[string]string) string { return ingest.Digest(named(tools)) }
