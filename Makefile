# make demo     release the example apps into a local world, twice, and verify them
# make demo-act the demo as a workflow of GitHub, with act
# make recording  docs/demo.cast: a recording of the demo in a terminal
# make test     all tests
# make lint     formatting, vet, staticcheck, tidy modules, workflows
# make build    bin/mrelease
# make image    the container image for amd64 and arm64, twice to the same digest: build/images
# make image-pins  pin today's versions of the Debian packages in that image
# make conformance  release by command, workflow, pipeline and container: it must be the same
# make notices  THIRD-PARTY: the licences of all that is linked into bin/mrelease
# make interop  cosign's, iexec's, Sigstore's and a registry's own programs judge what mrelease does
# make attack   attack the built program, and print a table: attack, expected, got
# make judge    git judges 300 random repositories (make test: 60)
# make vectors  make the test vectors of docs/verify.md, and judge them: build/vectors
# make cases    try what went wrong for others, and print a table as well
# make kill     kill a release at every step, every write and KILLS times at random,
#               and finish it by running it again
# make chaos    200 releases with faults and kills, each by a seed, that must converge, and
#               silent failures, none of which may end with exit code 0; prints a table
# make bench    compare with today's tools, side by side
# make rebuild  build an example twenty times, on five hosts and with four builders,
#               and commits in every order
# make fuzz     each fuzz target for FUZZTIME
# make cross    compile and vet for all systems; SHORT=1: type-check for the others
# make cross-test  run what can be run of them here: linux/arm64 under qemu, Windows under Wine
# make dist     dist/release: what a release consists of, for all systems
# make dist-twice  make it by hand and by the release workflow, look at each file, and compare
# make budget   what each part of .ci/run may take
#
# With SHORT=1, as .ci/run says: kill kills after one upload of each kind and less at
# random, chaos has 20 releases and every third silence, bench has fewer runs and a
# smaller image, rebuild takes each host and each builder once and a few orders, fuzz
# takes seconds, interop leaves cosign 3, gh, Sigstore's servers, Clef and local-kms out,
# and lint what is linked with those servers. All kinds are there; the others have one form.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := build

GO ?= go
# The compiler takes less of the processors when it collects less garbage, and when
# each of its processes has one to itself.
FRUGAL = GOGC=400 GOMAXPROCS=1
BUILD = $(FRUGAL) $(GO) build -p $(shell nproc)
# For all of go, not for the programs alone: a package that is compiled with
# -trimpath is another one than without, so tests, vet and staticcheck would compile
# everything a second time. The tag leaves out gRPC's pages for tracing, which nobody
# serves here: 0.3 MB of the binary. A -tags of a command takes the place of it.
TAGS := grpcnotrace
export GOFLAGS := $(strip $(filter-out -trimpath -tags=$(TAGS),$(shell $(GO) env GOFLAGS)) -trimpath -tags=$(TAGS))
# The binary is static, so that the container image can be empty.
export CGO_ENABLED := 0
LDFLAGS := -s -w

# The systems that the program is compiled for.
SYSTEMS ?= linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64

TOOLS := act actionlint gotestsum staticcheck

.PHONY: conformance image image-amd64 image-pins attack vectors cases chaos cross cross-test cross-test-arm64 cross-test-windows dist dist-twice judge notices interop bench rebuild build demo demo-act recording prepare modules programs test test-go test-sandbox kill fuzz lint budget setup clean FORCE

build: bin/mrelease

bin/mrelease: FORCE
	@echo "compiling $@ (minutes the first time)"
	@$(BUILD) -ldflags '$(LDFLAGS)' -o $@ ./cmd/mrelease

# The example of a program that releases through the packages.
bin/embed: FORCE
	@$(BUILD) -ldflags '$(LDFLAGS)' -o $@ ./examples/embed

bin/sandbox: FORCE
	@echo "compiling $@ (minutes the first time)"
	@cd sandbox && $(BUILD) -ldflags '$(LDFLAGS)' -o ../$@ .

bin/baseimage: FORCE | bin/scone
	@cd sandbox && $(BUILD) -o ../$@ ./cmd/baseimage

# The stand-in toolchain, which goes into the base image: the same source must
# make the same bytes.
bin/scone: FORCE
	@cd sandbox && $(BUILD) -buildvcs=false -ldflags '$(LDFLAGS)' -o ../$@ ./cmd/scone

$(addprefix bin/,$(TOOLS)): bin/%: tools/go.mod
	@echo "compiling $@"
	@cd tools && $(BUILD) -o ../$@ $$($(GO) list -f '{{if eq .Name "main"}}{{.ImportPath}}{{end}}' tool | grep '/$*$$')

CLIENTS := buildctl buildkitd cosign rootlesskit

$(addprefix bin/,$(CLIENTS)): bin/%: tools/clients/go.mod
	@echo "compiling $@ (minutes the first time)"
	@cd tools/clients && $(BUILD) -ldflags '$(LDFLAGS)' -o ../../$@ $$($(GO) list -f '{{if eq .Name "main"}}{{.ImportPath}}{{end}}' tool | grep '/$*$$')

# A module of its own: it cannot be built from the versions that cosign 2 needs. It
# takes six minutes of a processor to compile; the short form of interop does without.
bin/cosign3: tools/cosign3/go.mod
	@echo "compiling $@ (many minutes the first time)"
	@cd tools/cosign3 && $(BUILD) -ldflags '$(LDFLAGS)' -o ../../$@ github.com/sigstore/cosign/v3/cmd/cosign

# A module of its own, as large as that one. The short form of interop does without.
bin/gh: tools/gh/go.mod
	@echo "compiling $@ (many minutes the first time)"
	@cd tools/gh && $(BUILD) -ldflags '$(LDFLAGS)' -o ../../$@ github.com/cli/cli/v2/cmd/gh

# A module of its own: go-ethereum has it no more in the version that is used here. It
# takes minutes of a processor; the short form of interop does without.
bin/clef: tools/clef/go.mod
	@echo "compiling $@ (minutes the first time)"
	@cd tools/clef && $(BUILD) -ldflags '$(LDFLAGS)' -o ../../$@ github.com/ethereum/go-ethereum/cmd/clef

# A module of its own: it wants older versions than the rest.
bin/local-kms: tools/kms/go.mod
	@echo "compiling $@"
	@cd tools/kms && $(BUILD) -ldflags '$(LDFLAGS)' -o ../../$@ github.com/nsmithuk/local-kms

# Sigstore's own servers, and the logs that two of them write to, in the newest versions
# for this Go. They take four minutes of a processor when the rest is compiled; the short
# form of interop does without. The module is tidied with -e: a test of Fulcio's
# imports another that is not to be had.
SIGSTORE := fulcio rekor-server rekor-tiles tesseract timestamp-server trillian
rekor-tiles = github.com/sigstore/rekor-tiles/v2/cmd/rekor-server/posix
rekor-server = github.com/sigstore/rekor/cmd/rekor-server
fulcio = github.com/sigstore/fulcio
tesseract = github.com/transparency-dev/tesseract/cmd/tesseract/posix
timestamp-server = github.com/sigstore/timestamp-authority/v2/cmd/timestamp-server
trillian = ./trillian

$(addprefix bin/,$(SIGSTORE)): bin/%: tools/sigstore/go.mod tools/sigstore/trillian/main.go
	@echo "compiling $@ (minutes the first time)"
	@cd tools/sigstore && $(BUILD) -ldflags '$(LDFLAGS)' -o ../../$@ $($*)

bin/distribution: FORCE
	@cd tools/clients && $(BUILD) -ldflags '$(LDFLAGS)' -o ../../$@ ./distribution

bin/containerfiles: FORCE
	@cd sandbox && $(BUILD) -o ../$@ ./cmd/containerfiles

# mrelease's own image. Its context is the program and some files of Debian's packages,
# whose versions container/packages.ARCHITECTURE pins: ANY=1 takes today's of those that
# the mirrors no longer have, image-pins today's of all.
IMAGE_LIMIT := 45000000
build/container/%: bin/containerfiles FORCE
	@mkdir -p $@ && cp container/Dockerfile $@
	@GOOS=linux GOARCH=$* $(BUILD) -ldflags '$(LDFLAGS)' -o $@/mrelease ./cmd/mrelease
	@bin/containerfiles -arch $* -pins container/packages.$* $(if $(ANY),-any) -out $@/files.tar

image-pins: bin/containerfiles
	@mkdir -p build; for a in amd64 arm64; do bin/containerfiles -arch $$a -pins container/packages.$$a -update -out build/files.tar && rm build/files.tar || exit 1; done

# Twice, by builders that built nothing: the digests must be equal, and the layers small.
image-amd64: setup bin/mrelease build/container/amd64
	@rm -rf build/state-1 build/state-2
	@digests=$$(for n in 1 2; do bin/mrelease build -f container/mrelease.yaml --context build/container/amd64 --state build/state-$$n --no-cache --progress quiet -o build/image || exit 1; done | sort -u); \
	[ "$$(wc -l <<<"$$digests")" = 1 ] || { echo "two builds made two images: $$digests"; exit 1; }; \
	size=$$(cat build/image/blobs/sha256/* | wc -c); [ "$$size" -le $(IMAGE_LIMIT) ] || { echo "the image has $$size bytes, more than $(IMAGE_LIMIT)"; exit 1; }; \
	echo "build/image $$digests, $$size bytes, built twice"; rm -r build/state-1 build/state-2

# The same for arm64, twice too, and an index of both.
image: image-amd64 build/container/arm64 bin/imageindex
	@for n in 2 1; do bin/imageindex -built build/image -context build/container/amd64 -more arm64=build/container/arm64 -most $(IMAGE_LIMIT) -out build/images-$$n || exit 1; done; \
	diff -r build/images-1 build/images-2; rm -rf build/images build/images-2; mv build/images-1 build/images; echo "build/images: the same twice"

bin/imageindex: FORCE
	@cd sandbox && $(BUILD) -o ../$@ ./cmd/imageindex

# $(call install,PROGRAM=PACKAGE...) installs what a fresh Debian machine lacks; it
# asks sudo when not root, and waits for another that installs something.
APT := -o DPkg::Lock::Timeout=120
install = missing=; for p in $(1); do PATH="$$PATH:/usr/sbin" command -v $${p%=*} >/dev/null || missing="$$missing $${p\#*=}"; done; \
	if [ -n "$$missing" ]; then echo "installing$$missing"; sudo=; [ "$$(id -u)" = 0 ] || sudo=sudo; \
	$$sudo apt-get $(APT) update -qq && $$sudo env DEBIAN_FRONTEND=noninteractive apt-get $(APT) install -y -qq --no-install-recommends $$missing; fi

setup: sandbox/node_modules/.package-lock.json
	@$(call install,runc=runc mmdebstrap=mmdebstrap newuidmap=uidmap git=git jq=jq unshare=util-linux)

sandbox/node_modules/.package-lock.json: sandbox/package-lock.json
	@echo "installing the PoCo contracts from npm"
	@cd sandbox && npm ci --silent --ignore-scripts --no-audit --no-fund && touch node_modules/.package-lock.json

# The stand-in base image; made once, and again when the toolchain changes.
build/base: setup bin/baseimage bin/scone
	@bin/baseimage --out $@

# Two compilers at once would compile what both need twice. So first what makes the
# base image is compiled, while the modules of the rest are fetched; then that image
# is made while the rest is compiled.
prepare:
	@$(MAKE) --no-print-directory -j3 setup modules bin/baseimage
	@$(MAKE) --no-print-directory -j2 programs build/base

demo: prepare
	@bin/sandbox --base build/base -- examples/demo.sh

# A recording of it, for a player such as asciinema's.
recording: prepare bin/record
	@script -q -e -E never -O build/demo.out -T build/demo.timing -c 'stty columns 110 rows 36; bin/sandbox --base build/base -- examples/demo.sh' </dev/null
	@bin/record -title 'mrelease: make demo' -columns 110 -rows 36 build/demo.out build/demo.timing >docs/demo.cast

bin/record: FORCE
	@cd sandbox && $(BUILD) -o ../$@ ./cmd/record

# The same in the workflow of GitHub, with act, which reads .actrc.
demo-act: setup bin/act
	@bin/act push

modules:
	@$(GO) list -deps ./cmd/mrelease >/dev/null
	@cd sandbox && $(GO) list -deps . >/dev/null

programs:
	@$(MAKE) --no-print-directory bin/mrelease
	@$(MAKE) --no-print-directory bin/sandbox

# Lint vets, with all that go test would vet and more, and for all tags.
GOTEST = $(CURDIR)/bin/gotestsum --format pkgname-and-test-fails -- -vet=off

# Tests of both modules, compiled like the programs, find most in the cache then.
test: prepare
	@$(MAKE) --no-print-directory test-go
	@$(MAKE) --no-print-directory test-sandbox

# What a part of .ci/run that follows does itself is left to it in the short form.
LEFT = $(if $(SHORT),-skip '^(TestKill$$|TestAttack)')

test-go: setup bin/gotestsum
	$(GOTEST) -timeout 20m $(LEFT) ./...

# Go's cache of test results does not see that bin/mrelease changed: -count=1.
test-sandbox: setup bin/gotestsum bin/mrelease bin/embed bin/act bin/buildctl bin/buildkitd build/base
	cd sandbox && $(GOTEST) -count=1 -timeout 30m $(LEFT) ./...

# The packages below the working directory, of one module, with tests of a name. Of all
# others the tests would be linked, which takes seconds each, and none run.
HAVING = $$(grep -rl --include='*_test.go' --exclude-dir=sandbox --exclude-dir=tools --exclude-dir=node_modules '^func $(1)' . | xargs -r dirname | sort -u)

# The scripts are attacks on bin/mrelease; the tests named TestAttack are those that
# no script can make.
attack: setup bin/mrelease bin/outcomes build/base
	@{ failed=; $(GO) test -vet=off -json -run '^TestAttack' $(call HAVING,TestAttack) || failed=1; \
	cd sandbox; $(GO) test -vet=off -json -count=1 -tags attack,$(TAGS) -timeout 20m -run '^TestAttack' $(call HAVING,TestAttack) || failed=1; \
	test -z "$$failed"; } | bin/outcomes attack

# The test vectors of docs/verify.md, which make test judges as well.
vectors: setup bin/mrelease
	@rm -rf build/vectors
	@cd sandbox && $(GO) test -vet=off -count=1 -v -run '^TestVectors$$' ./vectors -keep $(CURDIR)/build/vectors | grep -v '^=== \|--- PASS: TestVectors/all/'

# What went wrong for others, in its smallest form; the scripts run bin/mrelease.
cases: setup bin/mrelease bin/outcomes build/base
	@{ cd sandbox; $(GO) test -vet=off -json -count=1 -tags cases,$(TAGS) -timeout 20m -run '^TestCase' $(call HAVING,TestCase); } | bin/outcomes case

bin/outcomes: FORCE
	@cd sandbox && $(BUILD) -o ../$@ ./cmd/outcomes

KILLS ?= $(if $(SHORT),3,12)
kill: setup bin/gotestsum bin/mrelease build/base
	cd sandbox && $(CURDIR)/bin/gotestsum --format testname -- -vet=off -count=1 -timeout 30m -run '^TestKill$$' $(if $(SHORT),-short) ./e2e -kills $(KILLS)
	$(if $(SHORT),,cd sandbox && $(CURDIR)/bin/gotestsum --format testname -- -vet=off -count=1 -timeout 30m -run '^TestKillRun$$' ./requesttest -every)

# SEED is the first of the seeds: what a seed orders is the same each time.
SEED ?= 1
chaos: setup bin/mrelease bin/outcomes build/base
	@{ cd sandbox; $(GO) test -vet=off -json -count=1 -tags chaos,$(TAGS) -timeout 60m -run '^(TestChaos|TestSilent)$$' $(if $(SHORT),-short) ./e2e -seed $(SEED); } | bin/outcomes chaos

sandbox/clients/node_modules/.package-lock.json: sandbox/clients/package-lock.json
	@echo "installing iexec's command line, three versions, from npm"
	@cd sandbox/clients && npm ci --silent --ignore-scripts --no-audit --no-fund && touch node_modules/.package-lock.json

interop: setup bin/gotestsum bin/mrelease bin/dist bin/attest bin/cosign $(if $(SHORT),,bin/cosign3 bin/gh bin/clef bin/local-kms $(addprefix bin/,$(SIGSTORE))) bin/distribution sandbox/clients/node_modules/.package-lock.json
	cd sandbox && $(GOTEST) -tags interop,$(TAGS) $(if $(SHORT),-short) -timeout 20m -count=1 ./interop
	$(if $(SHORT),,$(GOTEST) -tags interop,$(TAGS) -timeout 5m -count=1 -run 'Test(Clef|LocalKMS)Itself' ./keys/...)

sandbox/gitlab/node_modules/.package-lock.json: sandbox/gitlab/package-lock.json
	@echo "installing gitlab-ci-local from npm"
	@cd sandbox/gitlab && npm ci --silent --ignore-scripts --no-audit --no-fund && touch node_modules/.package-lock.json

# A release by the plain command, by act, by gitlab-ci-local and by the image that make
# image-amd64 builds must be the same.
conformance: ANY := 1
conformance: setup image-amd64 bin/gotestsum bin/act bin/buildkitd build/base sandbox/gitlab/node_modules/.package-lock.json
	@$(call install,rsync=rsync)
	cd sandbox && $(GOTEST) -tags conformance,$(TAGS) $(if $(SHORT),-short) -timeout 20m -count=1 ./conformance

bin/bench: FORCE
	@cd sandbox && $(BUILD) -o ../$@ ./bench

# The comparison needs a machine that does nothing else.
bench: ANY := 1
bench: setup $(if $(SHORT),,image-amd64) bin/mrelease bin/sandbox bin/bench bin/buildctl bin/buildkitd bin/cosign build/base sandbox/clients/node_modules/.package-lock.json
	@BENCH_SHORT=$${BENCH_SHORT-$(SHORT)} bin/sandbox --base build/base -- bin/bench

rebuild: setup bin/gotestsum bin/mrelease build/base bin/buildctl bin/buildkitd bin/rootlesskit
	cd sandbox && $(GOTEST) -tags rebuild,$(TAGS) $(if $(SHORT),-short) -timeout 60m -count=1 ./rebuild

# judge lets git judge random repositories; "make test" judges fewer.
judge:
	$(GO) test -vet=off -count=1 -run TestRandomRepositories -v ./source -repositories 300 | grep -v '^ *=== \|^ *--- PASS: .*/'

# fuzz gives each fuzz target some time, two at a time; their seeds are run by "make
# test" too. What it finds beyond the corpora in testdata/fuzz is kept by Go's cache.
# Those of package buildkit, which read configuration, are left out unless FUZZ names
# it: the fuzzer would compile all of BuildKit anew. It compiles even the standard
# library anew, which two at once would do twice, so that is done before. The second
# try is for a fuzzer that is stopped too late (golang/go#75804, mended in Go 1.27);
# what it found fails again, as it is among the seeds then.
FUZZTIME ?= $(if $(SHORT),6s,60s)
FUZZ ?= ./approval ./bounds ./measure/... ./poco/... ./printable/... ./request/... $(if $(SHORT),,./iexeccli ./node ./proof ./publish/evidence ./publish/steps ./settings)
fuzz:
	@targets=$$($(GO) test -vet=off -list '^Fuzz' $(FUZZ) | awk '/^Fuzz/ {name[n++] = $$1} $$1 == "ok" {for (i = 0; i < n; i++) print $$2, name[i]; n = 0}'); \
	test -n "$$targets" || { echo "no fuzz target in $(FUZZ)"; exit 1; }; \
	for p in $$(cut -d " " -f 1 <<<"$$targets" | uniq); do $(FRUGAL) $(GO) test -p $$(nproc) -c -fuzz . -o /dev/null $$p; done; \
	xargs -P 2 -n 2 sh -c 'echo "$$0 $$1"; fuzz() { $(GO) test -vet=off -run "^$$1\$$" -fuzz "^$$1\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 20x -parallel 1 $$0; }; fuzz $$1 || fuzz $$1' <<<"$$targets"

# cross compiles and vets for all systems, with the tests. In its short form it reads
# the others' code in place of that, to which compiling adds the assembler and the
# linker, in a twentieth of the time: linux/amd64 is compiled by the tests.
cross: bin/cross
ifdef SHORT
	@bin/cross -tags $(TAGS) $(filter-out linux/amd64,$(SYSTEMS)) -- ./...
else
	@mkdir -p build/cross
	@for s in $(SYSTEMS); do export GOOS=$${s%/*} GOARCH=$${s#*/}; \
		$(BUILD) -ldflags '$(LDFLAGS)' -o build/cross/$$GOOS-$$GOARCH ./cmd/mrelease && $(GO) vet ./... || { echo "failed: $$s"; exit 1; }; \
		printf '%-14s %9d bytes\n' $$s $$(stat -c %s build/cross/$$GOOS-$$GOARCH); done
endif

bin/cross: FORCE
	@cd tools && $(BUILD) -o ../$@ ./cross

# What needs neither a builder nor a network, under qemu and Wine, which start each program
# anew. The vectors are judged by what is shipped. Wine of before 9 removes no test's
# folder, so there it is the packages that need none. Its server ends with the last
# program, in Debian at once, and a program that starts just then has none: here it stays.
cross-test: build/base
	@$(MAKE) --no-print-directory cross-test-arm64 cross-test-windows

cross-test-arm64:
	@$(call install,qemu-aarch64-static=qemu-user-static)
	GOOS=linux GOARCH=arm64 $(BUILD) -ldflags '$(LDFLAGS)' -o build/cross/linux-arm64 ./cmd/mrelease
	qemu-aarch64-static build/cross/linux-arm64 version
	GOOS=linux GOARCH=arm64 $(GO) test -vet=off -timeout 60m -exec qemu-aarch64-static ./bounds ./measure/sgx/... ./poco/... ./printable ./settings
	cd sandbox && $(GO) test -vet=off -count=1 -timeout 60m ./vectors -program 'qemu-aarch64-static $(CURDIR)/build/cross/linux-arm64'

cross-test-windows: export WINEPREFIX = $(CURDIR)/build/wine
cross-test-windows: export WINEDEBUG = -all
cross-test-windows:
	@$(call install,wine=wine x86_64-w64-mingw32-gcc=gcc-mingw-w64-x86-64-win32)
	@wine wineboot --init && x86_64-w64-mingw32-gcc -shared -O1 -s -o $$WINEPREFIX/drive_c/windows/system32/bcryptprimitives.dll tools/wine/bcryptprimitives.c -ladvapi32
	GOOS=windows GOARCH=amd64 $(BUILD) -ldflags '$(LDFLAGS)' -o build/cross/windows-amd64.exe ./cmd/mrelease
	@wineserver -w && wineserver -p
	wine build/cross/windows-amd64.exe version && \
	GOOS=windows GOARCH=amd64 $(GO) test -vet=off -timeout 60m -exec wine ./document ./measure/sgx ./poco/... ./printable && \
	cd sandbox && $(GO) test -vet=off -count=1 -timeout 60m ./vectors -program 'wine $(CURDIR)/build/cross/windows-amd64.exe'; \
	ended=$$?; wineserver -k; exit $$ended

# A release is named by the tag at HEAD, or by VERSION. Its programs do not know their
# commit, and all that is made has one time: so the commit that adds release.sums has
# the same release as the one before it.
VERSION ?= $(patsubst v%,%,$(shell git describe --tags --exact-match --match 'v[0-9]*' 2>/dev/null))
DIST ?= dist/release
SOURCE ?= https://github.com/mrelease/mrelease
dist: bin/dist
	@test -n "$(VERSION)" || { echo "no tag such as v1.2.3 at HEAD: make one, or say VERSION=1.2.3"; exit 1; }
	@rm -rf build/dist $(DIST); mkdir -p build/dist/with
	@for s in $(SYSTEMS); do export GOOS=$${s%/*} GOARCH=$${s#*/} GOAMD64=v1 GOARM64=v8.0; echo "compiling for $$s"; \
		$(BUILD) -buildvcs=false -ldflags '$(LDFLAGS) -X main.released=$(VERSION)' -o build/dist/programs/mrelease_$(VERSION)_$${GOOS}_$$GOARCH$$($(GO) env GOEXE) ./cmd/mrelease || exit 1; done
	@cp README.md SECURITY.md CHANGELOG.md LICENSE THIRD-PARTY build/dist/with
	@$(GO) test -vet=off -count=1 -run '^TestPages$$' ./cmd/mrelease -pages $(CURDIR)/build/dist/with >/dev/null
	@bin/dist -version '$(VERSION)' -commit "$$(git rev-parse HEAD)" -source $(SOURCE) -programs build/dist/programs -with build/dist/with -out $(DIST) -sums release.sums
	@if [ -n "$${COSIGN_KEY-}" ]; then $(MAKE) --no-print-directory bin/attest && bin/attest "$$COSIGN_KEY" $(DIST); \
		else echo "not signed: COSIGN_KEY names no key"; fi
	@ls -l $(DIST)

bin/dist: FORCE
	@cd tools/dist && $(BUILD) -o ../../$@ .

bin/attest: FORCE
	@cd tools/attest && $(BUILD) -o ../../$@ .

# By a maintainer and by the release workflow, and (but for the short form, which makes
# what there is for one system) with everything compiled anew.
dist-twice: bin/act
	@$(call install,dpkg-deb=dpkg rpm=rpm bsdtar=libarchive-tools)
	@cd tools/dist && $(GO) test -vet=off -count=1 -timeout 60m -v . -repository $(CURDIR) $(if $(SHORT),-systems linux/amd64,-afresh) | grep -v '^=== '

# What is linked into the program that is shipped.
LINKED = GOOS=linux GOARCH=amd64 $(GO) list -deps -json=ImportPath,Dir,Module,Standard ./cmd/mrelease

notices: bin/notices
	@$(LINKED) | bin/notices THIRD-PARTY

bin/notices: FORCE
	@cd tools && $(BUILD) -o ../$@ ./notices

# The workflows in docs/ are linted, too, with this checkout's action for a release's.
lint: bin/staticcheck bin/actionlint bin/notices
	@test -z "$$(gofmt -l .)" || { gofmt -d .; exit 1; }
	@for m in . sandbox; do (cd $$m && $(GO) vet -tags attack,cases,chaos,conformance,interop,rebuild,$(TAGS) ./... && $(CURDIR)/bin/staticcheck -tags attack,cases,chaos,conformance,interop,rebuild,$(TAGS) ./...) || exit 1; done
	@cd tools && $(GO) vet ./cross ./notices && $(CURDIR)/bin/staticcheck ./cross ./notices && $(GO) test -vet=off ./notices
	@for m in attest clients dist $(if $(SHORT),,sigstore); do (cd tools/$$m && $(GO) vet ./... && $(CURDIR)/bin/staticcheck ./...) || exit 1; done
	@$(LINKED) | bin/notices -check THIRD-PARTY
	@for m in . sandbox tools tools/attest tools/clef tools/clients tools/dist tools/kms; do (cd $$m && $(GO) mod tidy -diff) || exit 1; done
	@$(call install,shellcheck=shellcheck)
	@shellcheck action/run.sh examples/demo.sh .ci/run && bin/actionlint -pyflakes=
	@rm -rf build/examples; mkdir -p build/examples
	@awk '/^```yaml$$/ { file = sprintf("build/examples/%d.yml", ++n); next } /^```$$/ { file = "" } file { print > file }' docs/*.md
	@sed -i 's|mrelease/mrelease@<commit of a release>|./|' build/examples/*; bin/actionlint -pyflakes= $$(grep -l '^jobs:' build/examples/*)

# The parts of .ci/run, in their order, with the seconds that each may take on a new
# machine with two processors, where all has to be fetched and compiled; reserve is
# kept for what is to come. In all 55 minutes.
define BUDGET
test 1150
attack 250
cases 190
lint 100
cross 40
dist-twice 80
fuzz 115
interop 360
kill 135
chaos 150
rebuild 280
conformance 120
bench 290
reserve 40
endef

budget:
	@: $(info $(BUDGET))

clean:
	rm -rf bin build dist
