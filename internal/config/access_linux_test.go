package config

// Rules for Unix sockets can be given on Linux only.

import (
	"reflect"
	"strings"
	"testing"
)

// access is a configuration with everything that this file is about.
const access = `
version: 1
tls:
  certificate: c
  key: k
  client_ca: ca.pem
  rules:
    - {match: "subject:CN=agent-1", roles: [submitter], trails: [default], agents: [a1]}
    - match: "dns:*.example.com"
      roles: [reader, auditor]
socket:
  path: /run/custody/socket
  mode: 0600
  rules: [{match: "uid:1000", roles: [admin]}]
external_url: https://custody.example.org
session: {idle: 15m, longest: 8h}
oidc:
  issuer: https://id.example.org
  client_id: custody
  client_secret_file: secret
  scopes: [groups]
  rules: [{match: "group:ops", roles: [operator]}]
`

func TestAccess(t *testing.T) {
	c, settings, err := load(t, access)
	if err != nil {
		t.Fatal(err)
	}
	want := []Grant{{Match: "subject:CN=agent-1", Roles: []string{"submitter"}, Trails: []string{"default"}, Agents: []string{"a1"}},
		{Match: "dns:*.example.com", Roles: []string{"reader", "auditor"}}}
	if !reflect.DeepEqual(c.TLS.Rules, want) || c.Socket.Mode != 0o600 || c.OIDC.GroupsClaim != "groups" || !c.OIDC.On() || !c.SecureCookies() {
		t.Errorf("%+v", c)
	}
	values := map[string]string{}
	for _, s := range settings {
		values[s.Name] = s.Value
	}
	for name, want := range map[string]string{
		"tls.rules":       `[{"match": "subject:CN=agent-1", "roles": ["submitter"], "trails": ["default"], "agents": ["a1"]}, {"match": "dns:*.example.com", "roles": ["reader", "auditor"]}]`,
		"socket.mode":     "0600",
		"oidc.scopes":     `["groups"]`,
		"session.longest": "8h0m0s",
	} {
		if values[name] != want {
			t.Errorf("%s is shown as %s, want %s", name, values[name], want)
		}
	}

	// What is shown of a list can stand in the environment.
	again, shown, err := load(t, "version: 1\ntls: {certificate: c, key: k, client_ca: ca.pem}\n", "CUSTODY_TLS_RULES="+values["tls.rules"])
	if err != nil || !reflect.DeepEqual(again.TLS.Rules, want) {
		t.Errorf("%+v, %v", again, err)
	}
	for _, s := range shown {
		if s.Name == "tls.rules" && (s.From != "CUSTODY_TLS_RULES" || s.Value != values["tls.rules"]) {
			t.Errorf("%+v", s)
		}
		if s.Name == "socket.rules" && s.Value != "[]" {
			t.Errorf("%+v", s)
		}
	}
}

func TestAccessRefuses(t *testing.T) {
	for _, tt := range []struct{ from, to, want string }{
		{"client_ca: ca.pem", "", "tls.rules: they are for clients"},
		{"  certificate: c\n  key: k\n", "", "only when it speaks TLS itself"},
		{"match: \"uid:1000\"", "matches: \"uid:1000\"", "socket.rules[0].matches: there is no such setting"},
		{"roles: [reader, auditor]", "roles: [reader, king]", `tls.rules[1]: "dns:*.example.com": roles: there is no role "king"`},
		{"uid:1000", "user:alice", `socket.rules[0]: "user:alice"`},
		{"group:ops", "ops", `oidc.rules[0]: "ops"`},
		{"mode: 0600", "mode: 1777", "no mode of a file"},
		{"mode: 0600", "mode: rw", "no mode of a file"},
		{"path: /run/custody/socket", "", "socket.rules: they are for"},
		{"path: /run", "path: /" + strings.Repeat("x", 100), "socket.path: it has"},
		{"external_url: https://custody.example.org", "", "oidc.issuer: the provider sends people back"},
		{"https://custody.example.org", "http://custody.example.org", "http is for this machine only"},
		{"https://custody.example.org", "https://custody.example.org/custody", "more than a scheme and a host"},
		{"https://custody.example.org", "custody.example.org", "external_url: "},
		{"https://id.example.org", "http://id.example.org", "oidc.issuer: "},
		{"issuer: https://id.example.org", "", "oidc.client_id: it is of no use without"},
		{"client_id: custody", "", "oidc.issuer: the provider knows the server by oidc.client_id"},
		{`rules: [{match: "group:ops", roles: [operator]}]`, "", "oidc.issuer: oidc.rules say"},
		{"idle: 15m", "idle: 9h", "session.idle: 9h0m0s is longer"},
		{"idle: 15m", "idle: 0s", "session.idle: 0s is shorter"},
	} {
		if !strings.Contains(access, tt.from) {
			t.Fatalf("%q is not there", tt.from)
		}
		if _, _, err := load(t, strings.Replace(access, tt.from, tt.to, 1)); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q for %q: %v, want %q", tt.to, tt.from, err, tt.want)
		}
	}
	for _, value := range []string{"x", "{}", `[{"match": 1, "role": []}]`, "[", `[{"match": "uid:1"}] [`} {
		if _, _, err := load(t, "version: 1\n", "CUSTODY_SOCKET_RULES="+value); err == nil || !strings.Contains(err.Error(), "CUSTODY_SOCKET_RULES") {
			t.Errorf("%q: %v", value, err)
		}
	}
}
