// Package ledgerclient is how a wallet talks to a ledger, a store and the
// keepers without believing any of them.
//
// The interfaces in services.go are for those who provide a ledger; Client is
// for those who use one. A Client checks the signature on every checkpoint,
// recomputes the log from the last head the wallet saw (Pin) to the new one, so
// that a rollback, a fork, an omission or a changed entry cannot pass, judges the
// threads it is asked about with the rules of package contract, and checks the
// proof that no follow-up of a thread was left out.
//
// The log is that of RFC 6962, its checkpoint that of C2SP tlog-checkpoint; the
// mathematics is golang.org/x/mod/sumdb/tlog and note. What the bytes are stands
// in contract/SPEC.md.
package ledgerclient
