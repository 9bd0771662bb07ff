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
	echo "and as Weave Scope of 2016 would have drawn them from the same tape:"
	"$bin/topotape" replay "$dir/lab.tape" --whole --rules scope2016 --format json -o "$dir/scope.json"
	"$bin/netlab" compare "$dir/truth.jsonl" "$dir/scope.json" 2>/dev/null | head -n 1
else
	echo "Skipped: it needs root on Linux, and the commands ip, nft and dnsmasq."
fi

say "Act two: a tape that came by mail, and a wrong edge on it"
tape=fixtures/lab-gateway/capture.tape
at=+6s
match=198.18.0.1:30080
echo "A client connects to port 30080 of a gateway, which passes it on. Weave Scope's reporter of 2016 drew this:"
run replay $tape --rules scope2016 --at $at --match $match
echo
echo "The gateway does not serve that port. What is right:"
run replay $tape --at $at --match $match | cut -c1-150
echo
echo "The difference, and the first record that shows it:"
run diff $tape --rules scope2016 --rules current --from +4s --to $at --match $match || [ $? = 4 ]
echo
echo "The records that decide one of them:"
edge=$("$bin/topotape" replay $tape --at $at --match $match --format ndjson |
	sed 's/.*"connections":\[{"proto":"tcp","from":{"addr":"\([^"]*\)","port":\([0-9]*\).*/\1:\2/')
run cat $tape --match "$edge" --to $at

say "Every report that production made, made again; every behaviour of the corpus"
run replay $tape --verify
run fixture check fixtures
