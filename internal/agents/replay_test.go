package agents

import "testing"

// An event is passed over without being decoded only if it is of no path.
func TestMaySight(t *testing.T) {
	for payload, want := range map[string]bool{
		``: false, `{}`: false, `{"source":"billing"}`: false, `{"details":{"source":"billing"},"source":"x/hookless"}`: false,
		`{"source":"x/hook"}`: true, `{"source":"mcp"}`: true, `{"details":{"source":"billing"},"source":"x/otel"}`: true,
		`{"source":"a\"b/hook"}`: true, `{"source":"`: false,
	} {
		if got := maySight([]byte(payload)); got != want {
			t.Errorf("%s: %t", payload, got)
		}
	}
}
