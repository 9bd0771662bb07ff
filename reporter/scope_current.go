package reporter

// deriveScope makes the view from the report's connections.
func (r *Report) deriveScope() *ScopeReport {
	return &ScopeReport{HostID: r.HostID, HostName: r.HostName, At: r.At}
}
