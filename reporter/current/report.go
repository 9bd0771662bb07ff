package current

import "github.com/topotape/topotape/reporter/report"

// Report returns the report of the last tick.
func (m *Machine) Report() *report.Report {
	window := m.ticks.Window - 1
	chains := m.linked
	if chains == nil {
		chains = m.chains(window)
	}
	used := m.sockets.noRows()
	shown := newEventMatcher(m)
	flows := join(chains, &m.sockets, shown, &m.sources, used)
	shown.spend(m.flows.all, window)
	others := shown.others(window, used)
	rows := m.sockets.unexplained(used)
	connections, swapped := inOrder(draftConnections(flows, others, rows, m.sockets.closedIn(window), &m.sockets, shown, &m.sources))
	r := &report.Report{HostID: m.hostID, HostName: m.host, ScopeInput: m.scopeInputNow()}
	m.ticks.Set(r, m.wall)
	r.Connections = connections
	r.Endpoints = listEndpoints(connections, swapped, m.hostID)
	attempts := m.attempts(shown, window)
	r.Attempts = attempts.List()
	r.Names = m.namesOf(r)
	r.Coverage = m.sources.Coverage(&m.ticks, tallyOf(flows, rows, &m.sources).untracked(), m.sockets.elsewhere(m.sources.ConntrackNamespaces()))
	r.HostEvents = attempts.AppendLeftOut(m.sources.HostEvents(&m.ticks, m.wall), r.At)
	return r
}
