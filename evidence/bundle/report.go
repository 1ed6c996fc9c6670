package bundle

import (
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/custodylog/custody/evidence"
)

// CheckOptions says what a bundle is checked against, beside itself. Without
// keys and without a policy a bundle can show no more than that it fits the key
// that it brings along, which anybody can make.
type CheckOptions struct {
	// Keys are the verifier keys of the trail that are known from elsewhere. The
	// checkpoint has to be signed by one of them, or by one that it passed to.
	Keys []note.Verifier

	// Policy says which logs and witnesses are known. The checkpoint has to
	// meet it.
	Policy *evidence.Policy

	// CheckTimestamp checks a time-stamp token for the body of a signed
	// checkpoint and returns its time. Without it tokens are not checked.
	CheckTimestamp func(token, checkpoint []byte) (time.Time, error)
}

// Report is what a check found.
type Report struct {
	Findings []Finding `json:"findings"` // all there are; none: the bundle checks out

	Manifest     Manifest            `json:"manifest"`
	Checkpoint   evidence.Checkpoint `json:"-"`
	Completeness Completeness        `json:"completeness"` // as it follows from the entries
	Removals     []Removal           `json:"removals"`
	Holds        []Hold              `json:"holds"`

	SignedBy []string `json:"signed_by"` // vkeys of the bundle whose signature on the checkpoint is right

	// Trusted says that the checkpoint holds under a key or a policy known from
	// elsewhere, which was given in the options.
	Trusted bool `json:"trusted"`

	// Cosigned are the cosignatures by witnesses of the policy in the options or,
	// without one, of that in the bundle, which its maker chose.
	Cosigned []evidence.Cosignature `json:"cosigned"`

	Timestamps []Timestamp `json:"timestamps"`

	// KnownPage says that index.html is the page of this version. Another one may
	// be that of another version, or one that shows whatever its maker likes.
	KnownPage bool `json:"known_page"`
}

// OK reports whether there is no finding.
func (r *Report) OK() bool { return len(r.Findings) == 0 }

// Timestamp is a time-stamp token of a bundle.
type Timestamp struct {
	Name    string    `json:"name"`
	Checked bool      `json:"checked"`       // it was checked, and is right
	Time    time.Time `json:"time,omitzero"` // that it proves, if it was checked
}

// Finding is one thing that is wrong with a bundle.
type Finding struct {
	Cause evidence.Cause `json:"cause"`
	// File names the file concerned; it is empty for the zip itself.
	File string `json:"file,omitempty"`
	// Entries are the indices concerned; none if it is not about entries.
	Entries Set    `json:"entries,omitzero"`
	Detail  string `json:"detail"`
}

func (f Finding) String() string {
	s := string(f.Cause)
	if f.File != "" {
		s += " (" + f.File + ")"
	}
	switch n := f.Entries.Count(); {
	case n == 1:
		s += " at index " + f.Entries.String()
	case n > 1:
		s += " at indices " + f.Entries.String()
	}
	return s + ": " + f.Detail
}

// add adds a finding about a file, and about an entry if one is given. Findings
// in a row that say the same of several entries become one.
func (r *Report) add(cause evidence.Cause, file, detail string, entries ...uint64) {
	if n := len(r.Findings); n > 0 && len(entries) == 1 {
		last := &r.Findings[n-1]
		at := len(last.Entries.Ranges)
		if last.Cause == cause && last.File == file && last.Detail == detail && at > 0 && last.Entries.Ranges[at-1].Last < entries[0] {
			last.Entries.Add(entries[0])
			return
		}
	}
	r.Findings = append(r.Findings, Finding{cause, file, Set{evidence.RangesOf(entries)}, detail})
}

// addSet adds a finding about entries.
func (r *Report) addSet(cause evidence.Cause, file, detail string, entries evidence.Ranges) {
	r.Findings = append(r.Findings, Finding{cause, file, Set{entries}, detail})
}
