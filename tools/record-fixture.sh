#!/bin/sh
# Records the shipped fixture again: a small lab whose gateway has its own PID, UTS
# and cgroup namespaces, so that nothing else of the machine is on the tape. Socket events
# are left out: they would be those of the whole machine. The expectations are the same
# for every run.
set -eu
bin=$(cd "$1" && pwd)
dir=$2
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cp "$dir/plan.json" "$tmp"
unshare --pid --fork --mount-proc --uts --cgroup sh -c '
	hostname gateway
	cd "$1" && PATH="$2:$PATH" exec env -i PATH="$2:$PATH" HOME=/root "$2/netlab" run --plan plan.json --truth truth.jsonl -- \
		topotape record -o capture.tape --host-id gateway --interval 2s --duration 1m --sources conntrack,proc,dns \
		--note "a gateway with DNAT, masquerading and DNS, recorded in the network lab"' sh "$tmp" "$bin"
"$bin/topotape" fixture add --dir "$tmp" made "$tmp/capture.tape" \
	--shows "A gateway with DNAT, masquerading, IPv6, loopback in two namespaces, high ports and DNS, as the network lab drove it" \
	--expect 'conntrack ok' --expect 'proc ok' --expect 'dns ok' \
	--expect 'lab-client->lab-server 198.18.0.2->198.18.1.2:8080 ->198.18.0.1:80 present' \
	--expect '198.18.1.2:8080->198.18.0.2 absent' \
	--expect '198.18.0.2->198.19.0.10:8080 198.18.1.1-> present' \
	--expect '198.18.0.2->198.18.1.8:8080 present' \
	--expect 'fd00:18::2->[fd00:18:1::5]:8080 present' \
	--expect 'lab-lo-a->lab-lo-a-srv:44444 present once' \
	--expect 'lab-lo-b->lab-lo-b-srv:44444 present once' \
	--expect 'lab-lo-a->lab-lo-b-srv absent' \
	--expect 'lab-lo-b->lab-lo-a-srv absent' \
	--expect 'lab-client->lab-server-hi:50051 present' \
	--expect 'lab-server-hi->lab-client absent' \
	--expect 'lab-dns-client->www.lab.test:8080 present' \
	--expect '->queue.lab.test:8080 present' \
	--expect ':7007 absent' --expect ':7008 absent' --expect ':7009 absent' \
	--expect '198.18.0.2 absent at end'
sed -i 's/^  "history": \[\]$/  "history": [],\n  "files": [\n    "plan.json",\n    "truth.jsonl"\n  ]/' "$tmp/made/fixture.json"
cp "$tmp/truth.jsonl" "$tmp"/made/* "$dir"
"$bin/topotape" fixture check "$dir"
