package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"github.com/carekey/carekey/cmd/cli"
	"github.com/carekey/carekey/wallet"
)

// examineHome finds the wallet and looks at who else can read its files.
func (e *exam) examineHome(context.Context) {
	p, err := e.app.place()
	if err != nil {
		e.failed("wallet", err)
		return
	}
	e.place = p
	if p.settings == nil {
		e.failed("wallet", noWallet(p.dir))
	} else {
		e.good("wallet", p.dir)
	}
	e.permissions()
	strange, damaged, err := wallet.Strangers(p.dir)
	strangers(e, "the wallet's folder", strange, damaged, err)
	e.removals()
	if file := e.env(envPassphrase); file != "" {
		e.passphraseFile(file)
	}
}

// strangers names what carekey has not written into a folder of its own, and what it
// has written but not as what it is.
func strangers[E error](e *exam, where string, strange []string, damaged []E, err error) {
	const check = "files"
	for _, d := range damaged {
		e.failed(check, d)
	}
	switch {
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		e.failed(check, err)
	case len(strange) > 0:
		e.advise(check, "strange-files", fmt.Sprintf("%s in %s that carekey never wrote, such as %s", plural(len(strange), "file or folder", "files or folders"), where, cli.Clean(strange[0])),
			"passed over by every command; keep programs that copy or index folders away from there, and remove them")
	case len(damaged) == 0:
		e.good(check, "nothing strange in "+where)
	}
}

// removals looks for wallets whose removal was interrupted: their keys may still be
// here. That of the profile itself is told of in its place.
func (e *exam) removals() {
	profiles, _ := wallet.Profiles(e.place.home) // what cannot be read says so itself
	for _, other := range profiles {
		if other.Removing && other.Dir != e.place.dir {
			e.advise("profiles", "removal-unfinished", "the removal of the wallet in "+other.Dir+" was interrupted, and its key may still be here", "carekey profile list ends it")
		}
	}
}

// permissions looks for files of the home that others can read.
func (e *exam) permissions() {
	const check = "permissions"
	if runtime.GOOS == "windows" {
		e.good(check, "not looked at on this system")
		return
	}
	wallets := filepath.Join(e.place.home, "wallets")
	var open []string
	err := filepath.WalkDir(wallets, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil && readable(info) {
			open = append(open, path)
		}
		return err
	})
	switch {
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		e.failed(check, err)
	case len(open) > 0:
		e.advise(check, "home-readable", fmt.Sprintf("others can read %s of the home, such as %s", plural(len(open), "file or folder", "files or folders"), open[0]), "chmod -R go= "+cli.Quote(wallets))
	default:
		e.good(check, "the wallets' files are yours alone")
	}
}

// readable reports whether others than its owner can read or change a file.
func readable(info fs.FileInfo) bool { return info.Mode().Perm()&0o077 != 0 }

// passphraseFile looks whether others can read the passphrase.
func (e *exam) passphraseFile(path string) {
	const check = "passphrase"
	info, err := os.Stat(path)
	switch {
	case err != nil:
		e.failed(check, errPassphraseFile.Of(err, "name", envPassphrase))
	case runtime.GOOS != "windows" && readable(info):
		e.advise(check, "passphrase-readable", "others can read "+path, "chmod go= "+cli.Quote(path))
	default:
		e.good(check, path+" is yours alone")
	}
}
