package filestore

import "time"

// AwaitSealing waits until at most one tail is left, which is the one that is
// appended to, or until one could not be sealed. Like Append, it belongs to one
// goroutine at a time.
func (s *Store) AwaitSealing() error {
	for {
		select {
		case <-s.sealed:
		default:
		}
		if len(s.view.Load().tails) < 2 || s.Failed() != nil {
			return s.Failed()
		}
		s.signal(s.sealing)
		<-s.sealed
		if err := *s.sealErr.Load(); err != nil {
			return err
		}
	}
}

// WithPatience sets how long a reader waits for a commit that is being written,
// before it takes it for one that was cut short.
func (o Options) WithPatience(d time.Duration) Options {
	o.patience = d
	return o
}

// WithUpkeep sets how often the background does what it does now and then.
func (o Options) WithUpkeep(d time.Duration) Options {
	o.upkeep = d
	return o
}
