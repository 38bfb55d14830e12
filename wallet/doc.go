// Package wallet is what a patient or a clinician can do with carekey: keep
// records, give and end consents, fetch what was granted, see what was opened.
//
// It prints nothing, reads no flags and knows no backend: it works on the services
// of package ledgerclient and believes none of them. A program opens a Wallet with
// its key from package keyring and calls the methods, which return values to be
// shown and typed errors to be explained.
//
// # What is on disk
//
// A wallet is one key and one address on any number of ledgers. A profile's folder
// holds wallet.json (where the keyring item and the ledgers are), state (the book: the
// name, the contacts, corrections of labels and own roles, which are the same
// everywhere), tables (imported for labels) and, for each ledger, a folder
// ledgers/ID with the first 16 digits of its id: genesis (its public configuration,
// so that the wallet opens when the ledger is out of reach), sites (where its institutions
// are reached, public and signed by them), state (the last
// verified head), cache (what the ledger holds of this wallet), parts (what is known of
// the parts of own records) and journal (changes on their way: the outbox). All but
// wallet.json, genesis and sites is sealed under a key from the wallet's root; no file and no
// file name shows a name, a title or an address. The cache and the parts can be lost:
// they are made again from the ledger and the store. While a wallet is made, restored or
// removed, its settings have another name: making, restoring, removing.
//
// # How a change is made
//
// Every write goes through one outbox: see package outbox. A process may be killed at any
// instant; the next one finishes what was begun or finds that nothing was.
//
// Revocations alone need not be written down, and nothing else of the folder but the settings:
// see Options.Revoking. What cannot be read or written is told by Unwritten and
// PassedOver, and found again on the ledger.
//
// # What is lost with a machine
//
// Nothing but imported tables, whose files the owner has: see Restore. The key is 24 words; own threads are found on
// the ledger by their self-tags; descriptions, terms and contents are in the store;
// the book stands on the ledger as a hidden record (book.go has its rules, and what it
// tells others). Save copies the sealed files for a backup, so that
// contacts come back that were on no ledger yet, and an older ledger
// is not taken for the newest.
//
// # Out of reach
//
// A wallet opens when its ledger is out of reach. It shows what it verified last
// (OutOfReach tells since when), and what is signed waits in the outbox, is part of
// every list, and goes out in order, once, as soon as a method reaches the ledger. A
// keeper is told of a revocation also when the ledger cannot be, and the ledger when
// the keeper cannot be. Records are not added out of reach: a store drops contents
// that no entry names within an hour.
//
// # What is checked
//
// Before a method looks at anything it follows the ledger from the last head it
// verified to the newest one (ledgerclient.Client.Advance) and judges every thread
// that concerns it under the contract. Payloads are checked against the
// commitments of their entries, heads that others saw against one's own.
package wallet
