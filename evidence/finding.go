package evidence

import "fmt"

// Cause says what kind of damage a [Finding] tells of.
type Cause string

// The causes, one for each thing that can be wrong with a trail.
const (
	Altered        Cause = "altered"         // bytes differ from what was committed
	Inserted       Cause = "inserted"        // an entry stands where another was committed
	Deleted        Cause = "deleted"         // entries are gone from the middle
	Reordered      Cause = "reordered"       // entries stand in another order
	Truncated      Cause = "truncated"       // entries are gone from the end
	Wiped          Cause = "wiped"           // everything is gone
	Forked         Cause = "forked"          // another history was signed with the same key
	RolledBack     Cause = "rolled_back"     // the trail is older than a checkpoint kept elsewhere
	KeySwapped     Cause = "key_swapped"     // signed by a key that the trail never passed to
	PayloadMissing Cause = "payload_missing" // a payload is gone and no event says why
	TimeReversed   Cause = "time_reversed"   // an entry is older than the one before
	Unsigned       Cause = "unsigned"        // entries that no checkpoint covers
	Unwitnessed    Cause = "unwitnessed"     // nobody cosigned whom the policy asks for
	Torn           Cause = "torn"            // the end of a write that a crash cut short; never acknowledged
	NewerFormat    Cause = "newer_format"    // written by a newer version; this program cannot judge it
	IndexWrong     Cause = "index_wrong"     // the search index disagrees with the entries
	Unreadable     Cause = "unreadable"      // the storage returned an error
)

// Meaning tells a person what the cause means and what to do next.
func (c Cause) Meaning() string {
	switch c {
	case Altered:
		return "The stored bytes are not those that were committed. Restore them from a copy and find out who could write to the trail's files."
	case Inserted:
		return "An entry was put in that the trail never committed at this place. Treat it as forged."
	case Deleted:
		return "Entries that were committed are gone. Restore them from a copy; what they held cannot be told from the trail."
	case Reordered:
		return "Entries were committed in another order than they now stand in."
	case Truncated:
		return "The trail once held more entries than it does now: its end was cut off. Restore the newest copy."
	case Wiped:
		return "The trail holds no entry, not even its first. Restore it from a copy."
	case Forked:
		return "The trail's key signed two different histories. One of them was made by somebody who holds the key; compare both with copies kept elsewhere."
	case RolledBack:
		return "A checkpoint kept elsewhere covers entries that this trail does not have: it is an older copy, or its end was cut off together with every checkpoint that it held."
	case KeySwapped:
		return "A checkpoint is signed by a key that the trail's own entries never passed to. Do not trust what it covers."
	case PayloadMissing:
		return "A payload is gone although no event in the trail records its erasure or expiry."
	case TimeReversed:
		return "An entry is dated before the one that precedes it; the trail never writes that."
	case Unsigned:
		return "Entries stand behind the last checkpoint, so nobody signed for them."
	case Unwitnessed:
		return "The policy asks for cosignatures of witnesses, and none of the trail's checkpoints has enough of them: either they were never asked, or somebody took them away. Ask the witnesses what they have seen (custody verify --witness all)."
	case Torn:
		return "A crash cut a write short. The entries in it were never acknowledged; opening the trail for writing cuts the rest off and records that."
	case NewerFormat:
		return "A newer version of Custody wrote this. Verify it with that version; this is not damage."
	case IndexWrong:
		return "Queries may miss or add events. The entries themselves are judged apart; delete the index file and it is rebuilt from them."
	case Unreadable:
		return "The storage could not be read, so this part is not verified. Check the disk and the permissions."
	}
	return ""
}

// Derived reports whether the cause concerns only data that can be rebuilt from
// the entries, or that was never acknowledged.
func (c Cause) Derived() bool { return c == IndexWrong || c == Torn }

// Finding is one result of verification.
type Finding struct {
	Cause Cause `json:"cause"`
	// Index is the first index that is concerned. Everything before it that
	// carries no finding of its own checked out.
	Index uint64 `json:"index"`
	// Count is the number of entries concerned, 0 when it cannot be told.
	Count uint64 `json:"count,omitempty"`
	// Where names the file or part, as the store calls it.
	Where string `json:"where,omitempty"`
	// Detail says what was seen.
	Detail string `json:"detail"`
}

func (f Finding) String() string {
	s := fmt.Sprintf("%s at index %d", f.Cause, f.Index)
	if f.Count > 1 {
		s = fmt.Sprintf("%s at index %d and the %d after it", f.Cause, f.Index, f.Count-1)
	}
	if f.Where != "" {
		s += " (" + f.Where + ")"
	}
	return s + ": " + f.Detail
}
