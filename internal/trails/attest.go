package trails

import "github.com/custodylog/custody"

// Witnessing says who cosigns the trails, nil: nobody.
func (s *Set) Witnessing() *custody.Witnessing { return s.cfg.Options.Witnessing }

// Timestamping says who time-stamps them, nil: nobody.
func (s *Set) Timestamping() *custody.Timestamping { return s.cfg.Options.Timestamping }
