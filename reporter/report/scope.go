package report

// A ScopeReport is a report in the terms of Weave Scope: the Endpoint topology that its
// probe would publish of the same records, and what its app needs to show it.
type ScopeReport struct {
	HostID, HostName string
	LocalNetworks    []string    // prefixes, as on the tape
	At               int64       // Unix ns
	Nodes            []ScopeNode // by id
}

// Scope returns the report as Weave Scope's probe would publish it.
func (r *Report) Scope() *ScopeReport {
	if r.scope != nil {
		return r.scope
	}
	return r.deriveScope()
}

// A ScopeNode is one node of the Endpoint topology.
type ScopeNode struct {
	ID        string       // scope;addr;port
	Latest    []ScopeValue // by key
	Sets      []ScopeSet   // by name
	Adjacency []string     // ids of the servers of this node, sorted
}

// A ScopeValue is a key of a node's metadata, and when it was set.
type ScopeValue struct {
	Key, Value string
	At         int64 // Unix ns
}

// A ScopeSet is a named set of strings, sorted.
type ScopeSet struct {
	Name   string
	Values []string
}
