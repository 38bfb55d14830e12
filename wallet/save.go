package wallet

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"unicode"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/text"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/disk"
	"github.com/carekey/carekey/wallet/atomicfile"
)

// SaveFile lets write fill a new file at path, mode 0600, which appears only if
// write succeeds. A file that has the bytes of sum already is left alone; any
// other is a [ErrFileExists] unless overwrite. The zero sum knows no bytes.
func SaveFile(path string, sum crypto.Hash, overwrite bool, write func(io.Writer) error) error {
	if info, err := os.Lstat(path); err == nil && info.Mode().IsRegular() && !sum.IsZero() && sameFile(path, sum) {
		return nil
	}
	if err := inTheWay(path, overwrite); err != nil {
		return err
	}
	f, err := atomicfile.Create(path, 0o600)
	if err != nil {
		return err
	}
	defer f.Abort()
	if err := write(f); err != nil {
		return err
	}
	if overwrite {
		return f.Commit()
	}
	err = f.CommitNew()
	if errors.Is(err, fs.ErrExist) {
		return ErrFileExists.With("path", path)
	}
	return err
}

// saveBeside lets save make a file of a name that is safe, or, where that one is taken or
// what is there must stay, of one with the record's id behind it. It returns the name of
// the file, "" if there is none, which is taken then.
func saveBeside(safe string, record contract.ID, taken map[string]bool, save func(name string) error) (string, error) {
	stem, ext := splitExt(safe)
	for n := 0; ; n++ {
		name := safe
		switch {
		case n == 1:
			name = fmt.Sprintf("%s-%x%s", stem, record[:4], ext)
		case n > 1:
			name = fmt.Sprintf("%s-%x-%d%s", stem, record[:4], n, ext)
		}
		if taken[foldName(name)] {
			continue
		}
		err := save(name)
		if (errors.Is(err, ErrFileExists) || errors.Is(err, ErrSpecialFile)) && n < 1000 {
			continue
		}
		if err != nil {
			return "", err
		}
		taken[foldName(name)] = true
		return name, nil
	}
}

// inTheWay returns why what is at path must stay, if it must.
func inTheWay(path string, overwrite bool) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil: // a path that is too long
		return err
	case !info.Mode().IsRegular():
		return ErrSpecialFile.With("path", path)
	case !overwrite:
		return ErrFileExists.With("path", path)
	}
	return nil
}

// MaySave returns why SaveFile could not make a file at path now, if it is a small one; nil
// if it could. Nothing stays of the attempt.
func MaySave(path string, overwrite bool) error {
	if err := inTheWay(path, overwrite); err != nil {
		return err
	}
	f, err := atomicfile.Create(path, 0o600)
	if err != nil {
		return err
	}
	defer f.Abort()
	_, err = f.Write(make([]byte, 4096)) // a full disk has room for names
	return err
}

func sameFile(path string, sum crypto.Hash) bool {
	f, err := disk.Open(path, os.O_RDONLY, 0)
	if err != nil {
		return false
	}
	defer f.Close()
	h := sha256.New()
	_, err = io.Copy(h, f)
	return err == nil && crypto.Hash(h.Sum(nil)) == sum
}

func splitExt(name string) (stem, ext string) {
	ext = filepath.Ext(name)
	return strings.TrimSuffix(name, ext), ext
}

// isVisible reports whether a character shows itself: format characters, such as
// those that turn the writing direction, do not.
func isVisible(r rune) bool {
	return r == ' ' || (unicode.IsGraphic(r) && !unicode.IsSpace(r) && !text.Invisible(r))
}

// reservedOnWindows reports whether a name without its extension means a device
// there.
func reservedOnWindows(stem string) bool {
	s, _, _ := strings.Cut(strings.ToUpper(stem), ".")
	s = strings.TrimSpace(s)
	switch s {
	case "CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$":
		return true
	}
	return len(s) == 4 && (strings.HasPrefix(s, "COM") || strings.HasPrefix(s, "LPT")) && s[3] >= '0' && s[3] <= '9'
}
