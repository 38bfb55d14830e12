package contract

import "math"

// Apply judges an entry against the thread it belongs to and returns the
// thread's new state. It is a pure function of its arguments:
//
//   - c: the configuration in force. For entry 0 that is the genesis document's,
//     for a later config entry the one that it replaces.
//   - s: the state of the thread that e.Subject opened; the zero State if it
//     opened none, and for an entry that opens a thread.
//   - e: has passed CheckShape and CheckSignature and, when it is a config entry,
//     CheckGenesis or CheckConfig.
//   - id: e's id on this ledger. index: the position that e gets in the log.
//   - h: the ledger hour, not before the last leaf's.
//
// An entry that breaks a rule is a *Refusal, and the state comes back unchanged.
// A [ErrContractVersion] means that the entry could not be judged at all.
func Apply(c Config, s State, e *Entry, id ID, index uint64, h Hour) (State, error) {
	if c.Contract != ContractVersion {
		return s, ErrContractVersion.With("version", c.Contract)
	}
	var next State
	var broken Rule
	if e.Opens() {
		next, broken = open(&c, e, index, h)
	} else {
		next, broken = followUp(&c, s, e, id, index, h)
	}
	if broken != "" {
		return s, &Refusal{Rule: broken, Entry: id, Hour: h}
	}
	return next, nil
}

// open returns the state of the thread that e opens, or the rule that it breaks.
func open(c *Config, e *Entry, index uint64, h Hour) (State, Rule) {
	switch {
	case (index == 0) != (e.Kind == KindConfig):
		return State{}, RuleGenesis
	case e.Kind == KindConfig && (len(c.Nodes) == 0 || c.Nodes[0].Key != e.Author):
		return State{}, RuleNotNode
	case e.Kind == KindGrant && h >= e.NotAfter:
		return State{}, RuleExpired
	}
	return State{
		Kind:         e.Kind,
		Author:       e.Author,
		Counterparty: e.Counterparty,
		NotBefore:    e.NotBefore,
		NotAfter:     e.NotAfter,
		Status:       StatusOpen,
	}, ""
}

// followUp returns the state of the thread after e, or the rule that it breaks.
func followUp(c *Config, s State, e *Entry, id ID, index uint64, h Hour) (State, Rule) {
	if index == 0 {
		return s, RuleGenesis
	}
	if s.Status == StatusNone {
		return s, RuleUnknownSubject
	}
	if !fits(e.Kind, s.Kind) {
		return s, RuleKindOfSubject
	}
	if r := brokenAuthor(c, s, e); r != "" {
		return s, r
	}
	if s.Status == StatusClosed {
		if s.Kind == KindGrant {
			return s, RuleRevoked
		}
		return s, RuleWithdrawn
	}
	if e.Kind != KindRevoke {
		// A revoke never goes stale: withheld, it still ends the consent.
		if h < e.NotBefore {
			return s, RuleEarly
		}
		if h >= e.NotAfter {
			return s, RuleStale
		}
	}
	if e.Kind == KindAccess {
		if h < s.NotBefore {
			return s, RuleNotYet
		}
		if h >= s.NotAfter {
			return s, RuleExpired
		}
		if h <= s.LastAccess {
			return s, RuleOncePerHour
		}
		s.LastAccess = h
	}
	if s.Count == math.MaxUint32 {
		return s, RuleFull
	}
	if e.Kind == KindRevoke || e.Flags == FlagWithdrawn {
		s.Status = StatusClosed
	}
	s.Count++
	s.Chain = NextChain(s.Chain, index, h, id)
	return s, ""
}

// fits reports whether an entry of the kind may follow up on a thread.
func fits(kind, thread Kind) bool {
	switch kind {
	case KindConfig, KindRecord:
		return thread == kind
	case KindRevoke, KindAccess:
		return thread == KindGrant
	}
	return false
}

// brokenAuthor returns the rule that the author of a follow-up breaks, "" if
// none.
func brokenAuthor(c *Config, s State, e *Entry) Rule {
	switch e.Kind {
	case KindConfig:
		if !c.isNode(e.Author) {
			return RuleNotNode
		}
	case KindAccess:
		if e.Author != s.Counterparty {
			return RuleNotCounterparty
		}
	default:
		if e.Author != s.Author {
			return RuleNotAuthor
		}
	}
	return ""
}
