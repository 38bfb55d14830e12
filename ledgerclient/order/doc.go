// Package order is what a ledger asks of whoever keeps its order, and how the
// rest of a ledger is derived from that: a Backend appends 222-byte entries, gives
// each a position and the hour of its own clock, and reads them back. It knows no
// rules, holds no key, and is believed nothing that the contract and the log do
// not show.
//
//	l := order.NewLedger(backend, replica, time.Now)
//	outcomes, err := l.Append(ctx, entries)
//
// # What a backend keeps
//
// Items are at the positions 0, 1, 2 …, without gaps and for ever. Each is
// any 222 bytes and the hour at which they were appended, which is never before
// that of the item before. The same bytes appended again keep the position that
// they have: an item is known by all of its bytes and not by the entry's id, which
// does not cover the signature, so that somebody could else take an entry's place
// beforehand with the same entry and a false signature.
//
// An entry that changes the configuration is an item only together with the document that
// it commits to, see [Item.Whole]. So all who read the order judge it with the same at hand,
// and nobody can take its place by ordering it alone.
//
// An append that was not answered is an [ErrUnknown]: it is in the order, or
// will be, or never was. The ledger reads on and looks for it before it says
// anything.
//
// # Who uses it
//
// A node joins a Backend and its folder, NewLedger, and serves what follows. A wallet
// can use an order itself, NewDirect, where a node or a folder beside it keeps what an
// order does not: the store, the keepers and the key that signs heads. It has a replica
// of its own then, and believes the head of a node only if it is of that replica's log.
//
// # A program
//
// Start starts the program carekey-ledger-foo from PATH for a URL like foo:anything and
// speaks JSON lines with it over its standard input and output: PROTOCOL.md is the
// specification, a program in plain Python is in ../ledgertest/testdata, and Serve is all
// of one in Go but the Backend. It is given
// entries, which are public, and no key, no payload and none of carekey's environment
// variables. Every answer is bounded in size and time. A program that dies, says what
// makes no sense or says nothing in time is ended; a call starts it again once, since
// appending the same again is harmless.
//
// # What is derived
//
// A replica consumes the items in order and judges each at its hour. What the
// contract refuses, what is not an entry of this ledger and what stands in the
// log already is no leaf. So all who read one order derive one log, state tree
// and root, and junk in an order costs its readers a signature check and nothing
// else. Everything is read twice before it is consumed, and compared.
//
// A ledger judges an entry before it orders it, so that only those that became
// wrong in between are ordered and refused. Such bytes are never accepted later,
// unlike with a folder, which forgets what it refused: an access or a revocation that
// was ordered before its grant has to be signed anew.
package order
