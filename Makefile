# make demo and make test are all a newcomer needs; both work on a fresh machine
# with Go and Debian's package manager.

GO ?= go
BIN := bin

.PHONY: build demo test lint race fuzz bench index fixtures man deps test-deps clean

build:
	CGO_ENABLED=0 $(GO) build -o $(BIN)/ ./cmd/topotape ./tools/netlab/cmd/netlab

demo: deps build
	@tools/demo.sh $(BIN)

# One package after the other: labs must not meet.
test: test-deps
	$(GO) test -p 1 $(TESTFLAGS) ./...

race: test-deps
	CGO_ENABLED=1 $(GO) test -race -p 1 ./...

lint:
	@test -z "$$(gofmt -l .)" || { gofmt -l .; echo "run: gofmt -w ." >&2; exit 1; }
	$(GO) vet ./...
	$(GO) run honnef.co/go/tools/cmd/staticcheck@v0.7.0 ./...

# FUZZTIME is for each target; as many run at a time as there are processors.
FUZZTIME ?= 60s
fuzz:
	@tools/fuzz.sh $(FUZZTIME)

bench: deps
	$(GO) test -run '^$$' -bench . -benchmem ./capture/... ./reporter/... ./replay ./fixtures
	$(GO) run ./tools/bench

# The index of the fixtures, from what they and behaviours.json say.
index:
	$(GO) test ./fixtures -run Index -update

# The shipped tape, recorded anew in the lab, and the generated ones; needs root on Linux.
fixtures: deps build
	@tools/record-fixture.sh $(BIN) fixtures/lab-gateway
	$(GO) run ./tools/generate
	@$(MAKE) --no-print-directory index

# The man pages, dated by SOURCE_DATE_EPOCH or the last commit.
man:
	SOURCE_DATE_EPOCH=$${SOURCE_DATE_EPOCH:-$$(git log -1 --format=%ct)} \
		$(GO) test ./cmd/topotape -run ManPages -count 1 -man $(CURDIR)/man

# The lab's commands, and what the tests compare with, from Debian's packages, when
# there is a root to install them.
deps:
	@tools/deps.sh
test-deps:
	@tools/deps.sh test

clean:
	rm -rf $(BIN) man
