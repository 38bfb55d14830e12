package main

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"

	"filippo.io/age"
	"filippo.io/age/plugin"
	"github.com/carekey/carekey/cmd/cli"
	"github.com/carekey/carekey/cmd/hardening"
	"github.com/carekey/carekey/wallet"
)

// pluginName is the name under which the age program starts this one, to speak
// c2sp.org/age-plugin over standard input and output.
const pluginName = "age-plugin-" + wallet.AgePlugin

// run is one run of age-plugin-carekey.
func (a agePlugin) run(args []string) int {
	ctx, stop := hardening.Signals()
	defer stop()
	p, err := plugin.New(wallet.AgePlugin)
	if err != nil {
		return a.report(err, nil)
	}
	keys := a.serve(ctx, p)
	defer keys.wipe()
	switch strings.Join(args, " ") {
	case "--age-plugin=identity-v1":
		return p.IdentityV1()
	case "--age-plugin=recipient-v1":
		return p.RecipientV1()
	}
	return a.report(usage(pluginName+" is started by age, and by nobody else", "how to use it: carekey age --help"), nil)
}

// serve says what the plugin does with identities and recipients.
func (a agePlugin) serve(ctx context.Context, p *plugin.Plugin) *ageKeys {
	p.SetIO(a.in, a.out, a.err)
	a.flags.noInput = true // standard input is age's
	a.ask = func(prompt string) ([]byte, error) {
		answer, err := p.RequestValue(prompt+":", true)
		if err != nil {
			return nil, errNeed.With("what", "the passphrase of your key file", "flag", "the environment variable "+envPassphrase)
		}
		return []byte(answer), nil
	}
	keys := &ageKeys{ctx: ctx, app: a, opened: map[wallet.AgePointer]openedKey{}}
	pointed := func(text string) (*pointedIdentity, error) {
		at, err := wallet.ParseAgePointer(text)
		if err != nil {
			return nil, inPlugin(err)
		}
		return &pointedIdentity{keys, at}, nil
	}
	p.HandleIdentityEncoding(func(text string) (age.Identity, error) { return pointed(text) })
	p.HandleIdentityEncodingAsRecipient(func(text string) (age.Recipient, error) { return pointed(text) })
	p.HandleRecipientEncoding(func(text string) (age.Recipient, error) {
		r, err := wallet.ParseAgeRecipient(text)
		if err != nil {
			return nil, inPlugin(err)
		}
		return r, nil
	})
	return keys
}

// ageKeys unlocks each wallet once in a run, and only when it is needed.
type ageKeys struct {
	ctx    context.Context
	app    agePlugin
	opened map[wallet.AgePointer]openedKey
}

type openedKey struct {
	key *wallet.AgeKey
	err error
}

func (k *ageKeys) open(at wallet.AgePointer) (*wallet.AgeKey, error) {
	if o, ok := k.opened[at]; ok {
		return o.key, o.err
	}
	key, err := k.app.openKey(k.ctx, at)
	if err != nil {
		err = inPlugin(err)
	}
	k.opened[at] = openedKey{key, err}
	return key, err
}

func (k *ageKeys) wipe() {
	for _, o := range k.opened {
		if o.key != nil {
			o.key.Wipe()
		}
	}
}

// openKey unlocks the wallet that an identity points to. Its ledger is not
// looked at: an own record opens where no ledger is in reach.
func (a agePlugin) openKey(ctx context.Context, at wallet.AgePointer) (*wallet.AgeKey, error) {
	if err := a.checkTimeouts(); err != nil {
		return nil, err
	}
	home, err := a.homeOf(at)
	if err != nil {
		return nil, err
	}
	if f := a.env(envPassphrase); f != "" && !filepath.IsAbs(f) {
		return nil, usage(envPassphrase+" is not the whole path of a file", "age starts plugins in another folder: begin it with /")
	}
	dir := at.Dir(home)
	s, err := wallet.ReadSettings(dir)
	if err != nil {
		return nil, err
	}
	k := a.keys(place{dir: dir, settings: &s})
	key, err := wallet.OpenAgeKey(ctx, dir, k.usable(ctx, k.of(s.Keyring)))
	if err != nil {
		return nil, err
	}
	if err := key.Check(at); err != nil {
		key.Wipe()
		return nil, err
	}
	return key, nil
}

// homeOf is the home that an identity points to: the one it names or, where that
// holds no such wallet, as after it was moved, the one of this run, or the usual one.
// Which wallet it is the key tells.
func (a agePlugin) homeOf(at wallet.AgePointer) (string, error) {
	homes := []string{at.Home}
	own, err := a.home()
	if err != nil && at.Home == "" {
		return "", err
	}
	homes = append(homes, own, usualHome())
	homes = slices.DeleteFunc(homes, func(h string) bool { return !filepath.IsAbs(h) })
	for _, home := range homes {
		if _, err := wallet.ReadSettings(at.Dir(home)); err == nil {
			return home, nil
		}
	}
	if len(homes) == 0 || at.Home != "" && homes[0] != at.Home {
		return "", wallet.ErrInput.With("field", "identity", "why", "it was made on another system")
	}
	return homes[0], nil
}

// pointedIdentity is an identity string: it unlocks when there is something to
// unlock for.
type pointedIdentity struct {
	keys *ageKeys
	at   wallet.AgePointer
}

// Unwrap implements [age.Identity].
func (i *pointedIdentity) Unwrap(stanzas []*age.Stanza) ([]byte, error) {
	if !wallet.ForAgeKey(stanzas) {
		return nil, age.ErrIncorrectIdentity
	}
	key, err := i.keys.open(i.at)
	if err != nil {
		return nil, err
	}
	fileKey, err := key.Identity().Unwrap(stanzas)
	if err != nil && !errors.Is(err, age.ErrIncorrectIdentity) {
		return nil, inPlugin(err)
	}
	return fileKey, err
}

// Wrap implements [age.Recipient], for age -e -i.
func (i *pointedIdentity) Wrap(fileKey []byte) ([]*age.Stanza, error) {
	key, err := i.keys.open(i.at)
	if err != nil {
		return nil, err
	}
	return key.Recipient().Wrap(fileKey)
}

// inPlugin puts an error into the words of this program, as one text: that is
// what age shows of a plugin.
func inPlugin(err error) error {
	f := explain(err)
	switch {
	case errors.Is(err, wallet.ErrNoWallet):
		f.Message = strings.Replace(f.Message, "no wallet yet", "no such wallet", 1)
		f.Hint = "print its identity again: carekey age identity"
	case errors.Is(err, wallet.ErrInput):
		f.Hint = "print it again: carekey age identity, or carekey age recipient"
	}
	text := f.Message
	if f.Hint != "" {
		text += "\nhint: " + f.Hint
	}
	return errors.New(cli.CleanText(text))
}
