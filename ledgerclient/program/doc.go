// Package program keeps an order in a program of somebody else's: for a URL like
// foo:anything it starts carekey-ledger-foo from PATH and speaks JSON lines with it
// over its standard input and output. PROTOCOL.md beside package order is the
// specification; a program in plain Python is in ../ledgertest/testdata.
//
//	b, err := program.Start(ctx, "foo:anything", program.Options{Stderr: os.Stderr})
//	defer b.Close()
//
// The program is given entries, which are public, and no key, no payload and none
// of carekey's environment variables. Every answer is bounded in size and time. A
// program that dies, says what makes no sense or says nothing in time is ended; a
// call starts it again once, since appending the same again is harmless.
package program
