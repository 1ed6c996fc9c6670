// Package interop checks, with software that is not ours, that a trail is a C2SP
// tiled log, and that trails and witnesses of different makes work together. It has
// tests only; docs/interop.md tells what they show. It is a module of its own, so
// that nothing it needs becomes a dependency of the product.
package interop
