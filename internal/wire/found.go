package wire

import (
	"iter"

	"github.com/custodylog/custody"
)

// Found yields what a search finds, and the error that it ends with unless nobody wants
// more. At its end *done says how far the search came.
func Found(search func(found func(custody.Entry) bool) (custody.Searched, error), done *custody.Searched) iter.Seq2[custody.Entry, error] {
	return func(yield func(custody.Entry, error) bool) {
		more := true
		var err error
		*done, err = search(func(e custody.Entry) bool {
			more = yield(e, nil)
			return more
		})
		if err != nil && more {
			yield(custody.Entry{}, err)
		}
	}
}
