package capture

// Each payload type has one method fields, which serves both directions: it
// passes its fields to a coder, which either writes them or reads into them. The
// order of the calls is the format; new fields go to the end.

func (p *Source) fields(c *coder) {
	c.bool(&p.Open)
	c.string(&p.Kind)
	c.uint64(&p.Netns)
	c.string(&p.Interface)
	c.uint64(&p.Buffer)
	c.uint32(&p.Snaplen)
	c.string(&p.Why)
}

func (p *Tick) fields(c *coder) {
	c.uint64(&p.Number)
	c.int64(&p.Interval)
}

func (p *ConntrackDump) fields(c *coder) {
	c.uint64(&p.Number)
	c.uint64(&p.Entries)
	c.string(&p.Failed)
}

func (p *ProcNet) fields(c *coder) {
	c.uint64(&p.Netns)
	c.string(&p.Table)
	c.bool(&p.Absent)
	c.int64(&p.ReadStart)
	c.int64(&p.ReadEnd)
	c.uint32(&p.Part)
	c.bool(&p.More)
	c.bytes(&p.Text)
}

func (p *ProcWalk) fields(c *coder) {
	c.uint64(&p.Number)
	c.uint64(&p.Processes)
	c.uint64(&p.Netns)
	c.string(&p.Failed)
}

func (p *ProcSockets) fields(c *coder) {
	c.uint64(&p.Netns)
	c.uint32(&p.Part)
	c.bool(&p.More)
	list(c, &p.Processes, (*Process).fields)
}

func (p *Process) fields(c *coder) {
	c.uint32(&p.PID)
	c.uint32(&p.PPID)
	c.uint64(&p.Start)
	c.string(&p.Comm)
	c.bytes(&p.Cgroup)
	values(c, &p.Inodes, (*coder).uint64)
	c.bool(&p.Partial)
}

func (p *ProcUnchanged) fields(c *coder) {
	c.uint64(&p.Netns)
	c.string(&p.Table)
	c.int64(&p.Checked)
}

func (p *DNS) fields(c *coder) {
	c.uint32(&p.Interface)
	c.uint8(&p.Direction)
	c.uint32(&p.Length)
	c.bytes(&p.Packet)
}

func (p *ReverseName) fields(c *coder) {
	c.string(&p.Addr)
	values(c, &p.Names, (*coder).string)
	c.string(&p.Error)
	c.int64(&p.TTL)
}

func (p *Host) fields(c *coder) {
	c.string(&p.ID)
	c.string(&p.Name)
	c.string(&p.BootID)
	c.string(&p.Kernel)
	list(c, &p.Interfaces, (*Interface).fields)
	values(c, &p.Routes, (*coder).string)
	values(c, &p.LocalNetworks, (*coder).string)
	list(c, &p.Sysctls, (*Sysctl).fields)
}

func (p *Interface) fields(c *coder) {
	c.uint32(&p.Index)
	c.string(&p.Name)
	values(c, &p.Addresses, (*coder).string)
}

func (p *Sysctl) fields(c *coder) {
	c.string(&p.Name)
	c.string(&p.Value)
}

func (p *Gap) fields(c *coder) {
	c.uint64(&p.Lost)
	c.bool(&p.Exact)
	c.string(&p.Why)
}

func (p *Clock) fields(c *coder) {
	c.int64(&p.Step)
	c.int64(&p.Wall)
}

func (p *Mark) fields(c *coder) { c.string(&p.Text) }

func (p *Witness) fields(c *coder) {
	c.uint64(&p.Tick)
	c.string(&p.Rules)
	c.uint32(&p.Core)
	c.uint64(&p.Digests.Coverage)
	c.uint64(&p.Digests.Endpoints)
	c.uint64(&p.Digests.Names)
	for i := range p.Digests.Connections {
		c.uint64(&p.Digests.Connections[i])
	}
}

func (p *Fault) fields(c *coder) {
	c.uint64(&p.Record)
	c.string(&p.Message)
	c.string(&p.Stack)
}

func (p *Carry) fields(c *coder) {
	c.uint32(&p.Core)
	c.bytes(&p.State)
	c.string(&p.Rules)
	c.uint32(&p.Part)
	c.bool(&p.More)
}

func (p *End) fields(c *coder) {
	c.string(&p.Why)
	list(c, &p.Totals, (*Total).fields)
}

func (p *Total) fields(c *coder) {
	c.uint32(&p.Source)
	c.string(&p.Kind)
	c.uint64(&p.Received)
	c.uint64(&p.Recorded)
	c.uint64(&p.Lost)
	c.uint64(&p.Undecodable)
	c.uint64(&p.Bytes)
}

func (h *Header) fields(c *coder) {
	c.uint32(&h.Minor)
	c.string(&h.Tool)
	c.uint32(&h.Core)
	c.fixed(h.TapeID[:])
	c.fixed(h.Recording[:])
	c.uint32(&h.Segment)
	c.int64(&h.Start)
	c.bool(&h.BigEndian)
	c.string(&h.HostID)
	c.string(&h.HostName)
	values(c, &h.LocalNetworks, (*coder).string)
	c.string(&h.Recorder)
	values(c, &h.Command, (*coder).string)
	c.string(&h.Note)
	c.string(&h.Derived.Verb)
	c.fixed(h.Derived.Parent[:])
	c.fixed(h.Derived.SHA256[:])
	values(c, &h.Derived.Args, (*coder).string)
	list(c, &h.Derived.Others, (*Parent).fields)
}

func (p *Parent) fields(c *coder) {
	c.fixed(p.TapeID[:])
	c.fixed(p.SHA256[:])
}
