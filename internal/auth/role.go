package auth

import (
	"fmt"
	"slices"
)

// Permission is one thing that may be allowed.
type Permission string

// The permissions. There is none to change or remove an entry: nobody can.
const (
	Append          Permission = "append"           // record events
	ReadEntries     Permission = "read_entries"     // entries and what they are found by
	ReadPayloads    Permission = "read_payloads"    // what events say
	Prove           Permission = "prove"            // proofs of inclusion and consistency
	Verify          Permission = "verify"           // have a trail checked
	Bundle          Permission = "bundle"           // take evidence away as one file
	ManageHolds     Permission = "manage_holds"     // place and release legal holds
	ManageRetention Permission = "manage_retention" // set and apply retention policies
	ManageWitnesses Permission = "manage_witnesses" // have checkpoints cosigned and time-stamped
	Erase           Permission = "erase"            // remove payloads
	Stop            Permission = "stop"             // stop agents, and let them go on
	ReadStops       Permission = "read_stops"       // see which stops hold
	CreateTrails    Permission = "create_trails"
	ReadMetrics     Permission = "read_metrics"  // of the whole server
	ManageTokens    Permission = "manage_tokens" // of the whole server
	Configure       Permission = "configure"     // the whole server
)

// ofServer has the permissions that are about the server and not about a trail.
var ofServer = []Permission{ReadMetrics, ManageTokens, Configure}

// Role is a set of permissions that has a name. Somebody may have several.
type Role string

// The roles.
const (
	Submitter     Role = "submitter"      // may only append
	Reader        Role = "reader"         // reads entries, not what the events say
	PayloadReader Role = "payload_reader" // reads events too
	Auditor       Role = "auditor"        // reads everything, has it verified, takes proofs and bundles
	Operator      Role = "operator"       // retention, holds, witnesses, erasure, emergency stops
	Admin         Role = "admin"          // tokens, configuration, new trails, emergency stops
)

// Roles has all roles.
var Roles = []Role{Submitter, Reader, PayloadReader, Auditor, Operator, Admin}

// permissions is what each role may do. An operator removes and an admin lets people
// in, and neither reads: who has to do both has both roles.
var permissions = map[Role][]Permission{
	Submitter:     {Append},
	Reader:        {ReadEntries, ReadStops, ReadMetrics},
	PayloadReader: {ReadEntries, ReadPayloads, ReadStops, ReadMetrics},
	Auditor:       {ReadEntries, ReadPayloads, Prove, Verify, Bundle, ReadStops, ReadMetrics},
	Operator:      {ManageHolds, ManageRetention, ManageWitnesses, Erase, Stop, ReadStops, ReadMetrics},
	Admin:         {CreateTrails, ManageTokens, Configure, Stop, ReadStops, ReadMetrics},
}

// ParseRole returns the role that has a name.
func ParseRole(name string) (Role, error) {
	if r := Role(name); slices.Contains(Roles, r) {
		return r, nil
	}
	return "", fmt.Errorf("there is no role %.40q; there are %q", name, Roles)
}
