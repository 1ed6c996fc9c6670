package auth

import (
	"net/netip"
	"sync"
	"time"
)

const (
	failureBurst = 10               // failures of an address that are reported at once
	failureEvery = 10 * time.Second // and after them one in this time
	maxFailing   = 10_000           // addresses that are told apart
)

// failures limits how many failures are reported, for each address on its own. It does
// not limit who may try: a secret of 256 bits cannot be guessed, and many producers may
// share the address of one that is misconfigured.
type failures struct {
	mu    sync.Mutex
	by    map[netip.Prefix]failing
	swept time.Time
	lost  int // failures of addresses that were forgotten which nobody was told of
}

// failing is the state of one address (generic cell rate algorithm, ITU-T I.371).
type failing struct {
	due        time.Time // when its next failure would come if they came at the lowest rate
	unreported int       // since the last report
}

// take reports whether a failure is to be reported, and how many were not before it.
func (f *failures) take(remoteAddr string, now time.Time) (unreported int, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	key := f.keyOf(remoteAddr, now)
	s := f.by[key]
	if s.due.Before(now) {
		s.due = now
	}
	if s.due.Sub(now) > (failureBurst-1)*failureEvery {
		s.unreported++
		f.by[key] = s
		return 0, false
	}
	f.by[key] = failing{due: s.due.Add(failureEvery)}
	return s.unreported, true
}

// keyOf returns what an address is counted as: itself, its network if it is of IPv6,
// where one machine has 2^64 of them, and all those together that are none or too many.
func (f *failures) keyOf(remoteAddr string, now time.Time) netip.Prefix {
	if f.by == nil {
		f.by = map[netip.Prefix]failing{}
	}
	ap, err := netip.ParseAddrPort(remoteAddr)
	if err != nil {
		return netip.Prefix{} // of a Unix socket
	}
	addr := ap.Addr().Unmap().WithZone("")
	bits := addr.BitLen()
	if addr.Is6() {
		bits = 64
	}
	key, err := addr.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	if _, known := f.by[key]; !known && len(f.by) >= maxFailing && !f.sweep(now) {
		return netip.Prefix{}
	}
	return key
}

// sweep forgets the addresses that have been quiet, and reports whether there is room
// then. Looking through all of them takes a while, so it does that once a second.
func (f *failures) sweep(now time.Time) bool {
	if now.Sub(f.swept) >= time.Second {
		f.swept = now
		for key, s := range f.by {
			if !s.due.After(now) {
				f.lost += s.unreported
				delete(f.by, key)
			}
		}
	}
	return len(f.by) < maxFailing
}

// rest returns how many failures nobody was told of, of addresses that have been quiet
// since or of all of them, and forgets these.
func (f *failures) rest(now time.Time, all bool) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.swept = time.Time{}
	if all {
		now = now.Add((failureBurst + 1) * failureEvery) // none is due later
	}
	f.sweep(now)
	n := f.lost
	f.lost = 0
	return n
}
