package ctmsg

// Numbers of include/uapi/linux/netlink.h and include/uapi/linux/netfilter/nfnetlink.h.
const (
	nlHeaderLen  = 16 // struct nlmsghdr
	nfHeaderLen  = 4  // struct nfgenmsg
	headerLen    = nlHeaderLen + nfHeaderLen
	attrLen      = 4      // struct nlattr
	attrTypeMask = 0x3fff // NLA_TYPE_MASK: without NLA_F_NESTED and NLA_F_NET_BYTEORDER
	attrNested   = 0x8000 // NLA_F_NESTED

	flagMulti  = 0x002 // NLM_F_MULTI
	flagExcl   = 0x200 // NLM_F_EXCL
	flagCreate = 0x400 // NLM_F_CREATE

	subsystem = 1 << 8        // NFNL_SUBSYS_CTNETLINK, the high byte of nlmsg_type
	msgNew    = subsystem     // IPCTNL_MSG_CT_NEW is 0
	msgDelete = subsystem + 2 // IPCTNL_MSG_CT_DELETE
)

// Attributes of include/uapi/linux/netfilter/nfnetlink_conntrack.h.
const (
	ctaTupleOrig      = 1
	ctaTupleReply     = 2
	ctaStatus         = 3
	ctaProtoInfo      = 4
	ctaHelp           = 5
	ctaTimeout        = 7
	ctaMark           = 8
	ctaCountersOrig   = 9
	ctaCountersReply  = 10
	ctaUse            = 11
	ctaID             = 12
	ctaSecmark        = 17
	ctaZone           = 18
	ctaSecctx         = 19
	ctaTimestamp      = 20
	ctaTimestampEvent = 27

	ctaTupleIP    = 1
	ctaTupleProto = 2
	ctaTupleZone  = 3

	ctaIPv4Src = 1
	ctaIPv4Dst = 2
	ctaIPv6Src = 3
	ctaIPv6Dst = 4

	ctaProtoNum        = 1
	ctaProtoSrcPort    = 2
	ctaProtoDstPort    = 3
	ctaProtoICMPID     = 4
	ctaProtoICMPType   = 5
	ctaProtoICMPCode   = 6
	ctaProtoICMPv6ID   = 7
	ctaProtoICMPv6Type = 8
	ctaProtoICMPv6Code = 9

	ctaProtoInfoTCP  = 1
	ctaProtoInfoDCCP = 2
	ctaProtoInfoSCTP = 3

	ctaTCPState      = 1
	ctaTCPWScaleOrig = 2
	ctaTCPWScaleRepl = 3
	ctaTCPFlagsOrig  = 4
	ctaTCPFlagsReply = 5

	ctaOtherState = 1 // CTA_PROTOINFO_DCCP_STATE, CTA_PROTOINFO_SCTP_STATE
	ctaName       = 1 // CTA_HELP_NAME, CTA_SECCTX_NAME

	ctaCountersPackets = 1
	ctaCountersBytes   = 2

	ctaTimestampStart = 1
	ctaTimestampStop  = 2
)

// Address families of struct nfgenmsg.
const (
	familyIPv4 = 2  // AF_INET
	familyIPv6 = 10 // AF_INET6
)

// IP protocol numbers.
const (
	protoICMP    = 1
	protoTCP     = 6
	protoUDP     = 17
	protoDCCP    = 33
	protoGRE     = 47
	protoICMPv6  = 58
	protoSCTP    = 132
	protoUDPLite = 136
)

// hasPorts reports whether the tuples of a protocol have two 16-bit numbers.
func hasPorts(proto uint8) bool {
	switch proto {
	case protoTCP, protoUDP, protoDCCP, protoGRE, protoSCTP, protoUDPLite:
		return true
	}
	return false
}
