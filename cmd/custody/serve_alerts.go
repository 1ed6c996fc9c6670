package main

import (
	"fmt"
	"os"
	"time"

	"github.com/custodylog/custody/event"
	"github.com/custodylog/custody/internal/alert"
	"github.com/custodylog/custody/internal/config"
	"github.com/custodylog/custody/internal/ui"
	"github.com/custodylog/custody/internal/vfs"
)

// startAlerts begins to raise alerts and to look after the operation, as the
// configuration says.
func (s *service) startAlerts() (err error) {
	c := &s.cfg.Alerts
	cfg := alert.Config{Trails: s.trails, Every: time.Duration(c.Every), GiveUp: time.Duration(c.GiveUp), Logger: s.log}
	if s.cfg.Witnesses.Policy != "" {
		cfg.Witnesses = time.Duration(s.cfg.Witnesses.Every)
	}
	for _, r := range c.Rules {
		rule := alert.Rule{Name: r.Name, Trails: r.Trails, Severity: event.Severity(r.Severity), Where: r.Where,
			Count: r.Count, Window: time.Duration(r.Window), Cooldown: time.Duration(r.Cooldown)}
		for _, t := range r.Types {
			rule.Types = append(rule.Types, event.Type(t))
		}
		cfg.Rules = append(cfg.Rules, rule)
	}
	for i, w := range c.Webhooks {
		secret, err := secretOf(&w)
		if err != nil {
			return fmt.Errorf("alerts.webhooks[%d]: %w", i, err)
		}
		cfg.Webhooks = append(cfg.Webhooks, alert.Webhook{Name: w.Name, URL: w.URL, Secret: secret, Rules: w.Rules})
	}
	s.alerts, err = alert.Start(cfg)
	return err
}

// maxSecretFile bounds the file of a secret, in bytes.
const maxSecretFile = 4096

// secretOf reads the secret of a webhook.
func secretOf(w *config.Webhook) (alert.Secret, error) {
	where, text := "the environment variable "+w.SecretEnv, os.Getenv(w.SecretEnv)
	if w.SecretFile != "" {
		b, err := vfs.ReadFile(vfs.OS{}, w.SecretFile, maxSecretFile)
		if err != nil {
			return alert.Secret{}, err
		}
		where, text = w.SecretFile, string(b)
	}
	secret, err := alert.ParseSecret(text)
	if err != nil {
		return alert.Secret{}, fmt.Errorf("%s: %w", where, err)
	}
	return secret, nil
}

// shownAlerts returns what the page tells of.
func shownAlerts(alerts *alert.Alerts) func() []ui.Alert {
	return func() (shown []ui.Alert) {
		for _, a := range alerts.Active() {
			title := a.Code
			if a.Rule != "" {
				title = a.Rule
			}
			if a.Trail != "" {
				title = a.Trail + ": " + title
			}
			shown = append(shown, ui.Alert{Title: title, Detail: a.Detail, Since: a.Since, Critical: a.Stops})
		}
		return shown
	}
}
