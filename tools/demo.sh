#!/bin/sh
# make demo: records real kernel traffic and replays the tape, then replays a shipped tape.
set -eu
bin=$1
say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
run() { printf '$ topotape %s\n' "$*"; "$bin/topotape" "$@"; }

say "Part one: recording a gateway between network namespaces, and replaying the tape"
if [ "$(uname -s)" = Linux ] && [ "$(id -u)" = 0 ] &&
	command -v ip >/dev/null && command -v nft >/dev/null && command -v dnsmasq >/dev/null; then
	dir=$(mktemp -d)
	trap 'rm -rf "$dir"' EXIT
	echo "Clients connect through a NAT gateway: long and short connections, IPv4 and IPv6, loopback,"
	echo "DNS, and processes that live for 5 ms. The lab logs every connection that it makes. This takes 13 s."
	"$bin/netlab" run --truth "$dir/truth.jsonl" -- \
		"$bin/topotape" record -o "$dir/lab.tape" --host-id gateway --interval 2s --duration 1m

	say "The connections 6 s after the start: the report of the live run, made again from the tape"
	run replay "$dir/lab.tape" --at +6s | cut -c1-160 | head -n 20
	echo "…"

	say "Comparing every report of the live run with its replay"
	run replay "$dir/lab.tape" --verify

	say "Comparing all connections of the tape with those the lab made"
	"$bin/topotape" replay "$dir/lab.tape" --whole --format json -o "$dir/whole.json"
	"$bin/netlab" compare "$dir/truth.jsonl" "$dir/whole.json"
	echo "and the same tape under the rules of Weave Scope in 2016:"
	"$bin/topotape" replay "$dir/lab.tape" --whole --rules scope2016 --format json -o "$dir/scope.json"
	"$bin/netlab" compare "$dir/truth.jsonl" "$dir/scope.json" 2>/dev/null | head -n 1
else
	echo "Skipped: needs root on Linux and the commands ip, nft and dnsmasq."
fi

say "Part two: a wrong edge on a tape from someone else"
tape=fixtures/lab-gateway/capture.tape
at=+6s
match=198.18.0.1:30080
echo "A client connects to port 30080 of a gateway, which forwards it. Weave Scope's reporter of 2016 shows:"
run replay $tape --rules scope2016 --at $at --match $match
echo
echo "The gateway itself does not serve that port. The current rules show the real server:"
run replay $tape --at $at --match $match | cut -c1-150
echo
echo "The difference, and the first record that shows it:"
run diff $tape --rules scope2016 --rules current --from +4s --to $at --match $match || [ $? = 4 ]
echo
echo "The records of one of these connections:"
edge=$("$bin/topotape" replay $tape --at $at --match $match --format ndjson |
	sed 's/.*"connections":\[{"proto":"tcp","from":{"addr":"\([^"]*\)","port":\([0-9]*\).*/\1:\2/')
run cat $tape --match "$edge" --to $at

say "Comparing every report of that recording with its replay, and checking all fixtures"
run replay $tape --verify
run fixture check fixtures
