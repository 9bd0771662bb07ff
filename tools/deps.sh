#!/bin/sh
# Installs the missing programs that the network lab needs and, with the argument
# test, those that the tests need: as root, on Linux with Debian's package manager.
# Elsewhere the tests that need them are skipped.
set -eu
[ "$(uname -s)" = Linux ] && [ "$(id -u)" = 0 ] || exit 0
missing=
need() { command -v "$1" >/dev/null 2>&1 || missing="$missing $2"; }
need ip iproute2
need nft nftables
need dnsmasq dnsmasq-base
need conntrack conntrack
if [ "${1:-}" = test ]; then
	need dot graphviz
	need git git
	need tcpdump tcpdump
	need tshark tshark
	need dash dash
	need busybox busybox
	/usr/bin/python3 -c 'import msgpack, zstandard' 2>/dev/null || missing="$missing python3 python3-msgpack python3-zstandard"
fi
[ -n "$missing" ] || exit 0
command -v apt-get >/dev/null 2>&1 || { echo "the tests need:$missing" >&2; exit 0; }
echo "installing$missing"
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
# shellcheck disable=SC2086 # one word for each package
apt-get install -y -qq --no-install-recommends $missing >/dev/null
