package config

import (
	"strings"
	"testing"
	"time"
)

func TestRemoval(t *testing.T) {
	c, _, err := load(t, "version: 1\nremoval: {second_person: true, delay: 0s}", "CUSTODY_REMOVAL_EXPIRES=48h")
	if err != nil || !c.Removal.SecondPerson || c.Removal.Delay != 0 || time.Duration(c.Removal.Expires) != 48*time.Hour {
		t.Errorf("%+v, %v", c, err)
	}
	for content, want := range map[string]string{
		"removal: {delay: -1h}":         "removal.delay: -1h0m0s is not between",
		"removal: {delay: 10000h}":      "removal.delay",
		"removal: {expires: 1s}":        "removal.expires: 1s is not between",
		"removal: {second_person: two}": "true or false",
	} {
		if _, _, err := load(t, "version: 1\n"+content); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", content, err, want)
		}
	}
}
