#!/bin/sh
# Runs the tests of the source "sockets" on other kernels: those of Debian's packages, under
# qemu, without hardware virtualisation. Offsets and flags of the samples differ between
# kernels. As root, on Linux with Debian's package manager.
#
# usage: tools/kernels.sh [PACKAGE...]
set -eu
cd "$(dirname "$0")/.."
[ $# -gt 0 ] || set -- linux-image-cloud-amd64 linux-image-6.12-cloud-amd64
export DEBIAN_FRONTEND=noninteractive

missing=
need() { command -v "$1" >/dev/null 2>&1 || missing="$missing $2"; }
need qemu-system-x86_64 qemu-system-x86
need cpio cpio
need kmod kmod
[ -x /bin/busybox ] && ! ldd /bin/busybox >/dev/null 2>&1 || missing="$missing busybox-static"
if [ -n "$missing" ]; then
	apt-get update -qq
	# shellcheck disable=SC2086 # one word for each package
	apt-get install -y -qq --no-install-recommends $missing >/dev/null
fi

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
CGO_ENABLED=0 go test -c -o "$dir/collect.test" ./capture/collect

failed=0
for package; do
	# A meta-package depends on the package with the kernel.
	image=$(apt-cache depends "$package" | sed -n 's/^ *Depends: \(linux-image-[0-9].*\)/\1/p' | head -n 1)
	image=${image:-$package}
	root=$dir/$image
	mkdir -p "$root"
	(cd "$dir" && apt-get download -qq "$image" && dpkg-deb -x "$image"_*.deb "$root")
	version=${image#linux-image-}
	init=$dir/init-$version
	mkdir -p "$init/bin" "$init/proc" "$init/sys" "$init/dev" "$init/tmp" "$init/run" "$init/etc" "$init/lib"
	cp /bin/busybox "$init/bin/busybox"
	cp "$dir/collect.test" "$init/collect.test"
	# The modules that a network between namespaces needs, with those that they need.
	depmod -b "$root" "$version"
	for m in veth dummy tun nf_conntrack nf_tables nft_ct inet_diag tcp_diag netlink_diag; do
		modprobe -d "$root" -S "$version" --show-depends "$m" 2>/dev/null | sed -n 's/^insmod \([^ ]*\).*/\1/p'
	done | awk '!seen[$0]++' >"$init/modules"
	while read -r m; do cp "$m" "$init/lib/"; done <"$init/modules"
	sed -i 's#.*/#/lib/#' "$init/modules"
	# Programs that the tests call, with their libraries.
	for p in ip nft; do
		path=$(command -v "$p") && cp "$path" "$init/bin/$p" && ldd "$path" | grep -o '/[^ ]*' | while read -r l; do
			mkdir -p "$init$(dirname "$l")" && cp -L "$l" "$init$l"
		done
	done
	cat >"$init/init" <<-'EOF'
		#!/bin/busybox sh
		/bin/busybox --install -s /bin
		export PATH=/bin HOME=/tmp TMPDIR=/tmp
		mount -t proc none /proc
		mount -t sysfs none /sys
		mount -t devtmpfs none /dev
		mount -t tmpfs none /tmp
		mount -t tmpfs none /run
		mkdir -p /dev/net /sys/fs/cgroup
		mount -t cgroup2 none /sys/fs/cgroup
		while read -r m; do insmod "$m"; done </modules
		ip link set lo up
		uname -r
		/collect.test -test.v -test.run 'Sockets|Ring|Diag|Closes' -test.timeout 15m
		echo "tests ended with $?"
		sync
		poweroff -f
	EOF
	chmod +x "$init/init"
	(cd "$init" && find . | cpio -o -H newc --quiet | gzip -1) >"$dir/initrd-$version"
	log=$dir/log-$version
	echo "== $version"
	timeout 1200 qemu-system-x86_64 -accel tcg -cpu max -smp 2 -m 2G -nographic -no-reboot \
		-kernel "$root/boot/vmlinuz-$version" -initrd "$dir/initrd-$version" \
		-append "console=ttyS0 panic=-1 quiet" </dev/null >"$log" 2>&1 || true
	tr -d '\r' <"$log" | grep -aE '^ *--- |^(PASS|FAIL|tests ended)|_test.go:' || true
	if ! grep -aq 'tests ended with 0' "$log"; then
		tail -n 40 "$log"
		failed=1
	fi
done
exit $failed
