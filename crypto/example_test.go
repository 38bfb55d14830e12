package crypto_test

import (
	"fmt"

	"github.com/carekey/carekey/crypto"
)

// A patient seals a letter to a clinician, whom she knows by her address. The
// clinician finds the letter by the two public keys that stand on the ledger.
func Example() {
	ledger := crypto.LedgerID{1}
	clinician := crypto.NewEntropy().Root().Identity()
	patient := crypto.NewEntropy().Root()

	// The patient's side: a thread, with one-time keys for the clinician.
	address, err := crypto.ParseAddress(clinician.Address().String())
	if err != nil {
		fmt.Println(err)
		return
	}
	thread := patient.Seed(ledger, crypto.NewNonce()).Key()
	to, err := crypto.NewOffsets(ledger, thread, address)
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := crypto.SealContext{Ledger: ledger, Part: 3, Author: thread.Public()}
	sealed, err := crypto.SealPayload(ctx, []byte("Dear doctor"), 0, to.Seal, patient.SelfKey().Public())
	if err != nil {
		fmt.Println(err)
		return
	}

	// The clinician's side.
	keys, mine, err := clinician.Recognize(ledger, thread.Public(), to.Sig)
	if err != nil || !mine {
		fmt.Println(mine, err)
		return
	}
	letter, err := keys.Open(ctx, sealed)
	fmt.Println(string(letter), err)

	// And the patient's own copy.
	letter, err = crypto.OpenPayload(ctx, patient.SelfKey(), sealed)
	fmt.Println(string(letter), err)
	// Output:
	// Dear doctor <nil>
	// Dear doctor <nil>
}

// Everything of a person comes back from 24 words.
func ExampleEntropy_Words() {
	entropy, err := crypto.DecodeEntropy("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8")
	if err != nil {
		fmt.Println(err)
		return
	}
	words := entropy.Words()
	fmt.Println(len(words), words[0], words[1], words[23])
	again, err := crypto.EntropyFromWords(words)
	fmt.Println(again.Equal(entropy), err)
	fmt.Println(again)
	// Output:
	// 24 abandon amount unaware
	// true <nil>
	// (secret)
}

// One's own entries are found by their self-tags.
func ExampleTagger() {
	ledger := crypto.LedgerID{1}
	root := crypto.NewEntropy().Root()
	tagger := root.Tagger(ledger)
	nonce := crypto.NewNonce()
	tag := tagger.Tag(nonce)

	found, mine := tagger.Open(tag)
	fmt.Println(mine, root.Seed(ledger, found).Key().Public() == root.Seed(ledger, nonce).Key().Public())
	_, mine = crypto.NewEntropy().Root().Tagger(ledger).Open(tag)
	fmt.Println(mine)
	// Output:
	// true true
	// false
}

// Two of three keepers give back the key of an envelope.
func ExampleCombineShares() {
	seed := crypto.NewEntropy().Root().Seed(crypto.LedgerID{1}, crypto.NewNonce())
	shares, err := seed.Shares(2, 3)
	if err != nil {
		fmt.Println(err)
		return
	}
	key, err := crypto.CombineShares(shares[1:], 2)
	ledger, author := crypto.LedgerID{1}, seed.Key().Public()
	fmt.Println(key.Hash(ledger, author) == seed.LockKey().Hash(ledger, author), err)
	_, err = crypto.CombineShares(shares[:1], 2)
	fmt.Println(err)
	// Output:
	// true <nil>
	// malformed/shares fault=too few
}
