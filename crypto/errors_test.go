package crypto

import (
	"strings"
	"testing"
)

// Messages are lower-case, without a stop at the end, and the same for every
// secret.
func TestMessages(t *testing.T) {
	for want, err := range map[string]error{
		"address-mixed":                           ErrAddress.With("fault", FaultMixed),
		"code-checksum":                           ErrFetchCode.With("fault", FaultChecksum),
		"bad-words/count count=12":                ErrWordCount.With("count", 12),
		"bad-words/word position=4":               ErrWord.With("position", 4),
		"bad-words/checksum":                      ErrChecksum,
		"not-for-you stanzas=2":                   ErrNotForKey.With("stanzas", 2),
		`damaged what="sealed payload"`:           ErrDamaged.With("what", "sealed payload"),
		"malformed/shares fault=too few":          ErrShare.With("fault", ShareTooFew),
		"malformed/shares fault=twice index=3":    ErrShare.With("fault", ShareTwice, "index", 3),
		`malformed/hex what="hash" want=64 got=3`: ErrHex.With("what", "hash", "want", 64, "got", 3),
		"not a public key":                        ErrPubKey,
		"not a private key":                       ErrPrivateKey,
		"not a file key":                          ErrFileKey,
		"not an encoded wallet secret":            ErrEntropy,
		"payload too large":                       ErrTooLarge,
		"a secret can't be marshalled":            ErrSecret,
		"no one-time keys for this address":       ErrOffsets,
	} {
		if got := err.Error(); got != want || strings.ToLower(got) != got || strings.HasSuffix(got, ".") {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestWipe(t *testing.T) {
	e := NewEntropy()
	copied := e
	share, err := ParseShare(append([]byte{1}, e.bytes()...))
	if err != nil {
		t.Fatal(err)
	}
	e.Wipe()
	share.Wipe()
	if string(copied.bytes()) != string(make([]byte, 32)) || share.Bytes() != [33]byte{1} {
		t.Error("not overwritten")
	}
	Entropy{}.Wipe()
	new(PrivateKey).Wipe()
}

func TestZeroAndEqual(t *testing.T) {
	e, f := NewEntropy(), NewEntropy()
	if e.Equal(f) || !e.Equal(e) || e.Equal(Entropy{}) || !(Entropy{}).Equal(Entropy{}) {
		t.Error("Equal")
	}
	fileKey, err := ParseFileKey(make([]byte, 16))
	if err != nil {
		t.Fatal(err)
	}
	zero := map[string]bool{
		"Entropy": Entropy{}.IsZero(), "FileKey": FileKey{}.IsZero(), "Share": Share{}.IsZero(), "PubKey": PubKey{}.IsZero(),
		"Hash": Hash{}.IsZero(), "LedgerID": LedgerID{}.IsZero(), "Signature": Signature{}.IsZero(), "Address": Address{}.IsZero(),
		"not Entropy": !e.IsZero(), "not FileKey": !fileKey.IsZero(), "not Hash": !(Hash{1}).IsZero(), "not LedgerID": !(LedgerID{1}).IsZero(),
	}
	for what, ok := range zero {
		if !ok {
			t.Error(what)
		}
	}
}

func TestIdentitySigns(t *testing.T) {
	i := NewEntropy().Root().Identity()
	digest := TaggedHash(TagTerms, []byte("terms"))
	if sig := i.Sign(digest); !i.Address().Sign.Verify(digest, sig) || i.Address().View.Verify(digest, sig) {
		t.Error("not by S")
	}
}
