// Package storetest checks an implementation of storage.Store against its
// contract. A store is tested by saying how it is opened:
//
//	storetest.Run(t, func(t *testing.T) storetest.Opener {
//		dir := t.TempDir() // a new trail for each call
//		return storetest.Opener{
//			Open:       func() (storage.Store, error) { … },
//			OpenReader: func() (storage.Store, error) { … },
//		}
//	})
//
// Every case carries the promise that it checks, which is printed when the
// store breaks it.
//
// [Writer] makes what is written: entries as a sequencer makes them, linked,
// committed to and signed. It remembers them, and [Writer.Check] compares a
// store with them, byte by byte and with the tree of another implementation of
// RFC 6962. Both also serve the tests that only one kind of store needs.
package storetest
