package config

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/goccy/go-yaml"
)

// setList reads a list as it stands in the environment: in the flow style of YAML, of
// which JSON is a part.
func setList(v reflect.Value, value string) error {
	if len(value) > maxFile {
		return fmt.Errorf("it has more than %d bytes", maxFile)
	}
	list := reflect.New(v.Type())
	if _, err := decode([]byte(value), list.Interface()); err != nil {
		return err
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
