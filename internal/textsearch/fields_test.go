package textsearch

import (
	"fmt"
	"slices"
	"testing"
)

func TestFields(t *testing.T) {
	for _, tt := range []struct {
		given []string
		want  string // empty: they are wrong
	}{
		{nil, "map[]"},
		{[]string{"/a=b=c", "/d/e="}, "map[/a:b=c /d/e:]"},
		{[]string{"/a=b", "/a=b"}, "map[/a:b]"},
		{[]string{"/a=b", "/a=c"}, ""},
		{[]string{"a=b"}, ""},
		{[]string{"/a"}, ""},
		{[]string{""}, ""},
		{slices.Repeat([]string{"/a=b"}, maxFields+1), ""},
	} {
		if got, err := Fields(tt.given); fmt.Sprint(got) != tt.want && err == nil || (err != nil) != (tt.want == "") {
			t.Errorf("%q: %v, %v", tt.given, got, err)
		}
	}
}
