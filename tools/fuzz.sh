#!/bin/sh
# Usage: fuzz.sh [TIME [LONGER]]. Runs every fuzz target of the project for TIME (60s), as
# many at the same time as there are processors. Targets that read the bytes of a tape, of a
# payload or of a script run for LONGER.
set -eu

# one TARGET DIR TIME runs one target. Sometimes go test fails only because the time
# ended while a worker was busy. No input has failed then, and the target runs again.
if [ "${1:-}" = one ]; then
	log=$(mktemp)
	trap 'rm -f "$log"' EXIT
	for attempt in 1 2 3; do
		if go test -run '^$' -fuzz "^$2\$" -fuzztime "$4" -fuzzminimizetime 5x -parallel 1 "$3" >"$log" 2>&1; then
			printf '== %s in %s\n%s\n' "$2" "${3#"$PWD"/}" "$(tail -n 2 "$log")"
			exit 0
		fi
		printf '== %s in %s, attempt %s\n%s\n' "$2" "${3#"$PWD"/}" "$attempt" "$(cat "$log")"
		if ! grep -q 'context deadline exceeded' "$log" || grep -qE 'Failing input|panic|fatal error' "$log"; then
			exit 255 # xargs starts no more
		fi
	done
	exit 255
fi

short=${1:-60s} long=${2:-${1:-60s}}
for dir in $(go list -f '{{.Dir}}' ./...); do
	time=$short
	case ${dir#"$PWD"/} in capture | capture/tape | reporter/ctmsg | reporter/procnet | reporter/sockdiag | reporter/dnsmsg | reporter/sockmsg | fixtures/script) time=$long ;; esac
	for target in $(grep -hoE '^func Fuzz[A-Za-z0-9_]+' "$dir"/*_test.go 2>/dev/null | sed 's/^func //'); do
		echo "$target $dir $time"
	done
done | xargs -P "$(getconf _NPROCESSORS_ONLN)" -L 1 "$0" one
