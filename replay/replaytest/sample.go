package replaytest

// Sample returns one of every OneIn names, and always the last one.
func Sample(names []string) (some []string) {
	for i := len(names) - 1; i >= 0; i -= OneIn {
		some = append(some, names[i])
	}
	return some
}
