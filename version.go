package custody

import "runtime/debug"

// Version returns the version of this module in the running program, such as
// "v0.1.0", or "devel" where the build does not say.
func Version() string {
	const path = "github.com/custodylog/custody"
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "devel"
	}
	version := ""
	if info.Main.Path == path {
		version = info.Main.Version
	}
	for _, m := range info.Deps {
		if m.Path == path {
			version = m.Version
		}
	}
	if version == "" || version == "(devel)" {
		return "devel"
	}
	return version
}
