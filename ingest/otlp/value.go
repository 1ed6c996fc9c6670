package otlp

import (
	"encoding/base64"
	"encoding/hex"
	"math"
	"strconv"
	"time"

	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
)

// value returns a value as events have it. Numbers that a float64 does not hold are the
// strings of their digits, and bytes are base64.
func value(v *commonpb.AnyValue) any {
	switch v := v.GetValue().(type) {
	case *commonpb.AnyValue_StringValue:
		return v.StringValue
	case *commonpb.AnyValue_BoolValue:
		return v.BoolValue
	case *commonpb.AnyValue_IntValue:
		const exact = 1 << 53
		if v.IntValue > exact || v.IntValue < -exact {
			return strconv.FormatInt(v.IntValue, 10)
		}
		return v.IntValue
	case *commonpb.AnyValue_DoubleValue:
		if math.IsNaN(v.DoubleValue) || math.IsInf(v.DoubleValue, 0) {
			return strconv.FormatFloat(v.DoubleValue, 'g', -1, 64)
		}
		return v.DoubleValue
	case *commonpb.AnyValue_BytesValue:
		return base64.StdEncoding.EncodeToString(v.BytesValue)
	case *commonpb.AnyValue_ArrayValue:
		all := make([]any, 0, len(v.ArrayValue.GetValues()))
		for _, x := range v.ArrayValue.GetValues() {
			all = append(all, value(x))
		}
		return all
	case *commonpb.AnyValue_KvlistValue:
		return object(v.KvlistValue.GetValues())
	}
	return nil
}

// object returns attributes by their names. One that comes again, which OTLP does not
// allow, gets a number: "name#2".
func object(all []*commonpb.KeyValue) map[string]any {
	m := make(map[string]any, len(all))
	var again map[string]int
	for _, kv := range all {
		name := kv.GetKey()
		for _, taken := m[name]; taken; _, taken = m[name] {
			if again == nil {
				again = map[string]int{}
			}
			again[kv.GetKey()]++
			name = kv.GetKey() + "#" + strconv.Itoa(again[kv.GetKey()]+1)
		}
		m[name] = value(kv.GetValue())
	}
	return m
}

// number reads a number, which some agents write as a string.
func number(v any) (float64, bool) {
	switch v := v.(type) {
	case int64:
		return float64(v), true
	case float64:
		return v, true
	case string:
		f, err := strconv.ParseFloat(v, 64)
		return f, err == nil && !math.IsNaN(f) && !math.IsInf(f, 0)
	}
	return 0, false
}

// truth reads a boolean, which some agents write as a string.
func truth(v any) (is, ok bool) {
	switch v := v.(type) {
	case bool:
		return v, true
	case string:
		return v == "true", v == "true" || v == "false"
	}
	return false, false
}

// at returns a time that is told in nanoseconds since 1970; 0 is none.
func at(ns uint64) time.Time {
	if ns == 0 || ns > math.MaxInt64 {
		return time.Time{}
	}
	return time.Unix(0, int64(ns)).UTC().Truncate(time.Microsecond)
}

// id returns the text of an id of a trace or span. One of zeros only is none.
func id(b []byte) string {
	for _, x := range b {
		if x != 0 {
			return hex.EncodeToString(b)
		}
	}
	return ""
}
