package wallet

import (
	"sync"

	"github.com/carekey/carekey/crypto"
)

// keys are what follows from the wallet's one key.
type keys struct {
	root     crypto.Root
	self     *crypto.PrivateKey // records are encrypted to it
	local    *crypto.LocalKey   // seals the files of the wallet's folder
	identity func() *crypto.Identity
	made     *crypto.Identity // by identity, when it is first needed: most commands only look
}

func newKeys(entropy crypto.Entropy) *keys {
	root := entropy.Root()
	k := &keys{root: root, self: root.SelfKey(), local: root.LocalKey()}
	k.identity = sync.OnceValue(func() *crypto.Identity {
		k.made = root.Identity()
		return k.made
	})
	return k
}
