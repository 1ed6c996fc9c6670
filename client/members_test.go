package client

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/custodylog/custody/internal/wire"
)

// The client knows every member of what the server answers, or does without it
// knowingly: one that is added is not overlooked.
func TestMembers(t *testing.T) {
	for _, tt := range []struct {
		server, client any
		without        string // which
	}{
		{wire.Entry{}, entryJSON{}, ""},
		{wire.Receipt{}, receiptJSON{}, ""},
		{wire.Stats{}, statsJSON{}, "dir guard parts.sealed"},
		{wire.Report{}, reportJSON{}, "ok strength findings.meaning removed.count"},
		{wire.Hold{}, holdJSON{}, ""},
		{wire.Erasure{}, erasureJSON{}, "erased count events held.count"},
		{wire.Retention{}, retentionJSON{}, "policy applied count held.count pruned_count"},
		{wire.Token{}, tokenJSON{}, "state"},
		{wire.Cosigned{}, cosignedJSON{}, ""},
	} {
		known := members(reflect.TypeOf(tt.client), "")
		for _, name := range members(reflect.TypeOf(tt.server), "") {
			if without := slices.Contains(strings.Fields(tt.without), name); slices.Contains(known, name) == without {
				t.Errorf("%T has %s, of which %T and the test say otherwise", tt.server, name, tt.client)
			}
		}
	}
}

// members lists the members of JSON: a, a.b.
func members(t reflect.Type, prefix string) (names []string) {
	for i := range t.NumField() {
		f := t.Field(i)
		ft := f.Type
		if f.Anonymous && f.Tag.Get("json") == "" {
			names = append(names, members(ft, prefix)...)
			continue
		}
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		names = append(names, prefix+name)
		for ft.Kind() == reflect.Pointer || ft.Kind() == reflect.Slice {
			ft = ft.Elem()
		}
		if ft.Kind() == reflect.Struct && (strings.HasSuffix(ft.PkgPath(), "/wire") || strings.HasSuffix(ft.Name(), "JSON") || ft.Name() == "" || ft.Name() == "attested" || ft.Name() == "Finding") {
			names = append(names, members(ft, prefix+name+".")...)
		}
	}
	return names
}
