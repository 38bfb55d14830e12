package contract

import "github.com/carekey/carekey/crypto"

// CheckSignature checks that the author signed this entry for the ledger l. It
// depends on nothing else, so that hosts may check many entries at once on all
// cores. The error is a *Refusal.
func CheckSignature(l crypto.LedgerID, e *Entry) error {
	id := e.ID(l)
	if !e.Author.Verify(id, e.Signature) {
		return &Refusal{Rule: RuleSignature, Entry: id}
	}
	return nil
}
