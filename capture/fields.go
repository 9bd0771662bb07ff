package capture

import "github.com/topotape/topotape/capture/wire"

// Each payload type has one method fields, which serves both directions: it
// passes its fields to a coder, which either writes them or reads into them. The
// order of the calls is the format; new fields go to the end.

func (p *Source) fields(c *wire.Coder) {
	c.Bool(&p.Open)
	c.String(&p.Kind)
	c.Uint64(&p.Netns)
	c.String(&p.Interface)
	c.Uint64(&p.Buffer)
	c.Uint32(&p.Snaplen)
	c.String(&p.Why)
}

func (p *Tick) fields(c *wire.Coder) {
	c.Uint64(&p.Number)
	c.Int64(&p.Interval)
}

func (p *ConntrackDump) fields(c *wire.Coder) {
	c.Uint64(&p.Number)
	c.Uint64(&p.Entries)
	c.String(&p.Failed)
}

func (p *ProcNet) fields(c *wire.Coder) {
	c.Uint64(&p.Netns)
	c.String(&p.Table)
	c.Bool(&p.Absent)
	c.Int64(&p.ReadStart)
	c.Int64(&p.ReadEnd)
	c.Uint32(&p.Part)
	c.Bool(&p.More)
	c.Bytes(&p.Text)
}

func (p *ProcWalk) fields(c *wire.Coder) {
	c.Uint64(&p.Number)
	c.Uint64(&p.Processes)
	c.Uint64(&p.Netns)
	c.String(&p.Failed)
}

func (p *ProcSockets) fields(c *wire.Coder) {
	c.Uint64(&p.Netns)
	c.Uint32(&p.Part)
	c.Bool(&p.More)
	wire.List(c, &p.Processes, (*Process).fields)
}

func (p *Process) fields(c *wire.Coder) {
	c.Uint32(&p.PID)
	c.Uint32(&p.PPID)
	c.Uint64(&p.Start)
	c.String(&p.Comm)
	c.Bytes(&p.Cgroup)
	wire.Values(c, &p.Inodes, (*wire.Coder).Uint64)
	c.Bool(&p.Partial)
}

func (p *ProcUnchanged) fields(c *wire.Coder) {
	c.Uint64(&p.Netns)
	c.String(&p.Table)
	c.Int64(&p.Checked)
}

func (p *DNS) fields(c *wire.Coder) {
	c.Uint32(&p.Interface)
	c.Uint8(&p.Direction)
	c.Uint32(&p.Length)
	c.Bytes(&p.Packet)
}

func (p *ReverseName) fields(c *wire.Coder) {
	c.String(&p.Addr)
	wire.Values(c, &p.Names, (*wire.Coder).Name)
	c.String(&p.Error)
	c.Int64(&p.TTL)
}

func (p *Host) fields(c *wire.Coder) {
	c.String(&p.ID)
	c.String(&p.Name)
	c.String(&p.BootID)
	c.String(&p.Kernel)
	wire.List(c, &p.Interfaces, (*Interface).fields)
	wire.Values(c, &p.Routes, (*wire.Coder).String)
	wire.Values(c, &p.LocalNetworks, (*wire.Coder).String)
	wire.List(c, &p.Sysctls, (*Sysctl).fields)
}

func (p *Interface) fields(c *wire.Coder) {
	c.Uint32(&p.Index)
	c.String(&p.Name)
	wire.Values(c, &p.Addresses, (*wire.Coder).String)
}

func (p *Sysctl) fields(c *wire.Coder) {
	c.String(&p.Name)
	c.String(&p.Value)
}

func (p *Gap) fields(c *wire.Coder) {
	c.Uint64(&p.Lost)
	c.Bool(&p.Exact)
	c.String(&p.Why)
	c.LaterInt64(&p.Since)
}

func (p *Counters) fields(c *wire.Coder) {
	c.Uint64(&p.Netns)
	wire.List(c, &p.Files, (*CounterFile).fields)
}

func (p *CounterFile) fields(c *wire.Coder) {
	c.String(&p.Name)
	c.Bytes(&p.Text)
}

func (p *Stall) fields(c *wire.Coder) { c.Int64(&p.Duration) }

func (p *SocketFormat) fields(c *wire.Coder) { c.Bytes(&p.Text) }

func (p *Cgroups) fields(c *wire.Coder) {
	c.Uint32(&p.Part)
	c.Bool(&p.More)
	wire.List(c, &p.Dirs, (*Cgroup).fields)
}

func (p *Cgroup) fields(c *wire.Coder) {
	c.Uint64(&p.Inode)
	c.String(&p.Path)
}

func (p *SocketTable) fields(c *wire.Coder) {
	c.Uint64(&p.Netns)
	c.String(&p.Table)
	c.Int64(&p.ReadStart)
	c.Int64(&p.ReadEnd)
	c.Uint32(&p.Part)
	c.Bool(&p.More)
	c.Bool(&p.Interrupted)
	c.Bytes(&p.Messages)
}

func (p *Clock) fields(c *wire.Coder) {
	c.Int64(&p.Step)
	c.Int64(&p.Wall)
}

func (p *Mark) fields(c *wire.Coder) { c.Text(&p.Text) }

func (p *Witness) fields(c *wire.Coder) {
	c.Uint64(&p.Tick)
	c.String(&p.Rules)
	c.Uint32(&p.Core)
	c.Uint64(&p.Digests.Coverage)
	c.Uint64(&p.Digests.Endpoints)
	c.Uint64(&p.Digests.Names)
	for i := range p.Digests.Connections {
		c.Uint64(&p.Digests.Connections[i])
	}
	c.LaterUint64(&p.Digests.Attempts)
}

func (p *Fault) fields(c *wire.Coder) {
	c.Uint64(&p.Record)
	c.Text(&p.Message)
	c.Text(&p.Stack)
}

func (p *Carry) fields(c *wire.Coder) {
	c.Uint32(&p.Core)
	c.Bytes(&p.State)
	c.String(&p.Rules)
	c.Uint32(&p.Part)
	c.Bool(&p.More)
}

func (p *End) fields(c *wire.Coder) {
	c.Text(&p.Why)
	wire.List(c, &p.Totals, (*Total).fields)
}

func (p *Total) fields(c *wire.Coder) {
	c.Uint32(&p.Source)
	c.String(&p.Kind)
	c.Uint64(&p.Received)
	c.Uint64(&p.Recorded)
	c.Uint64(&p.Lost)
	c.Uint64(&p.Undecodable)
	c.Uint64(&p.Bytes)
}

func (h *Header) Fields(c *wire.Coder) {
	c.Uint32(&h.Minor)
	c.String(&h.Tool)
	c.Uint32(&h.Core)
	c.Fixed(h.TapeID[:])
	c.Fixed(h.Recording[:])
	c.Uint32(&h.Segment)
	c.Int64(&h.Start)
	c.Bool(&h.BigEndian)
	c.String(&h.HostID)
	c.String(&h.HostName)
	wire.Values(c, &h.LocalNetworks, (*wire.Coder).String)
	c.String(&h.Recorder)
	wire.Values(c, &h.Command, (*wire.Coder).Text)
	c.Text(&h.Note)
	c.String(&h.Derived.Verb)
	c.Fixed(h.Derived.Parent[:])
	c.Fixed(h.Derived.SHA256[:])
	wire.Values(c, &h.Derived.Args, (*wire.Coder).Text)
	wire.List(c, &h.Derived.Others, (*Parent).fields)
}

func (p *Parent) fields(c *wire.Coder) {
	c.Fixed(p.TapeID[:])
	c.Fixed(p.SHA256[:])
}
