# Every target says in one line what it is for; `make` shows them.
GO       ?= go
VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
DEBIAN   := tor strace python3-stem python3-txtorcon nyx tmux curl procps zstd gcc libc6-dev bash zsh fish mandoc bsdextrautils
FUZZTIME ?= 10s
BENCH    ?= .
SOAK     ?= 20000
SOAKTIME ?= 10m

.PHONY: help build test short demo lint bench microbench fuzz soak tools clean

help: ## show what can be made
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# Without cgo and the writer of manual pages that the command line's library
# has, a command starts in three quarters of the time.
build: ## build bin/torjournal
	CGO_ENABLED=0 $(GO) build -trimpath -tags urfave_cli_no_docs -ldflags "-s -w -X main.version=$(VERSION)" -o bin/torjournal ./cmd/torjournal

# -count=1: go would note every file that a test opens, to know later whether its
# result still holds, and cannot where a test limits how large files may become.
test: tools ## run every test with the race detector, on real tor; installs what the tests need
	$(GO) test -race -count=1 -timeout 30m ./...
	cd testdata/parquet && $(GO) test -count=1 .

short: ## run the tests that need nothing but Go, in seconds
	$(GO) test -short ./...

demo: tools build ## watch it work: a private Tor network, recorded, broken and told again
	$(GO) run ./cmd/torjournal-demo -torjournal bin/torjournal

lint: ## gofmt, go vet, staticcheck
	@out=$$(gofmt -l .); if [ -n "$$out" ]; then echo "gofmt -w these files:"; echo "$$out"; exit 1; fi
	$(GO) vet ./...
	cd testdata/bench && $(GO) vet .
	cd testdata/parquet && $(GO) vet .
	$(GO) tool staticcheck ./...

bench: tools build ## measure speed and size beside the peers (BENCH=regexp, QUICK=1, CORPUS=folder)
	cd testdata/bench && $(GO) run . -run '$(BENCH)' $(if $(QUICK),-quick) $(if $(CORPUS),-corpus '$(abspath $(CORPUS))')

microbench: ## run the benchmarks of each package (BENCH=regexp)
	$(GO) test -run '^$$' -bench '$(BENCH)' -benchmem ./...

fuzz: ## run every fuzz target for FUZZTIME (default 10s) each
	@for pkg in $$($(GO) list ./...); do \
	  for f in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz' || true); do \
	    echo "== $$pkg $$f"; $(GO) test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 1s $$pkg || exit 1; \
	  done; \
	done

soak: tools ## a busy recorder (SOAKTIME, 10m), then the random tests for hours: crashes, kills, the model (SOAK=checks), fuzzing (FUZZTIME, 10m)
	$(GO) test -timeout 24h -v -run '^TestSoak$$' ./cmd/torjournal/internal/daemon -soak $(SOAKTIME)
	$(GO) test -race -timeout 24h -v -run '^(TestCrashImages|TestKill|TestFailedCalls)$$' ./journal -soak
	$(GO) test -race -timeout 24h -v -run 'Model' ./journal -rapid.checks=$(SOAK)
	$(GO) test -race -timeout 24h -v -run '^TestKilledRecorder' ./cmd/torjournal -kill-rounds=100
	$(MAKE) fuzz FUZZTIME=$(if $(filter file,$(origin FUZZTIME)),10m,$(FUZZTIME))

tools: ## install the Debian packages that tests and demo use, where they are missing
	@missing=""; for p in $(DEBIAN); do dpkg -s $$p >/dev/null 2>&1 || missing="$$missing $$p"; done; \
	if [ -n "$$missing" ]; then \
	  sudo=""; [ "$$(id -u)" = 0 ] || sudo=sudo; \
	  echo "installing$$missing"; \
	  $$sudo apt-get update -qq && DEBIAN_FRONTEND=noninteractive $$sudo apt-get install -y -qq --no-install-recommends $$missing; \
	fi

clean: ## remove what was built and the cached test network
	rm -rf bin .cache
