package textsearch

import (
	"fmt"
	"strings"
)

// maxFields bounds how many values a search may ask for.
const maxFields = 16

// Fields takes values that payloads have to have apart, each as POINTER=VALUE with a JSON
// Pointer (RFC 6901) into the payload. None at all is no error.
func Fields(given []string) (map[string]string, error) {
	if len(given) > maxFields {
		return nil, fmt.Errorf("%d are given, more than %d", len(given), maxFields)
	}
	var fields map[string]string
	for _, text := range given {
		pointer, value, ok := strings.Cut(text, "=")
		if !ok || !strings.HasPrefix(pointer, "/") {
			return nil, fmt.Errorf("%.200q: expected POINTER=VALUE, such as /details/email=a@example.org", text)
		}
		if fields == nil {
			fields = map[string]string{}
		}
		if other, twice := fields[pointer]; twice && other != value {
			return nil, fmt.Errorf("%.200q: %s cannot be %.200q too", text, pointer, other)
		}
		fields[pointer] = value
	}
	return fields, nil
}
