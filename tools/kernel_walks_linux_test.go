package tools

// walksBetween holds the tables against ss: a socket that two looks showed was there
// between them, and whatever was read in that time must have it.
func (j *judge) walksBetween(looks []*look) {
	type life struct {
		name  socketName
		inode uint64
	}
	first, last := map[life]reading{}, map[life]reading{}
	held := map[life]bool{} // by a process, in the first look
	for _, k := range looks {
		for name, s := range k.socks {
			l := life{name, s.inode}
			if !s.open || s.inode == 0 {
				continue
			}
			if _, ok := first[l]; !ok {
				first[l], held[l] = k.socksRead[name.netns], len(s.pids) > 0
			}
			last[l] = k.socksRead[name.netns]
		}
	}
	for l := range first {
		for _, w := range j.story.walks {
			j.walkHas(w, l.name, l.inode, first[l].end+apart, last[l].begin-apart, held[l])
		}
	}
}

// walkHas wants a socket in a walk's tables if they were read between the two times.
func (j *judge) walkHas(w *walkRead, name socketName, inode uint64, from, to int64, held bool) {
	v4, v6 := w.tables[tableName{name.netns, "tcp"}], w.tables[tableName{name.netns, "tcp6"}]
	if v4 == nil || v6 == nil || min(v4.begin, v6.begin) < from || max(v4.end, v6.end) > to {
		return
	}
	_, has, ok := w.row(name)
	switch {
	case !ok || has != inode:
		j.count("", "socket %v, inode %d: not in the tables read at %v and %v, with ss showing it from %d to %d", name, inode, v4.reading, v6.reading, from, to)
	case held && w.begin >= from && w.end <= to && len(w.owners[inode]) == 0:
		j.count("", "socket %v, inode %d: no owner in the walk of %v, with ss showing one from %d to %d", name, inode, w.reading, from, to)
	default:
		j.count(agrees, "")
	}
}
