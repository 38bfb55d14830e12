// Package cometbft has n institutions keep the order of a ledger together with CometBFT, a
// Byzantine fault-tolerant engine: the order goes on, and there is one, as long as more than
// two thirds of them are there and do what they should. The engine only orders. What the
// entries are worth is judged by the contract at every node, as with any other order.
//
// This is a module of its own, so that neither a wallet nor carekey-node contains any of the
// engine. The program is carekey-ledger-cometbft, a validator and the program of
// ledgerclient/order/PROTOCOL.md in one:
//
//	carekey-ledger-cometbft init DIR …    makes the folder of a validator
//	carekey-ledger-cometbft serve DIR     is the validator, until told to stop
//	carekey-ledger-cometbft               is what carekey starts for cometbft:DIR: it joins
//	                                      carekey to the validator that runs on DIR
//
// # What follows from what
//
// Everything that the members must have in common follows from the ledger's configuration
// document: who votes, by the nodes' checkpoint keys, what each may have ordered, and the
// name of the chain. So a member that has another document is in another network. What an
// envelope, a block and the state are is in package chain.
//
// # What is durable
//
// A block is written by the engine before it is given to the order, which writes its items
// and the state behind it at once. A process that ends in between is given the block again.
// A vote is written before it leaves: the file votes.json must never be restored from a
// copy, nor run in two places.
//
// A validator whose folder was lost begins anew with an empty one and reads the blocks of
// the others, all of them: no blocks are ever thrown away, and there are no snapshots (state
// sync), because they would earn next to nothing. To catch up with 100,609 entries took 3.4 s
// of the validator's processor time and 21.5 s of its node's, on two cores, 38 s in all while
// others used them too (TestCatchUp prints it): the node judges every entry itself, and no
// snapshot of the order spares it that.
//
// Since such a validator does not know any more what it has voted for, it leaves out the
// first height at which it could vote; if it is needed for that one, it goes on only when
// another member is back. Where all members are needed always, as of three, it votes at once:
// no other block can be decided while one of the others holds to its vote.
//
// # What it is not
//
// The members are those of the first configuration document: a later one that is ordered
// changes nobody's vote. More than a third of the members can stop the order, and have its
// hour two minutes ahead or behind. Two thirds can also leave entries out, and put the hour
// ahead, in which nodes follow it no further than an hour. They cannot make an entry, nor
// change one.
package cometbft
