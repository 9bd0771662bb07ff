package current

import "github.com/topotape/topotape/reporter/report"

// report makes the report of the last tick.
func (c *Machine) Report() *report.Report {
	window := c.window - 1
	chains := c.linked
	if chains == nil {
		chains = c.chains(window)
	}
	used := c.sockets.noRows()
	flows := join(chains, &c.sockets, &c.sources, used)
	rows := c.sockets.unexplained(used)
	connections, swapped := inOrder(draftConnections(flows, rows, c.sockets.closedIn(window), &c.sockets, &c.sources))
	r := &report.Report{
		HostID: c.hostID, HostName: c.host, Tick: c.tick.Number, At: c.wall + c.tickAt,
		Window: c.tick.Interval, Tape: c.factsSoFar(),
	}
	if r.Window == 0 {
		r.Window = c.tickAt - c.lastTick
	}
	r.Connections = connections
	r.Endpoints = listEndpoints(connections, swapped, c.hostID)
	r.Names = c.namesOf(r)
	r.Coverage = c.sources.Coverage(window, tallyOf(flows, rows, &c.sources).untracked())
	return r
}
