package config

import (
	"strings"
	"testing"
)

func TestOTLP(t *testing.T) {
	for _, c := range []struct {
		environ []string
		want    string // of the error
	}{
		{[]string{"CUSTODY_OTLP_LISTEN_HTTP=127.0.0.1:4318", "CUSTODY_OTLP_LISTEN_GRPC=[::1]:4317"}, ""},
		{[]string{"CUSTODY_OTLP_LISTEN_HTTP=4318"}, "otlp.listen_http: "},
		{[]string{"CUSTODY_OTLP_LISTEN_GRPC=localhost:grpc"}, "otlp.listen_grpc: "},
		{[]string{"CUSTODY_OTLP_LISTEN_HTTP=:4318"}, "may do everything"},
		{[]string{"CUSTODY_OTLP_LISTEN_GRPC=0.0.0.0:4317", "CUSTODY_TLS_CERTIFICATE=c", "CUSTODY_TLS_KEY=k"}, "may do everything"},
		{[]string{"CUSTODY_OTLP_LISTEN_GRPC=0.0.0.0:4317", "CUSTODY_LISTEN=0.0.0.0:8420", "CUSTODY_TLS_CERTIFICATE=c", "CUSTODY_TLS_KEY=k"}, ""},
		{[]string{"CUSTODY_OTLP_LISTEN_HTTP=0.0.0.0:4318", "CUSTODY_UNPROTECTED_BEHIND_PROXY=true"}, ""},
	} {
		loaded, _, err := Load("", c.environ, nil)
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%q: %v", c.environ, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%q: %v, want %s", c.environ, err, c.want)
		case err == nil && loaded.OTLP == OTLP{}:
			t.Errorf("%q: %+v", c.environ, loaded.OTLP)
		}
	}
}
