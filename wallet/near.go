package wallet

import (
	"crypto/sha256"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/wallet/view"
)

// A keeper at hand is read, and not asked: open consents each time, which costs no more than
// looking them up. What it filed is verified, once: the same bytes are known by their sum.

// verifyFiled verifies what a keeper of that name filed about a grant, unless the same of the
// same keeper was before.
func (cs Consents) verifyFiled(name string, keeper crypto.PubKey, t *view.Thread, a *ledgerclient.InquiryAnswer) error {
	if len(a.Refused)+len(a.Acks) == 0 {
		return nil
	}
	filed := *a
	filed.Size, filed.Root = 0, crypto.Hash{}
	sum := crypto.Hash(sha256.Sum256(append(keeper[:], ledgerclient.Marshal(&filed)...)))
	if t.Filed() == sum {
		return nil
	}
	opening, err := cs.w.view.Opening(t)
	if err != nil {
		return err
	}
	if err := a.VerifyFiled(cs.w.client.ID(), keeper, t.ID, opening.Counterparty); err != nil {
		return &ledgerclient.TamperedError{What: "refusal filed by " + name, Err: err}
	}
	cs.w.view.NoteFiled(t, sum)
	return nil
}

// verifyAnswer verifies a keeper's answer to a question about a grant of one's own.
func (cs Consents) verifyAnswer(name string, t *view.Thread, q *ledgerclient.Inquiry, a *ledgerclient.InquiryAnswer) error {
	opening, err := cs.w.view.Opening(t)
	if err != nil {
		return err
	}
	if err := a.Verify(q, opening.Counterparty); err != nil {
		return &ledgerclient.TamperedError{What: "refusal filed by " + name, Err: err}
	}
	return nil
}
