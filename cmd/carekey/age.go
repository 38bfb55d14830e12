package main

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"

	"github.com/carekey/carekey/cmd/cli"
	"github.com/carekey/carekey/wallet"
	"github.com/carekey/carekey/wallet/atomicfile"
	"github.com/spf13/cobra"
)

func newAge(a *app) *cobra.Command {
	identity := &cobra.Command{
		Use:   "identity",
		Short: "Print the identity that points age to this wallet",
		Long: `Print an identity for age -d -i. It holds no key: it says which wallet is to be
unlocked, by its keyring or by your passphrase, each time or for a time with carekey
unlock. It opens the content of your own records and what was encrypted for carekey age
recipient, and nothing else.

  carekey age identity > carekey.identity
  carekey record get ID --age -o record.age
  age -d -i carekey.identity record.age`,
		RunE: func(cmd *cobra.Command, _ []string) error { return agePlugin{a}.withKey(cmd, agePlugin.identity) },
	}
	recipient := &cobra.Command{
		Use:   "recipient",
		Short: "Print the recipient with which age encrypts for this wallet",
		Long: `Print a recipient for age -r: what is encrypted with it, your wallet opens. It is not
secret. It is no address: nothing can be granted to it, and an age file names no sender.`,
		RunE: func(cmd *cobra.Command, _ []string) error { return agePlugin{a}.withKey(cmd, agePlugin.recipient) },
	}
	var force bool
	install := &cobra.Command{
		Use:   "install [DIR]",
		Short: "Put age-plugin-carekey where age finds it",
		Long: `Make age-plugin-carekey, another name for this program, in DIR, which should be on your
PATH. Without DIR that is the folder that carekey is in.`,
		Args: cli.Takes(0, 1),
		RunE: func(_ *cobra.Command, args []string) error {
			dir := ""
			if len(args) == 1 {
				dir = args[0]
			}
			return agePlugin{a}.install(dir, force)
		},
	}
	install.Flags().BoolVar(&force, "force", false, "replace another age-plugin-carekey")
	return group("age", "Open your records with the age program", identity, recipient, install)
}

// agePlugin is what lets the age program open records.
type agePlugin struct{ *app }

type ageJSON struct {
	Identity  string `json:"identity,omitempty"`
	Recipient string `json:"recipient"`
}

// withKey unlocks the wallet without its ledger.
func (a agePlugin) withKey(cmd *cobra.Command, f func(a agePlugin, p place, k *wallet.AgeKey) error) error {
	p, err := a.ownPlace()
	if err != nil {
		return err
	}
	store, err := a.keys(p).own(cmd.Context())
	if err != nil {
		return err
	}
	k, err := wallet.OpenAgeKey(cmd.Context(), p.dir, store)
	if err != nil {
		return err
	}
	defer k.Wipe()
	return f(a, p, k)
}

func (a agePlugin) identity(p place, k *wallet.AgeKey) error {
	home := p.home
	if home == usualHome() {
		home = "" // the same user's plugin finds it, on any machine
	}
	id := k.At(home, a.profile()).String()
	a.print("%s", id)
	a.say("It holds no key: it points to this wallet, which age asks to open your records.")
	if _, err := exec.LookPath(pluginName); err != nil {
		a.next("carekey age install")
	} else {
		a.next("age -d -i FILE-WITH-THIS-LINE record.age")
	}
	return a.result(ageJSON{Identity: id, Recipient: k.RecipientText()})
}

// usualHome is the home without anything in the environment.
func usualHome() string {
	plain := app{lookup: func(string) (string, bool) { return "", false }}
	home, err := plain.home()
	if err != nil {
		return ""
	}
	return home
}

func (a agePlugin) recipient(_ place, k *wallet.AgeKey) error {
	a.print("%s", k.RecipientText())
	return a.result(ageJSON{Recipient: k.RecipientText()})
}

// install gives the program its second name.
func (a agePlugin) install(dir string, force bool) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	if dir == "" {
		dir = filepath.Dir(self)
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return err
	}
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return usage(dir+" is no folder", "name a folder that is on your PATH")
	}
	path := filepath.Join(dir, pluginName+exeSuffix())
	if sameFile(path, self) {
		return a.installed(path, true)
	}
	if _, err := os.Lstat(path); err == nil {
		if !force {
			return wallet.ErrFileExists.With("path", path)
		}
		if err := os.Remove(path); err != nil {
			return err
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if runtime.GOOS == "windows" { // where a link needs rights that people do not have
		err = copyProgram(self, path)
	} else {
		err = os.Symlink(self, path)
	}
	if err != nil {
		return err
	}
	return a.installed(path, false)
}

// sameFile reports whether two paths lead to one file.
func sameFile(one, two string) bool {
	x, err := os.Stat(one)
	if err != nil {
		return false
	}
	y, err := os.Stat(two)
	return err == nil && os.SameFile(x, y)
}

func exeSuffix() string {
	if runtime.GOOS == "windows" {
		return ".exe"
	}
	return ""
}

func copyProgram(from, to string) error {
	b, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return atomicfile.Write(to, b, 0o755)
}

func (a agePlugin) installed(path string, already bool) error {
	found, err := exec.LookPath(pluginName)
	onPath := err == nil && sameFile(found, path)
	if already {
		a.say("It is there already.")
	}
	a.print("%s", path)
	if !onPath {
		a.say("age does not find it there: put %s on your PATH.", filepath.Dir(path))
	}
	a.next("carekey age identity > carekey.identity")
	return a.result(installedJSON{path, onPath})
}

type installedJSON struct {
	Path   string `json:"path"`
	OnPath bool   `json:"onPath"` // age finds it
}
