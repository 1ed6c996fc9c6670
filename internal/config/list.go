package config

import (
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/goccy/go-yaml"
)

// setList reads a list as it stands in the environment: in the flow style of YAML, of
// which JSON is a part.
func setList(v reflect.Value, value string) (err error) {
	if len(value) > maxFile {
		return fmt.Errorf("it has more than %d bytes", maxFile)
	}
	defer func() {
		if r := recover(); r != nil { // as in parse
			err = fmt.Errorf("it is not YAML that can be read: %v", r)
		}
	}()
	list := reflect.New(v.Type())
	if err := yaml.UnmarshalWithOptions([]byte(value), list.Interface(), yaml.Strict()); err != nil {
		return errors.New(strings.TrimSpace(err.Error()))
	}
	v.Set(list.Elem())
	return nil
}

// listText writes a list in the style that setList reads.
func listText(v reflect.Value) string {
	if v.Len() == 0 {
		return "[]"
	}
	b, err := yaml.MarshalWithOptions(v.Interface(), yaml.JSON())
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(string(b))
}
