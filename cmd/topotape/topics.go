package main

import (
	"embed"
	"strings"

	"github.com/spf13/cobra"
)

//go:embed help/*.md
var helpPages embed.FS

// helpTopics are the pages that belong to no verb alone.
func helpTopics() []*cobra.Command {
	var topics []*cobra.Command
	for _, t := range []struct{ name, short string }{
		{"selectors", "How to say which connections are meant"},
		{"times", "How to say when"},
		{"script", "The text form of a tape"},
		{"fixtures", "Tapes kept as regression fixtures"},
		{"exit-codes", "What the exit code says"},
		{"differences", "How to read what diff prints, and its JSON"},
		{"collect", "A shell script that gathers evidence where topotape may not run"},
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

// helpCommand is cobra's, but an unknown topic is an error.
func helpCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "help [VERB|TOPIC]",
		Short: "Help about a verb or a topic",
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
