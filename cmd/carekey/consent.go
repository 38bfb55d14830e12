package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/carekey/carekey/cmd/cli"
	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/wallet"
	"github.com/spf13/cobra"
)

func newConsent(a *app) *cobra.Command {
	ls := &cobra.Command{
		Use:   "list",
		Short: "List every consent that you gave, on every ledger of this wallet",
		Args:  cli.Takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withLedgers(cmd, looks, everywhere, a.listConsents)
		},
	}
	show := &cobra.Command{
		Use:   "show ID",
		Short: "Show one consent and its share code",
		Args:  cli.Takes(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withLedgers(cmd, looks, everywhere, func(ctx context.Context, all []*opened) error {
				type shown struct {
					c    wallet.Consent
					code crypto.ShareCode
				}
				s, on, err := find(ctx, a, all, args[0], func(o *opened) (s shown, id string, err error) {
					s.c, s.code, err = o.w.ShowConsent(ctx, args[0])
					return s, s.c.ID.String(), err
				})
				if err != nil {
					return err
				}
				return a.showConsent(s.c, s.code, groundOf(on.w))
			})
		},
	}
	var to, record string
	why := &cobra.Command{
		Use:   "explain (ID | --to NAME --record ID)",
		Short: "Say why an opening is or is not allowed now",
		Args:  cli.Takes(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if (len(args) == 1) == (to != "" || record != "") || (to == "") != (record == "") {
				return usage("name a consent, or a contact and a record", "it goes: "+cmd.UseLine())
			}
			return a.withLedgers(cmd, looks, everywhere, func(ctx context.Context, all []*opened) error {
				query := record
				if len(args) == 1 {
					query = args[0]
				}
				x, _, err := find(ctx, a, all, query, func(o *opened) (x wallet.Explanation, id string, err error) {
					if len(args) == 1 {
						x, err = o.w.ExplainConsent(ctx, args[0])
					} else {
						x, err = o.w.ExplainAccess(ctx, to, record)
					}
					if x.Consent != nil {
						id = x.Consent.ID.String()
					}
					return x, id, err
				})
				if err != nil {
					return err
				}
				return a.explained(x, to)
			})
		},
	}
	why.Flags().StringVar(&to, "to", "", "the contact's `NAME`")
	why.Flags().StringVar(&record, "record", "", "the record's `ID`")
	return group("consent", "The consents that you gave", ls, show, why, newConsentExport(a))
}

func (a *app) listConsents(ctx context.Context, all []*opened) error {
	var cs []wallet.Consent
	n, failed := a.each(ctx, all, func(o *opened) error {
		some, err := o.w.Consents(ctx)
		cs = append(cs, some...)
		return err
	})
	switch {
	case n == 0:
	case a.flags.json:
		failed = errors.Join(a.printJSON(list(cs, consentOf)), failed)
	case len(cs) > 0:
		failed = errors.Join(a.consentTable(cs), failed)
	case failed == nil:
		a.say("You gave no consents.")
		a.next("carekey grant --to NAME --record ID --for 30d")
	}
	return failed
}

func (a *app) showConsent(c wallet.Consent, code crypto.ShareCode, g ground) error {
	if a.flags.json {
		return a.printJSON([]any{struct {
			consentJSON
			Code string `json:"code"`
		}{consentOf(c), code.String()}})
	}
	var records []string
	for _, r := range c.Records {
		records = append(records, cli.Clean(fmt.Sprintf("%s, version %d (%s)  %s", r.Title, r.Version, r.Category, short(r.ID))))
	}
	if c.Missing {
		records = []string{lost(c.Damaged)}
	}
	from := "at once"
	if c.NotBefore != 0 {
		from = both(c.NotBefore)
	}
	status := statusText(c)
	if c.Revoked != 0 {
		status += ", " + both(c.Revoked)
	}
	rows := [][2]string{{"consent", c.ID.String()}}
	if title := a.titles[c.Ledger]; title != "" {
		rows = append(rows, [2]string{"ledger", title})
	}
	a.print("%s", strings.TrimSuffix(cli.Rows("", append(rows, [2]string{"to", cli.Clean(person(c.To, c.Address))}, [2]string{"may open", strings.Join(records, "\n")},
		[2]string{"for", c.Purpose.Word()}, [2]string{"from", from}, [2]string{"until", untilText(c.Until, c.NotAfter, "the recipient's carekey keeps to it")}, [2]string{"status", status},
		[2]string{"granted", grantedText(c)}, [2]string{"opened", openedText(c.Openings, both(c.LastOpened))}, [2]string{"share code", a.codeText(code)})...), "\n"))
	a.say("%s", g.gateLine())
	if c.Status == wallet.StatusActive || c.Status == wallet.StatusUpcoming {
		a.next("to end it: carekey revoke %s", short(c.ID))
	}
	return nil
}

type explanationJSON struct {
	consentJSON
	Allowed bool        `json:"allowed"`
	Checks  []checkJSON `json:"checks"`
	Others  []string    `json:"others,omitempty"` // further consents that allow it
}

type checkJSON struct {
	Check string `json:"check"`
	OK    bool   `json:"ok"`
	Time  string `json:"time,omitempty"`
}

func (a *app) explained(x wallet.Explanation, to string) error {
	if a.flags.json {
		j := explanationJSON{Allowed: x.Allowed, Checks: list(x.Checks, func(c wallet.Check) checkJSON { return checkJSON{c.Name, c.OK, stamp(c.Hour)} })}
		for _, id := range x.Others {
			j.Others = append(j.Others, id.String())
		}
		if x.Consent != nil {
			j.consentJSON = consentOf(*x.Consent)
		} else {
			j.consentJSON.Records, j.To = []versionJSON{}, to
		}
		return a.printJSON([]explanationJSON{j})
	}
	name := to
	if x.Consent != nil {
		name = person(x.Consent.To, x.Consent.Address)
	}
	word := "may not open it now"
	if x.Allowed {
		word = "may open it now"
	}
	a.print("%s %s.", name, word)
	for _, c := range x.Checks {
		mark := "yes"
		if !c.OK {
			mark = "NO "
		}
		a.print("  %s  %s", mark, checkText(c, x.Consent))
	}
	ids := ""
	if x.Allowed {
		ids = short(x.Consent.ID)
	}
	for _, id := range x.Others {
		a.print("Consent %s allows it too.", short(id))
		ids += " " + short(id)
	}
	if x.Allowed {
		a.next("to end it: carekey revoke %s", ids)
	}
	return nil
}

func checkText(c wallet.Check, consent *wallet.Consent) string {
	switch c.Name {
	case "given":
		if !c.OK {
			return "no consent concerns it"
		}
		return "consent " + short(consent.ID) + " was given, " + both(c.Hour)
	case "revoked":
		if !c.OK {
			return "it was revoked, " + both(c.Hour)
		}
		return "it is not revoked"
	case "begun":
		if c.Hour == 0 {
			return "it has begun"
		}
		if !c.OK {
			return "it begins only on " + both(c.Hour)
		}
		return "it has begun, " + both(c.Hour)
	case "ended":
		if !c.OK && consent.Over {
			return "it has ended, " + both(c.Hour) + "; whatever program is used,\n       keepers end it " + both(consent.NotAfter)
		}
		if !c.OK {
			return "it has ended, " + both(c.Hour)
		}
		return "it has not ended; it does on " + both(c.Hour)
	case "share":
		if !c.OK {
			return "the keepers hold no share of its key any more"
		}
		return "the keepers hold their shares of its key"
	case "record":
		if !c.OK {
			return "it was given for an earlier version of the record"
		}
		return "it was given for the newest version of the record"
	}
	return c.Name
}

// grantedText is when a consent came onto the ledger.
func grantedText(c wallet.Consent) string {
	if c.Granted == 0 {
		return "signed, and not on the ledger yet"
	}
	return both(c.Granted)
}
