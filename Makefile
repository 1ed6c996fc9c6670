# make help lists the targets. Go, make and git are enough for all of them; the
# race detector, which make test uses where it can, also needs a C compiler.

GO       ?= go
FUZZTIME ?= 60s

# Tools have their versions in tools/go.mod, apart from what the product needs.
TOOL := $(GO) tool -modfile=tools/go.mod

SHELL       := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

.PHONY: help build test lint fuzz bench cover generate demo

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## build bin/custody, one static binary
	CGO_ENABLED=0 $(GO) build -trimpath -o bin/custody ./cmd/custody

# The race detector takes several times the memory of what it watches, so test
# binaries collect their garbage before they reach 1 GiB.

# RACE is -race where the race detector can be linked, and empty elsewhere.
RACE = $(shell CGO_ENABLED=1 $(GO) build -race -o /dev/null ./internal/testcount 2>/dev/null && echo -race)

# The race detector needs a C compiler. Where that can be installed, it is.
.PHONY: compiler
compiler:
	@if ! command -v "$$($(GO) env CC)" >/dev/null && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo "installing gcc, which the race detector needs"; \
		apt-get -q update && apt-get -qy install gcc libc6-dev; \
	fi

test: compiler ## check generated files, import direction and go vet, then run all tests; in CI (CI=true) none may be skipped
	$(GO) run ./internal/gen -check
	$(GO) test -count=1 ./internal/deps
	$(GO) vet ./...
	@race="$(RACE)"; \
	if [ -z "$$race" ]; then \
		echo "WARNING: no race detector: it needs cgo and a C compiler, such as gcc with the C library's headers" >&2; \
		if [ "$${CI:-}" = true ]; then echo "ERROR: in CI tests run with the race detector; install a C compiler" >&2; exit 1; fi; \
	fi; \
	echo "go test $$race ./... and, in interop, go test ./..."; \
	{ GOMEMLIMIT=1GiB CGO_ENABLED=$${race:+1} $(GO) test $$race -timeout 20m -json ./... || failed=1; \
	$(INTEROP) || failed=1; exit $${failed:-0}; } | $(GO) run ./internal/testcount $(if $(filter true,$(CI)),-noskip)

# Faults and crashes at every operation, and what else takes long, are tested in part
# by make test: each time another part, by chance.
.PHONY: test-long
test-long: export TEST_LONG = 1
test-long: ## the tests that make test does in part, as a whole; without the race detector
	$(GO) test -count=1 -timeout 3h -json ./... | $(GO) run ./internal/testcount

# What others make reads our trails. It is a module of its own, whose programs are
# built for it.
INTEROP = $(GO) -C interop test -count=1 -json ./...

.PHONY: interop
interop: ## have a trail read, checked and cosigned by Tessera's fsck, Torchwood and litewitness
	$(GO) -C interop vet ./...
	$(INTEROP) | $(GO) run ./internal/testcount -noskip

# Agents that are not ours, in the versions that docs/agents.md names.
AGENTS = @anthropic-ai/claude-code@2.1.197 @openai/codex@0.169.0 @google/gemini-cli@0.61.0

.PHONY: agents
agents: build ## connect Claude Code, Codex and Gemini CLI of the npm registry, and let each make a call; with models that are none
	npm install --prefix bin/agents --no-audit --no-fund --prefer-offline $(AGENTS)
	$(GO) -C interop test -tags agents -count=1 -timeout 10m ./agents -custody "$(CURDIR)/bin/custody" -npm "$(CURDIR)/bin/agents/node_modules/.bin"

# What the collector is built of is in interop/collector/manifest.yaml, in the same version.
COLLECTOR_BUILDER = go.opentelemetry.io/collector/cmd/builder@v0.165.0

.PHONY: interop-collector
interop-collector: build ## build an OpenTelemetry Collector, and have it export to a server that is away, busy and killed
	$(GO) run $(COLLECTOR_BUILDER) --config interop/collector/manifest.yaml
	$(GO) -C interop test -tags collector -count=1 -timeout 10m ./collector -custody "$(CURDIR)/bin/custody" -collector "$(CURDIR)/bin/collector/collector"

lint: ## gofmt, go vet, staticcheck, govulncheck
	@unformatted="$$(find . -path ./bin -prune -o -name '*.go' -print0 | xargs -0 "$$($(GO) env GOROOT)/bin/gofmt" -l)"; \
	if [ -n "$$unformatted" ]; then echo "not formatted, run gofmt -w on:" $$unformatted >&2; exit 1; fi
	$(GO) vet ./...
	$(TOOL) staticcheck ./...
	@tools/vulncheck $(TOOL) govulncheck ./...

fuzz: ## run each fuzz target of all packages for FUZZTIME (60s)
	@$(GO) test -list '^Fuzz' ./... | awk '/^Fuzz/ { t[n++] = $$1 } /^ok/ { for (i = 0; i < n; i++) print $$2, t[i]; n = 0 }' | \
	while read -r package target; do \
		echo "$$package $$target"; \
		$(GO) test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) "$$package" < /dev/null; \
	done

bench: build compiler ## measure: Go benchmarks, custody bench, and the same events on SQLite, Pebble and bbolt
	$(GO) test -run '^$$' -bench . -benchmem ./...
	bin/custody bench
	cd bench && $(GO) run .

.PHONY: bench-server
bench-server: build ## measure custody serve beside a bare HTTP handler and the library; MEMORY=10m watches its memory for long
	$(GO) run ./internal/benchserver $(if $(MEMORY),-memory $(MEMORY))

.PHONY: bench-mcp
bench-mcp: ## measure how long a call takes through custody mcp, and without it
	$(GO) test -run '^$$' -bench Latency ./internal/mcprecorder

EVENTS ?= 1000000

.PHONY: bench-page screenshots
bench-page: ## measure the first pages of a trail of EVENTS (1000000) events; DIR keeps its data directory, or uses one again
	$(GO) test -run '^$$' -bench FirstScreen -benchtime 50x -timeout 60m ./internal/ui -page-events $(EVENTS) $(if $(DIR),-page-data "$(abspath $(DIR))")

screenshots: ## write pictures of every page, light and wide, dark and narrow, into bin/screenshots
	@mkdir -p bin/screenshots
	SCREENSHOTS="$(abspath bin/screenshots)" $(GO) test -count=1 -run 'TestPages|TestVerifyButton' ./internal/ui

cover: ## write coverage.out and coverage.html
	$(GO) test -coverprofile=coverage.out -coverpkg=./... ./...
	$(GO) tool cover -html=coverage.out -o coverage.html
	@$(GO) tool cover -func=coverage.out | tail -n 1

generate: ## write generated files anew
	$(GO) generate ./...

# DATA is a directory of what agents and systems wrote; empty: the data of the
# repository alone.
DATA ?= $(wildcard ../shared/data)

.PHONY: redaction-report
redaction-report: ## measure what redaction finds, misses and takes for a secret; WRITE=1 writes it into docs/redaction.md
	$(GO) run ./internal/redactionreport $(if $(DATA),-data "$(DATA)") $(if $(WRITE),-write)

demo: build ## show on this machine what custody does
	bin/custody demo
