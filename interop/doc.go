// Package interop checks, with software that is not ours, that a trail is a C2SP
// tiled log, that trails and witnesses of different makes work together, and that
// people log in to a server by an OpenID provider. It has tests only; docs/interop.md
// tells what those of trails show. It is a module of its own, so that nothing it needs
// becomes a dependency of the product.
package interop
