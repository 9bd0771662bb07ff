package tools

// checkWalks compares the tables with ss: a socket that two snapshots show was open between
// them, and every table that was read in that time must have it.
func (ch *checker) checkWalks(snapshots []*snapshot) {
	type socket struct {
		name  socketName
		inode uint64
	}
	first, last := map[socket]reading{}, map[socket]reading{}
	owned := map[socket]bool{} // by a process, in the first snapshot
	for _, k := range snapshots {
		for name, s := range k.socks {
			l := socket{name, s.inode}
			if !s.open || s.inode == 0 {
				continue
			}
			if _, ok := first[l]; !ok {
				first[l], owned[l] = k.socksRead[name.netns], len(s.pids) > 0
			}
			last[l] = k.socksRead[name.netns]
		}
	}
	for l := range first {
		for _, w := range ch.facts.walks {
			ch.checkWalk(w, l.name, l.inode, first[l].end+clockError, last[l].begin-clockError, owned[l])
		}
	}
}

// checkWalk checks that a walk's tables have a socket if they were read between two times.
func (ch *checker) checkWalk(w *walkRead, name socketName, inode uint64, from, to int64, owned bool) {
	v4, v6 := w.tables[tableName{name.netns, "tcp"}], w.tables[tableName{name.netns, "tcp6"}]
	if v4 == nil || v6 == nil || min(v4.begin, v6.begin) < from || max(v4.end, v6.end) > to {
		return
	}
	_, has, ok := w.row(name)
	switch {
	case !ok || has != inode:
		ch.count("", "socket %v, inode %d: not in the tables read at %v and %v, with ss showing it from %d to %d", name, inode, v4.reading, v6.reading, from, to)
	case owned && w.begin >= from && w.end <= to && len(w.owners[inode]) == 0:
		ch.count("", "socket %v, inode %d: no owner in the walk of %v, with ss showing one from %d to %d", name, inode, w.reading, from, to)
	default:
		ch.count(agrees, "")
	}
}
