package wallet

import (
	"context"
	"encoding/hex"
	"path/filepath"
	"unicode"
	"unicode/utf8"

	"filippo.io/age"
	"filippo.io/age/plugin"
	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/wallet/keyring"
)

// What the age program (https://age-encryption.org) needs to open the records of a
// wallet: FORMAT.md, "Strings for age". Ledger and store are not involved.

// AgePlugin is the name under which age knows this program: it runs
// age-plugin-carekey.
const AgePlugin = "carekey"

// AgePointer is an age identity that holds no key: it tells the plugin which
// wallet to unlock.
type AgePointer struct {
	Folder [8]byte  // of the profile, in the home
	Wallet [16]byte // which wallet that must be: hash of the self key's public key, the same for the same words
	Home   string   // absolute path of the home; "" is wherever the program looks by itself
}

const (
	agePointerVersion = 1
	agePointerFixed   = 1 + 8 + 16
	maxHome           = 4096 // bytes of Home
)

// String returns the text form, AGE-PLUGIN-CAREKEY-1 and Bech32.
func (p AgePointer) String() string {
	b := append([]byte{agePointerVersion}, p.Folder[:]...)
	b = append(append(b, p.Wallet[:]...), p.Home...)
	return plugin.EncodeIdentity(AgePlugin, b)
}

// ParseAgePointer reads the text form. Its errors are [ErrInput], and
// [ErrVersion] for one of a newer carekey.
func ParseAgePointer(text string) (AgePointer, error) {
	bad := ErrInput.With("field", "identity", "why", "not an identity of carekey, or not complete")
	name, b, err := plugin.ParseIdentity(text)
	if err != nil || name != AgePlugin || len(b) == 0 {
		return AgePointer{}, bad
	}
	if b[0] != agePointerVersion {
		return AgePointer{}, WrongVersion("identity", int(b[0]), 0)
	}
	if len(b) < agePointerFixed || len(b) > agePointerFixed+maxHome {
		return AgePointer{}, bad
	}
	p := AgePointer{Folder: [8]byte(b[1:]), Wallet: [16]byte(b[9:]), Home: string(b[agePointerFixed:])}
	if !utf8.ValidString(p.Home) || p.String() != text {
		return AgePointer{}, bad
	}
	for _, r := range p.Home {
		if unicode.IsControl(r) {
			return AgePointer{}, bad
		}
	}
	return p, nil
}

// Dir is the wallet's folder in a home.
func (p AgePointer) Dir(home string) string {
	return filepath.Join(home, "wallets", hex.EncodeToString(p.Folder[:]))
}

// ParseAgeRecipient reads what [AgeKey.RecipientText] returns; its error is
// [ErrInput].
func ParseAgeRecipient(text string) (age.Recipient, error) {
	bad := ErrInput.With("field", "recipient", "why", "not a recipient of carekey, or not complete")
	name, b, err := plugin.ParseRecipient(text)
	if err != nil || name != AgePlugin || plugin.EncodeRecipient(AgePlugin, b) != text {
		return nil, bad
	}
	p, err := crypto.ParsePubKey(b)
	if err != nil {
		return nil, bad
	}
	return crypto.RecordRecipient(p), nil
}

// AgeKey is the part of a wallet that opens records without their ledger, and
// nothing else that is sealed: terms, envelopes and descriptions are bound to more.
type AgeKey struct{ keys *crypto.Keys }

// OpenAgeKey unlocks the wallet in dir for age; no ledger is looked at.
func OpenAgeKey(ctx context.Context, dir string, k keyring.Store) (*AgeKey, error) {
	keys, err := provenKeys(ctx, dir, k)
	if err != nil {
		return nil, err
	}
	return &AgeKey{keys}, nil
}

// At returns the identity that points to this wallet, which must be the one of that
// profile. home may be empty.
func (k *AgeKey) At(home, profile string) AgePointer {
	p := AgePointer{Wallet: k.walletID(), Home: home}
	hex.Decode(p.Folder[:], []byte(filepath.Base(ProfileDir("", profile))))
	return p
}

// Check returns [ErrOtherWallet] unless p points to this wallet.
func (k *AgeKey) Check(p AgePointer) error {
	if k.walletID() != p.Wallet {
		return ErrOtherWallet
	}
	return nil
}

// walletID names a wallet by its words: the same on every ledger.
func (k *AgeKey) walletID() [16]byte {
	self := k.keys.Self()
	h := crypto.TaggedHash(crypto.TagAgeIdentity, self[:])
	return [16]byte(h[:16])
}

// RecipientText is the recipient for age -r. It is not secret, it stands on no
// ledger, and what was encrypted with it proves no sender.
func (k *AgeKey) RecipientText() string {
	p := k.keys.Self()
	return plugin.EncodeRecipient(AgePlugin, p[:])
}

// Identity opens records.
func (k *AgeKey) Identity() age.Identity { return k.keys.RecordIdentity() }

// Recipient encrypts what Identity opens.
func (k *AgeKey) Recipient() age.Recipient { return crypto.RecordRecipient(k.keys.Self()) }

// Wipe overwrites the key, which is not to be used afterwards.
func (k *AgeKey) Wipe() { k.keys.Wipe() }

// ForAgeKey tells whether an [AgeKey] could be for one of a file's stanzas, so that
// nothing is unlocked for others.
func ForAgeKey(stanzas []*age.Stanza) bool { return crypto.HasStanza(stanzas) }
