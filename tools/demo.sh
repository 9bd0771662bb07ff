#!/bin/sh
# make demo: records real traffic, then shows the shipped tape.
set -eu
bin=$1
say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
run() { printf '$ topotape %s\n' "$*"; "$bin/topotape" "$@"; }

say "Part one: record a gateway between network namespaces, and replay its tape"
if [ "$(uname -s)" = Linux ] && [ "$(id -u)" = 0 ] &&
	command -v ip >/dev/null && command -v nft >/dev/null && command -v dnsmasq >/dev/null; then
	dir=$(mktemp -d)
	trap 'rm -rf "$dir"' EXIT
	echo "Clients connect through a gateway that translates addresses: long and short connections,"
	echo "IPv4 and IPv6, loopback, DNS. The lab writes a list of its connections. This takes 13 s."
	"$bin/netlab" run --truth "$dir/truth.jsonl" -- \
		"$bin/topotape" record -o "$dir/lab.tape" --host-id gateway --interval 2s --duration 1m

	say "The connections 6 s after the start: the live report, made again from the tape"
	run replay "$dir/lab.tape" --at +6s | cut -c1-160 | head -n 20
	echo "…"

	say "Every live report compared with its replay"
	run replay "$dir/lab.tape" --verify

	say "All connections of the tape compared with those that the lab made"
	"$bin/topotape" replay "$dir/lab.tape" --whole --format json -o "$dir/whole.json"
	"$bin/netlab" compare "$dir/truth.jsonl" "$dir/whole.json"
	echo "and with the rules of Weave Scope of 2016, from the same tape:"
	"$bin/topotape" replay "$dir/lab.tape" --whole --rules scope2016 --format json -o "$dir/scope.json"
	"$bin/netlab" compare "$dir/truth.jsonl" "$dir/scope.json" 2>/dev/null | head -n 1
else
	echo "Skipped: it needs root on Linux, and the commands ip, nft and dnsmasq."
fi

say "Part two: a tape from somebody else, and a wrong connection of Weave Scope"
tape=fixtures/lab-gateway/capture.tape
at=+6s
match=198.18.0.1:30080
echo "A client connects to port 30080 of a gateway, which translates the address. Weave Scope's reporter of 2016 showed this:"
run replay $tape --rules scope2016 --at $at --match $match
echo
echo "The gateway only forwards that port to a server. The correct connections:"
run replay $tape --at $at --match $match | cut -c1-150
echo
echo "The differences, and the first record that causes each:"
run diff $tape --rules scope2016 --rules current --from +4s --to $at --match $match || [ $? = 4 ]
echo
echo "The records of one of these connections:"
edge=$("$bin/topotape" replay $tape --at $at --match $match --format ndjson |
	sed 's/.*"connections":\[{"proto":"tcp","from":{"addr":"\([^"]*\)","port":\([0-9]*\).*/\1:\2/')
run cat $tape --match "$edge" --to $at

say "Every report of the recording compared with its replay; every behaviour of the fixtures"
run replay $tape --verify
run fixture check fixtures
