package alert

import "github.com/prometheus/client_golang/prometheus"

// metrics counts alerts.
type metrics struct {
	raised    *prometheus.CounterVec
	delivered *prometheus.CounterVec
	failed    *prometheus.CounterVec
	seconds   *prometheus.HistogramVec
}

func newMetrics() *metrics {
	return &metrics{
		raised:    prometheus.NewCounterVec(prometheus.CounterOpts{Name: "custody_alerts_raised_total", Help: "Alerts that were raised, by rule, or by code where they are of the operation."}, []string{"alert"}),
		delivered: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "custody_alerts_delivered_total", Help: "Alerts that a webhook took."}, []string{"webhook"}),
		failed:    prometheus.NewCounterVec(prometheus.CounterOpts{Name: "custody_alerts_failed_total", Help: "Alerts that did not reach a webhook and were given up."}, []string{"webhook"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "custody_alert_delivery_seconds", Help: "How long it took until a webhook had taken an alert.",
			Buckets: prometheus.ExponentialBuckets(0.01, 6, 9)}, []string{"webhook"}),
	}
}

var (
	activeDesc = prometheus.NewDesc("custody_alerts_active", "1 for each alert of the operation that is not over.", []string{"alert", "trail"}, nil)
	queuedDesc = prometheus.NewDesc("custody_alerts_queued", "Alerts that wait to be taken by a webhook.", []string{"webhook"}, nil)
)

// Describe implements prometheus.Collector.
func (a *Alerts) Describe(out chan<- *prometheus.Desc) {
	for _, c := range a.metrics.all() {
		c.Describe(out)
	}
	out <- activeDesc
	out <- queuedDesc
}

// Collect implements prometheus.Collector.
func (a *Alerts) Collect(out chan<- prometheus.Metric) {
	for _, c := range a.metrics.all() {
		c.Collect(out)
	}
	a.mu.Lock()
	for k := range a.active {
		out <- prometheus.MustNewConstMetric(activeDesc, prometheus.GaugeValue, 1, k.code, k.trail)
	}
	a.mu.Unlock()
	for i := range a.webhooks {
		name := a.webhooks[i].Name
		out <- prometheus.MustNewConstMetric(queuedDesc, prometheus.GaugeValue, float64(a.queue.count(name)), name)
	}
}

func (m *metrics) all() []prometheus.Collector {
	return []prometheus.Collector{m.raised, m.delivered, m.failed, m.seconds}
}
