// Package contract holds the rules of a carekey ledger: which entries are
// valid, what they change, and every byte of an entry, a log leaf, a
// configuration document and the packages behind an entry's commitment.
//
// The rules are pure. Time, the active configuration, the ledger's id and the
// state of a thread are inputs; nothing here reads a clock, a file, the network
// or randomness, so that every host of a ledger gives the same answer to the
// same entry. An entry is judged in three separate steps:
//
//	CheckShape(&e)                              // the fields fit the kind
//	CheckSignature(ledger, &e)                  // the author signed it, for this ledger
//	Apply(params, state, &e, id, index, hour)   // the thread allows it now
//
// A batch is judged in order: each entry against what the ones before it
// changed. Submitting an accepted entry again is a no-op that the host answers
// after the first two steps, when it finds the id in its log; it is no business
// of Apply.
//
// The byte-level specification is SPEC.md in this directory; the hashes, keys
// and signatures it builds on are in FORMAT.md of package crypto.
package contract
