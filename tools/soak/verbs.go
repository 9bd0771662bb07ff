//go:build linux

package main

// What a verb writes to standard output.
type output int

const (
	text      output = iota // for people, or a picture's source
	jsonOne                 // one JSON value
	jsonMany                // any number of them
	bytesOnly               // not looked at
)

// A verb is a command line of a reading verb. TAPE, ORIGINAL, OUT and DIR are replaced
// by the tape, the tape that it began as, a new file and an empty folder; DASH is
// standard input, which is the tape.
type verb struct {
	args   []string
	output output
	before *verb // runs first, if the verb reads what another wrote
	same   bool  // it compares the tape with itself, and may not find a difference
}

const (
	tapeArg     = "TAPE"
	originalArg = "ORIGINAL"
	outArg      = "OUT"
	dirArg      = "DIR"
	stdinArg    = "DASH"
	scriptArg   = "SCRIPT"
)

// verbs are the reading verbs with the flags that make them read in another way.
var verbs = []verb{
	{args: []string{"info", tapeArg}},
	{args: []string{"info", stdinArg}},
	{args: []string{"info", "--top", "5", tapeArg}},
	{args: []string{"info", "--format", "json", tapeArg}, output: jsonMany},
	{args: []string{"info", "--top", "5", "--format", "json", tapeArg, originalArg}, output: jsonMany},
	{args: []string{"cat", tapeArg}},
	{args: []string{"cat", "--from", "+1s", "--to", "-1s", tapeArg}},
	{args: []string{"cat", "--match", ":443", tapeArg}},
	{args: []string{"cat", "--format", "jsonl", stdinArg}, output: jsonMany},
	{args: []string{"cat", "--format", "jsonl", tapeArg}, output: jsonMany},
	{args: []string{"cat", "--format", "pcapng", tapeArg}, output: bytesOnly},
	{args: []string{"replay", tapeArg}},
	{args: []string{"replay", stdinArg}},
	{args: []string{"replay", "--format", "json", tapeArg}, output: jsonMany},
	{args: []string{"replay", "--all", "--format", "ndjson", tapeArg}, output: jsonMany},
	{args: []string{"replay", "--all", "--format", "json", tapeArg}, output: jsonOne},
	{args: []string{"replay", "--all", tapeArg}},
	{args: []string{"replay", "--from", "+2s", "--to", "end", "--format", "ndjson", tapeArg}, output: jsonMany},
	{args: []string{"replay", "--whole", tapeArg}},
	{args: []string{"replay", "--whole", "--format", "ndjson", tapeArg}, output: jsonMany},
	{args: []string{"replay", "--verify", tapeArg}},
	{args: []string{"replay", "--all", "--format", "scope-json", tapeArg}, output: jsonMany},
	{args: []string{"replay", "--format", "scope-msgpack", tapeArg}, output: bytesOnly},
	{args: []string{"replay", "--whole", "--format", "dot", tapeArg}},
	{args: []string{"replay", "--whole", "--format", "mermaid", tapeArg}},
	{args: []string{"replay", "--rules", "scope2016", "--all", "--format", "ndjson", tapeArg}, output: jsonMany},
	{args: []string{"replay", "--rules", "scope2016", "--whole", tapeArg}},
	{args: []string{"diff", tapeArg, tapeArg}, same: true},
	{args: []string{"diff", tapeArg, originalArg}},
	{args: []string{"diff", "--format", "json", originalArg, tapeArg}, output: jsonOne},
	{args: []string{"diff", "--format", "markdown", tapeArg, originalArg}},
	{args: []string{"diff", "--format", "dot", tapeArg, originalArg}},
	{args: []string{"diff", tapeArg, "--rules", "scope2016", "--rules", "current"}},
	{args: []string{"cut", "--from", "+1s", "--to", "-1s", tapeArg, "-o", outArg}},
	{args: []string{"cut", "--from", "-1s", tapeArg, "-o", "-"}, output: bytesOnly},
	{args: []string{"merge", tapeArg, tapeArg, "-o", outArg}},
	{args: []string{"merge", originalArg, tapeArg, "-o", outArg}},
	{args: []string{"recover", tapeArg, "-o", outArg}},
	{args: []string{"recover", stdinArg, "-o", "-"}, output: bytesOnly},
	{args: []string{"build", scriptArg, "-o", outArg}, before: &verb{args: []string{"cat", "--format", "jsonl", tapeArg, "-o", scriptArg}}},
	{args: []string{"build", tapeArg, "-o", outArg}},
	{args: []string{"fixture", "add", "x", tapeArg, "--dir", dirArg, "--expect", "203.0.113.254 absent"}},
}
