package auth

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The kernel says who is at the other end of a real socket.
func TestPeerOnAServer(t *testing.T) {
	uid, gid := os.Getuid(), os.Getgid()
	for _, tt := range []struct {
		name, match string
		want        int
	}{
		{"user", fmt.Sprintf("uid:%d", uid), 200},
		{"group", fmt.Sprintf("gid:%d", gid), 200},
		{"another user", fmt.Sprintf("uid:%d", uid+1), 401},
		{"another group", fmt.Sprintf("gid:%d", gid+1), 401},
	} {
		t.Run(tt.name, func(t *testing.T) {
			peer, err := Peer([]Rule{submitter(tt.match)})
			if err != nil {
				t.Fatal(err)
			}
			deny := func(w http.ResponseWriter, _ *http.Request, d *Denied) { http.Error(w, string(d.Reason), d.Status()) }
			who := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Header().Set("Principal", From(r.Context()).Name) })
			l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
			if err != nil {
				t.Fatal(err)
			}
			s := httptest.NewUnstartedServer(Middleware(who, deny, peer))
			s.Listener.Close()
			s.Listener = l
			s.Config.ConnContext = ConnContext
			s.Start()
			defer s.Close()
			client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, "unix", l.Addr().String())
			}}}
			defer client.CloseIdleConnections()
			res, err := client.Get("http://localhost/")
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			if res.StatusCode != tt.want {
				t.Errorf("%s, want %d", res.Status, tt.want)
			}
			if name := fmt.Sprintf("unix:uid=%d", uid); tt.want == 200 && res.Header.Get("Principal") != name {
				t.Errorf("the principal is %q, want %q", res.Header.Get("Principal"), name)
			}
		})
	}
}

func TestPeerRules(t *testing.T) {
	for _, u := range []Rule{submitter("user:root"), {Match: "uid:0"}, {Match: "uid:0", Roles: []Role{"root"}}} {
		if _, err := Peer([]Rule{submitter("uid:1"), u}); err == nil || !strings.Contains(err.Error(), "rule 2 for Unix sockets") {
			t.Errorf("%+v: %v", u, err)
		}
	}
}
