package main

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
)

// listenOTLP listens where agents look for a receiver of OTLP, if the configuration
// says so, with TLS if the server speaks it.
func (s *service) listenOTLP(ctx context.Context) (all []net.Listener, err error) {
	for name, address := range map[string]string{"otlp.listen_http": s.cfg.OTLP.ListenHTTP, "otlp.listen_grpc": s.cfg.OTLP.ListenGRPC} {
		if address == "" {
			continue
		}
		l, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
		if err != nil {
			return nil, errors.Join(withHint(err, "give %s another address, or none", name), closeAll(all))
		}
		s.log.Info("custody: agents can export telemetry", "setting", name, "address", l.Addr().String())
		all = append(all, l)
	}
	if !s.cfg.TLS.On() {
		return all, nil
	}
	speaks, err := s.tlsConfig()
	if err != nil {
		return nil, errors.Join(err, closeAll(all))
	}
	for i := range all {
		all[i] = tls.NewListener(all[i], speaks)
	}
	return all, nil
}

// protocols returns what the server speaks. gRPC without TLS needs HTTP/2 without TLS.
func (s *service) protocols() *http.Protocols {
	p := new(http.Protocols)
	p.SetHTTP1(true)
	p.SetHTTP2(true)
	p.SetUnencryptedHTTP2(s.cfg.OTLP.ListenGRPC != "")
	return p
}
