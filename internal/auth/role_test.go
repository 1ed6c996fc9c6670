package auth

import (
	"context"
	"os"
	"slices"
	"strings"
	"testing"
)

// matrix has a line for each permission: which roles have it. It is written apart from
// the table of the program, so that a change of one has to be a change of both.
const matrix = `
                  submitter reader payload_reader auditor operator admin
append            x         .      .              .       .        .
read_entries      .         x      x              x       .        .
read_payloads     .         .      x              x       .        .
prove             .         .      .              x       .        .
verify            .         .      .              x       .        .
bundle            .         .      .              x       .        .
manage_holds      .         .      .              .       x        .
manage_retention  .         .      .              .       x        .
manage_witnesses  .         .      .              .       x        .
erase             .         .      .              .       x        .
stop              .         .      .              .       x        x
read_stops        .         x      x              x       x        x
create_trails     .         .      .              .       .        x
read_metrics      .         x      x              x       x        x
manage_tokens     .         .      .              .       .        x
configure         .         .      .              .       .        x
`

func TestMatrix(t *testing.T) {
	lines := strings.Split(strings.TrimSpace(matrix), "\n")
	roles := strings.Fields(lines[0])
	if len(roles) != len(Roles) || len(permissions) != len(Roles) {
		t.Fatalf("the matrix has %d roles, the program %d, its table %d", len(roles), len(Roles), len(permissions))
	}
	known := map[Permission]bool{}
	for _, line := range lines[1:] {
		cells := strings.Fields(line)
		perm := Permission(cells[0])
		known[perm] = true
		for i, name := range roles {
			role, err := ParseRole(name)
			if err != nil {
				t.Fatal(err)
			}
			p := &Principal{Roles: []Role{role}}
			if got, want := p.May(perm, "default"), cells[i+1] == "x"; got != want {
				t.Errorf("%s may %s: %v, want %v", role, perm, got, want)
			}
			if (&Principal{}).May(perm, "default") || (*Principal)(nil).May(perm, "default") {
				t.Errorf("somebody without a role may %s", perm)
			}
			if !local.May(perm, "default") || !local.May(perm, "") {
				t.Errorf("local may not %s", perm)
			}
		}
	}
	for role, perms := range permissions {
		for _, perm := range perms {
			if !known[perm] {
				t.Errorf("%s may %s, which is not in the matrix", role, perm)
			}
		}
	}
}

func TestSeveralRolesAddUp(t *testing.T) {
	p := &Principal{Roles: []Role{Submitter, Operator}}
	for perm, want := range map[Permission]bool{Append: true, Erase: true, ReadEntries: false, ManageTokens: false} {
		if got := p.May(perm, "a"); got != want {
			t.Errorf("may %s: %v, want %v", perm, got, want)
		}
	}
}

func TestParseRoleNamesWhatThereIs(t *testing.T) {
	for _, name := range []string{"", "root", "Admin", " admin", "admin "} {
		_, err := ParseRole(name)
		if err == nil || !strings.Contains(err.Error(), `"payload_reader"`) {
			t.Errorf("ParseRole(%q) = %v, want an error that names the roles", name, err)
		}
	}
}

func TestBoundToTrails(t *testing.T) {
	everything := slices.Clone(Roles)
	bound := &Principal{Roles: everything, Trails: []string{"a", "b"}}
	free := &Principal{Roles: everything}
	for _, tt := range []struct {
		name  string
		perm  Permission
		trail string
		want  bool
	}{
		{"its trail", Append, "a", true},
		{"its other trail", Erase, "b", true},
		{"another trail", Append, "c", false},
		{"a trail whose name begins like its own", Append, "ab", false},
		{"a trail in other case", Append, "A", false},
		{"no trail in particular", ReadEntries, "", false},
		{"making one of its trails", CreateTrails, "b", true},
		{"making another trail", CreateTrails, "c", false},
		{"tokens, which are for all trails", ManageTokens, "a", false},
		{"configuration of the server", Configure, "a", false},
		{"metrics of all trails", ReadMetrics, "a", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := bound.May(tt.perm, tt.trail); got != tt.want {
				t.Errorf("bound: May(%s, %q) = %v, want %v", tt.perm, tt.trail, got, tt.want)
			}
			if !free.May(tt.perm, tt.trail) {
				t.Errorf("not bound: May(%s, %q) = false", tt.perm, tt.trail)
			}
		})
	}
}

func TestBoundToAgents(t *testing.T) {
	bound := &Principal{Roles: []Role{Submitter}, Agents: []string{"a1", "a2"}}
	free := &Principal{Roles: []Role{Submitter}}
	for agent, want := range map[string]bool{"a1": true, "a2": true, "a3": false, "A1": false, "a1 ": false, "": false} {
		if got := bound.MayClaim(agent); got != want {
			t.Errorf("bound to a1 and a2: MayClaim(%q) = %v", agent, got)
		}
		if !free.MayClaim(agent) {
			t.Errorf("not bound: MayClaim(%q) = false", agent)
		}
		if (*Principal)(nil).MayClaim(agent) {
			t.Errorf("nobody: MayClaim(%q) = true", agent)
		}
	}
}

func TestContext(t *testing.T) {
	if p := From(t.Context()); p != nil {
		t.Errorf("a context without a principal has %v", p)
	}
	p := &Principal{Name: "local"}
	ctx, cancel := context.WithCancel(With(t.Context(), p))
	defer cancel()
	if From(ctx) != p {
		t.Error("the principal is lost")
	}
}

// The page for users of the API has a table of the roles with their permissions.
func TestDocumentedRoles(t *testing.T) {
	page, err := os.ReadFile("../../docs/http.md")
	if err != nil {
		t.Fatal(err)
	}
	table := "| role | permissions |\n|---|---|\n"
	for _, role := range Roles {
		table += "| " + string(role) + " | "
		for i, p := range permissions[role] {
			if i > 0 {
				table += ", "
			}
			table += string(p)
		}
		table += " |\n"
	}
	if !strings.Contains(string(page), table+"\n") {
		t.Errorf("docs/http.md has no such table:\n%s", table)
	}
}

// A trail concerns whoever has a role, and is not bound to others.
func TestConcerned(t *testing.T) {
	for _, role := range Roles {
		for _, tt := range []struct {
			bound []string
			want  bool
		}{{nil, true}, {[]string{"b"}, true}, {[]string{"c"}, false}} {
			if got := (&Principal{Roles: []Role{role}, Trails: tt.bound}).Concerned("b"); got != tt.want {
				t.Errorf("%s, bound to %q: %v", role, tt.bound, got)
			}
		}
	}
	if (&Principal{Roles: []Role{"none"}}).Concerned("b") || (*Principal)(nil).Concerned("b") {
		t.Error("it concerns somebody without a role")
	}
}
