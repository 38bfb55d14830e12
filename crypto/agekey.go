package crypto

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"slices"

	"filippo.io/age"
)

const (
	// stanzaType names our recipient stanza in the header of an age file.
	stanzaType = "carekey-k256"
	fileKeyLen = 16
	// maxStanzas bounds how many stanzas of our type are tried: each costs an ECDH,
	// and age itself allows 1024.
	maxStanzas = 16
)

var stanzaText = base64.RawStdEncoding.Strict()

// stanzaRecipient wraps a file key for one public key. The stanza names no key.
type stanzaRecipient struct {
	key  PubKey
	info []byte
}

// Wrap implements [age.Recipient].
func (r *stanzaRecipient) Wrap(fileKey []byte) ([]*age.Stanza, error) {
	enc, body, err := hpkeSeal(r.key, r.info, fileKey)
	if err != nil {
		return nil, err
	}
	return []*age.Stanza{{Type: stanzaType, Args: []string{stanzaText.EncodeToString(enc[:])}, Body: body}}, nil
}

// stanzaIdentity unwraps a file key from the first of our stanzas that open opens.
type stanzaIdentity struct {
	redacted
	open func(enc, body []byte) (fileKey []byte, err error)
	only bool // refuse files with other kinds of stanzas
}

// opensWith unwraps with a key in this process.
func opensWith(k *PrivateKey, info []byte) func(enc, body []byte) ([]byte, error) {
	return func(enc, body []byte) ([]byte, error) { return hpkeOpen(k, info, enc, body) }
}

// Unwrap implements [age.Identity]. A stanza of our type with another layout is
// an error, as is more than maxStanzas of them.
func (i *stanzaIdentity) Unwrap(stanzas []*age.Stanza) ([]byte, error) {
	ours := 0
	for _, s := range stanzas {
		if s.Type == stanzaType {
			ours++
		}
	}
	if ours > maxStanzas || i.only && ours < len(stanzas) {
		return nil, ErrDamaged.With("what", "header")
	}
	for _, s := range stanzas {
		if s.Type != stanzaType {
			continue
		}
		if len(s.Args) != 1 || len(s.Body) != fileKeyLen+hpkeTagSize {
			return nil, ErrDamaged.With("what", "stanza")
		}
		enc, err := stanzaText.DecodeString(s.Args[0])
		if err != nil || len(enc) != hpkeEncSize {
			return nil, ErrDamaged.With("what", "stanza")
		}
		if fileKey, err := i.open(enc, s.Body); err == nil || errors.Is(err, ErrKeyLocked) {
			return fileKey, err
		}
	}
	return nil, fmt.Errorf("%w: none of %d stanzas", age.ErrIncorrectIdentity, ours)
}

// HasStanza reports whether one of the stanzas is of this package's type.
func HasStanza(stanzas []*age.Stanza) bool {
	return slices.ContainsFunc(stanzas, func(s *age.Stanza) bool { return s.Type == stanzaType })
}

// RecordRecipient returns the recipient for a record's content: the owner's
// [Root.SelfKey]. The stanza is bound to no entry, so that the stock age program
// can open a record through a plugin.
func RecordRecipient(p PubKey) age.Recipient { return &stanzaRecipient{p, info(TagRecord)} }

// FileKey is the key of one age file, 16 bytes. Who has it can read that file,
// and forge parts of it for others who have it.
type FileKey struct {
	redacted
	p hidden[[fileKeyLen]byte]
}

// ErrFileKey says that bytes are not a file key.
var ErrFileKey = errors.New("not a file key")

// ParseFileKey reads 16 bytes, and returns [ErrFileKey] for any other length.
func ParseFileKey(b []byte) (FileKey, error) {
	if len(b) != fileKeyLen {
		return FileKey{}, ErrFileKey
	}
	v := [fileKeyLen]byte(b)
	return FileKey{p: hide(&v)}, nil
}

// ExposeSecret returns the bytes. It is for the envelope of a grant, which is
// sealed.
func (f FileKey) ExposeSecret() [16]byte {
	if f.p == nil {
		panic("crypto: use of a zero secret")
	}
	return *f.p()
}

// IsZero reports whether this is the zero value, which holds no key.
func (f FileKey) IsZero() bool { return f.p == nil }

// Identity returns an identity that opens the one file the key is of.
func (f FileKey) Identity() age.Identity { return fileKeyIdentity{f} }

type fileKeyIdentity struct{ FileKey }

// Unwrap implements [age.Identity].
func (i fileKeyIdentity) Unwrap([]*age.Stanza) ([]byte, error) {
	k := i.ExposeSecret()
	return k[:], nil
}

// RecordFileKey returns the file key of a record whose age file begins at header and
// opens with id, see [Keys.RecordIdentity]. It may read further than the header ends. Its
// errors are [ErrNotForKey], [ErrDamaged], [ErrKeyLocked] and those of the reader.
func RecordFileKey(header io.Reader, id age.Identity) (FileKey, error) {
	r := &errorReader{r: header}
	b, err := age.ExtractHeader(r)
	if r.err != nil {
		return FileKey{}, r.err
	}
	if err != nil {
		return FileKey{}, ErrDamaged.With("what", "record header")
	}
	key, err := age.DecryptHeader(b, id)
	if err != nil {
		return FileKey{}, openError(err, "record header")
	}
	defer clear(key)
	return ParseFileKey(key)
}

// openError turns an error of age into one of ours. Those of age quote lines.
func openError(err error, what string) error {
	if errors.Is(err, ErrKeyLocked) {
		return err
	}
	var none *age.NoIdentityMatchError
	if errors.As(err, &none) {
		return ErrNotForKey.With("stanzas", len(none.StanzaTypes))
	}
	return ErrDamaged.With("what", what)
}

// errorReader remembers an error other than the end of its reader.
type errorReader struct {
	r   io.Reader
	err error
}

func (r *errorReader) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	if err != nil && err != io.EOF {
		r.err = err
	}
	return n, err
}
