package otlp_test

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"testing"
)

// base64IDs writes the ids of an export as protobuf writes bytes in JSON.
func base64IDs(t *testing.T, body []byte) []byte {
	t.Helper()
	var v any
	if err := json.Unmarshal(body, &v); err != nil {
		t.Fatal(err)
	}
	rewrite(v)
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func rewrite(v any) {
	switch v := v.(type) {
	case []any:
		for _, x := range v {
			rewrite(x)
		}
	case map[string]any:
		for name, x := range v {
			text, isText := x.(string)
			switch name {
			case "traceId", "spanId", "parentSpanId":
				if id, err := hex.DecodeString(text); isText && err == nil {
					v[name] = base64.StdEncoding.EncodeToString(id)
				}
			default:
				rewrite(x)
			}
		}
	}
}
