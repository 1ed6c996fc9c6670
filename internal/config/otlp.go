package config

import (
	"net"
	"strconv"
)

// OTLP says where agents and collectors find the server beside listen, which takes OTLP
// over HTTP as well (docs/otlp.md). The rules of access are those of listen.
type OTLP struct {
	ListenHTTP string `yaml:"listen_http"` // address, HOST:PORT, usually with port 4318; empty: none
	ListenGRPC string `yaml:"listen_grpc"` // the same for gRPC, usually with port 4317; empty: none
}

// validateOTLP says what is wrong. Where whoever is on this machine may do everything,
// nobody else may reach the server.
func (c *Config) validateOTLP(bad complain) {
	for name, address := range map[string]string{"otlp.listen_http": c.OTLP.ListenHTTP, "otlp.listen_grpc": c.OTLP.ListenGRPC} {
		if address == "" {
			continue
		}
		host, port, err := net.SplitHostPort(address)
		if err != nil {
			bad(name, "%q is not HOST:PORT", address)
			continue
		}
		_, err = strconv.ParseUint(port, 10, 16)
		switch {
		case err != nil:
			bad(name, "%q is no port", port)
		case isLoopback(host):
		case c.Local():
			bad(name, "%s can be reached by others, and whoever reaches this server may do everything, since listen is for this machine alone; give listen an address that others reach too, so that everybody has to show who they are", address)
		case !c.TLS.On() && !c.Unprotected.BehindProxy:
			bad(name, "%s can be reached by others, and there is no TLS; give tls.certificate and tls.key, or set unprotected.behind_proxy if a proxy in front speaks TLS", address)
		}
	}
}
