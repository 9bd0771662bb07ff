package tools

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// The table of limits in capture/doc.go has the values of the constants.
func TestTableOfLimits(t *testing.T) {
	doc, err := os.ReadFile("../capture/doc.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, limit := range []struct{ file, constant, says string }{
		{"capture/tape/writer.go", `maxRecord = 4 << 20`, "a payload on tape                       4 MiB"},
		{"capture/tape/frame.go", `maxPayload = 8 << 20`, "8 MiB decoded"},
		{"capture/tape/frame.go", `maxRatio += 256`, "more than 256 times"},
		{"capture/tape/frame.go", `maxExpanding = 40 << 20`, "40 MiB in all"},
		{"capture/tape/reader.go", `maxTapes = 1 << 16`, "65,536, 4,096 recovered"},
		{"replay/edit/layout.go", `maxTapes = 1 << 12`, "65,536, 4,096 recovered"},
		{"capture/wire/coder.go", `maxLists = 16 << 20`, "lists of one payload in memory                        16 MiB"},
		{"capture/wire/coder.go", `maxString = 4 << 10`, "4 KiB, 64 KiB"},
		{"capture/wire/coder.go", `maxText += 64 << 10`, "4 KiB, 64 KiB"},
		{"reporter/source/source.go", `Max = 1 << 10`, "1,024     reporter/source"},
		{"reporter/current/contents.go", `maxRows += 2 << 20`, "2,097,152 rows"},
		{"reporter/current/contents.go", `maxTables = 32 << 20`, "rows, 32 MiB"},
		{"reporter/carry/coder.go", `maxBlob += 8 << 20`, "4 KiB, 8 MiB"},
		{"reporter/current/names.go", `maxNames += 65536`, "65,536 addresses"},
		{"reporter/current/names.go", `maxNameBytes += 32 << 20`, "addresses, 32 MiB"},
		{"reporter/evidence_walk.go", `maxEvidence += 40 << 20`, "40 MiB, 32 MiB"},
		{"reporter/evidence.go", `maxAnswerBytes = 32 << 20`, "40 MiB, 32 MiB"},
		{"reporter/source/counters.go", `maxCounterFiles += 1 << 10`, "1,024 files"},
		{"replay/feed.go", `maxAhead += 32 << 20`, "read ahead                           32 MiB"},
		{"replay/survey/surveyor.go", `maxCounts = 10_000`, "10,000 counted"},
	} {
		code, err := os.ReadFile("../" + limit.file)
		if err != nil {
			t.Fatal(err)
		}
		if !regexp.MustCompile(`(?m)\b` + strings.ReplaceAll(limit.constant, " = ", " += +") + `\b`).Match(code) {
			t.Errorf("%s does not have %s: change the table in capture/doc.go too", limit.file, limit.constant)
		}
		if !strings.Contains(string(doc), limit.says) {
			t.Errorf("capture/doc.go does not say %q", limit.says)
		}
	}
}
