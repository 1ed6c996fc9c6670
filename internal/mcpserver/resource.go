package mcpserver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/custodylog/custody"
)

// Addresses of resources. Below the last four stands an index or an id.
const (
	trailURI      = "custody://trail"
	checkpointURI = trailURI + "/checkpoint"
	entriesURI    = trailURI + "/entries/"
	eventsURI     = trailURI + "/events/"
	actionsURI    = trailURI + "/actions/"
	proofsURI     = trailURI + "/proofs/"
)

const (
	jsonType = "application/json"
	textType = "text/plain"
)

// addResources adds what a client can read by its address. A client that asks for a
// resource by a template encodes the variable (RFC 6570).
func addResources(s *mcp.Server, r *reader) {
	s.AddResource(&mcp.Resource{URI: trailURI, Name: "trail", Title: "The audit trail", MIMEType: jsonType,
		Description: "What the trail is and holds: its name and first key, how many entries, of which types, from when to when."},
		r.resource(trailURI, func(ctx context.Context, _ string) ([]byte, error) { return answered(r.stats(ctx, none{})) }))
	s.AddResource(&mcp.Resource{URI: checkpointURI, Name: "checkpoint", Title: "Newest checkpoint", MIMEType: textType,
		Description: "The newest signed checkpoint of the trail (C2SP tlog-checkpoint). Kept elsewhere, it shows later whether everything was rewritten."},
		r.resource(checkpointURI, func(ctx context.Context, _ string) ([]byte, error) { return r.Trail.Checkpoint(ctx) }))
	for _, t := range []struct {
		uri, variable, name, mime, description string
		read                                   func(context.Context, string) ([]byte, error)
	}{
		{entriesURI, "index", "entry", jsonType, "The entry with an index, with all that its event says. " + untrusted, r.entry},
		{eventsURI, "id", "event", jsonType, "The entry of the event with an id, with all that the event says. " + untrusted,
			func(ctx context.Context, id string) ([]byte, error) { return answered(r.show(ctx, showInput{ID: id})) }},
		{actionsURI, "id", "action", jsonType, "What became of an action: its request, decisions, approvals and outcome. " + untrusted, r.action},
		{proofsURI, "index", "proof", textType, "A proof that the trail holds the entry with an index (C2SP tlog-proof), which custody check and other programs check without the trail. " +
			"It does not say what the event says.", r.proof},
	} {
		s.AddResourceTemplate(&mcp.ResourceTemplate{URITemplate: t.uri + "{" + t.variable + "}", Name: t.name, MIMEType: t.mime, Description: t.description},
			r.resource(t.uri, t.read))
	}
	s.AddReceivingMiddleware(private)
}

// private has clients, and what is between, keep what they read for nobody else. The SDK
// says of everything that it is public.
func private(next mcp.MethodHandler) mcp.MethodHandler {
	return func(ctx context.Context, method string, req mcp.Request) (mcp.Result, error) {
		res, err := next(ctx, method, req)
		if read, ok := res.(*mcp.ReadResourceResult); ok && err == nil {
			read.CacheScope = "private"
		}
		return res, err
	}
}

// resource returns what reads resources whose addresses begin with prefix. read gets the
// rest of an address, decoded.
func (r *reader) resource(prefix string, read func(context.Context, string) ([]byte, error)) mcp.ResourceHandler {
	return func(ctx context.Context, req *mcp.ReadResourceRequest) (*mcp.ReadResourceResult, error) {
		uri := req.Params.URI
		which, err := url.PathUnescape(strings.TrimPrefix(uri, prefix))
		if err != nil {
			return nil, notRead(uri, fmt.Errorf("%w: %w", errAddress, err))
		}
		text, err := read(ctx, which)
		if err == nil && len(text) > MaxAnswer {
			err = fmt.Errorf("it has %d bytes, and %d is the most that is given to a model: custody checkpoint and custody prove write it", len(text), MaxAnswer)
		}
		if err != nil {
			return nil, notRead(uri, err)
		}
		return &mcp.ReadResourceResult{Contents: []*mcp.ResourceContents{{URI: uri, Text: string(text)}}}, nil
	}
}

// errAddress: the address is not one that a resource can have.
var errAddress = errors.New("not the address of a resource")

// notRead returns the error of the protocol that says why a resource was not read.
func notRead(uri string, err error) error {
	e := &jsonrpc.Error{Code: jsonrpc.CodeInternalError, Message: explained(err).Error()}
	if errors.Is(err, custody.ErrNotFound) || errors.Is(err, errAddress) { // one code for both (SEP-2164)
		e.Code = jsonrpc.CodeInvalidParams
		e.Data, _ = json.Marshal(map[string]string{"uri": uri}) // of a string: it does not fail
	}
	return e
}

func (r *reader) entry(ctx context.Context, which string) ([]byte, error) {
	index, err := indexOf(which)
	if err != nil {
		return nil, err
	}
	return answered(r.show(ctx, showInput{Index: &index}))
}

func (r *reader) action(ctx context.Context, id string) ([]byte, error) {
	a, err := r.timeline(ctx, timelineInput{Action: id})
	if err == nil && a.Total == 0 {
		err = fmt.Errorf("%w: there is no such action, or what was recorded of it is not held any more", custody.ErrNotFound)
	}
	return answered(a, err)
}

// proof returns a proof that discloses no payload.
func (r *reader) proof(ctx context.Context, which string) ([]byte, error) {
	index, err := indexOf(which)
	if err != nil {
		return nil, err
	}
	p, err := r.Trail.Prove(ctx, index, custody.ProveOptions{})
	if err != nil {
		return nil, err
	}
	return p.Marshal()
}

// indexOf reads an index as an address has it.
func indexOf(s string) (uint64, error) {
	index, err := strconv.ParseUint(s, 10, 53)
	if err != nil {
		return 0, fmt.Errorf("%w: %.60q is not the index of an entry; indices go from 0 on", errAddress, s)
	}
	return index, nil
}
