// Package config reads how a server is set up: defaults, a YAML file, and environment
// variables, each over the one before.
package config

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Config is how a server is set up. Every member is a setting: its path in the file,
// such as tls.certificate, is CUSTODY_TLS_CERTIFICATE in the environment.
type Config struct {
	Version int `yaml:"version"`

	Data   string `yaml:"data"`   // directory with trails, keys and tokens
	Origin string `yaml:"origin"` // what the names of new trails begin with; empty: the machine's name
	Listen string `yaml:"listen"` // address, HOST:PORT

	TLS         TLS         `yaml:"tls"`
	Redaction   string      `yaml:"redaction"` // file with rules; empty: those of the program
	Retention   Retention   `yaml:"retention"`
	Removal     Removal     `yaml:"removal"`
	Witnesses   Witnesses   `yaml:"witnesses"`
	Timestamps  Timestamps  `yaml:"timestamps"`
	Limits      Limits      `yaml:"limits"`
	Unprotected Unprotected `yaml:"unprotected"`
	Socket      Socket      `yaml:"socket"`
	ExternalURL string      `yaml:"external_url"` // what browsers call the server; empty: they come to where it listens
	Session     Session     `yaml:"session"`
	OIDC        OIDC        `yaml:"oidc"`
	Alerts      Alerts      `yaml:"alerts"`
	Producers   Producers   `yaml:"producers"`
	OTLP        OTLP        `yaml:"otlp"`

	places *places
}

// TLS is where the server's certificate is, and whose certificates it takes from clients.
type TLS struct {
	Certificate string  `yaml:"certificate"` // file in PEM, with the chain
	Key         string  `yaml:"key"`         // file in PEM
	ClientCA    string  `yaml:"client_ca"`   // file in PEM with those who certify clients; empty: no client shows a certificate
	Rules       []Grant `yaml:"rules"`       // what clients with certificates may do
}

// Retention applies a policy now and then.
type Retention struct {
	Policy string   `yaml:"policy"` // file; empty: nothing expires
	Every  Duration `yaml:"every"`
	By     string   `yaml:"by"` // recorded as who applies it
}

// Witnesses cosign the checkpoints.
type Witnesses struct {
	Policy string   `yaml:"policy"` // file (C2SP tlog-policy); empty: none
	Every  Duration `yaml:"every"`
}

// Timestamps says who time-stamps the checkpoints.
type Timestamps struct {
	URL   string   `yaml:"url"` // of the authority; empty: none
	Every Duration `yaml:"every"`
}

// Limits bounds what clients may ask for.
type Limits struct {
	Body    Size `yaml:"body"`    // bytes of a request, unpacked
	Payload Size `yaml:"payload"` // bytes of one event
	Pending Size `yaml:"pending"` // bytes of all events that wait to be written, for each trail
}

// Unprotected says that what is missing here is done elsewhere.
type Unprotected struct {
	// BehindProxy allows plain HTTP on an address that others reach: a proxy in
	// front speaks TLS.
	BehindProxy bool `yaml:"behind_proxy"`
}

// Default is what holds without a file.
func Default() Config {
	return Config{
		Version: 1, Data: "./custody-data", Listen: "127.0.0.1:8420",
		Retention:  Retention{Every: Duration(24 * time.Hour), By: "retention schedule"},
		Removal:    Removal{Delay: Duration(24 * time.Hour), Expires: Duration(7 * 24 * time.Hour)},
		Witnesses:  Witnesses{Every: Duration(time.Minute)},
		Timestamps: Timestamps{Every: Duration(24 * time.Hour)},
		Limits:     Limits{Body: 16 << 20, Payload: 1 << 20, Pending: 64 << 20},
		Socket:     Socket{Mode: 0o660},
		Session:    Session{Idle: Duration(time.Hour), Longest: Duration(12 * time.Hour)},
		OIDC:       OIDC{GroupsClaim: "groups"},
		Producers:  defaultProducers(),
		Alerts:     Alerts{Every: Duration(10 * time.Second), GiveUp: Duration(24 * time.Hour)},
	}
}

// Setting is the value of one setting, and where it is from.
type Setting struct {
	Name  string // path in the file
	Value string
	From  string // "default", the name of the file, or that of the variable or the flag
}

// maxFile bounds a file, in bytes: reading deeply nested YAML takes time with the square of it.
const maxFile = 128 << 10

// Load reads a configuration. name is a file, or empty; environ is as of os.Environ, and
// flags have settings by their paths, which win over it. What cannot be used is an error
// that names the file with the line, the variable or the flag, and the setting
// ([Config.Wrong]). It returns every setting with its value too.
func Load(name string, environ []string, flags map[string]string) (*Config, []Setting, error) {
	c := Default()
	c.places = &places{file: name, over: map[string]string{}}
	if name != "" {
		content, err := readFile(name)
		if err == nil {
			err = c.parse(content)
		}
		if err != nil {
			return nil, nil, err
		}
	}
	if err := c.override(environ, flags); err != nil {
		return nil, nil, err
	}
	if err := c.validate(); err != nil {
		return nil, nil, err
	}
	var settings []Setting
	for path, v := range fields(reflect.ValueOf(&c).Elem(), "") {
		settings = append(settings, Setting{Name: path, Value: text(v), From: c.places.from(path)})
	}
	return &c, settings, nil
}

func readFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(b) > maxFile {
		err = fmt.Errorf("%s: it has more than %d bytes", name, maxFile)
	}
	return b, err
}

// parse takes in a file, and where it has what.
func (c *Config) parse(content []byte) (err error) {
	p := c.places
	if p.lines, err = decode(content, c); err == nil {
		return nil
	}
	if m, ok := errors.AsType[*mistake](err); ok {
		return fmt.Errorf("%s:%d: %w", p.file, m.line, err)
	}
	return fmt.Errorf("%s: %w", p.file, err)
}

// override takes in the environment and the flags. A variable with our prefix that is no
// setting is passed over where the program itself knows it, and else refused.
func (c *Config) override(environ []string, flags map[string]string) error {
	values := map[string]reflect.Value{}
	paths := map[string]string{}
	for path, v := range fields(reflect.ValueOf(c).Elem(), "") {
		values[path] = v
		paths["CUSTODY_"+strings.ToUpper(strings.ReplaceAll(path, ".", "_"))] = path
	}
	for _, pair := range environ {
		name, value, _ := strings.Cut(pair, "=")
		if !strings.HasPrefix(name, "CUSTODY_") || slices.Contains(ours, name) {
			continue
		}
		path, ok := paths[name]
		if !ok {
			return fmt.Errorf("the environment variable %s is no setting; custody config check shows those there are", name)
		}
		if err := c.set(path, values[path], value, name); err != nil {
			return err
		}
	}
	for path, value := range flags {
		if err := c.set(path, values[path], value, "--"+path); err != nil {
			return err
		}
	}
	return nil
}

// set gives a setting the value that by, a variable or a flag, has.
func (c *Config) set(path string, v reflect.Value, value, by string) error {
	c.places.over[path] = by
	err := set(v, value)
	if m, ok := errors.AsType[*mistake](err); ok {
		return c.places.wrong(path+m.path, m.text)
	}
	if err != nil {
		return c.Wrong(path, err)
	}
	return nil
}

// ours are variables that other parts of the program read.
var ours = []string{"CUSTODY_TRAIL", "CUSTODY_TOKEN", "CUSTODY_KEYS", "CUSTODY_CONFIG"}

// fields yields the settings of a struct by their paths, in order.
func fields(v reflect.Value, prefix string) func(func(string, reflect.Value) bool) {
	return func(yield func(string, reflect.Value) bool) {
		for i := range v.NumField() {
			if !v.Type().Field(i).IsExported() {
				continue
			}
			path := prefix + v.Type().Field(i).Tag.Get("yaml")
			if f := v.Field(i); f.Kind() == reflect.Struct {
				for p, inner := range fields(f, path+".") {
					if !yield(p, inner) {
						return
					}
				}
			} else if !yield(path, f) {
				return
			}
		}
	}
}

func set(v reflect.Value, value string) (err error) {
	switch p := v.Addr().Interface().(type) {
	case *string:
		*p = value
	case *int:
		*p, err = strconv.Atoi(value)
	case *bool:
		*p, err = strconv.ParseBool(value)
	case *Duration:
		err = p.UnmarshalText([]byte(value))
	case *Size:
		err = p.UnmarshalText([]byte(value))
	case *Mode:
		err = p.UnmarshalText([]byte(value))
	default:
		err = setList(v, value)
	}
	if _, ok := errors.AsType[*strconv.NumError](err); ok {
		return fmt.Errorf("%q cannot be read; it has to be %s", value, kindInWords(v.Type()))
	}
	return err
}

func text(v reflect.Value) string {
	if s, ok := v.Interface().(fmt.Stringer); ok {
		return s.String()
	}
	if v.Kind() == reflect.Slice {
		return listText(v)
	}
	return fmt.Sprint(v.Interface())
}

// complain takes what is wrong with the setting at a path.
type complain func(path, format string, args ...any)

// validate returns everything that is wrong.
func (c *Config) validate() error {
	var all mistakes
	bad := all.add
	if c.Version != 1 {
		bad("version", "it is %d; this program reads version 1", c.Version)
	}
	if c.Data == "" {
		bad("data", "a directory is needed")
	}
	host, port, err := net.SplitHostPort(c.Listen)
	if err != nil {
		bad("listen", "%q is not HOST:PORT", c.Listen)
	} else if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		bad("listen", "%q is no port", port)
	} else if !c.TLS.On() && !isLoopback(host) && !c.Unprotected.BehindProxy {
		bad("listen", "%s can be reached by others, and there is no TLS; give tls.certificate and tls.key, or set unprotected.behind_proxy if a proxy in front speaks TLS", c.Listen)
	}
	switch {
	case c.TLS.Certificate != "" && c.TLS.Key == "":
		bad("tls.certificate", "there is no tls.key; the two go together")
	case c.TLS.Certificate == "" && c.TLS.Key != "":
		bad("tls.key", "there is no tls.certificate; the two go together")
	}
	if c.Timestamps.URL != "" {
		if u, err := url.Parse(c.Timestamps.URL); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			bad("timestamps.url", "it is no URL of a server that begins with http:// or https://")
		}
	}
	for name, d := range map[string]Duration{"retention.every": c.Retention.Every, "witnesses.every": c.Witnesses.Every, "timestamps.every": c.Timestamps.Every, "session.idle": c.Session.Idle, "session.longest": c.Session.Longest} {
		if time.Duration(d) < time.Second {
			bad(name, "%s is shorter than a second", d)
		}
	}
	if c.Retention.Policy != "" && strings.TrimSpace(c.Retention.By) == "" {
		bad("retention.by", "who applies the policy is recorded, so it needs a name")
	}
	for name, s := range map[string]Size{"limits.body": c.Limits.Body, "limits.payload": c.Limits.Payload, "limits.pending": c.Limits.Pending} {
		if s < 1<<10 || s > 1<<40 {
			bad(name, "%s is not between 1KiB and 1TiB", s)
		}
	}
	if c.Limits.Payload > c.Limits.Body {
		bad("limits.payload", "%s does not fit into limits.body, %s", c.Limits.Payload, c.Limits.Body)
	}
	c.Alerts.validate(bad)
	c.Producers.validate(bad)
	c.validateAccess(bad)
	c.validateOTLP(bad)
	c.Removal.validate(bad)
	return all.at(c.places)
}

// On reports whether the server speaks TLS.
func (t *TLS) On() bool { return t.Certificate != "" && t.Key != "" }

// Local reports whether nobody but who is on this machine reaches the server. An external
// URL of another machine means that a proxy brings others to it.
func (c *Config) Local() bool {
	host, _, err := net.SplitHostPort(c.Listen)
	if err != nil || !isLoopback(host) || c.Unprotected.BehindProxy {
		return false
	}
	u, err := url.Parse(c.ExternalURL)
	return c.ExternalURL == "" || err == nil && isLoopback(u.Hostname())
}

// isLoopback reports whether only this machine reaches a host.
func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// Duration is a length of time, written as 90s, 15m or 24h.
type Duration time.Duration

func (d Duration) String() string { return time.Duration(d).String() }

// MarshalText implements encoding.TextMarshaler.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Duration) UnmarshalText(b []byte) error {
	v, err := time.ParseDuration(string(b))
	if err != nil {
		return fmt.Errorf("%q is no length of time; write 90s, 15m or 24h", b)
	}
	*d = Duration(v)
	return nil
}

// Size is a number of bytes, written as 512KiB, 16MiB or 1GiB, or without a unit.
type Size int64

var units = []struct {
	name  string
	bytes int64
}{{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}}

func (s Size) String() string {
	for _, u := range units {
		if int64(s) >= u.bytes && int64(s)%u.bytes == 0 {
			return strconv.FormatInt(int64(s)/u.bytes, 10) + u.name
		}
	}
	return strconv.FormatInt(int64(s), 10)
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *Size) UnmarshalText(b []byte) error {
	digits, unit := string(b), int64(1)
	for _, u := range units {
		if d, ok := strings.CutSuffix(digits, u.name); ok {
			digits, unit = d, u.bytes
			break
		}
	}
	n, err := strconv.ParseInt(strings.TrimSpace(digits), 10, 64)
	if err != nil || n < 0 || n > (1<<62)/unit {
		return fmt.Errorf("%q is no size; write 512KiB, 16MiB or 1GiB", b)
	}
	*s = Size(n * unit)
	return nil
}
