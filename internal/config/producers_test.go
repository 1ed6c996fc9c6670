package config

import (
	"strings"
	"testing"
	"time"
)

func TestProducers(t *testing.T) {
	c, _, err := Load("", []string{"CUSTODY_PRODUCERS_GRACE=2s", "CUSTODY_PRODUCERS_SILENCE=5"}, nil)
	if err != nil || time.Duration(c.Producers.Grace) != 2*time.Second || c.Producers.Silence != 5 {
		t.Errorf("got %+v, %v", c, err)
	}
	if c, _, err := Load("", nil, nil); err != nil || c.Producers != defaultProducers() {
		t.Errorf("default: %+v, %v", c, err)
	}
	for variable, want := range map[string]string{
		"CUSTODY_PRODUCERS_GRACE=1ms":  "producers.grace: ",
		"CUSTODY_PRODUCERS_GRACE=25h":  "producers.grace: ",
		"CUSTODY_PRODUCERS_SILENCE=0":  "producers.silence: ",
		"CUSTODY_PRODUCERS_SILENCE=51": "producers.silence: ",
	} {
		if _, _, err := Load("", []string{variable}, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", variable, err)
		}
	}
}
