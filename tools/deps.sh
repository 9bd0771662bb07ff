#!/bin/sh
# Installs what the network lab needs, Graphviz and tshark, if they are not there: only as
# root, only on Linux with Debian's package manager. Without it the tests that
# need the lab or draw pictures skip, and say so.
set -eu
[ "$(uname -s)" = Linux ] && [ "$(id -u)" = 0 ] || exit 0
missing=
need() { command -v "$1" >/dev/null 2>&1 || missing="$missing $2"; }
need ip iproute2
need nft nftables
need dnsmasq dnsmasq-base
need conntrack conntrack
need dot graphviz
need tshark tshark
[ -n "$missing" ] || exit 0
command -v apt-get >/dev/null 2>&1 || { echo "the tests need:$missing" >&2; exit 0; }
echo "installing$missing"
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
# shellcheck disable=SC2086 # one word a package
apt-get install -y -qq --no-install-recommends $missing >/dev/null
