package otlp

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"

	"google.golang.org/protobuf/proto"

	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	resourcepb "go.opentelemetry.io/proto/otlp/resource/v1"

	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/ingest"
)

// maxOrigin is how many bytes of JSON resource and scope may have each: every event of
// an export repeats them.
const maxOrigin = 8 << 10

// origin is where records come from.
type origin struct {
	service  string // service.name
	resource any
	scope    any
	session  string // that the resource names

	// digests of the messages, for ids
	resourceSum, scopeSum [sha256.Size]byte
}

func newOrigin(r *resourcepb.Resource, schema string) *origin {
	attributes := object(r.GetAttributes())
	o := &origin{
		service:     cmp.Or(ingest.Text(attributes, "service.name"), "unknown_service"),
		session:     ingest.Text(attributes, "session.id"),
		resourceSum: sumOf(r),
	}
	if schema != "" && attributes["schema_url"] == nil {
		attributes["schema_url"] = schema
	}
	o.resource = bounded(attributes)
	return o
}

// within sets the scope of the records that follow.
func (o *origin) within(s *commonpb.InstrumentationScope) {
	o.scopeSum = sumOf(s)
	scope := map[string]any{}
	for name, v := range map[string]string{"name": s.GetName(), "version": s.GetVersion()} {
		if v != "" {
			scope[name] = v
		}
	}
	if attributes := object(s.GetAttributes()); len(attributes) > 0 {
		scope["attributes"] = attributes
	}
	o.scope = bounded(scope)
}

// bounded returns an object, or the beginning of its JSON and its digest where that is
// too long; nil where it is empty.
func bounded(m map[string]any) any {
	if len(m) == 0 {
		return nil
	}
	text, err := event.AppendJSON(nil, m)
	if err == nil && len(text) <= maxOrigin {
		return m
	}
	return map[string]any{"cut": ingest.Short(string(text), maxOrigin), "bytes": len(text), "digest": ingest.TextDigest(string(text))}
}

// ids names records after what they say and where they come from.
type ids struct {
	seen map[[sha256.Size]byte]int // how often the same came in this export
}

func newIDs() *ids { return &ids{map[[sha256.Size]byte]int{}} }

// of returns the id of a record. Those that are the same in all they say are told apart
// by their order.
func (d *ids) of(from *origin, record proto.Message) string {
	sum := sumOf(record)
	sum = sha256.Sum256(append(append(append([]byte("otlp\n"), from.resourceSum[:]...), from.scopeSum[:]...), sum[:]...))
	name := "otlp:" + hex.EncodeToString(sum[:16])
	if d.seen[sum]++; d.seen[sum] > 1 {
		name += "#" + strconv.Itoa(d.seen[sum])
	}
	return name
}

func sumOf(m proto.Message) [sha256.Size]byte {
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		return [sha256.Size]byte{} // cannot be: the message was read
	}
	return sha256.Sum256(b)
}

// products are the agents that are known, by what the names of their events begin with,
// and their services.
var products = []struct{ name, events, service string }{
	{"claude-code", "claude_code.", "claude-code"},
	{"codex", "codex.", "codex_"},
	{"gemini", "gemini_cli.", "gemini-cli"},
}

// productOf returns the agent that an event is of, or "".
func productOf(service, name string) string {
	for _, p := range products {
		if strings.HasPrefix(name, p.events) {
			return p.name
		}
	}
	for _, p := range products {
		if strings.HasPrefix(service, p.service) {
			return p.name
		}
	}
	return ""
}

// typeOf returns the type of an event that is not registered: of codex.api_request it is
// otel_codex_api_request.
func typeOf(name string) event.Type {
	b := []byte("otel_")
	for i := 0; i < len(name) && len(b) < 100; i++ {
		switch c := name[i]; {
		case c >= 'a' && c <= 'z' || c >= '0' && c <= '9':
			b = append(b, c)
		case c >= 'A' && c <= 'Z':
			b = append(b, c+'a'-'A')
		case b[len(b)-1] != '_':
			b = append(b, '_')
		}
	}
	text := strings.TrimRight(string(b), "_")
	if text == "otel" {
		text = "otel_log"
	}
	return event.Type(text)
}
