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
func (e *exam) examineHome(_ context.Context) []finding {
	p, err := e.app.place()
	if err != nil {
		return []finding{failed("wallet", err)}
	}
	e.place = p
	out := []finding{good("wallet", p.dir)}
	if p.settings == nil {
		out[0] = failed("wallet", noWallet(p.dir))
	}
	out = append(out, permissions(p.home))
	out = append(out, strangers("the wallet's folder", func() ([]string, []*wallet.DamagedError, error) { return wallet.Strangers(p.dir) })...)
	out = append(out, removals(p)...)
	if file := e.env(envPassphrase); file != "" {
		out = append(out, passphraseFile(file))
	}
	return out
}

// strangers names what carekey has not written into a folder of its own, and what it
// has written but not as what it is.
func strangers[E error](where string, look func() (strange []string, damaged []E, err error)) (out []finding) {
	const check = "files"
	strange, damaged, err := look()
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return []finding{failed(check, err)}
	}
	for _, d := range damaged {
		out = append(out, failed(check, d))
	}
	switch {
	case len(strange) > 0:
		out = append(out, advise(check, "strange-files", fmt.Sprintf("%s in %s that carekey never wrote, such as %s", plural(len(strange), "file or folder", "files or folders"), where, cli.Clean(strange[0])),
			"passed over by every command; keep programs that copy or index folders away from there, and remove them"))
	case len(damaged) == 0:
		out = append(out, good(check, "nothing strange in "+where))
	}
	return out
}

// removals looks for wallets whose removal was interrupted: their keys may still be
// here. That of the profile itself is told of in its place.
func removals(p place) (out []finding) {
	profiles, err := wallet.Profiles(p.home)
	if err != nil {
		return nil // one of another wallet's, which says so itself
	}
	for _, other := range profiles {
		if other.Removing && other.Dir != p.dir {
			out = append(out, advise("profiles", "removal-unfinished", "the removal of the wallet in "+other.Dir+" was interrupted, and its key may still be here", "carekey profile list ends it"))
		}
	}
	return out
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
		return advise(check, "home-readable", fmt.Sprintf("others can read %s of the home, such as %s", plural(n, "file or folder", "files or folders"), open),
			"chmod -R go= "+cli.Quote(filepath.Join(home, "wallets")))
	}
	return good(check, "the wallets' files are yours alone")
}

// passphraseFile looks whether others can read the passphrase.
func passphraseFile(path string) finding {
	const check = "passphrase"
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return failed(check, errPassphraseFile.Of(err, "name", envPassphrase))
	case runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0:
		return advise(check, "passphrase-readable", "others can read "+path, "chmod go= "+cli.Quote(path))
	}
	return good(check, path+" is yours alone")
}
