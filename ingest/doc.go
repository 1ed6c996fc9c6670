// Package ingest reads what other systems have recorded and turns it into
// events. It writes to no trail: the caller records what it yields.
//
// # First call
//
// Each format has a package of its own with one function, Read; this package
// holds what they share.
//
//	r, err := ingest.Open("session.jsonl.gz")
//	for item, err := range transcript.Read(r, ingest.Source{Name: "session.jsonl.gz"}) {
//		if err != nil {
//			return err // the source could not be read on; what came before is whole
//		}
//		trail.Record(ctx, item.Event)
//	}
//
// # What is promised
//
//   - Nothing is dropped. What a format's package does not understand, malformed
//     text included, becomes an event of a type that is not registered, with the
//     whole of it in Details; see [Item.Mapped]. Only what stops reading is an
//     error.
//   - Ids depend on what the source says, not on where it lies or whether it is
//     compressed: a second import of the same source, or of one that has grown
//     since, gives the events that were there the same ids and the same content.
//     See [Format].
//   - Every event can be encoded, and its payload is no larger than
//     [Source.MaxPayload]. What had to be changed for that is said in Defects:
//     numbers that a float64 does not hold become strings, halves of surrogate
//     pairs the text of their escape, and the longest strings are cut, with the
//     length and digest of the whole in Details.
//   - Memory is bounded by [Source.MaxRecord], however long the source is.
//
// # What is not
//
// That what the source says is true: it is a claim of whoever could write to
// it. Event.Source says by which format an event came.
package ingest
