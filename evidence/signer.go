package evidence

import "crypto"

// Key returns the key that the signer was made from, for handing it to somebody
// else who signs in the trail's name.
func (s *Signer) Key() crypto.Signer { return s.key }
