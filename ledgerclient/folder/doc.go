// Package folder is a ledger in a folder: the order with its log, the store
// and the keeper, shared by any number of processes on one machine.
//
//	f, err := folder.Create("/srv/health", "City ledger", nil)
//	client, err := ledgerclient.Connect(ctx, f.Services(), crypto.LedgerID{})
//
// # Files
//
//	format       the version of all files here: "carekey folder 5"
//	genesis      the configuration document
//	leaves       258 bytes for each entry, appended: the truth. Room for more behind them
//	checkpoint   signed head of the log; replaced by rename
//	*.room       room of its own for a file, see spare.go
//	lock         empty; locked exclusively by writers, shared by readers of what is not the log
//	keys/        node.ed25519 (checkpoints), node.k256 (entries that change the
//	             configuration), keeper.k256: those of one of its nodes and keepers;
//	             only replica.ed25519 in a replica without the ledger's keys
//	payloads/    ciphertext, see store.go
//	contents/    that of large payloads, a file each
//	uploads/     payloads that are being written
//	keeper/      shares and what became of them, see vault.go
//
// A ledger of several nodes has such a folder at each, whose entries come from an order
// that they keep together. Which node a folder is of says the key that signed its
// checkpoint, and which keeper the key in it.
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
// ledger was made, see spare.go. A keeper that cannot take a stop down acknowledges
// nothing, and releases nothing before it can.
//
// A payload is durable when the store says so, which is before its entry is submitted. All
// that comes in one call, and at a node all that comes at the same time, is written as
// records behind the last and synced once. A large one is a file that ends with its record:
// it is synced, its record is written behind the last, then it is renamed to its place and
// the folder is synced, once for all that come together. Its record in the segment is synced
// with the next one, and made anew from the file if the power fails before. What it replaces
// is ended last.
//
// So killing a process at any instruction, a failing write, a full disk and a power
// failure leave a ledger that opens and verifies, with each batch in it as a whole or not
// at all: the tests do each of these at every file operation. Whoever finds a checkpoint
// that it did not write syncs the folder before it tells of it.
//
// # What follows from the leaves
//
// To judge an entry one needs the position of each entry by its id, the state of each
// thread with the hashes over it, and hashes of the log's tree. All of that is in memory,
// 30 to 60 bytes an entry: hashes of the lowest levels are computed again when they are
// asked for, and a thread without follow-ups has no state of its own. A process that sees
// a larger checkpoint applies the leaves that are new to it, and compares the roots.
//
// It follows from the leaves, some 2 µs of processor time an entry: a process that opens a
// ledger of 100,000 entries spends 0.2 s on it. It is written nowhere. A copy opened in 10 ms, but
// a list of that many consents takes longer than both, and who could write to the copy could
// hide an entry. So it is with the store and the keeper: who first needs a payload or a filing
// reads the heads of all, some 2 µs for each, and holds some 60 bytes for one with three keys.
//
// # Locks
//
// Locks are flock, held for one operation. Who only reads the log takes none: what counts
// in it never changes, and a checkpoint is read as a whole. Locks do not work across
// machines: network file systems are refused where the system tells them apart. FUSE is
// let through, since encrypted homes are mounted that way: do not put a ledger on sshfs.
//
// The log knows nothing of the store and the keeper, which use it as anybody does: see
// TestLayeringFolder. One consent takes the lock 3 times, and with the wallet's own files
// 13 syncs of the disk.
//
// # Serving
//
// A node serves such a folder as it is: package server under ledgerclient/node. For
// it serve.go has what no wallet needs: checkpoints with a time, tiles, and a
// Sweeper that does what is due when nobody calls. With Options.EraseAfter the
// store waits before it erases.
//
// # Why flat files, and no database
//
// Measured on one virtual machine with two cores and an ext4 disk, entries of 258
// bytes, each append durable when it returns, signatures not counted:
//
//	                                one entry   100 at a time   bytes/entry
//	raw file + fsync                0.15 ms     655,000/s       300
//	bbolt                           0.26 ms     176,000/s       415
//	SQLite (WAL, synchronous=FULL)  0.32 ms      78,000/s       419
//	Tessera, POSIX                  106 ms       12,000/s       481
//
// The leaves are the bytes that are hashed and signed, so that a reader of fifty lines in
// another language can check a ledger; an erased share or payload is overwritten
// where it lies, not a page in a database that lives on in a free list; nothing is linked in.
//
// What follows from the leaves could be in bbolt. But its pages have no sums: one changed
// byte hides a key, which nothing shows, or leads its unsafe reads astray.
//
// What comes in one call is written behind what is there and synced once: as files of
// their own the payloads and shares of a thousand grants were eleven thousand, and making
// them took five times as long as the signatures.
package folder
