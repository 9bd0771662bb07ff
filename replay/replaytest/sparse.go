package replaytest

// Some is every name, or what Sparse leaves of them, the last one always.
func Some(names []string) (some []string) {
	for i := len(names) - 1; i >= 0; i -= Sparse {
		some = append(some, names[i])
	}
	return some
}
