package wallet

// Wipe overwrites the keys that the wallet holds; it cannot be used afterwards.
// What it cannot reach: the text of the key that the keyring handed out, which is a
// Go string, the schedules of ciphers, and copies that arithmetic left on the stack
// and the heap (crypto/FORMAT.md says which).
func (w *Wallet) Wipe() {
	w.root.Wipe()
	w.self.Wipe()
	if w.keys != nil {
		w.keys.Wipe()
	}
}
