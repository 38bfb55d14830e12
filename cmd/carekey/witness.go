package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/carekey/carekey/cmd/carekey/ui"
	"github.com/carekey/carekey/cmd/cli"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/wallet"
	"github.com/spf13/cobra"
)

func (a ledgers) newWitness() *cobra.Command {
	need, none := 0, false
	c := &cobra.Command{
		Use:   "witness [KEY]... [--need N | --none]",
		Short: "Say which witnesses of this ledger you want, or see what they say",
		Long: `Say whose word you want for a ledger's history beside that of its nodes, and how many
of them are enough. A witness runs no node: it remembers the ledger's newest head and
cosigns only what begins with it. Nodes that show you a history which they do not show
to everybody need the witness too. Its operator gives you its key, one word:

  carekey ledger witness patients.example+1f3a5c7d+BGVx…

The keys that you name take the place of all that you named before. That one of them is
missing is said in carekey ledger info, carekey status and carekey doctor, and stops
nothing: what the nodes signed is verified as before. Without a key this says what each
of your witnesses has cosigned. Your 24 words bring this setting back with the rest.`,
		Args: cli.Takes(0, ledgerclient.MaxWitnesses),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case none && (len(args) > 0 || need != 0):
				return usage("--none is for no witness at all", "leave it out, or the keys")
			case len(args) == 0 && need != 0:
				return usage("--need is how many of the witnesses that you name are enough", "name all of them again: carekey ledger witness KEY ... --need "+fmt.Sprint(need))
			case len(args) == 0 && !none:
				return a.withWallet(cmd, looks, a.witnesses)
			}
			return a.withWallet(cmd, writes|keeps, func(ctx context.Context, w *wallet.Wallet) error {
				if err := w.Witnesses().Set(ctx, args, need); err != nil {
					return err
				}
				return a.witnesses(ctx, w)
			})
		},
	}
	c.Flags().IntVar(&need, "need", 0, "`N` of them are enough; all of them if you do not say")
	c.Flags().BoolVar(&none, "none", false, "want no witness for this ledger")
	acceptClock(a.app, c)
	return c
}

// witnesses says what each witness that the wallet wants has cosigned.
func (a ledgers) witnesses(ctx context.Context, w *wallet.Wallet) error {
	s, err := w.Witnesses().Look(ctx)
	if err != nil {
		return err
	}
	if len(s.Witnesses) > 0 {
		t := &ui.Table{Columns: []ui.Column{ui.Key("witness"), ui.Title("cosigned")}}
		for _, one := range s.Witnesses {
			words := cosignedWords(one)
			if s.Unknown {
				words = "not known: the ledger cannot be followed"
			}
			t.Add(one.Name, words)
		}
		if err := a.table(t); err != nil {
			return err
		}
	}
	a.print("%s", witnessWords(s))
	s.Witnesses = list(s.Witnesses, same)
	return a.result(s)
}

// cosignedWords is what one witness has cosigned.
func cosignedWords(w wallet.Witness) string {
	switch at := w.Time.Local().Format(dayLayout); {
	case w.Other:
		return "another history of this ledger"
	case w.Size == 0:
		return "nothing that the ledger shows"
	case w.Counts:
		return plural(int(w.Size), "entry", "entries") + ", at " + at
	default:
		return plural(int(w.Size), "entry", "entries") + ", and nothing since " + at
	}
}

// witnessWords says whether enough witnesses cosigned, and which did not.
func witnessWords(s wallet.Witnessed) string {
	if len(s.Witnesses) == 0 {
		return "You want no witness for this ledger: its nodes alone vouch for its history."
	}
	if s.Unknown {
		return plural(len(s.Witnesses), "witness", "witnesses") + fmt.Sprintf(", of which %d are enough; the ledger cannot be followed, and they cannot be looked at.", s.Need)
	}
	text := fmt.Sprintf("%d of %s cosigned what this wallet sees", s.Have, plural(len(s.Witnesses), "witness", "witnesses"))
	var missing []string
	for _, w := range s.Witnesses {
		if !w.Counts && !w.Other {
			missing = append(missing, cli.Clean(w.Name))
		}
	}
	if s.Have < s.Need {
		text += fmt.Sprintf(", and you want %d", s.Need)
	}
	if len(missing) > 0 {
		text += "; missing: " + strings.Join(missing, ", ")
	}
	if other := s.Other(); len(other) > 0 {
		text += ".\n" + cli.Clean(strings.Join(other, ", ")) + " cosigned another history of this ledger, which too few of its nodes signed: ask who runs that witness"
	}
	return text + "."
}

// witnessed is what witnesses say in what is looked at every day; nil if none is wanted.
func witnessed(ctx context.Context, w *wallet.Wallet) (*wallet.Witnessed, error) {
	s, err := w.Witnesses().Look(ctx)
	if err != nil || len(s.Witnesses) == 0 {
		return nil, err
	}
	return &s, nil
}

// warnOf warns where too few witnesses cosigned.
func (a ledgers) warnOf(s *wallet.Witnessed) {
	if s != nil && !s.Enough() {
		a.say("warning: %s", witnessWords(*s))
	}
}

// examineWitnesses looks whether enough witnesses cosigned what the wallet sees.
func (e *exam) examineWitnesses(ctx context.Context, w *wallet.Wallet) {
	const check = "witnesses"
	switch s, err := witnessed(ctx, w); {
	case err != nil:
		e.failed(check, err)
	case s == nil:
	case s.Enough():
		e.good(check, witnessWords(*s))
	case len(s.Other()) > 0:
		e.advise(check, "witness-forked", witnessWords(*s), "carekey ledger witness says which; do not count on that witness until you know why")
	default:
		e.advise(check, "witness-missing", witnessWords(*s), "ask who runs the ledger, or the witness; your wallet goes on without")
	}
}
