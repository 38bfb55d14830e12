package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/carekey/carekey/cmd/cli"
	"github.com/carekey/carekey/crypto/crash"
	"github.com/carekey/carekey/crypto/fault"
	"github.com/spf13/cobra"
)

const aboutTokens = `With at least one token, entries and payloads are taken only with one. Reading and
everything with the keeper goes without, so that a revocation is never held up.

A token lets the node link what is submitted with it: all entries of one token are
known to be of one holder. Give one token to many people, or none at all, where
that must not be. The node keeps a hash of each and cannot show it again.`

// newToken32 makes a token of 160 random bits.
func newToken32() string { return strings.ToLower(rand.Text()[:26]) }

// errNoToken: there is no token of that name
const errNoToken fault.Code = "no-token"

func newToken(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "token",
		Short: "Who may submit: list and remove submit tokens",
		Long:  "Tokens are made with: carekey-node invite DIR --token NAME\n\n" + aboutTokens,
		Args:  cli.NoVerb,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	limit := 0
	list := &cobra.Command{
		Use:   "list DIR [--limit N]",
		Short: "List the names of the tokens, the newest last",
		RunE: func(_ *cobra.Command, args []string) error {
			if err := cli.CheckLimit(limit); err != nil {
				return err
			}
			c, err := readConfig(args[0])
			if err != nil {
				return err
			}
			all := []tokenName{}
			for _, t := range cli.Newest(c.Tokens, limit) {
				all = append(all, t.tokenName)
			}
			if len(all) == 0 {
				a.say("There are none: everybody may submit.")
			}
			for _, t := range all {
				a.print("%-20s  %s", t.Name, t.Created)
			}
			if left := len(c.Tokens) - len(all); left > 0 {
				a.say("%d more before these: leave out --limit.", left)
			}
			return a.result(all)
		},
	}
	cli.LimitFlag(list, &limit)
	c.AddCommand(list, &cobra.Command{
		Use:   "remove DIR NAME",
		Short: "Take a token back",
		RunE: func(_ *cobra.Command, args []string) error {
			left := 0
			err := edit(args[0], func(c *config) error {
				i := slices.IndexFunc(c.Tokens, func(t submitToken) bool { return t.Name == args[1] })
				if i < 0 {
					return errNoToken.With("name", args[1])
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
			a.print("removed %s", args[1])
			return a.result(tokenRemovedJSON{args[1], true})
		},
	})
	return c
}

type tokenRemovedJSON struct {
	Name    string `json:"name"`
	Removed bool   `json:"removed"`
}

// mayClose asks before the first token, which shuts out whoever has none.
func (a *app) mayClose(ctx context.Context, cfg *config) error {
	if len(cfg.Tokens) > 0 || a.flags.yes {
		return nil
	}
	const who = "This is the node's first token: from then on entries and payloads are taken\n" +
		"only with one. All wallets that joined so far have none: they can read, fetch\n" +
		"and tell the keeper of a revocation, and nothing else that they sign is entered\n" +
		"until they join again, with an invitation that has a token."
	if cli.Width(a.in) == 0 || cli.Width(a.err) == 0 {
		return usage("the first token shuts out every wallet that joined without one", "if that is what you want, add --yes, and invite them again")
	}
	fmt.Fprint(a.err, who+"\nMake it? Type yes if you are sure: ")
	answer := make(chan string, 1)
	go func() {
		defer crash.Report()
		line, _ := bufio.NewReader(io.LimitReader(a.in, 64)).ReadString('\n')
		answer <- strings.TrimSpace(line)
	}()
	select {
	case said := <-answer:
		if said != "yes" {
			return cli.ErrDeclined
		}
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
