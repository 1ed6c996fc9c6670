package evidence

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
)

// disclosedHeader opens the text form of [Disclosed].
const disclosedHeader = "custody disclosed entry v1"

// Disclosed is what a [Proof] carries about its entry: the entry and, when it is
// to be shown too, the payload that the entry commits to.
type Disclosed struct {
	Entry []byte // as it was hashed

	// Salt and Payload are nil when the payload is not disclosed.
	Salt    []byte // [SaltSize] bytes
	Payload []byte
}

// Marshal returns the bytes that stand in a proof (docs/format/proof.md): a
// header line, the entry as a line, and when the payload is disclosed, the salt
// in base64 as a line and the payload.
func (d *Disclosed) Marshal() ([]byte, error) {
	if err := d.form(); err != nil {
		return nil, err
	}
	b := make([]byte, 0, len(disclosedHeader)+len(d.Entry)+len(d.Payload)+32)
	b = append(b, disclosedHeader...)
	b = append(b, '\n')
	b = append(b, d.Entry...)
	b = append(b, '\n')
	if d.Salt != nil {
		b = base64.StdEncoding.AppendEncode(b, d.Salt)
		b = append(b, '\n')
		b = append(b, d.Payload...)
	}
	return b, nil
}

// ParseDisclosed reads what [Disclosed.Marshal] writes, and no other form. The
// entry and the payload are parts of b. Whether they belong together,
// [Disclosed.Open] tells.
func ParseDisclosed(b []byte) (*Disclosed, error) {
	header, rest, found := bytes.Cut(b, []byte("\n"))
	if string(header) != disclosedHeader || !found {
		return nil, fmt.Errorf("disclosed entry, line 1: expected %q, not %.60q", disclosedHeader, header)
	}
	var d Disclosed
	d.Entry, rest, found = bytes.Cut(rest, []byte("\n"))
	if !found {
		return nil, errors.New("disclosed entry, line 2: the entry does not end in a newline")
	}
	if len(rest) > 0 {
		var salt []byte
		if salt, rest, found = bytes.Cut(rest, []byte("\n")); !found {
			return nil, errors.New("disclosed entry, line 3: the salt does not end in a newline")
		}
		var err error
		if d.Salt, err = decodeBase64(salt); err != nil || len(d.Salt) != SaltSize {
			return nil, fmt.Errorf("disclosed entry, line 3: %.60q is not the base64 of a salt of %d bytes", salt, SaltSize)
		}
		d.Payload = rest
	}
	if err := d.form(); err != nil {
		return nil, err
	}
	return &d, nil
}

// form reports whether d can be written down.
func (d *Disclosed) form() error {
	switch {
	case len(d.Entry) == 0:
		return errors.New("disclosed entry: the entry is empty")
	case len(d.Entry) > MaxEntrySize:
		return fmt.Errorf("disclosed entry: the entry has %d bytes, more than %d", len(d.Entry), MaxEntrySize)
	case bytes.IndexByte(d.Entry, '\n') >= 0:
		return errors.New("disclosed entry: the entry has a newline in it")
	case d.Salt == nil && d.Payload != nil:
		return errors.New("disclosed entry: the payload is there without its salt, so nobody can check it")
	case d.Salt != nil && len(d.Salt) != SaltSize:
		return fmt.Errorf("disclosed entry: the salt has %d bytes instead of %d", len(d.Salt), SaltSize)
	}
	return nil
}

// Open reads the entry, and checks that it commits to the payload if that is
// disclosed. Whether the entry is in a trail is for a [Proof] to show.
func (d *Disclosed) Open() (Entry, error) {
	if err := d.form(); err != nil {
		return Entry{}, err
	}
	e, err := ParseEntry(d.Entry)
	if err != nil || d.Salt == nil {
		return e, err
	}
	commitment, err := Commit(d.Salt, d.Payload)
	if err != nil {
		return Entry{}, err
	}
	if commitment != e.Payload {
		return Entry{}, fmt.Errorf("entry %d commits to another payload than the one disclosed with it", e.Index)
	}
	return e, nil
}

// decodeBase64 reads standard padded base64 and refuses a second spelling of the
// same bytes, as [decodeHash] does.
func decodeBase64(text []byte) ([]byte, error) {
	b := make([]byte, base64.StdEncoding.DecodedLen(len(text)))
	n, err := strictBase64.Decode(b, text)
	if err != nil || base64.StdEncoding.EncodedLen(n) != len(text) {
		return nil, errors.New("not standard base64 with padding, without line breaks and without stray bits")
	}
	return b[:n], nil
}
