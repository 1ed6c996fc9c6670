package connect

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
)

// Server is an MCP server that an agent starts.
type Server struct {
	Name    string
	Command []string // with its arguments
	Env     map[string]string
}

// Servers are those of one file of settings.
type Servers struct {
	File       string
	Recorded   []Server // with custody mcp before them
	Unrecorded []string // names of the others, with those that are reached by an address
}

// FindServers returns the MCP servers in the settings that the options name, of those that
// Claude Code keeps for single directories the ones for dir. It returns nil where there is
// no such file, or the agent has none that is known.
func FindServers(o *Options, dir string) (*Servers, error) {
	file, member := serversFile(o)
	if file == "" {
		return nil, nil
	}
	text, err := readSettings(file)
	if err != nil || text == nil {
		return nil, err
	}
	all, err := decode(file, text)
	if err != nil {
		return nil, err
	}
	found := &Servers{File: file}
	found.add(o, all[member])
	if o.Agent == "claude-code" && o.Project == "" {
		found.add(o, at(all, "projects", dir, member))
	}
	return found, nil
}

// serversFile returns where an agent has its MCP servers, and by which member.
func serversFile(o *Options) (file, member string) {
	switch o.Agent {
	case "claude-code":
		if o.Project != "" {
			return filepath.Join(o.Project, ".mcp.json"), "mcpServers"
		}
		if dir := o.Getenv("CLAUDE_CONFIG_DIR"); dir != "" {
			return filepath.Join(dir, ".claude.json"), "mcpServers"
		}
		return filepath.Join(o.Home, ".claude.json"), "mcpServers"
	case "codex":
		file, _ = agents["codex"].file(o)
		return file, "mcp_servers"
	case "cursor":
		file, _ = fromHome("", ".cursor", "mcp.json")(o)
	case "gemini":
		file, _ = agents["gemini"].file(o)
	}
	return file, "mcpServers"
}

// add adds the servers of an object of them.
func (s *Servers) add(o *Options, servers any) {
	named, _ := servers.(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(named)) {
		m, _ := named[name].(map[string]any)
		command, _ := m["command"].(string)
		server := Server{Name: name, Command: []string{command}, Env: map[string]string{}}
		args, _ := m["args"].([]any)
		for _, arg := range args {
			server.Command = append(server.Command, fmt.Sprint(arg))
		}
		env, _ := m["env"].(map[string]any)
		for variable, value := range env {
			server.Env[variable] = fmt.Sprint(value)
		}
		if isRecorder(o, server.Command) {
			s.Recorded = append(s.Recorded, server)
		} else {
			s.Unrecorded = append(s.Unrecorded, name)
		}
	}
}

// isRecorder reports whether a command is custody mcp, under the name that the program
// usually has, or the one that it has here.
func isRecorder(o *Options, command []string) bool {
	if len(command) < 2 || command[1] != "mcp" {
		return false
	}
	name := programName(command[0])
	return name == "custody" || len(o.Hook) > 0 && name == programName(o.Hook[0])
}

func programName(file string) string {
	return strings.TrimSuffix(filepath.Base(file), ".exe")
}
