package main

import (
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/custodylog/custody"
	"github.com/custodylog/custody/internal/dualcontrol"
	"github.com/custodylog/custody/internal/ui"
	"github.com/custodylog/custody/internal/vfs"
)

// openRequests opens the requests of removals, where these take a second person; nil:
// they do not.
func (s *service) openRequests() (*dualcontrol.Requests, error) {
	c := &s.cfg.Removal
	if !c.SecondPerson {
		return nil, nil
	}
	return dualcontrol.Open(vfs.OS{}, filepath.Join(s.cfg.Data, dualcontrol.FileName), dualcontrol.Rules{Delay: time.Duration(c.Delay), Expires: time.Duration(c.Expires)})
}

// witnessPolicy returns the policy of the witnesses, which says in verifications whose
// cosignatures count; nil: there is none.
func (s *service) witnessPolicy() ([]byte, error) {
	if s.cfg.Witnesses.Policy == "" {
		return nil, nil
	}
	return os.ReadFile(s.cfg.Witnesses.Policy)
}

// read and exported tell the server what its page shows and hands out.
func (s *service) read(r *http.Request, trail string, e *custody.Entry) {
	s.api.ReadByPage(r, trail, e)
}

func (s *service) exported(r *http.Request, x ui.Export) {
	query, err := x.Query.Members()
	if err != nil {
		s.log.Error("custody: what an export is of is not recorded", "err", err)
	}
	if x.Text != "" && err == nil {
		query["text"] = x.Text
	}
	if len(x.Fields) > 0 && err == nil {
		query["fields"] = x.Fields
	}
	s.api.ExportedByPage(r, x.Trail, x.Format, query, x.Entries, x.Broken)
}
