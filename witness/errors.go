package witness

import (
	"errors"
	"fmt"
)

// What a witness may answer instead of a cosignature. The errors of [Client]
// wrap one of them where it applies, with what the witness said.
var (
	// ErrTemporary: it could not be reached, is overloaded, or failed. Trying
	// again later may help.
	ErrTemporary = errors.New("the witness cannot answer now")

	// ErrUnknownLog: its operator has not told it of this log.
	ErrUnknownLog = errors.New("the witness does not know this log")

	// ErrSignature: the checkpoint is not signed with the key that its
	// operator was given for this log.
	ErrSignature = errors.New("the witness does not accept the checkpoint's signature")

	// ErrInconsistent: the checkpoint does not continue the one that it
	// cosigned last. Either the proof was wrong or the log has another
	// history than it had: that is what a witness is there to notice.
	ErrInconsistent = errors.New("the witness found the checkpoint inconsistent with what it cosigned before")
)

// ConflictError says that the last checkpoint that a witness cosigned has
// another size than the request said.
type ConflictError struct {
	Size uint64 // of the last checkpoint that it cosigned
}

func (e *ConflictError) Error() string {
	return fmt.Sprintf("the last checkpoint that the witness cosigned has size %d", e.Size)
}

// AheadError says that a witness has cosigned a larger checkpoint of this log
// than the one given. Unless the larger one was submitted by the log itself a
// moment ago, the log was rolled back to an older copy, or somebody else signs
// with its key.
type AheadError struct {
	Witness uint64 // size of the last checkpoint that the witness cosigned
	Size    uint64 // size of the one given
}

func (e *AheadError) Error() string {
	return fmt.Sprintf("the witness has cosigned a checkpoint of size %d, and the one given has size %d: the log was rolled back, or another one is signed with its key", e.Witness, e.Size)
}
