package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

// make man sets it. Because this is a test, the generator is not part of the program.
var manDir = flag.String("man", "", "write the man pages into this directory")

// manPages returns the pages by file name: in section 1 the program and every verb, in
// section 7 every topic of help.
func manPages(t *testing.T) map[string]string {
	pages := map[string]string{}
	topics := ""
	var add func(cmd *cobra.Command)
	add = func(cmd *cobra.Command) {
		for _, c := range cmd.Commands() {
			if c.IsAvailableCommand() {
				add(c)
			}
			if c.IsAdditionalHelpTopicCommand() {
				name := manName(c) + ".7"
				pages[name] = topicPage(t, c)
				topics += fmt.Sprintf(", \\fB%s(7)\\fP", manName(c))
			}
		}
		page := manPage(t, cmd, "1")
		if !cmd.HasParent() {
			page = strings.TrimSpace(page) + topics + "\n"
		}
		pages[manName(cmd)+".1"] = page
	}
	add(rootCommand())
	return pages
}

func manName(cmd *cobra.Command) string { return strings.ReplaceAll(cmd.CommandPath(), " ", "-") }

func manPage(t *testing.T, cmd *cobra.Command, section string) string {
	cmd.DisableAutoGenTag = true // its date would differ from that of the source
	var page bytes.Buffer
	h := doc.GenManHeader{Section: section, Source: "topotape " + version, Manual: "topotape"}
	if err := doc.GenMan(cmd, &h, &page); err != nil {
		t.Fatal(err)
	}
	return page.String()
}

// topicPage returns the page of a topic, which cobra would print as a verb with flags.
func topicPage(t *testing.T, topic *cobra.Command) string {
	topic.DisableFlagsInUseLine = true
	topic.Flags().Bool("help", false, "")
	if err := topic.Flags().MarkHidden("help"); err != nil {
		t.Fatal(err)
	}
	return strings.NewReplacer(topic.UseLine()+`\fP`, "topotape help "+topic.Name()+`\fP`, "topotape(7)", "topotape(1)").
		Replace(manPage(t, topic, "7"))
}

func TestManPages(t *testing.T) {
	pages := manPages(t)
	for _, verb := range rootCommand().Commands() {
		section := ".1"
		if !verb.Runnable() {
			section = ".7"
		}
		page := pages["topotape-"+verb.Name()+section]
		if !strings.HasPrefix(page, ".nh\n.TH ") || !strings.Contains(page, ".SH NAME\n") {
			t.Errorf("%s has no man page", verb.Name())
		}
		for line := range strings.Lines(verb.Example) {
			if line = strings.TrimSpace(line); !strings.Contains(strings.NewReplacer(`\-`, "-", `\\`, `\`, `\&`, "").Replace(page), line) {
				t.Errorf("%s: its page lacks the example %q", verb.Name(), line)
			}
		}
	}
	if *manDir == "" {
		return
	}
	if err := os.MkdirAll(*manDir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, page := range pages {
		if err := os.WriteFile(filepath.Join(*manDir, name), []byte(page), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
