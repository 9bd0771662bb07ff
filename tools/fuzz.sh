#!/bin/sh
# Runs every fuzz target of the project, each for the time given (60s).
set -eu
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# go test sometimes fails with nothing but its own deadline, when the time is up
# while a worker is busy: then no input has failed, and the target runs again.
fuzz() {
	for attempt in 1 2 3; do
		if go test -run '^$' -fuzz "^$1\$" -fuzztime "$2" -fuzzminimizetime 5x "$3" >"$log" 2>&1; then
			tail -n 2 "$log"
			return
		fi
		cat "$log"
		if ! grep -q 'context deadline exceeded' "$log" || grep -qE 'Failing input|panic|fatal error' "$log"; then
			return 1
		fi
		echo "the time was up while a worker was busy (attempt $attempt)"
	done
	return 1
}

for dir in $(go list -f '{{.Dir}}' ./...); do
	for target in $(grep -hoE '^func Fuzz[A-Za-z0-9_]+' "$dir"/*_test.go 2>/dev/null | sed 's/^func //'); do
		echo "== $target in ${dir#"$PWD"/}"
		fuzz "$target" "${1:-60s}" "$dir"
	done
done
