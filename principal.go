package custody

import "context"

type principalKey struct{}

// WithPrincipal returns a context under which events are recorded as sent by the
// authenticated principal of that name, in place of [Options].Principal. It is for
// servers, where one trail has many senders. An empty name counts as one: nobody.
func WithPrincipal(ctx context.Context, name string) context.Context {
	return context.WithValue(ctx, principalKey{}, name)
}

// principal returns the name that events are recorded under.
func (t *Trail) principal(ctx context.Context) string {
	if name, ok := ctx.Value(principalKey{}).(string); ok {
		return name
	}
	return t.opts.Principal
}
