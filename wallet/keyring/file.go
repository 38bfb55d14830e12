package keyring

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"

	"filippo.io/age"
	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient/disk"
	"github.com/carekey/carekey/wallet/atomicfile"
	"golang.org/x/text/unicode/norm"
)

// FileName is the key file's name within a profile's folder.
const FileName = "key.age"

const (
	// DefaultWorkFactor is scrypt's log2 N for new files: about a second.
	DefaultWorkFactor = 18
	// MaxWorkFactor bounds what a file may ask of its reader: about 4 seconds
	// and 1 GiB of memory.
	MaxWorkFactor = 20

	// A key file is about 300 bytes; what is longer is none.
	maxFileSize = 4096
)

// Passphrase asks for the passphrase of the key file; confirm is true when it is
// chosen, so that it should be asked twice. The bytes are overwritten after use.
// They are composed (Unicode NFC), so that the same letters typed on another system are
// the same passphrase.
type Passphrase func(ctx context.Context, confirm bool) ([]byte, error)

// File keeps one item in one file under a passphrase. The file is in the age
// format (https://c2sp.org/age) with a scrypt stanza, so that the stock age
// program opens it too; what it seals is three lines, each ended by a line feed:
//
//	carekey key 1
//	<id>
//	<secret, 43 characters>
//
// Get asks for the passphrase, Set for a new one (or, if the file is there, for
// its own, to see whether it holds the same secret), Delete for none. Calls for
// one path must not overlap with one that changes the file.
type File struct {
	// Path of the file; its folder must exist. Written with mode 0600.
	Path string
	// Passphrase is called at most once per call. Its errors are returned as
	// they are.
	Passphrase Passphrase
	// WorkFactor is scrypt's log2 N for writing, 1 to MaxWorkFactor.
	// 0 means DefaultWorkFactor. Less is for tests only.
	WorkFactor int
}

var _ Store = &File{}

// Kind implements Store.
func (f *File) Kind() string { return KindFile }

// Get implements Store.
func (f *File) Get(ctx context.Context, id string) (string, error) {
	if err := checkID(id); err != nil {
		return "", err
	}
	held, secret, err := f.open(ctx)
	if err != nil {
		return "", err
	}
	if held != id {
		return "", ErrItemNotFound.With("kind", KindFile)
	}
	return secret, nil
}

// Set implements Store.
func (f *File) Set(ctx context.Context, id, secret string) error {
	if err := checkItem(id, secret); err != nil {
		return err
	}
	switch _, err := os.Lstat(f.Path); {
	case err == nil:
		heldID, held, err := f.open(ctx)
		if err == nil && (heldID != id || held != secret) {
			err = ErrItemExists
		}
		return err
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("keyring: %w", err)
	}
	return f.write(ctx, id, secret, false)
}

// Delete implements Store. The file holds one item, so it is not opened first
// and id only has to be an id.
// Flash storage may keep the sectors: what protects them is still the passphrase.
func (f *File) Delete(_ context.Context, id string) error {
	if err := checkID(id); err != nil {
		return err
	}
	err := os.Remove(f.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return ErrItemNotFound.Of(err, "kind", KindFile)
	}
	if err == nil {
		err = disk.SyncDir(filepath.Dir(f.Path))
	}
	if err != nil {
		return ErrFileLeft.Of(err)
	}
	return nil
}

// ChangePassphrase seals the file under a new passphrase. It asks for the old one,
// then for the new one. The file is replaced whole, after what replaces it was
// opened with the new passphrase: at every instant one of the two opens it.
func (f *File) ChangePassphrase(ctx context.Context) error {
	id, secret, err := f.open(ctx)
	if err != nil {
		return err
	}
	return f.write(ctx, id, secret, true)
}

// Replace keeps secret under id in a new file, in the place of one that may be
// there and is not opened: for somebody who lost its passphrase. It asks for a new
// one.
func (f *File) Replace(ctx context.Context, id, secret string) error {
	if err := checkItem(id, secret); err != nil {
		return err
	}
	return f.write(ctx, id, secret, true)
}

// write seals an item under a new passphrase and makes it the file. What replaces
// another file is opened first.
func (f *File) write(ctx context.Context, id, secret string, replaces bool) error {
	factor := cmp.Or(f.WorkFactor, DefaultWorkFactor)
	if factor < 1 || factor > MaxWorkFactor {
		return ErrArgument.With("name", "work factor")
	}
	passphrase, err := f.ask(ctx, true)
	if err != nil {
		return err
	}
	defer clear(passphrase)
	sealed, err := seal(id, secret, passphrase, factor)
	if err != nil {
		return fmt.Errorf("keyring: seal key file: %w", err)
	}
	// scrypt cannot be interrupted; whoever gave up meanwhile gets no file.
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if replaces {
		if heldID, held, err := unseal(sealed, passphrase); err != nil || heldID != id || held != secret {
			return ErrFileNotStored.Of(err)
		}
	}
	if err := atomicfile.Write(f.Path, sealed, 0o600); err != nil {
		return fmt.Errorf("keyring: write key file: %w", err)
	}
	if back, err := readFile(f.Path); err != nil || !bytes.Equal(back, sealed) {
		return ErrFileNotStored.Of(err)
	}
	return nil
}

// LooksLikeKeyFile tells, without a passphrase, whether a key file is there: an
// [ErrItemNotFound] if none is, an [ErrDamaged] if what is there is none.
func LooksLikeKeyFile(path string) error {
	b, err := readFile(path)
	if err == nil && !bytes.HasPrefix(b, []byte("age-encryption.org/v1\n-> scrypt ")) {
		return ErrDamaged.Of(errors.New("not an age file under a passphrase"))
	}
	return err
}

// open reads the file and asks for its passphrase.
func (f *File) open(ctx context.Context) (id, secret string, err error) {
	sealed, err := readFile(f.Path)
	if err != nil {
		return "", "", err
	}
	passphrase, err := f.ask(ctx, false)
	if err != nil {
		return "", "", err
	}
	defer clear(passphrase)
	return unseal(sealed, passphrase)
}

// unseal opens the content of a key file.
func unseal(sealed, passphrase []byte) (id, secret string, err error) {
	crypto.Scrub(func() { id, secret, err = decrypt(sealed, passphrase) })
	// scrypt used 256 MiB at the default work factor, which is garbage now. Given back
	// at once it does not make the collector let the heap grow to twice of it, and
	// what is to be scrubbed is.
	debug.FreeOSMemory()
	return id, secret, err
}

func decrypt(sealed, passphrase []byte) (id, secret string, err error) {
	identity, err := age.NewScryptIdentity(string(passphrase))
	if err != nil {
		return "", "", err
	}
	identity.SetMaxWorkFactor(MaxWorkFactor)

	var plain []byte
	r, err := age.Decrypt(bytes.NewReader(sealed), identity)
	if err == nil {
		plain, err = io.ReadAll(r)
	}
	defer clear(plain)
	if no, ok := errors.AsType[*age.NoIdentityMatchError](err); ok &&
		len(no.StanzaTypes) == 1 && no.StanzaTypes[0] == "scrypt" {
		return "", "", ErrWrongPassphrase.Of(err)
	}
	if err != nil {
		return "", "", ErrDamaged.Of(err)
	}
	id, secret, ok := parseItem(string(plain))
	if !ok {
		return "", "", ErrDamaged.Of(errors.New("not a key file's content"))
	}
	return id, secret, nil
}

// seal returns the content of a key file.
func seal(id, secret string, passphrase []byte, factor int) ([]byte, error) {
	recipient, err := age.NewScryptRecipient(string(passphrase))
	if err != nil {
		return nil, err
	}
	recipient.SetWorkFactor(factor)
	var sealed bytes.Buffer
	w, err := age.Encrypt(&sealed, recipient)
	if err != nil {
		return nil, err
	}
	plain := []byte(itemHead + id + "\n" + secret + "\n")
	defer clear(plain)
	if _, err := w.Write(plain); err != nil {
		return nil, err
	}
	err = w.Close() // what is sealed is complete only then
	return sealed.Bytes(), err
}

// ask asks for a passphrase and returns it composed.
func (f *File) ask(ctx context.Context, confirm bool) ([]byte, error) {
	if f.Passphrase == nil {
		return nil, ErrArgument.With("name", "passphrase callback")
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	passphrase, err := f.Passphrase(ctx, confirm)
	if err != nil {
		return nil, err
	}
	defer clear(passphrase)
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if len(passphrase) == 0 {
		return nil, ErrEmptyPassphrase
	}
	return norm.NFC.Append(make([]byte, 0, 3*len(passphrase)), passphrase...), nil // at most three times as long
}

const itemHead = "carekey key 1\n"

// parseItem reads what seal writes; it admits nothing else.
func parseItem(s string) (id, secret string, ok bool) {
	s, head := strings.CutPrefix(s, itemHead)
	id, secret, _ = strings.Cut(s, "\n")
	secret, end := strings.CutSuffix(secret, "\n")
	return id, secret, head && end && checkItem(id, secret) == nil
}

func readFile(path string) ([]byte, error) {
	b, err := disk.ReadFile(path, maxFileSize)
	switch {
	case err == nil:
		return b, nil
	case errors.Is(err, fs.ErrNotExist):
		return nil, ErrItemNotFound.Of(err, "kind", KindFile)
	case errors.As(err, new(*disk.KindError)):
		return nil, ErrDamaged.Of(err)
	}
	return nil, fmt.Errorf("keyring: %w", err)
}
