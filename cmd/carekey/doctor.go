package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/wallet"
	"github.com/spf13/cobra"
)

func newDoctor(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "doctor",
		Short: "Find out what is wrong, and how to put it right",
		Long:  "Look at the keyring, the home, the clock, the ledger and what waits. Exit 0 if nothing needs\nyou, 1 if something does.",
		Args:  takes(0, 0),
		RunE:  func(cmd *cobra.Command, _ []string) error { return a.doctor(cmd.Context()) },
	}
}

// finding is one thing that was looked at.
type finding struct {
	Check  string `json:"check"`
	OK     bool   `json:"ok"`     // nothing to do
	Detail string `json:"detail"` // what was found
	Fix    string `json:"fix"`    // what to do; "" if OK
}

// errFindings: the doctor found something, and has said so.
var errFindings = errors.New("something needs you")

func (a *app) doctor(ctx context.Context) error {
	fs, err := a.examine(ctx)
	if err != nil {
		return err
	}
	ok := true
	for _, f := range fs {
		ok = ok && f.OK
	}
	if a.flags.json {
		if err := a.printJSON(struct {
			OK       bool      `json:"ok"`
			Findings []finding `json:"findings"`
		}{ok, list(fs, func(f finding) finding { return f })}); err != nil {
			return err
		}
	} else {
		for _, f := range fs {
			mark := "ok  "
			if !f.OK {
				mark = "FIX "
			}
			a.print("%s %-11s %s", mark, f.Check, f.Detail)
			if f.Fix != "" {
				a.print("     %-11s %s", "", f.Fix)
			}
		}
	}
	if !ok {
		return errFindings
	}
	return nil
}

func good(check, detail string) finding     { return finding{check, true, detail, ""} }
func bad(check, detail, fix string) finding { return finding{check, false, detail, fix} }

// failed is a finding made of an error.
func failed(check string, err error) finding {
	f := explain(err)
	return finding{check, false, f.Message, f.Hint}
}

// examine looks at everything that can be looked at; it goes on after a failure
// as far as it can.
func (a *app) examine(ctx context.Context) ([]finding, error) {
	p, err := a.place()
	if err != nil {
		return []finding{failed("wallet", err)}, nil
	}
	var out []finding
	if p.settings == nil {
		out = append(out, failed("wallet", &wallet.NoWalletError{Dir: p.dir}))
	} else {
		out = append(out, good("wallet", p.dir))
	}
	out = append(out, permissions(p.home))
	if file := a.env(envPassphrase); file != "" {
		out = append(out, passphraseFile(file))
	}
	l, err := a.openForDoctor(ctx, p)
	if err != nil {
		out = append(out, failed("ledger", err))
		if p.settings != nil {
			out = append(out, a.examineKey(ctx, p))
		}
		return out, ctx.Err()
	}
	defer l.close()
	out = append(out, good("ledger", fmt.Sprintf("opens, and its head verifies: %s", p.ledger)))
	out = append(out, a.examineClock(ctx, l))
	out = append(out, examineGate(l))
	if p.settings == nil {
		return out, ctx.Err()
	}
	w, err := a.unlock(ctx, p, l)
	if err != nil {
		return append(out, failed("keyring", err)), ctx.Err()
	}
	out = append(out, good("keyring", "the key of this wallet is in "+keyringWords(p.settings.Keyring)))
	return append(out, examineWallet(ctx, w)...), ctx.Err()
}

func (a *app) openForDoctor(ctx context.Context, p place) (*ledger, error) {
	if p.settings != nil {
		l, err := a.openPinned(ctx, p)
		if err != nil {
			return nil, err
		}
		if _, err := lastHour(ctx, l.Services); err != nil {
			l.close()
			return nil, err
		}
		return l, nil
	}
	return a.openLedger(p.ledger)
}

// examineKey looks for the key when the wallet cannot be opened.
func (a *app) examineKey(ctx context.Context, p place) finding {
	if _, err := a.keyring(p.settings.Keyring, p.dir).Get(ctx, p.settings.Item); err != nil {
		return failed("keyring", err)
	}
	return good("keyring", "the key of this wallet is in "+keyringWords(p.settings.Keyring))
}

// permissions looks for files of the home that others can read.
func permissions(home string) finding {
	const check = "permissions"
	if runtime.GOOS == "windows" {
		return good(check, "not looked at on this system")
	}
	open := ""
	n := 0
	err := filepath.WalkDir(filepath.Join(home, "wallets"), func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if info.Mode().Perm()&0o077 != 0 {
			if open == "" {
				open = path
			}
			n++
		}
		return nil
	})
	switch {
	case err != nil && !errors.Is(err, os.ErrNotExist):
		return failed(check, err)
	case n > 0:
		return bad(check, fmt.Sprintf("others can read %s of the home, such as %s", plural(n, "file or folder", "files or folders"), open), "chmod -R go= "+quote(filepath.Join(home, "wallets")))
	}
	return good(check, "the wallets' files are yours alone")
}

// passphraseFile looks whether others can read the passphrase.
func passphraseFile(path string) finding {
	const check = "passphrase"
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return failed(check, &passphraseFileError{err})
	case runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0:
		return bad(check, "others can read "+path, "chmod go= "+quote(path))
	}
	return good(check, path+" is yours alone")
}

func (a *app) examineClock(ctx context.Context, l *ledger) finding {
	const check = "clock"
	last, err := lastHour(ctx, l.Services)
	if err != nil {
		return failed(check, err)
	}
	now := contract.Hour(max(0, a.now().Unix()/3600))
	switch {
	case now < last:
		return bad(check, fmt.Sprintf("your clock says %s, and the ledger's last entry is later: %s", day(now), day(last)), "set your clock")
	case now-last > maxIdle:
		return bad(check, fmt.Sprintf("your clock says %s, and the ledger's last entry is of %s", day(now), day(last)), "set your clock, or, if it is right, add --accept-clock to the next command that writes")
	}
	return good(check, "fits the ledger's time")
}

func examineGate(l *ledger) finding {
	g := l.Ledger.Properties().Gate
	if g == ledgerclient.Advisory {
		return good("gate", "advisory: on a folder ledger, that each opening leaves an entry is a rule of honest software")
	}
	return good("gate", string(g))
}

func examineWallet(ctx context.Context, w *wallet.Wallet) []finding {
	var out []finding
	if _, _, _, err := w.Head(ctx); err != nil {
		out = append(out, failed("history", err))
	} else {
		out = append(out, good("history", "the ledger continues what this wallet has seen"))
	}
	if stuck := w.Stuck(); stuck != nil {
		f := explain(stuck)
		out = append(out, bad("pending", "a change that was signed waits: "+f.Message, f.Hint))
	} else {
		out = append(out, good("pending", "nothing waits"))
	}
	unverified := 0
	name := ""
	for _, c := range w.Contacts() {
		if !c.Verified {
			unverified++
			name = c.Name
		}
	}
	switch {
	case unverified == 0:
		out = append(out, good("contacts", plural(len(w.Contacts()), "contact", "contacts")+", all verified"))
	default:
		out = append(out, bad("contacts", plural(unverified, "contact is", "contacts are")+" not verified", "carekey contact verify "+quote(name)))
	}
	return out
}
