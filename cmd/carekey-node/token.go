package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/carekey/carekey/cmd/cli"
	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/crash"
	"github.com/carekey/carekey/crypto/fault"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/folder"
	"github.com/carekey/carekey/ledgerclient/node"
	"github.com/carekey/carekey/ledgerclient/node/server"
	"github.com/spf13/cobra"
)

const aboutTokens = `A node that is closed takes entries and payloads only with a token. Reading,
revocations and everything with the keeper go without, so that a revocation is
never held up.

A token is signed with this institution's key, and is good at every node of the
ledger. Each node counts what comes by it, and none tells the others: where n
nodes keep the ledger, who uses all of them has n times what the token is for.
No node can use at another what it was shown. A token that is removed is refused
here within seconds, and at every other node a minute after that reaches this
one, or one that has heard of it.

A token lets the nodes link what is submitted with it: all entries of one token
are known to be of one holder. Give one token to many people, or none at all,
where that must not be. Its secret is kept nowhere here, and is shown once.`

// tokenFlags are what a new token is made of.
type tokenFlags struct {
	name    string // "": none is made
	days    int
	entries int
}

// Bounds of a token.
const (
	maxTokenDays    = 3650
	maxTokenEntries = 1_000_000
)

func (o *tokenFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&o.name, "token", "", "make a submit token `NAME` and put it in")
	c.Flags().IntVar(&o.days, "days", 365, "`DAYS` for which the token is good")
	c.Flags().IntVar(&o.entries, "entries", 20_000, "`NUMBER` of entries in an hour that each node takes with the token")
}

// wrong is what cannot be of it.
func (o *tokenFlags) wrong() error {
	switch {
	case o.name == "":
		return nil
	case !validTokenName(o.name):
		return usage("a token's name has 1 to 40 characters of a-z, 0-9, dot, - and _", "")
	case o.days < 1 || o.days > maxTokenDays:
		return usage(fmt.Sprintf("a token is good for 1 to %d days", maxTokenDays), "")
	case o.entries < 1 || o.entries > maxTokenEntries:
		return usage(fmt.Sprintf("a token is for 1 to %d entries in an hour", maxTokenEntries), "")
	}
	return nil
}

func validTokenName(s string) bool {
	return s != "" && len(s) <= 40 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789.-_") == ""
}

const (
	errNoToken     fault.Code = "no-token"     // there is none of that name
	errTokenExists fault.Code = "token-exists" // there is one of that name
)

// giveToken makes a token, closes the node if it is not, and returns the secret.
func (a *app) giveToken(ctx context.Context, dir string, cfg *config, ledger crypto.LedgerID, o *tokenFlags) (string, error) {
	if err := mayClose(ctx, a, cfg); err != nil {
		return "", err
	}
	keys, err := keysIn(dir)
	if err != nil {
		return "", err
	}
	now := a.now().UTC()
	until := contract.Hour(now.Unix()/3600) + contract.Hour(24*o.days)
	t := node.GiveToken(ledger, keys.Node().Key, keys, until, uint32(o.entries))
	err = edit(dir, func(c *config) error {
		c.Tokens = slices.DeleteFunc(c.Tokens, func(t submitToken) bool { return !now.Before(t.Until) })
		if slices.ContainsFunc(c.Tokens, func(t submitToken) bool { return t.Name == o.name }) {
			return errTokenExists.With("name", o.name)
		}
		c.Closed = true
		c.Tokens = append(c.Tokens, submitToken{Name: o.name, Created: now.Format(time.DateOnly), Until: time.Unix(int64(until)*3600, 0).UTC(), Hourly: t.Hourly, Key: t.Key})
		return nil
	})
	if err != nil {
		return "", err
	}
	return t.Secret(), nil
}

// withdraw takes a token back: for good, since other nodes keep the list with the highest
// number. last is the list that this institution made before, which settings that were put
// back may know less than: what it took back stays in the next one until it is over.
func (c *config) withdraw(name string, last node.Withdrawn, ledger crypto.LedgerID, keys folder.Keys, now time.Time) (w node.Withdrawn, err error) {
	i := slices.IndexFunc(c.Tokens, func(t submitToken) bool { return t.Name == name && t.Withdrawn == "" })
	if i < 0 {
		return w, errNoToken.With("name", name)
	}
	c.Tokens[i].Withdrawn = now.UTC().Format(time.DateOnly)
	c.recall(last, now)
	gone := slices.Clone(last.Keys)
	for _, t := range c.Tokens {
		if !now.Before(t.Until) {
			gone = slices.DeleteFunc(gone, func(k crypto.PubKey) bool { return k == t.Key })
		} else if t.Withdrawn != "" && !slices.Contains(gone, t.Key) {
			gone = append(gone, t.Key)
		}
	}
	if len(gone) > node.MaxWithdrawn {
		return w, usage(fmt.Sprintf("%d tokens are withdrawn and not over yet, and nodes are told of no more", node.MaxWithdrawn), "wait until one is over, and give tokens for fewer days")
	}
	return node.Withdraw(ledger, keys.Node().Key, keys, max(uint64(max(0, now.Unix())), last.Number+1), gone), nil
}

// recall marks the tokens that a list has taken back, and settings that were put back do not
// know of.
func (c *config) recall(w node.Withdrawn, now time.Time) {
	for i, t := range c.Tokens {
		if t.Withdrawn == "" && slices.Contains(w.Keys, t.Key) {
			c.Tokens[i].Withdrawn = now.UTC().Format(time.DateOnly)
		}
	}
}

// withdrawn is the file with the lists of withdrawn tokens that the node of a folder knows.
func withdrawn(ctx context.Context, dir string, f *folder.Folder) (w server.WithdrawnFile, err error) {
	genesis, err := f.Genesis(ctx)
	if err != nil {
		return w, err
	}
	config, err := contract.ParseConfig(genesis)
	return server.WithdrawnIn(dir, f.ID(), config.Nodes), err
}

// good are the tokens that are neither withdrawn nor over.
func (c *config) good(now time.Time) []submitToken {
	return slices.DeleteFunc(slices.Clone(c.Tokens), func(t submitToken) bool { return t.Withdrawn != "" || !now.Before(t.Until) })
}

func newToken(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "token",
		Short: "Who may submit: list and remove submit tokens, close and open the node",
		Long:  "Tokens are made with: carekey-node invite DIR --token NAME\n\n" + aboutTokens,
		Args:  cli.NoVerb,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	limit := 0
	list := &cobra.Command{
		Use:   "list DIR [--limit N]",
		Short: "List the tokens that this institution gave, the newest last",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := cli.CheckLimit(limit); err != nil {
				return err
			}
			c, f, err := a.openNode(args[0])
			if err != nil {
				return err
			}
			defer f.Close()
			file, err := withdrawn(cmd.Context(), args[0], f)
			if err != nil {
				return err
			}
			last, err := file.Of(f.Node().Key)
			if err != nil {
				return err
			}
			c.recall(last, a.now())
			if !c.Closed {
				a.say("The node is open: everybody may submit, with a token or without.")
			}
			all := []tokenJSON{}
			for _, t := range cli.Newest(c.Tokens, limit) {
				all = append(all, describeToken(&t, a.now()))
			}
			for _, t := range all {
				a.print("%-20s  %s  until %s  %7d an hour%s", t.Name, t.Created, t.Until[:10], t.Hourly, map[string]string{"withdrawn": "  withdrawn", "over": "  over"}[t.State])
			}
			if left := len(c.Tokens) - len(all); left > 0 {
				a.say("%d more before these: leave out --limit.", left)
			}
			return a.result(all)
		},
	}
	cli.LimitFlag(list, &limit)
	c.AddCommand(list, newTokenRemove(a),
		&cobra.Command{
			Use:   "close DIR",
			Short: "Take entries and payloads only with a token",
			Long:  "Close this node. Where several keep the ledger each closes its own: strangers\nsubmit at the one that does not.\n\n" + aboutTokens,
			RunE: func(cmd *cobra.Command, args []string) error {
				cfg, err := readConfig(args[0])
				if err == nil {
					err = mayClose(cmd.Context(), a, cfg)
				}
				if err != nil {
					return err
				}
				return setClosed(a, args[0], true)
			},
		},
		&cobra.Command{
			Use:   "open DIR",
			Short: "Take entries and payloads from everybody",
			RunE:  func(_ *cobra.Command, args []string) error { return setClosed(a, args[0], false) },
		})
	return c
}

func newTokenRemove(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "remove DIR NAME",
		Short: "Take a token back, at all nodes of the ledger",
		RunE: func(cmd *cobra.Command, args []string) error {
			_, f, err := a.openNode(args[0])
			if err != nil {
				return err
			}
			defer f.Close()
			keys, err := keysIn(args[0])
			if err != nil {
				return err
			}
			file, err := withdrawn(cmd.Context(), args[0], f)
			if err != nil {
				return err
			}
			var after *config
			err = edit(args[0], func(c *config) error {
				after = c
				last, err := file.Of(keys.Node().Key)
				if err != nil {
					return err
				}
				next, err := c.withdraw(args[1], last, f.ID(), keys, a.now())
				if err != nil {
					return err
				}
				return file.Take(cmd.Context(), next) // and then the settings, which a server looks at
			})
			if err != nil {
				return err
			}
			if len(after.Peers) > 0 {
				a.say("It is refused here within seconds, and at every other node a minute after that\nreaches this one, or one that has heard of it.")
			}
			if after.Closed && len(after.good(a.now())) == 0 {
				a.say("That was the last one given here: nobody can submit now without one that another\ninstitution gave. To take entries from everybody: carekey-node token open %s", args[0])
			}
			a.print("removed %s", args[1])
			return a.result(tokenRemovedJSON{args[1], true})
		},
	}
}

type tokenRemovedJSON struct {
	Name    string `json:"name"`
	Removed bool   `json:"removed"`
}

type tokenJSON struct {
	Name    string `json:"name"`
	Created string `json:"created"` // date
	Until   string `json:"until"`
	Hourly  uint32 `json:"hourly"` // entries in an hour, at each node
	Key     string `json:"key"`    // by which nodes know it
	State   string `json:"state"`  // "good", "withdrawn", "over"
}

func describeToken(t *submitToken, now time.Time) tokenJSON {
	j := tokenJSON{t.Name, t.Created, t.Until.UTC().Format(time.RFC3339), t.Hourly, t.Key.String(), "good"}
	switch {
	case !now.Before(t.Until):
		j.State = "over"
	case t.Withdrawn != "":
		j.State = "withdrawn"
	}
	return j
}

type closedJSON struct {
	Closed bool `json:"closed"`
}

func setClosed(a *app, dir string, closed bool) error {
	if err := edit(dir, func(c *config) error { c.Closed = closed; return nil }); err != nil {
		return err
	}
	a.print("%s", map[bool]string{true: "closed: entries and payloads are taken only with a token", false: "open: everybody may submit"}[closed])
	return a.result(closedJSON{closed})
}

// mayClose asks before a node is closed, which shuts out whoever has no token.
func mayClose(ctx context.Context, a *app, cfg *config) error {
	if cfg.Closed || a.flags.yes {
		return nil
	}
	const who = "This closes the node: from then on entries and payloads are taken only with\n" +
		"a token. All wallets that joined so far have none: they can look and revoke,\n" +
		"and can neither give nor open anything until they join again, with an\n" +
		"invitation that has a token."
	if cli.Width(a.in) == 0 || cli.Width(a.err) == 0 {
		return usage("closing the node shuts out every wallet that joined without a token", "if that is what you want, add --yes, and invite them again")
	}
	fmt.Fprint(a.err, who+"\nClose it? Type yes if you are sure: ")
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
