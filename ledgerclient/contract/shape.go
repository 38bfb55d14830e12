package contract

import "github.com/carekey/carekey/crypto"

// CheckShape checks what can be said of an entry alone: that its fields fit its
// kind, as the table of kinds in SPEC.md says. The error is a *Refusal.
func CheckShape(e *Entry) error {
	if r := brokenShape(e); r != "" {
		return &Refusal{Rule: r}
	}
	return nil
}

// brokenShape returns the first rule that the entry's fields break, "" if none.
func brokenShape(e *Entry) Rule {
	opens := e.Opens()
	switch {
	case e.Version != Version:
		return RuleVersion
	case e.Kind < KindConfig || e.Kind > KindAccess:
		return RuleKind
	case e.Flags != 0 && !(e.Flags == FlagWithdrawn && e.Kind == KindRecord && !opens):
		return RuleFlags
	case e.Hours != 0:
		return RuleHours
	case e.Commitment == crypto.Hash{}:
		return RuleCommitment
	case !counterpartyFits(e):
		return RuleCounterparty
	case opens != (e.Subject == ID{}):
		return RuleSubject
	case !hoursFit(e, opens):
		return RuleWindow
	}
	return ""
}

func counterpartyFits(e *Entry) bool {
	if e.Kind != KindGrant {
		return e.Counterparty.IsZero()
	}
	_, err := crypto.ParsePubKey(e.Counterparty[:])
	return err == nil
}

func hoursFit(e *Entry, opens bool) bool {
	switch {
	case e.Kind == KindGrant:
		return e.NotBefore < e.NotAfter
	case e.Kind == KindRevoke:
		return e.NotBefore == 0 && e.NotAfter == Forever
	case opens:
		return e.NotBefore == 0 && e.NotAfter == 0
	default:
		return e.NotBefore < e.NotAfter && e.NotAfter-e.NotBefore <= MaxAcceptance
	}
}
