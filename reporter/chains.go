package reporter

// A place is a tuple as packets show it somewhere between the ends.
type place struct {
	tuple
	zone uint16
}

func (f *flow) enter() place { return place{f.key.orig, f.key.zone} }
func (f *flow) leave() place { return place{f.reply.reversed(), f.key.zone} }

// chains puts the flows of different namespaces together that are parts of one
// connection: one leaves with the tuple with which the next enters. Loopback
// never leaves its namespace, and zones never mix.
func chains(all []*flow) [][]*flow {
	enters := make(map[place][]*flow)
	leaves := make(map[place][]*flow)
	plain := make(map[place][]*flow)
	for _, f := range all {
		if f.nat() {
			enters[f.enter()] = append(enters[f.enter()], f)
			leaves[f.leave()] = append(leaves[f.leave()], f)
		} else {
			plain[f.enter()] = append(plain[f.enter()], f)
		}
	}
	taken := make(map[*flow]bool, len(all))
	// partner finds the flow that belongs to the chain's place: of another
	// namespace, alive at the same time, best with the same fate.
	partner := func(chain []*flow, at place, among map[place][]*flow) *flow {
		if at.loopback() {
			return nil
		}
		var best *flow
		for _, g := range among[at] {
			if !taken[g] && joins(chain, g) && (best == nil || best.ended != chain[0].ended && g.ended == chain[0].ended) {
				best = g
			}
		}
		return best
	}
	var out [][]*flow
	for _, f := range all {
		if taken[f] || !f.nat() {
			continue
		}
		chain := []*flow{f}
		taken[f] = true
		for g := partner(chain, chain[0].enter(), leaves); g != nil; g = partner(chain, chain[0].enter(), leaves) {
			chain = append([]*flow{g}, chain...)
			taken[g] = true
		}
		for g := partner(chain, chain[len(chain)-1].leave(), enters); g != nil; g = partner(chain, chain[len(chain)-1].leave(), enters) {
			chain = append(chain, g)
			taken[g] = true
		}
		// what only looked on stands at the place where it looked
		for i := len(chain); i >= 0; i-- {
			at := chain[max(i-1, 0)].leave()
			if i == 0 {
				at = chain[0].enter()
			}
			for g := partner(chain, at, plain); g != nil; g = partner(chain, at, plain) {
				chain = append(chain[:i], append([]*flow{g}, chain[i:]...)...)
				taken[g] = true
			}
		}
		out = append(out, chain)
	}
	for _, f := range all {
		if taken[f] {
			continue
		}
		chain := []*flow{f}
		taken[f] = true
		for g := partner(chain, f.enter(), plain); g != nil; g = partner(chain, f.enter(), plain) {
			chain = append(chain, g)
			taken[g] = true
		}
		out = append(out, chain)
	}
	return out
}

// joins reports whether g can be another namespace's view of the chain's
// connection: no flow of its source is in it, and their lives overlap.
func joins(chain []*flow, g *flow) bool {
	for _, f := range chain {
		if f.key.source == g.key.source ||
			f.ended && f.end.at < g.first || g.ended && g.end.at < f.first {
			return false
		}
	}
	return true
}
