package collect

import (
	"encoding/binary"
	"net/netip"
	"os"
	"syscall"
)

// dump calls each with the messages of an rtnetlink dump (rtnetlink(7)).
func dump(request, family int, each func(*syscall.NetlinkMessage)) error {
	answer, err := syscall.NetlinkRIB(request, family)
	if err != nil {
		return os.NewSyscallError("netlink", err)
	}
	messages, err := syscall.ParseNetlinkMessage(answer)
	for i := range messages {
		each(&messages[i])
	}
	return err
}

// mainRoutes lists the destinations of the main routing tables of IPv4 and
// IPv6.
func mainRoutes() (list []netip.Prefix, err error) {
	for _, family := range []int{syscall.AF_INET, syscall.AF_INET6} {
		err := dump(syscall.RTM_GETROUTE, family, func(m *syscall.NetlinkMessage) {
			if p, ok := destination(m); ok {
				list = append(list, p)
			}
		})
		if err != nil {
			return list, err
		}
	}
	return list, nil
}

// interfaceAddresses lists the addresses of each interface, by its index.
func interfaceAddresses() (map[uint32][]netip.Prefix, error) {
	all := make(map[uint32][]netip.Prefix)
	err := dump(syscall.RTM_GETADDR, syscall.AF_UNSPEC, func(m *syscall.NetlinkMessage) {
		if m.Header.Type != syscall.RTM_NEWADDR || len(m.Data) < syscall.SizeofIfAddrmsg {
			return
		}
		attrs, err := syscall.ParseNetlinkRouteAttr(m)
		if err != nil {
			return
		}
		var addr, local netip.Addr // on a point-to-point link, addr is the peer's
		for _, a := range attrs {
			switch a.Attr.Type {
			case syscall.IFA_ADDRESS:
				addr, _ = netip.AddrFromSlice(a.Value)
			case syscall.IFA_LOCAL:
				local, _ = netip.AddrFromSlice(a.Value)
			}
		}
		if local.IsValid() {
			addr = local
		}
		if p := netip.PrefixFrom(addr, int(m.Data[1])); p.IsValid() {
			index := binary.NativeEndian.Uint32(m.Data[4:])
			all[index] = append(all[index], p)
		}
	})
	return all, err
}

// destination returns the prefix of an RTM_NEWROUTE of the main table; ok is
// false for any other message and for routes that were cloned for one address.
func destination(m *syscall.NetlinkMessage) (p netip.Prefix, ok bool) {
	if m.Header.Type != syscall.RTM_NEWROUTE || len(m.Data) < syscall.SizeofRtMsg {
		return p, false
	}
	family, bits, table := m.Data[0], int(m.Data[1]), uint32(m.Data[4])
	flags := binary.NativeEndian.Uint32(m.Data[8:])
	addr := netip.IPv4Unspecified()
	if family == syscall.AF_INET6 {
		addr = netip.IPv6Unspecified()
	}
	attrs, err := syscall.ParseNetlinkRouteAttr(m)
	if err != nil {
		return p, false
	}
	for _, a := range attrs {
		switch a.Attr.Type {
		case syscall.RTA_DST:
			addr, _ = netip.AddrFromSlice(a.Value)
		case syscall.RTA_TABLE:
			if len(a.Value) >= 4 {
				table = binary.NativeEndian.Uint32(a.Value)
			}
		}
	}
	p = netip.PrefixFrom(addr, bits)
	return p, p.IsValid() && table == syscall.RT_TABLE_MAIN && flags&syscall.RTM_F_CLONED == 0
}
