package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/carekey/carekey/cmd/carekey/ui"
	"github.com/carekey/carekey/cmd/cli"
	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/fault"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/disk"
	"github.com/carekey/carekey/ledgerclient/folder"
	"github.com/carekey/carekey/wallet"
	"github.com/carekey/carekey/wallet/atomicfile"
	"github.com/carekey/carekey/wallet/keyring"
	"github.com/spf13/cobra"
)

type initFlags struct {
	name, wordsFile string
	newLedger       bool
}

func newInit(a *app) *cobra.Command {
	var f initFlags
	c := &cobra.Command{
		Use:   "init [--name NAME] [--ledger (INVITATION | CARD | @FILE | DIR [--new-ledger])] [--words-file FILE]",
		Short: "Make a wallet",
		Long: `Make a wallet: a new key for your keyring, and the 24 words that bring it back.

The words are shown once, on a screen of their own, or written to a new file that
only you can read; never both. The wallet stays on the ledger that it is made with.
--ledger takes the card of somebody who uses it, an invitation to its node, @FILE with
either (a text, or a PNG of its QR code), or a folder. Without it you are asked, and
where nobody can be it is the folder "ledger" in the home, made if it is not there. One
whose order a program keeps is named with who keeps the rest, as in
--ledger 'foo:anything DIR' or 'foo:anything INVITATION': see carekey ledger join.`,
		Example: "  carekey init --name Maria --ledger @card.png\n  carekey init --name Maria --ledger /srv/health --new-ledger\n  carekey init --name Maria --new-ledger --words-file words.txt",
		RunE:    func(cmd *cobra.Command, _ []string) error { return making{a}.init(cmd.Context(), f) },
	}
	f.add(c)
	return c
}

func (f *initFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&f.name, "name", "", "your `NAME`, as you want to see it here")
	c.Flags().BoolVar(&f.newLedger, "new-ledger", false, "make a new ledger in the folder")
	c.Flags().StringVar(&f.wordsFile, "words-file", "", "write the 24 words to a new `FILE` instead of showing them")
}

// errNoLedger: init was not told to make a ledger in dir.
const errNoLedger fault.Code = "no-ledger"

// making makes a wallet, and a ledger where there is none.
type making struct{ *app }

func (a making) init(ctx context.Context, f initFlags) error {
	p, err := a.place()
	if err != nil {
		return err
	}
	if p.settings != nil {
		return wallet.ErrWalletExists
	}
	kind, err := a.keyringKind()
	if err != nil {
		return err
	}
	if kind == "" {
		kind = keyring.KindOS
	}
	if mark, _ := wallet.Unfinished(p.dir); mark != wallet.BeingMade {
		if err := a.keys(p).finishRemoval(ctx); err != nil {
			return err
		}
	}
	if f.name, err = a.askName(ctx, f.name); err != nil {
		return err
	}
	if f.wordsFile == "" && !a.interactive() {
		return errNeed.With("what", "where the 24 words go", "flag", "--words-file FILE")
	}
	if _, err := os.Lstat(p.at.dir); !p.given && !f.newLedger && a.interactive() && errors.Is(err, fs.ErrNotExist) {
		if p.at, p.given, err = a.askLedger(ctx, p.at); err != nil {
			return err
		}
	}
	w, l, err := a.make(ctx, p, f, kind)
	if err != nil {
		return err
	}
	defer l.close()
	if f.wordsFile == "" { // two of them were just asked for
		if err := w.Backup().SetWordsChecked(ctx); err != nil {
			return err
		}
	}
	return a.welcome(w, p, f)
}

// make makes the wallet, and its ledger where that was asked for. When it fails it leaves
// nothing behind.
func (a making) make(ctx context.Context, p place, f initFlags, kind string) (w *wallet.Wallet, l *ledger, err error) {
	undo, err := makeDirs(p.home)
	if err != nil {
		return nil, nil, err
	}
	m, err := wallet.Begin(ctx, wallet.Options{
		Dir:     p.dir,
		Keyring: a.keys(p).of(kind),
		Now:     a.now,
		Profile: a.profile(),
	}, f.wordsFile,
		func(kind string) keyring.Store { return a.keys(p).of(kind) })
	if err != nil {
		undo()
		return nil, nil, err
	}
	defer func() {
		m.End()
		if err != nil {
			undo()
		}
	}()
	if m.Anew {
		a.say("An init here was interrupted before there was a wallet. This one begins anew: the 24 words of the other are void, wherever they are written down.\n")
	}
	if f.wordsFile != "" {
		if _, err := os.Lstat(f.wordsFile); err == nil {
			return nil, nil, usage("the words file exists: "+f.wordsFile, "name a new file: --words-file FILE")
		}
	}
	if err := a.keys(p).probe(ctx, kind); err != nil {
		return nil, nil, err
	}
	l, undoLedger, err := a.ledger(ctx, p, f.newLedger, m)
	if err != nil {
		return nil, nil, err
	}
	entropy := crypto.NewEntropy()
	w, err = m.Create(ctx, l.Services, entropy, f.name, p.at.kept(p.home), func() error {
		if f.wordsFile == "" {
			return ui.Words(ctx, a.in, a.err, entropy.Words())
		}
		return writeNew(f.wordsFile, []byte(strings.Join(entropy.Words(), "\n")+"\n"))
	})
	if err != nil {
		l.close()
		undoLedger()
	}
	return w, l, err
}

// askName returns the owner's name, and asks for it where none was given and somebody
// is there to answer.
func (a making) askName(ctx context.Context, name string) (string, error) {
	if name != "" || !a.interactive() {
		if name == "" {
			return "", errNeed.With("what", "your name", "flag", "--name NAME")
		}
		return wallet.CheckName("name", name)
	}
	for {
		line, err := ui.Line(ctx, a.in, a.err, "Your name, as you want to see it here:")
		if err != nil {
			return "", err
		}
		if line == "" {
			continue
		}
		if name, err = wallet.CheckName("name", line); err == nil {
			return name, nil
		}
		a.say("%s.", sentence(explain(err).Message))
	}
}

// askLedger asks where the ledger is; here is the folder on this computer. given reports
// whether another one was named.
func (a making) askLedger(ctx context.Context, here locator) (at locator, given bool, err error) {
	places := []ui.Item{
		{Label: "a ledger that others use too", Detail: "I have a card, or an invitation to it"},
		{Label: "this computer", Detail: "a new one, in " + here.dir},
	}
	chosen, err := a.choose(ctx, "Where is the ledger that keeps your consents?", places, false, "which ledger", "--ledger LEDGER")
	if err != nil || chosen[0] == 1 {
		return here, false, err
	}
	for {
		line, err := ui.Line(ctx, a.in, a.err, "The card or invitation, pasted, or its file as @FILE:")
		if err != nil {
			return here, false, err
		}
		said, is, err := handing(a).read(line, aCard, anInvitation)
		if err == nil && is != aCard && is != anInvitation && disk.IsDir(said) != nil { // a folder is what a card can lead to
			err = usage("that is neither a card nor an invitation", "a card begins with carekey-card1, an invitation with carekey-node1, a file's name with @; the folder of a ledger on this computer will do too")
		}
		if err == nil {
			said, err = handing(a).ledger(said)
		}
		if err == nil {
			at, err = named(said)
		}
		if err == nil {
			return at, true, nil
		}
		f := explain(err)
		a.say("error: %s\nhint:  %s", f.Message, f.Hint)
	}
}

// ledger opens the ledger that the wallet will be on, and makes it where that
// was asked for or goes without saying; one that an interrupted init made is taken up.
// undo removes what was made.
func (a making) ledger(ctx context.Context, p place, make bool, m *wallet.Making) (l *ledger, undo func(), err error) {
	if inv := p.at.node; inv != nil {
		if make {
			return nil, nil, usage("an invitation names a ledger that is there", "leave out --new-ledger")
		}
		a.say("You take the word of who invited you for this: the ledger %s with the id %s is at %s, and the node there signs with the key %x.\n", cli.Clean(inv.Name), inv.Ledger, p.at.shown(), inv.Node)
	}
	if !make || m.Began(p.at.kept(p.home)) {
		l, err = a.openLedger(ctx, p)
		if err == nil && p.at.node != nil {
			err = a.current(ctx, l, p)
		}
		if !errors.Is(err, folder.ErrNoLedger) {
			return l, func() {}, err
		}
		if p.given && !make {
			return nil, nil, errNoLedger.With("dir", p.at.dir)
		}
	}
	dir := p.at.dir
	_, statErr := os.Lstat(dir)
	if err := m.WillMakeLedger(p.at.kept(p.home)); err != nil {
		return nil, nil, err
	}
	l, err = a.opener(p).create(ctx, p.at)
	if err != nil {
		// Only what an interrupted making left: not what somebody else put there meanwhile.
		if errors.Is(statErr, fs.ErrNotExist) && !errors.Is(err, folder.ErrNotEmpty) && a.unfounded(ctx, p) {
			os.RemoveAll(dir)
		}
		return nil, nil, err
	}
	return l, func() {
		// Only a folder that was not there, and that nobody has written to since.
		if errors.Is(statErr, fs.ErrNotExist) && a.untouched(ctx, p) {
			os.RemoveAll(dir)
		}
	}, nil
}

// current reports with an errInviter that the node of an invitation shows no head of the ledger
// that holds now, as one does which the others have left behind. Then nothing is made: what the
// wallet has of the others it would have of that node.
func (a making) current(ctx context.Context, l *ledger, p place) error {
	c, err := ledgerclient.Connect(ctx, l.Services, p.at.node.Ledger)
	if err == nil {
		_, err = c.Head(ctx)
	}
	if errors.Is(err, ledgerclient.ErrTooFew) || errors.Is(err, ledgerclient.ErrStale) {
		l.close()
		return errInviter.Of(err)
	}
	return nil // what else is wrong, who uses it is told
}

// unfounded reports whether a folder that was to become a ledger is none, or holds nothing
// but its first entry.
func (a making) unfounded(ctx context.Context, p place) bool {
	l, err := a.openLedger(ctx, p)
	if err != nil {
		return isNoLedger(err)
	}
	l.close()
	return a.untouched(ctx, p)
}

// untouched reports whether a ledger holds nothing but its first entry. A folder that is
// no ledger is not what was made: somebody replaced it.
func (a making) untouched(ctx context.Context, p place) bool {
	l, err := a.openLedger(ctx, p)
	if err != nil {
		return false
	}
	defer l.close()
	c, err := ledgerclient.Connect(context.WithoutCancel(ctx), l.Services, crypto.LedgerID{})
	if err != nil {
		return false
	}
	head, err := c.Head(context.WithoutCancel(ctx))
	return err == nil && head.Size == 1
}

// makeDirs makes the home, for its owner alone. undo removes the folders that were not
// there before, and that of the wallets, if nothing is in them.
func makeDirs(home string) (undo func(), err error) {
	made := []string{filepath.Dir(wallet.ProfileDir(home, ""))}
	for d := home; ; d = filepath.Dir(d) {
		if _, err := os.Stat(d); !errors.Is(err, fs.ErrNotExist) || d == filepath.Dir(d) {
			break
		}
		made = append(made, d)
	}
	return func() {
		for _, d := range made {
			os.Remove(d)
		}
	}, os.MkdirAll(home, 0o700)
}

// writeNew writes a new file that only its owner can read, durably.
func writeNew(path string, data []byte) error {
	f, err := atomicfile.Create(path, 0o600)
	if err != nil {
		return err
	}
	defer f.Abort()
	if _, err := f.Write(data); err != nil {
		return err
	}
	err = f.CommitNew()
	if errors.Is(err, fs.ErrExist) {
		return usage("the words file exists: "+path, "name a new file: --words-file FILE")
	}
	return err
}

func (a making) welcome(w *wallet.Wallet, p place, f initFlags) error {
	id, _ := w.Ledger()
	a.flags.ledger = "" // from here on it is the default
	a.say("The wallet of %s is ready. Its key is in %s.", w.Name(), keyringWords(w.Settings().Keyring))
	if f.wordsFile != "" {
		a.say("Your 24 words are in %s. Whoever has them has your wallet, and without them nobody can bring it back: write them on paper, then delete the file.\nFind out whether you have them: carekey words check", f.wordsFile)
	}
	a.say("\nledger %s in %s\n%s", short(id), p.at.shown(), groundOf(w).says(eachOpening))
	if cli.Width(a.out) > 0 {
		a.say("\nYour address, for those who want to grant you something:")
	}
	a.data(w.Address())
	a.next("carekey record add FILE, or carekey card for those who want to grant you something")
	return a.result(madeJSON{w.Address(), id})
}

type madeJSON struct {
	Address crypto.Address  `json:"address"`
	Ledger  crypto.LedgerID `json:"ledger"`
}
