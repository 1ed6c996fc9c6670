package custody

// DualAuthorization tells of a removal that it took two persons (NIST SP 800-53
// AC-3(2)): the one in whose name it is done asked for it, another one approved it. It
// is recorded with the removal, and not checked.
type DualAuthorization struct {
	Request    string // id of the request
	ApprovedBy string
}

// addTo adds what it says to the details of an event.
func (a DualAuthorization) addTo(details map[string]any) {
	set(details, "request_id", a.Request)
	set(details, "approved_by", a.ApprovedBy)
}
