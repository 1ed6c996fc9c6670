package server

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/custodylog/custody"
)

// metrics is what the server tells Prometheus.
type metrics struct {
	registry *prometheus.Registry
	handler  http.Handler
	requests *prometheus.CounterVec
	answers  *prometheus.HistogramVec
	findings *prometheus.GaugeVec
}

func newMetrics(s *Server) *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "custody_http_requests_total", Help: "Requests that were answered, by route and status."}, []string{"route", "status"}),
		answers: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "custody_http_request_seconds", Help: "How long answers took, streams included.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 4, 9)}, []string{"route"}),
		findings: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "custody_verification_findings", Help: "Findings of the last verification that came to its end, also before the server was started."}, []string{"trail"}),
	}
	m.registry.MustRegister(m.requests, m.answers, m.findings, &trailMetrics{s},
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m.handler = promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{DisableCompression: true}) // ours does it
	return m
}

// serve serves
//
//	GET /metrics
func (m *metrics) serve(w http.ResponseWriter, r *http.Request) { m.handler.ServeHTTP(w, r) }

// trailMetrics reads what the trails are when it is asked. It implements
// prometheus.Collector.
type trailMetrics struct{ s *Server }

var (
	entriesDesc   = prometheus.NewDesc("custody_entries", "Entries of the trail.", []string{"trail"}, nil)
	commitsDesc   = prometheus.NewDesc("custody_commit_entries", "Entries of each commit since the server started.", []string{"trail"}, nil)
	syncDesc      = prometheus.NewDesc("custody_commit_sync_seconds", "How long it took until the disk had made a commit durable (fdatasync).", []string{"trail"}, nil)
	appendDesc    = prometheus.NewDesc("custody_append_seconds", "How long it took until what was recorded at once was on the disk, by whichever way it came; what the server tells of itself included.", []string{"trail"}, nil)
	eventsDesc    = prometheus.NewDesc("custody_events_acknowledged_total", "Events that were recorded since the server started, by whichever way they came, those included that were there already and what the server tells of itself.", []string{"trail"}, nil)
	bytesDesc     = prometheus.NewDesc("custody_bytes", "What the trail takes on the disk.", []string{"trail"}, nil)
	writableDesc  = prometheus.NewDesc("custody_writable", "1 if the trail can be recorded in.", []string{"trail"}, nil)
	witnessedDesc = prometheus.NewDesc("custody_cosigned_entries", "Entries that the newest checkpoint with cosignatures covers; not verified.", []string{"trail"}, nil)
	cosignedDesc  = prometheus.NewDesc("custody_cosigned_timestamp_seconds", "When the newest checkpoint with cosignatures was cosigned last, as its witnesses say; not verified.", []string{"trail"}, nil)
	freeDesc      = prometheus.NewDesc("custody_disk_free_bytes", "Room that is left on the disk of the data directory.", nil, nil)
	totalDesc     = prometheus.NewDesc("custody_disk_bytes", "Size of the disk of the data directory.", nil, nil)
	lagDesc       = prometheus.NewDesc("custody_follower_lag_entries", "Entries that what follows the trail in the server has not taken yet.", []string{"trail", "follower"}, nil)
	followersDesc = prometheus.NewDesc("custody_followers", "Streams and long polls that wait for events.", nil, nil)
)

// Describe implements prometheus.Collector.
func (c *trailMetrics) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{entriesDesc, commitsDesc, syncDesc, appendDesc, eventsDesc, bytesDesc, writableDesc, witnessedDesc, cosignedDesc, freeDesc, totalDesc, lagDesc, followersDesc} {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (c *trailMetrics) Collect(out chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	ctx := context.Background()
	found, err := c.s.writableTrails(ctx)
	if err != nil {
		c.s.log.Error("custody: which trails can be recorded in is not known", "err", err)
	}
	for _, t := range c.s.trails.List() {
		gauge(entriesDesc, float64(t.Size()), t.Name)
		commits := t.Commits()
		out <- histogramOf(commitsDesc, &commits.Entries, 0, 16, 1, t.Name)
		out <- histogramOf(syncDesc, &commits.Sync, 5, 23, 1e-6, t.Name)      // 32 µs to 8 s
		out <- histogramOf(appendDesc, &commits.Appends, 6, 24, 1e-6, t.Name) // 64 µs to 17 s
		out <- prometheus.MustNewConstMetric(eventsDesc, prometheus.CounterValue, float64(commits.Receipts), t.Name)
		if err == nil {
			writable := 0.0
			if found.trails[t.Name] == isWritable {
				writable = 1
			}
			gauge(writableDesc, writable, t.Name)
		}
		lags := map[string]uint64{} // of the slowest of that name
		for _, h := range t.Handlers() {
			lags[h.Name] = max(lags[h.Name], t.Size()-min(h.Next, t.Size()))
		}
		for name, lag := range lags {
			gauge(lagDesc, float64(lag), t.Name, name)
		}
		stats, err := t.Stats(ctx)
		if err != nil {
			c.s.log.Error("custody: a trail could not be measured", "trail", t.Name, "err", err)
			continue
		}
		gauge(bytesDesc, float64(stats.Bytes), t.Name)
		if c := stats.Cosigned; c != nil {
			gauge(witnessedDesc, float64(c.Size), t.Name)
			if !c.Time.IsZero() {
				gauge(cosignedDesc, float64(c.Time.Unix()), t.Name)
			}
		}
	}
	if free, total, err := c.s.trails.Free(); err == nil {
		gauge(freeDesc, float64(free))
		gauge(totalDesc, float64(total))
	}
	gauge(followersDesc, float64(len(c.s.followers)))
}

// histogramOf returns a distribution with the bounds 2^first to 2^last, which are so many
// of the metric's unit.
func histogramOf(desc *prometheus.Desc, d *custody.Distribution, first, last int, unit float64, labels ...string) prometheus.Metric {
	buckets, sum := map[float64]uint64{}, uint64(0)
	for i, n := range d.Sizes[:last+1] {
		if sum += n; i >= first {
			buckets[float64(uint64(1)<<i)*unit] = sum
		}
	}
	return prometheus.MustNewConstHistogram(desc, d.Count, float64(d.Sum)*unit, buckets, labels...)
}

// observation is what is seen of a request while it is answered. It also bounds how
// long the client may take to read.
type observation struct {
	http.ResponseWriter
	slow   time.Duration
	route  string // pattern; empty: nothing is there
	page   bool   // it is for the web page
	status int
}

// WriteHeader implements http.ResponseWriter.
func (o *observation) WriteHeader(status int) {
	if o.status == 0 && status >= 200 {
		o.status = status
	}
	o.ResponseWriter.WriteHeader(status)
}

// Write implements io.Writer. Each part has its own time to reach the client.
func (o *observation) Write(b []byte) (int, error) {
	http.NewResponseController(o.ResponseWriter).SetWriteDeadline(time.Now().Add(o.slow))
	return o.ResponseWriter.Write(b)
}

// Flush implements http.Flusher, which not everybody looks for behind Unwrap.
func (o *observation) Flush() { http.NewResponseController(o.ResponseWriter).Flush() }

// Unwrap is for http.ResponseController.
func (o *observation) Unwrap() http.ResponseWriter { return o.ResponseWriter }

type observationKey struct{}

// seen returns what is seen of a request.
func seen(ctx context.Context) *observation {
	if o, ok := ctx.Value(observationKey{}).(*observation); ok {
		return o
	}
	return &observation{}
}

// routeOf returns the pattern of a request.
func routeOf(ctx context.Context) string { return seen(ctx).route }

// observe counts requests, and bounds how long the client may take to send a body.
func (s *Server) observe(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		o := &observation{ResponseWriter: w, slow: s.limits.Slow}
		if r.Body != http.NoBody { // whoever reads it, and when nobody does
			http.NewResponseController(w).SetReadDeadline(time.Now().Add(s.limits.Slow))
		}
		start := time.Now()
		defer func() {
			route := o.route
			if route == "" {
				route = "none"
			}
			if o.status == 0 {
				o.status = http.StatusOK
			}
			s.metrics.requests.WithLabelValues(route, strconv.Itoa(o.status)).Inc()
			s.metrics.answers.WithLabelValues(route).Observe(time.Since(start).Seconds())
		}()
		next.ServeHTTP(o, r.WithContext(context.WithValue(r.Context(), observationKey{}, o)))
	})
}
