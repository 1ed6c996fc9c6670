package custody

import "github.com/custodylog/custody/evidence"

// KeyFile returns the name of the file in dir (empty: [DefaultKeyDir]) that holds
// the signing key with that verifier key (vkey), if it is there at all.
func KeyFile(dir, vkey string) (string, error) {
	v, err := evidence.ParseVerifier(vkey)
	if err != nil {
		return "", err
	}
	return keyFile(dir, v.KeyHash())
}
