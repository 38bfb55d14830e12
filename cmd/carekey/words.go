package main

import (
	"context"
	"errors"
	"regexp"
	"strconv"
	"time"
	"unicode"

	"github.com/carekey/carekey/cmd/carekey/ui"
	"github.com/carekey/carekey/cmd/cli"
	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/fault"
	"github.com/carekey/carekey/crypto/text"
	"github.com/carekey/carekey/wallet"
	"github.com/spf13/cobra"
	"golang.org/x/text/unicode/norm"
)

func newWords(a *app) *cobra.Command {
	show := &cobra.Command{
		Use:   "show",
		Short: "Show the 24 words once more",
		Long: `Show the 24 words that bring this wallet back, on a screen of their own that is wiped
before it is left. They are shown on a terminal only and never printed.`,
		RunE: func(cmd *cobra.Command, _ []string) error { return words{a}.show(cmd.Context()) },
	}
	var file string
	check := &cobra.Command{
		Use:   "check [--words-file FILE]",
		Short: "Find out whether you still have the right words",
		Long: `Ask for some of the 24 words, at positions chosen at random, and compare them with the
key of this wallet. With --words-file all 24 are read from a file. The date of the
last check is kept; carekey status and carekey doctor remind you after a year.`,
		RunE: func(cmd *cobra.Command, _ []string) error { return words{a}.check(cmd, file) },
	}
	check.Flags().StringVar(&file, "words-file", "", "read the 24 words from `FILE`")
	return group("words", "The 24 words that bring your wallet back", show, check)
}

// words is what a person does with the 24 words of a wallet.
type words struct{ *app }

func (a words) show(ctx context.Context) error {
	p, err := a.ownPlace()
	if err != nil {
		return err
	}
	if a.flags.json || !a.interactive() {
		return usage("the words are shown on a terminal only", "run it on a terminal, without --json and --no-input; or compare words with: carekey words check --words-file FILE")
	}
	if err := a.confirm(ctx, "Whoever sees the 24 words has this wallet: see that nobody looks over your shoulder.", "Show them on this screen?", ""); err != nil {
		return err
	}
	entropy, err := a.entropy(ctx, p)
	if err != nil {
		return err
	}
	return ui.ShowWords(ctx, a.in, a.err, entropy.Words())
}

// entropy reads the wallet's key. What else the command needs it for, the keyring
// is not asked again.
func (a words) entropy(ctx context.Context, p place) (crypto.Entropy, error) {
	k, err := a.keys(p).itself(ctx)
	if err != nil {
		return crypto.Entropy{}, err
	}
	a.key = k
	return wallet.Entropy(ctx, wallet.Options{Dir: p.dir, Keyring: k})
}

func (a words) check(cmd *cobra.Command, file string) error {
	ctx := cmd.Context()
	p, err := a.ownPlace()
	if err != nil {
		return err
	}
	if file == "" && !a.interactive() {
		return errNeed.With("what", "the words", "flag", "--words-file FILE")
	}
	var typed crypto.Entropy
	if file != "" {
		if typed, err = wordsOfFile(ctx, file); err != nil {
			return err
		}
	}
	entropy, err := a.entropy(ctx, p)
	if err != nil {
		return err
	}
	if file == "" {
		err = ui.CheckWords(ctx, a.in, a.err, entropy.Words())
	} else if !typed.Equal(entropy) {
		err = ui.ErrWordsDiffer
	}
	if err != nil {
		return err
	}
	return a.withWallet(cmd, keeps, func(ctx context.Context, w *wallet.Wallet) error {
		if err := w.Backup().SetWordsChecked(ctx); err != nil {
			return err
		}
		a.say("These are the right words. carekey reminds you to check again in a year.")
		return a.result(wordsCheckedJSON{true, a.now().UTC().Format(time.RFC3339)})
	})
}

type wordsCheckedJSON struct {
	OK      bool   `json:"ok"`
	Checked string `json:"checked"`
}

// readWords takes the 24 words from a file, or from a person who types them.
func (a *app) readWords(ctx context.Context, file string) (crypto.Entropy, error) {
	switch {
	case file != "":
		return wordsOfFile(ctx, file)
	case a.interactive():
		return a.enterWords(ctx)
	}
	return crypto.Entropy{}, errNeed.With("what", "your 24 words", "flag", "--words-file FILE")
}

// enterWords lets a person type the words, and shows where to look if they are
// wrong.
func (a *app) enterWords(ctx context.Context) (crypto.Entropy, error) {
	var entropy crypto.Entropy
	err := ui.EnterWords(ctx, a.in, a.err, 24, crypto.WordsWithPrefix, func(words []string) (string, []int) {
		e, err := crypto.EntropyFromWords(words)
		if sum, ok := fault.As(err, crypto.ErrChecksum); ok {
			f := explain(err)
			return sentence(f.Message) + ". " + sentence(f.Hint) + ".", fault.Get[[]int](sum, "suspects")
		}
		if err != nil { // not reached: only words of the list are taken
			return sentence(explain(err).Message) + ".", nil
		}
		entropy = e
		return "", nil
	})
	return entropy, err
}

// wordsOfFile reads 24 words from a small text file.
func wordsOfFile(ctx context.Context, path string) (crypto.Entropy, error) {
	b, err := cli.UnlessDone(ctx, func() ([]byte, error) { return readSmall(path) }) // a pipe may have no writer
	if err != nil {
		return crypto.Entropy{}, err
	}
	defer clear(b)
	entropy, err := crypto.EntropyFromWords(wordsIn(string(b)))
	if errors.Is(err, crypto.ErrWord) || errors.Is(err, crypto.ErrWordCount) {
		err = errWordsFile.Of(err)
	}
	return entropy, err
}

// errWordsFile: what was read from a file are no 24 words.
const errWordsFile fault.Code = "words-file"

// wordsIn returns the words of a text, of which all else is passed over: commas, what
// is invisible, numbers. Where every word has a number before it, or every one behind
// it, and they are 1 to as many as there are words, they say the order: words are also
// written in columns.
func wordsIn(s string) []string {
	var words []string
	var numbers []int
	var before, after int // words with a number there
	wasWord, wasNumber := false, false
	s = norm.NFKD.String(text.Visible(s)) // as BIP-39 has it
	for _, part := range regexp.MustCompile(`\pL+|\p{Nd}+`).FindAllString(s, -1) {
		number := !unicode.IsLetter([]rune(part)[0])
		switch {
		case number:
			at, _ := strconv.Atoi(part) // what is none is out of range
			numbers = append(numbers, at)
			if wasWord {
				after++
			}
		default:
			words = append(words, part)
			if wasNumber {
				before++
			}
		}
		wasWord, wasNumber = !number, number
	}
	if len(numbers) != len(words) || max(before, after) != len(words) {
		return words
	}
	ordered := make([]string, len(words))
	for i, at := range numbers {
		if at < 1 || at > len(words) || ordered[at-1] != "" {
			return words
		}
		ordered[at-1] = words[i]
	}
	return ordered
}
