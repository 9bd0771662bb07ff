#!/bin/sh
# Records the shipped tape: a small lab whose gateway, in its own PID, UTS and
# cgroup namespaces, sees nothing but itself.
set -eu
bin=$(cd "$1" && pwd)
dir=$2
mkdir -p "$dir"
rm -f "$dir/capture.tape"
unshare --pid --fork --mount-proc --uts --cgroup sh -c '
	hostname gateway
	cd "$1" && PATH="$2:$PATH" exec env -i PATH="$2:$PATH" HOME=/root "$2/netlab" run --plan plan.json --truth truth.jsonl -- \
		topotape record -o capture.tape --host-id gateway --interval 2s --duration 1m \
		--note "a gateway with DNAT, masquerading and DNS, recorded in the network lab"' sh "$dir" "$bin"
chmod 644 "$dir/capture.tape"
