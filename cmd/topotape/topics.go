package main

import (
	"embed"
	"strings"

	"github.com/spf13/cobra"
)

//go:embed help/*.md
var helpPages embed.FS

// helpTopics returns the pages of help that belong to no single verb.
func helpTopics() []*cobra.Command {
	var topics []*cobra.Command
	for _, t := range []struct{ name, short string }{
		{"selectors", "How to select connections"},
		{"times", "How to write times"},
		{"script", "The text form of a tape"},
		{"fixtures", "Tapes as regression fixtures"},
		{"coverage", "What reports say of what was not seen, and of the host"},
		{"exit-codes", "What the exit codes mean"},
		{"differences", "How to read the output of diff, and its JSON"},
		{"collect", "A shell script that collects evidence on hosts without topotape"},
		{"bisect", "How to find the commit that changed a report"},
	} {
		page, err := helpPages.ReadFile("help/" + t.name + ".md")
		if err != nil {
			panic(err)
		}
		topics = append(topics, &cobra.Command{Use: t.name, Short: t.short, Long: strings.TrimSpace(string(page))})
	}
	return topics
}

// helpCommand returns the help verb. Unlike cobra's own, it fails for an unknown
// topic.
func helpCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "help [VERB|TOPIC]",
		Short: "Show help about a verb or a topic",
		ValidArgsFunction: func(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
			var names []cobra.Completion
			for _, c := range cmd.Root().Commands() {
				if len(args) == 0 && !c.Hidden {
					names = append(names, cobra.CompletionWithDesc(c.Name(), c.Short))
				}
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			found, rest, err := cmd.Root().Find(args)
			if err != nil || len(rest) > 0 && found == cmd.Root() {
				return usage("no verb or topic %q", strings.Join(args, " "))
			}
			found.InitDefaultHelpFlag()
			return found.Help()
		},
	}
}
