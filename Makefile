# make demo     release the example apps into a local world, twice, and verify them
# make test     all tests
# make lint     formatting, vet, staticcheck, tidy modules, workflows
# make build    bin/mrelease
# make interop  cosign's and iexec's own programs judge what mrelease does
# make kill     kill a release at every step and at random, and finish it by running it again
# make rebuild  build an example twenty times, on five hosts and with four builders
# make fuzz     each fuzz target for FUZZTIME

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := build

GO ?= go
# The binary is static, so that the container image can be empty.
export CGO_ENABLED := 0
LDFLAGS := -s -w -buildid=

PACKAGES := ./...
TOOLS := act actionlint gotestsum staticcheck

.PHONY: interop rebuild build demo test test-go test-sandbox kill fuzz lint setup clean FORCE

build: bin/mrelease

bin/mrelease: FORCE
	@echo "compiling $@ (minutes the first time)"
	@$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $@ ./cmd/mrelease

bin/sandbox: FORCE
	@echo "compiling $@ (minutes the first time)"
	@cd sandbox && $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o ../$@ .

bin/baseimage: FORCE
	@cd sandbox && $(GO) build -trimpath -o ../$@ ./cmd/baseimage

# The stand-in toolchain, which goes into the base image: the same source must
# make the same bytes.
bin/scone: FORCE
	@cd sandbox && $(GO) build -trimpath -buildvcs=false -ldflags '$(LDFLAGS)' -o ../$@ ./cmd/scone

$(addprefix bin/,$(TOOLS)): bin/%: tools/go.mod
	@echo "compiling $@"
	@cd tools && $(GO) build -trimpath -o ../$@ $$($(GO) list -f '{{if eq .Name "main"}}{{.ImportPath}}{{end}}' tool | grep '/$*$$')

CLIENTS := buildctl buildkitd cosign rootlesskit

$(addprefix bin/,$(CLIENTS)): bin/%: tools/clients/go.mod
	@echo "compiling $@ (minutes the first time)"
	@cd tools/clients && $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o ../../$@ $$($(GO) list -f '{{if eq .Name "main"}}{{.ImportPath}}{{end}}' tool | grep '/$*$$')

# setup installs what a fresh Debian machine lacks; asks sudo when not root.
setup: sandbox/node_modules/.package-lock.json
	@missing=; for p in runc mmdebstrap; do PATH="$$PATH:/usr/sbin" command -v $$p >/dev/null || missing="$$missing $$p"; done; \
	if [ -n "$$missing" ]; then echo "installing$$missing"; sudo=; [ "$$(id -u)" = 0 ] || sudo=sudo; \
	$$sudo apt-get update -qq && $$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing; fi

sandbox/node_modules/.package-lock.json: sandbox/package-lock.json
	@echo "installing the PoCo contracts from npm"
	@cd sandbox && npm ci --silent --ignore-scripts --no-audit --no-fund && touch node_modules/.package-lock.json

# The stand-in base image; made once, and again when the toolchain changes.
build/base: setup bin/baseimage bin/scone
	@bin/baseimage --out $@

# The root file system of the base image is made while the compiler runs.
demo: setup
	@$(MAKE) --no-print-directory -j3 bin/mrelease bin/sandbox build/base
	@bin/sandbox --base build/base -- examples/demo.sh

GOTEST = $(CURDIR)/bin/gotestsum --format pkgname-and-test-fails --

test: test-go test-sandbox

test-go: setup bin/gotestsum
	$(GOTEST) -timeout 20m ./...

# Go's cache of test results does not see that bin/mrelease changed: -count=1.
test-sandbox: setup bin/gotestsum bin/mrelease bin/act build/base
	cd sandbox && $(GOTEST) -count=1 -timeout 30m ./...

KILLS ?= 12
kill: setup bin/gotestsum bin/mrelease build/base
	cd sandbox && $(CURDIR)/bin/gotestsum --format testname -- -count=1 -timeout 30m -run '^TestKill$$' ./e2e -kills $(KILLS)

sandbox/clients/node_modules/.package-lock.json: sandbox/clients/package-lock.json
	@echo "installing iexec's command line, three versions, from npm"
	@cd sandbox/clients && npm ci --silent --ignore-scripts --no-audit --no-fund && touch node_modules/.package-lock.json

interop: setup bin/gotestsum bin/mrelease bin/cosign sandbox/clients/node_modules/.package-lock.json
	cd sandbox && $(GOTEST) -tags interop -timeout 20m -count=1 ./interop

rebuild: setup bin/gotestsum bin/mrelease build/base bin/buildkitd bin/rootlesskit
	@command -v newuidmap >/dev/null || { echo "installing uidmap"; apt-get install -y -qq --no-install-recommends uidmap; }
	cd sandbox && $(GOTEST) -tags rebuild -timeout 20m -count=1 ./rebuild

# fuzz gives each fuzz target some time; the corpora that it finds are kept by Go's cache.
FUZZTIME ?= 20s
fuzz:
	@for p in $$($(GO) list ./...); do for t in $$($(GO) test -list '^Fuzz' $$p | grep '^Fuzz' || true); do \
	$(GO) test -run '^$$' -fuzz "^$$t$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 20x $$p || exit 1; done; done

lint: bin/staticcheck bin/actionlint
	@test -z "$$(gofmt -l .)" || { gofmt -d .; exit 1; }
	@for m in . sandbox; do (cd $$m && $(GO) vet -tags interop,rebuild ./... && $(CURDIR)/bin/staticcheck -tags interop,rebuild ./...) || exit 1; done
	@for m in . sandbox tools tools/clients; do (cd $$m && $(GO) mod tidy -diff) || exit 1; done
	@bin/actionlint -shellcheck= -pyflakes=

clean:
	rm -rf bin build dist
