package connect

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/custodylog/custody/ingest/hooks"
)

// setting is a member that an object of the settings is to have.
type setting struct {
	name  string
	value any
}

// object is an object of the settings with members that we need.
type object struct {
	name     string
	settings []setting
}

// jsonAgent is an agent whose settings are JSON.
type jsonAgent struct {
	file    func(*Options) (string, error)
	events  func(*Options) []string
	hook    func(o *Options, event string) any
	objects func(*Options) []object // for telemetry
	notes   func(*Options) []string
	version bool // the settings have a version, 1
}

func (a jsonAgent) agent() agent { return agent{a.file, a.events, a.strip, a.add} }

func (a jsonAgent) add(text []byte, o *Options) ([]byte, []string, error) {
	d, err := parseDocument(text)
	if err != nil {
		return nil, nil, err
	}
	if a.version && d.find("version") == nil {
		if err := d.insert(d.root, "version", 1); err != nil {
			return nil, nil, err
		}
	}
	for _, event := range a.events(o) {
		list, err := d.container(true, "hooks", event)
		if err == nil {
			err = d.insert(list, "", a.hook(o, event))
		}
		if err != nil {
			return nil, nil, err
		}
	}
	var notes []string
	if o.Telemetry != "" && a.objects != nil {
		for _, obj := range a.objects(o) {
			said, err := d.set(obj)
			if err != nil {
				return nil, nil, err
			}
			notes = append(notes, said...)
		}
	}
	if a.notes != nil {
		notes = append(notes, a.notes(o)...)
	}
	return d.text, notes, nil
}

// set gives an object the members that it does not have.
func (d *document) set(obj object) (notes []string, err error) {
	for _, s := range obj.settings {
		n, err := d.container(false, obj.name)
		if err != nil {
			return nil, err
		}
		if i := n.member(s.name); i < 0 {
			if err := d.insert(n, s.name, s.value); err != nil {
				return nil, err
			}
		} else if v := d.decode(n.items[i]); v != s.value {
			notes = append(notes, fmt.Sprintf("%s.%s is %v already and stays so; for telemetry it has to be %v", obj.name, s.name, v, s.value))
		}
	}
	return notes, nil
}

func (a jsonAgent) strip(text, before []byte, url string) ([]byte, bool, error) {
	d, err := parseDocument(text)
	if err != nil {
		return nil, false, err
	}
	was, err := parseDocument(before)
	if err != nil {
		return nil, false, err
	}
	found, err := d.stripHooks(was, url)
	if err != nil || !found {
		return d.text, found, err
	}
	if a.objects != nil {
		for _, obj := range a.objects(&Options{}) {
			for _, s := range obj.settings {
				if was.find(obj.name, s.name) != nil {
					continue
				}
				if err := d.drop(obj.name, s.name); err != nil {
					return nil, false, err
				}
			}
			if err := d.dropEmpty(was, obj.name); err != nil {
				return nil, false, err
			}
		}
	}
	if a.version && was.find("version") == nil && len(d.root.items) == 1 {
		err = d.drop("version")
	}
	return d.text, true, err
}

// stripHooks takes our hooks out, with the lists that are empty then and were not there
// before.
func (d *document) stripHooks(was *document, url string) (found bool, err error) {
	all := d.find("hooks")
	if all == nil || !d.isObject(all) {
		return false, nil
	}
	for _, event := range all.names {
		mine, err := d.stripList(url, "hooks", event)
		if err != nil {
			return false, err
		}
		if mine {
			found = true
			if err := d.dropEmpty(was, "hooks", event); err != nil {
				return false, err
			}
		}
	}
	if !found {
		return false, nil
	}
	return true, d.dropEmpty(was, "hooks")
}

// stripList takes our hooks out of a list of hooks, or of groups of hooks.
func (d *document) stripList(url string, path ...string) (found bool, err error) {
	for i := 0; ; {
		list := d.find(path...)
		if list == nil || !d.isArray(list) || i >= len(list.items) {
			return found, nil
		}
		item := list.items[i]
		inner := item.member("hooks")
		switch {
		case inner < 0 && isOurs(d.decode(item), url):
			err = d.remove(list, i)
		case inner >= 0 && d.isArray(item.items[inner]):
			group := item.items[inner]
			k := slices.IndexFunc(group.items, func(n *node) bool { return isOurs(d.decode(n), url) })
			switch {
			case k < 0:
				i++
				continue
			case len(group.items) == 1:
				err = d.remove(list, i)
			default:
				err = d.remove(group, k)
			}
		default:
			i++
			continue
		}
		if err != nil {
			return false, err
		}
		found = true
	}
}

// isOurs reports whether a hook is one of those that this package puts in, or posts to
// url. Others take hooks at addresses of the same form, so that alone says nothing.
func isOurs(hook any, url string) bool {
	h, _ := hook.(map[string]any)
	if address, ok := h["url"].(string); ok {
		headers, _ := h["headers"].(map[string]any)
		return headers[markHeader] != nil || url != "" && address == url
	}
	for _, name := range []string{"command", "bash"} {
		if text, ok := h[name].(string); ok && isOurCommand(text) {
			return true
		}
	}
	return false
}

// isOurCommand reports whether a command line is that of a hook of ours.
func isOurCommand(text string) bool {
	return strings.Contains(text, " --trail ") && slices.ContainsFunc(hooks.Products(), func(name string) bool {
		return strings.Contains(text, " hook "+name+" ")
	})
}

// drop removes a member, if it is there.
func (d *document) drop(path ...string) error {
	last := len(path) - 1
	in := d.find(path[:last]...)
	if in == nil {
		return nil
	}
	if i := in.member(path[last]); i >= 0 {
		return d.remove(in, i)
	}
	return nil
}

// dropEmpty removes a member that holds nothing, unless it was there before.
func (d *document) dropEmpty(was *document, path ...string) error {
	if n := d.find(path...); n != nil && was.find(path...) == nil && len(n.items) == 0 && (d.isObject(n) || d.isArray(n)) {
		return d.drop(path...)
	}
	return nil
}

// sameJSON reports whether two texts say the same.
func sameJSON(a, b []byte) bool {
	x, xerr := parseDocument(a)
	y, yerr := parseDocument(b)
	return xerr == nil && yerr == nil && reflect.DeepEqual(x.decode(x.root), y.decode(y.root))
}
