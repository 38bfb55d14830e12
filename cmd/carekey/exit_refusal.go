package main

import (
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/wallet"
)

// explainRefusal says why the ledger or a keeper did not let something happen.
func explainRefusal(e *wallet.RefusedError) failure {
	code, m, hint := string(e.Rule), "", ""
	if code == "" {
		code = e.Code.String()
	}
	consent := "the consent"
	if e.Consent != (contract.ID{}) {
		consent = "consent " + short(e.Consent)
	}
	switch {
	case e.Rule == contract.RuleRevoked, e.Code == ledgerclient.Revoked, e.Code == ledgerclient.Destroyed:
		m, hint = consent+" was revoked", "ask the patient for a new one"
	case e.Rule == contract.RuleExpired && e.Giving:
		m, hint = "the window of "+consent+" was over before it came to the ledger", "give it anew, with a later end"
	case e.Rule == contract.RuleExpired, e.Code == ledgerclient.Expired:
		m, hint = consent+" has ended", "ask the patient for a new one"
		if e.Window[1] != 0 {
			m += ", on " + day(e.Window[1])
		}
	case e.Rule == contract.RuleNotYet, e.Code == ledgerclient.NotYet:
		m, hint = consent+" has not begun", "try again then"
		if e.Window[0] != 0 {
			m += "; it begins on " + day(e.Window[0])
		}
	case e.Rule == contract.RuleWithdrawn:
		m = "the record was removed"
	case e.Rule == contract.RuleOncePerHour:
		m, hint = "it was opened in this hour already", "try again in the next hour"
	case e.Rule != "":
		m = "the ledger refused it by the rule " + string(e.Rule)
		for _, r := range contract.Rules() {
			if r.Rule == e.Rule {
				m += ": " + r.Sentence
			}
		}
	case e.Code == ledgerclient.NoShare, e.Code == ledgerclient.UnknownGrant:
		m, hint = "the keeper holds no share of "+consent+" yet", "ask its sender to run any carekey command, which finishes what was interrupted"
	case e.Code == ledgerclient.AccessTooOld, e.Code == ledgerclient.NoAccess, e.Code == ledgerclient.StaleHead:
		m, hint = "the keeper did not give its share: "+e.Code.String(), "try again in the next hour"
	default:
		m = "the keeper refused: " + e.Code.String()
	}
	if e.Filed {
		m += "; the patient's audit shows that you tried"
	}
	return failure{code, m, hint, exitRefused}
}
