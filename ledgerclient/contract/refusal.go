package contract

import "slices"

// Rule names what an entry broke. The names are stable: they are shown by
// programs and kept in signed answers.
type Rule string

// The rules, in the order in which they are checked: an entry that breaks
// several is refused by the first. Rules explains each.
const (
	RuleVersion      Rule = "version"
	RuleKind         Rule = "kind"
	RuleFlags        Rule = "flags"
	RuleHours        Rule = "hours"
	RuleCommitment   Rule = "commitment"
	RuleCounterparty Rule = "counterparty"
	RuleSubject      Rule = "subject"
	RuleWindow       Rule = "window"

	RuleSignature Rule = "signature"

	RuleConfigDocument  Rule = "config-document"
	RuleConfigPrevious  Rule = "config-previous"
	RuleConfigSigner    Rule = "config-signer"
	RuleConfigThreshold Rule = "config-threshold"

	RuleGenesis         Rule = "genesis"
	RuleUnknownSubject  Rule = "unknown-subject"
	RuleKindOfSubject   Rule = "kind-of-subject"
	RuleNotNode         Rule = "not-node"
	RuleNotAuthor       Rule = "not-author"
	RuleNotCounterparty Rule = "not-counterparty"
	RuleRevoked         Rule = "revoked"
	RuleWithdrawn       Rule = "withdrawn"
	RuleEarly           Rule = "early"
	RuleStale           Rule = "stale"
	RuleNotYet          Rule = "not-yet"
	RuleExpired         Rule = "expired"
	RuleOncePerHour     Rule = "once-per-hour"
	RuleFull            Rule = "full"
)

// Step is one of the separate checks of an entry.
type Step string

// The steps, in order. Only entries of kind config meet StepConfig.
const (
	StepShape     Step = "shape"     // CheckShape
	StepSignature Step = "signature" // CheckSignature
	StepConfig    Step = "config"    // CheckGenesis, CheckConfig
	StepApply     Step = "apply"     // Apply
)

// RuleText says what one rule demands.
type RuleText struct {
	Rule     Rule
	Step     Step
	Sentence string // what must hold; broken, the entry is refused by this rule
}

var ruleTexts = []RuleText{
	{RuleVersion, StepShape, "The version is 1."},
	{RuleKind, StepShape, "The kind is known to the contract version."},
	{RuleFlags, StepShape, "The flags are 0; a record's follow-up may have flag 1, withdrawn."},
	{RuleHours, StepShape, "The hours byte is 0."},
	{RuleCommitment, StepShape, "The commitment is not zero."},
	{RuleCounterparty, StepShape, "A grant names a counterparty that is a public key; no other kind names one."},
	{RuleSubject, StepShape, "A grant has no subject; a revoke and an access have one."},
	{RuleWindow, StepShape, "The two hour fields are what the table of kinds prescribes."},

	{RuleSignature, StepSignature, "The author is a public key and its signature, with low s, covers this entry on this ledger."},

	{RuleConfigDocument, StepConfig, "The document behind a config entry is at hand, is a configuration document and has the hash to which the entry commits."},
	{RuleConfigPrevious, StepConfig, "The first document names no previous one; every other names the one in force."},
	{RuleConfigSigner, StepConfig, "Every approval is a good signature by a node of the configuration in force, each at most once."},
	{RuleConfigThreshold, StepConfig, "At least as many nodes approve as the threshold of the configuration in force says."},

	{RuleGenesis, StepApply, "Entry 0, and no other, opens the configuration."},
	{RuleUnknownSubject, StepApply, "The subject of a follow-up opened a thread on this ledger."},
	{RuleKindOfSubject, StepApply, "The kind fits the thread: config on config, record on record, revoke and access on grant."},
	{RuleNotNode, StepApply, "A config entry is signed by a node of the configuration in force; entry 0 by its first."},
	{RuleNotAuthor, StepApply, "A record's follow-up and a revoke are signed by the author of the opening entry."},
	{RuleNotCounterparty, StepApply, "An access is signed by the counterparty of the grant."},
	{RuleRevoked, StepApply, "The grant is not revoked."},
	{RuleWithdrawn, StepApply, "The record is not withdrawn."},
	{RuleEarly, StepApply, "A follow-up other than a revoke is accepted from its own not-before on."},
	{RuleStale, StepApply, "A follow-up other than a revoke is accepted before its own not-after."},
	{RuleNotYet, StepApply, "An access is accepted from the grant's not-before on."},
	{RuleExpired, StepApply, "A grant and an access are accepted before the grant's not-after."},
	{RuleOncePerHour, StepApply, "An access comes in a later ledger hour than the one before it, and not in hour 0."},
	{RuleFull, StepApply, "A thread has at most 4294967295 follow-ups."},
}

// Rules returns all rules in the order in which they are checked.
func Rules() []RuleText { return slices.Clone(ruleTexts) }

// Refusal is the answer to an entry that breaks a rule. The entry was judged; a
// [ErrContractVersion] says that it could not be.
type Refusal struct {
	Rule  Rule
	Entry ID   // zero from CheckShape, which knows no ledger
	Hour  Hour // ledger hour of the judgement; zero from all steps but Apply
}

func (r *Refusal) Error() string { return "contract: refused by rule " + string(r.Rule) }

// Coded is the refusal as a code.
func (r *Refusal) Coded() error {
	return ErrRefused.With("rule", r.Rule, "sentence", r.Rule.Sentence())
}

// Sentence says what the rule asks for.
func (r Rule) Sentence() string {
	for _, text := range ruleTexts {
		if text.Rule == r {
			return text.Sentence
		}
	}
	return ""
}
