# make demo   build, start the practice fleet, run plan, apply, check on it
# make test   install what the tests need (apt, when root), vet, test with -race
# make e2e    real Debian hosts under systemd and a VM with its own kernel (root)
# make e2e-slow  with NVIDIA's real packages, half a gigabyte, and their real builds, and Kubernetes' own API server (root; 90 minutes)
# make lint bench fuzz

SHELL      := /bin/bash
.SHELLFLAGS := -euo pipefail -c
export CGO_ENABLED ?= 1

VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
LDFLAGS  := -s -w -X main.version=$(VERSION)
TOOLS    := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/runai-prep-tools
GOLANGCI := v2.15.0
FUZZTIME ?= 30s

# What the tests need beside Go: an OpenSSH server and client, the shells that
# probes must run under, and for real hosts systemd-nspawn, mmdebstrap, qemu.
PACKAGES := openssh-server openssh-client sudo dash bash busybox tcsh fish util-linux procps iproute2 \
            systemd-container mmdebstrap nftables dpkg-dev gnupg e2fsprogs qemu-system-x86 gcc libc6-dev git

.PHONY: build test e2e e2e-slow demo lint bench fuzz deps clean

build:
	CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o bin/runai-prep ./cmd/runai-prep

demo: build
	bin/runai-prep lab bin/practice -- sh $(CURDIR)/examples/demo.sh

test: deps
	test -z "$$(gofmt -l .)" || { gofmt -l .; echo 'run gofmt -w on these'; exit 1; }
	go vet ./...
	go test -race -timeout 40m $(TESTFLAGS) ./...

e2e: deps
	RUNAI_PREP_E2E=require RUNAI_PREP_E2E_VM=1 RUNAI_PREP_E2E_LONG=1 go test -count=1 -v -timeout 2h $(TESTFLAGS) ./internal/e2e/...

e2e-slow: deps
	RUNAI_PREP_E2E=require RUNAI_PREP_E2E_SLOW=1 go test -count=1 -v -timeout 4h -run '^TestReal' $(TESTFLAGS) ./internal/e2e

# dpkg-query first: most runs find everything there and need no package lists.
deps:
	@if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  missing=; for p in $(PACKAGES); do \
	    dpkg-query -W -f '$${db:Status-Abbrev}' $$p 2>/dev/null | grep -q '^ii' || missing="$$missing $$p"; done; \
	  if [ -n "$$missing" ]; then echo "installing$$missing"; \
	    apt-get update -qq; DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing >/dev/null; fi; \
	else echo "not root, or no apt: tests that need $(PACKAGES) say what they miss and skip"; fi

lint: $(TOOLS)/golangci-lint-$(GOLANGCI)/golangci-lint
	$< run ./...

$(TOOLS)/golangci-lint-$(GOLANGCI)/golangci-lint:
	GOBIN=$(@D) go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI)

# Benchmarks print ratios measured in one run: these machines are shared.
bench:
	go test -run '^$$' -bench . -benchmem $(TESTFLAGS) ./...

fuzz:
	for package in $$(go list ./...); do \
	  for target in $$(go test -list '^Fuzz' $$package | grep '^Fuzz' || true); do \
	    go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) $$package; done; done

clean:
	rm -rf bin dist
