# Start with make demo and make test. Both work on a fresh machine with Go and
# Debian's package manager.

GO ?= go
BIN := bin

.PHONY: build demo test lint race fuzz soak kernels bench index fixtures man deps test-deps clean

build:
	CGO_ENABLED=0 $(GO) build -o $(BIN)/ ./cmd/topotape ./tools/netlab/cmd/netlab

demo: deps build
	@tools/demo.sh $(BIN)

# One package at a time: two network labs must not run at once.
test: test-deps
	$(GO) test -p 1 $(TESTFLAGS) ./...

race: test-deps
	CGO_ENABLED=1 $(GO) test -race -p 1 ./...

lint:
	@test -z "$$(gofmt -l .)" || { gofmt -l .; echo "run: gofmt -w ." >&2; exit 1; }
	$(GO) vet ./...
	$(GO) run honnef.co/go/tools/cmd/staticcheck@v0.7.0 ./...

# FUZZTIME is the time for each target; one target runs on each processor.
FUZZTIME ?= 60s
fuzz:
	@tools/fuzz.sh $(FUZZTIME)

# Reads SOAK tapes that were changed in hostile ways with the verbs.
SOAK ?= 10000
soak:
	$(GO) run ./tools/soak -n $(SOAK)

# Runs the tests of the recorder's events of sockets on two other kernels, under qemu.
kernels:
	@tools/kernels.sh $(KERNELS)

bench: deps
	$(GO) test -run '^$$' -bench . -benchmem ./capture/... ./reporter/... ./replay/... ./fixtures/...
	$(GO) run ./tools/bench

# Generates the index of the fixtures from the fixtures and behaviours.json.
index:
	$(GO) test ./fixtures -run Index -update

# Records the shipped tape again in the lab, and generates the generated tapes. Needs
# root on Linux.
fixtures: deps build
	@tools/record-fixture.sh $(BIN) fixtures/lab-gateway
	$(GO) run ./tools/generate
	@$(MAKE) --no-print-directory index

# Writes the man pages. Their date is SOURCE_DATE_EPOCH or that of the last commit.
man:
	SOURCE_DATE_EPOCH=$${SOURCE_DATE_EPOCH:-$$(git log -1 --format=%ct)} \
		$(GO) test ./cmd/topotape -run ManPages -count 1 -man $(CURDIR)/man

# Installs the commands of the lab, and for the tests the tools they compare with, from
# Debian's packages. Only root can install them.
deps:
	@tools/deps.sh
test-deps:
	@tools/deps.sh test

clean:
	rm -rf $(BIN) man
