// Package folder is a ledger in a folder: the order with its log, the store
// and the keeper, shared by any number of processes on one machine.
//
//	f, err := folder.Create("/srv/health", "City ledger", nil)
//	client, err := ledgerclient.Connect(ctx, f.Services(), crypto.LedgerID{})
//
// # Files
//
//	genesis      the configuration document
//	leaves       258 bytes for each entry, appended: the truth. Room for more behind them
//	checkpoint   signed head of the log; replaced by rename
//	hashes       hashes of the log's tree             ┐
//	state        slots and hashes of the state tree   │ follow from the leaves
//	index        entry id → position                  ┘
//	order        only in a replica of an order kept elsewhere, see replica.go
//	*.room       room of its own for a file, see room.go
//	lock         empty; locked shared by readers, exclusively by writers
//	keys/        node.ed25519 (checkpoints), node.k256 (entry 0), keeper.k256;
//	             only replica.ed25519 in a replica without the ledger's keys
//	store/       ciphertext, see store.go
//	keeper/      shares and what became of them, see vault.go
//
// Whoever may read the folder can read the keeper's shares: the gate is
// advisory, and Properties says so. Files have the folder's own permissions, for
// keys and shares without those of everybody: make the folder 2770 to share it in a
// group.
//
// # Durability
//
// Append writes the leaves behind those that count and syncs them, then replaces
// the checkpoint: file, sync, rename, sync of the folder. The rename is the
// commit. Bytes of `leaves` beyond the checkpoint's size are room, or of an append
// that did not get there, and the next one writes over them.
//
// A revocation is ordered, and the keeper takes it down, when there is no block, inode
// or quota left: for some hundreds of them there is room that was written when the
// ledger was made, see room.go. A keeper that cannot take a stop down acknowledges
// nothing, and releases nothing before it can.
//
// `hashes`, `state` and `index` are written after the commit, in place and
// without a sync, so that they can lag behind the log but never be ahead of it.
// Each has in its header up to where it was written (applied) and up to where it
// was synced, which is done at Close and every 4,096 entries. A process that
// opens the ledger applies the leaves from synced on again; one that has it open
// and finds applied behind the checkpoint, because a writer was killed, does the
// same. Applying again changes nothing where the first time was not lost: a slot
// carries the position of the last follow-up that it has, an index cell is
// looked for before it is written, hashes are recomputed. Roots are then compared
// with the checkpoint; if they differ, or a file is missing, cut off or of
// another version, it is made anew from the leaves, all of which must be those
// that the checkpoint was signed for. Where nothing can be written the same is
// done in memory. So killing a process at any instruction, a failing write, a
// full disk and a power failure leave a ledger that opens and verifies, with each
// batch in it as a whole or not at all: the tests do each of these at every file
// operation.
//
// Judgements are not built on changed files. A slot is checked against the state
// tree before an entry is judged by it, and an opening entry against its id.
//
// Locks are flock, held for one operation. They do not work across machines:
// network file systems are refused where the system tells them apart. FUSE is
// let through, since encrypted homes are mounted that way: do not put a ledger
// on sshfs.
//
// # Serving
//
// A node serves such a folder as it is: package server under ledgerclient/node. For
// it serve.go has what no wallet needs: checkpoints with a time, tiles, and a
// Sweeper that does what is due when nobody calls. With Options.EraseAfter the
// store waits before it erases.
//
// # Why flat files
//
// Measured on one virtual machine with two cores and an ext4 disk, entries of 258
// bytes, each append durable when it returns, signatures not counted:
//
//	                                one entry   100 at a time   bytes/entry
//	raw file + fsync                0.15 ms     655,000/s       300
//	bbolt                           0.26 ms     176,000/s       415
//	SQLite (WAL, synchronous=FULL)  0.32 ms      78,000/s       419
//	Tessera, POSIX                  106 ms       12,000/s       481
//	this package                    1.5 ms       35,000/s       476
//
// The last row is of another day and a machine that was busy otherwise. It has
// what the others lack: the rules, the log tree, the state tree with its root in
// every leaf, the index, a signed checkpoint for each append. Against the raw
// signature checks on all cores in the same run, an append of 1,000 entries
// reached 0.86 of their speed and a verification 0.92; a ledger of 100,000
// entries opens in 1 ms more than one of 1,000.
//
// Beside speed: the leaves are the bytes that are hashed and signed, so that a reader of
// fifty lines in another language can check a ledger; an erased share or payload
// is a file, or a record in a pack, that is overwritten where it lies, not a page
// in a database that lives on in a free list; nothing is linked in (SQLite adds
// 5 MB, Tessera 5 MB).
//
// What comes in a batch of 32 payloads or more is one file, a pack: as files of
// their own a thousand grants were eleven thousand, and making them took five
// times as long as the signatures.
package folder
