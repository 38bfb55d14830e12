package main

import (
	"embed"
	"fmt"
	"regexp"
	"strings"

	"github.com/carekey/carekey/cmd/cli"
	"github.com/spf13/cobra"
)

// This file is what carekey help TOPIC prints: guides that the program carries, so that
// they are of its version and there without a network. They are Markdown of the plainest
// kind, which reads well on a page too: headings, paragraphs, items, tables of two
// columns and indented lines to be typed.

//go:embed guides/*.md
var guides embed.FS

// A topic is something that help tells of beside the commands.
type topic struct{ name, short string }

// topics are in the order in which they are listed.
var topics = []topic{
	{"patient", "your records, who may open them, and the worst day"},
	{"clinic", "to receive, fetch, and keep patients apart"},
	{"scripts", "batches and programs that ask nobody"},
	{"operator", "a ledger on a server"},
	{"security", "what holds against whom, what does not, and why"},
	{"glossary", "the words"},
	{"json", "what --json prints"},
	{"environment", "the variables that are read"},
	{"exit-codes", "what a command ends with"},
}

// guide returns a topic's text in Markdown.
func guide(name string) (text string, ok bool) {
	switch name {
	case "environment":
		return inMarkdown(environment), true
	case "exit-codes":
		return inMarkdown(exitStatus), true
	}
	for _, t := range topics {
		if t.name == name {
			b, err := guides.ReadFile("guides/" + name + ".md")
			return string(b), err == nil
		}
	}
	return "", false
}

// inMarkdown is a section of the help, a heading and indented lines, as a text of its own.
func inMarkdown(section string) string {
	title, rest, _ := strings.Cut(section, "\n")
	return "# " + title[:1] + strings.ToLower(title[1:]) + "\n\n" + regexp.MustCompile(`(?m)^  `).ReplaceAllString(rest, "    ") + "\n"
}

// topicList is the part of the help that names the topics.
func topicList() string {
	var rows cli.Rows
	for _, t := range topics {
		rows.Add(t.name, t.short)
	}
	return "GUIDES: carekey help TOPIC\n" + strings.TrimSuffix(rows.Text("  "), "\n")
}

// guideText is a guide for a program.
type guideText struct {
	Topic    string `json:"topic"`
	Markdown string `json:"markdown"`
}

func newHelp(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND... | TOPIC]",
		Short: "Help about a command, or a guide",
		Long:  "Say what a command does, as COMMAND --help does, or print a guide.\n\n" + topicList(),
		Args:  cobra.ArbitraryArgs,
		ValidArgsFunction: func(cmd *cobra.Command, args []string, _ string) (found []string, _ cobra.ShellCompDirective) {
			at, _, err := cmd.Root().Find(args)
			if err != nil {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			for _, c := range at.Commands() {
				if c.IsAvailableCommand() {
					found = append(found, c.Name()+"\t"+c.Short)
				}
			}
			if len(args) == 0 {
				for _, t := range topics {
					found = append(found, t.name+"\t"+t.short)
				}
			}
			return found, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				if text, ok := guide(args[0]); ok {
					if !a.flags.json {
						fmt.Fprint(a.out, plainGuide(text, columnsOf(cli.Width(a.out))))
					}
					return a.result(guideText{args[0], text})
				}
			}
			about, rest, err := cmd.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return usage("there is no command and no guide "+cli.Quote(strings.Join(args, " ")), "what there is: carekey help")
			}
			about.InitDefaultHelpFlag()
			about.InitDefaultVersionFlag()
			return about.Help()
		},
	}
}

// columnsOf is how wide texts are on a terminal of that width, 0 if there is none.
func columnsOf(width int) int {
	if width == 0 {
		return 80
	}
	return min(80, width)
}

// plainGuide is a guide as a terminal shows it, in lines of so many columns. Lines to be
// typed are not broken.
func plainGuide(text string, columns int) string {
	var b strings.Builder
	for block := range strings.SplitSeq(strings.TrimSpace(text), "\n\n") {
		if b.Len() > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(plainBlock(block, columns))
	}
	return b.String()
}

// plainBlock is what stands between two empty lines.
func plainBlock(block string, columns int) string {
	switch {
	case strings.HasPrefix(block, "#"):
		return strings.ToUpper(plainWords(strings.TrimLeft(block, "# "))) + "\n"
	case strings.HasPrefix(block, "    "):
		return regexp.MustCompile(`(?m)^  `).ReplaceAllString(block, "") + "\n"
	case strings.HasPrefix(block, "|"):
		return plainTable(block, columns)
	}
	var b strings.Builder
	mark, item := "", ""
	flush := func() {
		if item = plainWords(strings.TrimSpace(item)); item != "" {
			b.WriteString(cli.Wrap(mark+item, columns) + "\n")
		}
	}
	for line := range strings.SplitSeq(block, "\n") {
		if m := guideItem().FindString(line); m != "" {
			flush()
			mark, item, line = m, "", line[len(m):]
		}
		item += " " + strings.TrimSpace(line)
	}
	flush()
	return b.String()
}

// plainTable is a table of two columns, without its head.
func plainTable(block string, columns int) string {
	var rows cli.Rows
	for i, line := range strings.Split(block, "\n") {
		if cells := strings.Split(strings.Trim(line, "| "), " | "); i > 1 && len(cells) == 2 { // behind the head and the rule
			rows.Add(plainWords(cells[0]), plainWords(cells[1]))
		}
	}
	return cli.Wrap(rows.Text("  "), columns)
}

var (
	guideLink = cli.Pattern(`\[([^\]]*)\]\((https?:[^)]*)?[^)]*\)`)
	guideItem = cli.Pattern(`^(- |\d+\. )`)
	guideMark = strings.NewReplacer("**", "", "`", "")
)

// plainWords leaves out what is for a page only: marks, and links to other files.
func plainWords(s string) string {
	s = guideLink().ReplaceAllStringFunc(s, func(link string) string {
		m := guideLink().FindStringSubmatch(link)
		if m[2] == "" {
			return m[1]
		}
		return m[1] + " (" + m[2] + ")"
	})
	return guideMark.Replace(s)
}
