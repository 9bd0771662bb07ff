#!/bin/sh
# Runs every fuzz target of the project, each for the time given (60s).
set -eu
for dir in $(go list -f '{{.Dir}}' ./...); do
	for target in $(grep -hoE '^func Fuzz[A-Za-z0-9_]+' "$dir"/*_test.go 2>/dev/null | sed 's/^func //'); do
		echo "== $target in ${dir#"$PWD"/}"
		go test -run '^$' -fuzz "^$target\$" -fuzztime "${1:-60s}" -fuzzminimizetime 5x "$dir"
	done
done
