// Command carekey-node runs a node of a ledger: it serves the order, the store and
// the keeper of one folder to wallets over HTTPS. It is for whoever runs a ledger;
// patients and clinicians use carekey.
//
// Everything is in the folder: the ledger as package embedded keeps it, node.json
// with the settings, and tls with the key that invitations pin.
package main

import (
	"os"

	"github.com/carekey/carekey/cmd/hardening"
	"github.com/carekey/carekey/crypto/crash"
)

func main() {
	// A system that does not allow it does not keep the node from its work.
	_ = hardening.Process()
	a := newApp()
	crash.Handle(func(value any) { os.Exit(a.crashed(value)) })
	os.Exit(a.run(os.Args[1:]))
}
