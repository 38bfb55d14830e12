package main

import (
	"cmp"
	"context"
	"errors"
	"path/filepath"
	"strings"

	"github.com/carekey/carekey/cmd/carekey/ui"
	"github.com/carekey/carekey/cmd/cli"
	"github.com/carekey/carekey/crypto/fault"
	"github.com/carekey/carekey/wallet"
	"github.com/carekey/carekey/wallet/keyring"
	"github.com/spf13/cobra"
)

func newProfile(a *app) *cobra.Command {
	limit := 0
	ls := &cobra.Command{
		Use:   "list [--limit N]",
		Short: "List the wallets of this home",
		Long: `List the wallets of this home. Their names are sealed with them: a wallet whose key
cannot be had without asking is shown by its folder.`,
		RunE: func(cmd *cobra.Command, _ []string) error { return profiles{a}.list(cmd.Context(), limit) },
	}
	firstFlag(ls, &limit)
	var f initFlags
	create := &cobra.Command{
		Use:     "create PROFILE --name NAME [--ledger DIR [--new-ledger]] [--words-file FILE]",
		Short:   "Make a wallet of its own, for example for a child",
		Long:    "Make a wallet with a key and words of its own, as carekey --profile PROFILE init does.",
		Example: "  carekey profile create leo --name Leo\n  carekey --profile leo status",
		RunE: func(cmd *cobra.Command, args []string) error {
			name, err := wallet.CheckName("profile", args[0])
			if err != nil {
				return err
			}
			a.flags.profile = name
			return making{a}.init(cmd.Context(), f)
		},
	}
	f.add(create)
	remove := &cobra.Command{
		Use:   "remove PROFILE",
		Short: "Remove a wallet from this machine, with its key",
		Long: `Remove a wallet and its key from this machine. What is on the ledger stays there, and
with the 24 words carekey restore brings the wallet back: so it is removed only if
the words were checked within a year (carekey words check) and every ledger of it
was backed up within 30 days (carekey backup), unless nothing would be lost.`,
		RunE: func(cmd *cobra.Command, args []string) error { return profiles{a}.remove(cmd, args[0]) },
	}
	return group("profile", "Several wallets on one machine; --profile chooses one", ls, create, remove)
}

// profiles are the wallets of a home.
type profiles struct{ *app }

type profileJSON struct {
	Profile string `json:"profile"` // "" if it cannot be read now
	Owner   string `json:"owner"`
	Dir     string `json:"dir"`
	Keyring string `json:"keyring"` // "" if it cannot be read
	Locked  bool   `json:"locked"`
	Current bool   `json:"current"` // what commands use now
	// Removing: its removal was interrupted, and could not be ended now.
	Removing bool `json:"removing"`
	Damaged  bool `json:"damaged"` // its settings cannot be read
}

func (a profiles) list(ctx context.Context, limit int) error {
	home, err := a.home()
	if err != nil {
		return err
	}
	found, err := wallet.Profiles(home)
	if err != nil {
		return err
	}
	if found, err = firstOf(&a.console, found, limit); err != nil { // no key of the others is asked for
		return err
	}
	var out []profileJSON
	for _, p := range found {
		j := profileJSON{Dir: p.Dir, Keyring: p.Settings.Keyring, Locked: true, Current: p.Dir == wallet.ProfileDir(home, a.profile())}
		if j.Current && !p.Removing {
			j.Profile = a.profile() // the hash says so
		}
		switch {
		case p.Removing:
			err := a.keys(place{dir: p.Dir}).finishRemoval(ctx)
			if err == nil {
				continue
			}
			a.say("The removal of the wallet in %s was interrupted, and could not be ended:\n%s.", p.Dir, explain(err).Message)
			j.Removing = true
		case p.Err != nil:
			a.say("%s: %s.", p.Dir, explain(p.Err).Message)
			j.Damaged = true
		default:
			key := a.keys(place{dir: p.Dir, settings: &p.Settings}).quiet(ctx)
			if key.Kind() == keyring.KindFile && a.env(envPassphrase) == "" && !unlocked(key) { // nobody is asked for one passphrase after the other
				break
			}
			profile, owner, err := wallet.ReadProfile(ctx, wallet.Options{Dir: p.Dir, Keyring: key})
			j.Owner, j.Locked = owner, err != nil
			j.Profile = cmp.Or(profile, j.Profile)
		}
		out = append(out, j)
	}
	if len(out) == 0 {
		a.say("There is no wallet in %s yet.", home)
		a.next("carekey init --name NAME")
	}
	t := &ui.Table{Columns: []ui.Column{ui.Word(""), ui.Key("profile"), ui.Title("owner"), ui.Word("key in"), ui.Key("folder")}}
	for _, p := range out {
		mark, owner, where := " ", p.Owner, keyringWords(p.Keyring)
		if p.Current {
			mark = "*"
		}
		switch {
		case p.Removing:
			owner = "(being removed)"
		case p.Damaged:
			owner, where = "(damaged)", ""
		case p.Locked:
			owner = "(locked)"
		}
		t.Add(mark, cmp.Or(p.Profile, "(locked)"), owner, where, filepath.Base(p.Dir))
	}
	return errors.Join(a.table(t), a.result(list(out, same)))
}

// like is a profile whose name may be meant by that of one that is not there. It asks
// nobody, so that not all names can be had.
func (a profiles) like() string {
	ctx, stop := context.WithTimeout(context.Background(), offerTime)
	defer stop()
	names, _ := cli.UnlessDone(ctx, func() ([]string, error) { return offers(a).silent().profiles(ctx), nil })
	return wallet.Like(a.profile(), list(names, func(line string) string { name, _, _ := strings.Cut(line, "\t"); return name }))
}

// errNoProfile: there is nothing to remove. profile, like
const errNoProfile fault.Code = "no-wallet/profile"

type profileRemovedJSON struct {
	Profile string `json:"profile"`
	Removed bool   `json:"removed"`
}

func (a profiles) remove(cmd *cobra.Command, profile string) error {
	ctx := cmd.Context()
	was := a.flags.profile
	a.flags.profile = profile
	p, err := a.place()
	if err != nil {
		return err
	}
	done := func() error {
		a.say("The wallet %s is no longer on this machine. What is on the ledger stays there; the 24 words bring it back: carekey --profile %s restore --ledger ...", cli.Quote(profile), cli.Quote(profile))
		return a.result(profileRemovedJSON{profile, true})
	}
	switch mark, _ := wallet.Unfinished(p.dir); {
	case mark == wallet.BeingRemoved:
		if err := a.keys(p).finishRemoval(ctx); err != nil {
			return err
		}
		return done()
	case p.settings == nil && mark == "":
		like := a.like()
		a.flags.profile = was
		return errNoProfile.With("profile", profile, "like", like)
	}
	var owner string
	err = a.withWallet(cmd, looks, func(ctx context.Context, w *wallet.Wallet) error {
		owner = w.Name()
		return w.Backup().MayBeRemoved(ctx)
	})
	if err != nil {
		return err
	}
	rows := cli.Rows{{"profile", profile}, {"owner", owner}, {"key in", keyringWords(p.settings.Keyring)}, {"folder", p.dir}}
	preview := rows.Text("  ") +
		"\nIts key and its files are removed from this machine; only the 24 words bring it back."
	if err := a.confirm(ctx, preview, "Remove this wallet?", profile); err != nil {
		return err
	}
	if err := a.removeLeftKey(ctx, p); err != nil {
		return err
	}
	if err := wallet.Remove(ctx, wallet.Options{Dir: p.dir, Keyring: a.keys(p).of(p.settings.Keyring), Now: a.now}); err != nil {
		return err
	}
	return done()
}

// removeLeftKey removes the copy of the key that an interrupted move left in the
// system's keyring. One in a file goes with the wallet's folder.
func (a profiles) removeLeftKey(ctx context.Context, p place) error {
	if p.settings.Keyring == keyring.KindOS {
		return nil
	}
	seen, err := a.keys(p).sight(ctx, keyring.KindOS)
	if err != nil || !seen.Found {
		return ctx.Err() // nothing can be seen there
	}
	if err := a.keys(p).of(keyring.KindOS).Delete(ctx, p.settings.Item); !errors.Is(err, keyring.ErrItemNotFound) {
		return err
	}
	return nil
}
