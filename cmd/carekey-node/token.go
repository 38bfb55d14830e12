package main

import (
	"crypto/rand"
	"fmt"
	"slices"
	"strings"

	"github.com/carekey/carekey/cmd/cli"
	"github.com/spf13/cobra"
)

const aboutTokens = `With at least one token, entries and payloads are taken only with one. Reading and
everything with the keeper goes without, so that a revocation is never held up.

A token lets the node link what is submitted with it: all entries of one token are
known to be of one holder. Give one token to many people, or none at all, where
that must not be. The node keeps a hash of each and cannot show it again.`

// tokenExistsError says that there is a token of that name.
type tokenExistsError struct{ name string }

func (e *tokenExistsError) Error() string { return "there is a token named " + e.name }

// noTokenError says that there is no token of that name.
type noTokenError struct{ name string }

func (e *noTokenError) Error() string { return "no token is named " + e.name }

// newToken32 makes a token of 160 random bits.
func newToken32() string { return strings.ToLower(rand.Text()[:26]) }

func newToken(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "token",
		Short: "Who may submit: add, list and remove submit tokens",
		Long:  aboutTokens,
		Args:  cli.NoVerb,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	c.AddCommand(&cobra.Command{
		Use:   "add DIR NAME",
		Short: "Make a token and print it, once",
		Args:  cli.Takes(2, 2),
		RunE: func(_ *cobra.Command, args []string) error {
			var secret string
			first := false
			err := edit(args[0], func(c *config) (err error) {
				first = len(c.Tokens) == 0
				secret, err = c.addToken(args[1], a.now())
				return err
			})
			if err != nil {
				return err
			}
			a.sayFirst(first)
			if a.flags.json {
				return a.printJSON(struct {
					Name  string `json:"name"`
					Token string `json:"token"`
				}{args[1], secret})
			}
			a.print("%s", secret)
			return nil
		},
	}, &cobra.Command{
		Use:   "list DIR",
		Short: "List the names of the tokens",
		Args:  cli.Takes(1, 1),
		RunE: func(_ *cobra.Command, args []string) error {
			c, err := readConfig(args[0])
			if err != nil {
				return err
			}
			type row struct {
				Name    string `json:"name"`
				Created string `json:"created"`
			}
			all := []row{}
			for _, t := range c.Tokens {
				all = append(all, row{t.Name, t.Created})
			}
			if a.flags.json {
				return a.printJSON(all)
			}
			if len(all) == 0 {
				a.say("There are none: everybody may submit.")
			}
			for _, t := range all {
				a.print("%-20s  %s", t.Name, t.Created)
			}
			return nil
		},
	}, &cobra.Command{
		Use:   "remove DIR NAME",
		Short: "Take a token back",
		Args:  cli.Takes(2, 2),
		RunE: func(_ *cobra.Command, args []string) error {
			left := 0
			err := edit(args[0], func(c *config) error {
				i := slices.IndexFunc(c.Tokens, func(t submitToken) bool { return t.Name == args[1] })
				if i < 0 {
					return &noTokenError{args[1]}
				}
				c.Tokens = slices.Delete(c.Tokens, i, i+1)
				left = len(c.Tokens)
				return nil
			})
			if err != nil {
				return err
			}
			if left == 0 {
				a.say("That was the last one: from now on everybody may submit.")
			}
			if a.flags.json {
				return a.printJSON(struct {
					Name    string `json:"name"`
					Removed bool   `json:"removed"`
				}{args[1], true})
			}
			a.print("%s", fmt.Sprintf("removed %s", args[1]))
			return nil
		},
	})
	return c
}

// sayFirst says what the first token changes.
func (a *app) sayFirst(first bool) {
	if first {
		a.say("From now on entries and payloads are taken only with a token.")
	}
}
