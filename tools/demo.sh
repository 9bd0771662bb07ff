#!/bin/sh
# make demo: one recording of real kernel traffic, then a shipped one.
set -eu
bin=$1
say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
run() { printf '$ topotape %s\n' "$*"; "$bin/topotape" "$@"; }

say "Act one: a gateway between namespaces is recorded, and its tape replayed"
if [ "$(uname -s)" = Linux ] && [ "$(id -u)" = 0 ] &&
	command -v ip >/dev/null && command -v nft >/dev/null && command -v dnsmasq >/dev/null; then
	dir=$(mktemp -d)
	trap 'rm -rf "$dir"' EXIT
	echo "Clients connect through a gateway that translates addresses: long and short connections,"
	echo "IPv4 and IPv6, loopback, DNS. The lab writes down what it does. This takes 13 s."
	"$bin/netlab" run --truth "$dir/truth.jsonl" -- \
		"$bin/topotape" record -o "$dir/lab.tape" --host-id gateway --interval 2s --duration 1m

	say "What was connected 6 s after the start: the report that was made live, made again from the tape"
	run replay "$dir/lab.tape" --at +6s | cut -c1-160 | head -n 20
	echo "…"

	say "Every report of the live run against its replay"
	run replay "$dir/lab.tape" --verify

	say "All connections of the tape against what the lab really did"
	"$bin/topotape" replay "$dir/lab.tape" --whole --format json -o "$dir/whole.json"
	"$bin/netlab" compare "$dir/truth.jsonl" "$dir/whole.json"
else
	echo "Skipped: it needs root on Linux, and the commands ip, nft and dnsmasq."
fi

say "Act two: a tape that came by mail"
tape=fixtures/lab-gateway/capture.tape
run replay $tape --verify
run replay $tape --at +6s --match '198.18.0.1:30080'
echo
echo "Why does the first of them end at 198.18.1.8:8080? These records decide it:"
edge=$("$bin/topotape" replay $tape --at +6s --match 198.18.0.1:30080 --format ndjson |
	sed 's/.*"connections":\[{"proto":"tcp","from":{"addr":"\([^"]*\)","port":\([0-9]*\).*/\1:\2/')
run cat $tape --match "$edge" --to +6s
