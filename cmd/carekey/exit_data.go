package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/carekey/carekey/cmd/cli"
	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/fault"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/folder"
	"github.com/carekey/carekey/ledgerclient/node"
	"github.com/carekey/carekey/wallet"
	"github.com/carekey/carekey/wallet/batch"
	"github.com/carekey/carekey/wallet/home"
)

func explain(err error) failure { return failure(explanations.Explain(err)) }

// coded gives errors of types a code.
func coded(err error) error {
	switch e := err.(type) {
	case *batch.LinesError:
		return errLines.With("of", e)
	case *wallet.RefusedError:
		return refusal(e)
	case *contract.Refusal:
		return refusal(&wallet.RefusedError{By: "ledger", Rule: e.Rule, Hour: e.Hour})
	case *ledgerclient.KeeperError:
		return refusal(&wallet.RefusedError{By: "keeper", Code: e.Code, Consent: e.Grant})
	case *wallet.DamagedError:
		return wallet.ErrDamaged.Of(e.Err, "file", e.File)
	case *folder.DamagedError:
		return errDamaged.With("of", e)
	}
	return nil
}

// refusal is that of the ledger, of a keeper, or of the wallet itself.
func refusal(e *wallet.RefusedError) error {
	consent, by, sentence := "the consent", "the keeper refused: "+e.Code.String(), ""
	if e.Consent != (contract.ID{}) {
		consent = "consent " + short(e.Consent)
	}
	args := []any{"rule", e.Code, "consent", consent}
	code := errRefused
	if e.Rule != "" {
		by = "the ledger refused it by the rule " + string(e.Rule)
		for _, r := range contract.Rules() {
			if r.Rule == e.Rule {
				sentence = r.Sentence
			}
		}
		if args[1] = e.Rule; e.Rule == contract.RuleExpired && e.Giving {
			code = errGivenLate
		}
	}
	if e.Window[0] != 0 {
		args = append(args, "from", e.Window[0])
	}
	if e.Window[1] != 0 {
		args = append(args, "to", e.Window[1])
	}
	if e.Filed {
		args = append(args, "filed", "; the patient's audit shows that you tried")
	}
	return code.With(append(args, "by", by, "sentence", sentence)...)
}

// show is a value as people read it.
func show(v any, how string) string {
	switch v := v.(type) {
	case crypto.Hash:
		return short(v)
	case crypto.LedgerID:
		return short(v)
	case contract.Hour:
		return day(v)
	case crypto.Fault:
		return map[crypto.Fault]string{
			crypto.FaultMalformed: "is not complete, or is something else",
			crypto.FaultChecksum:  "has a typing mistake in it",
			crypto.FaultVersion:   "is of a newer carekey",
			crypto.FaultMixed:     "was put together from two addresses: do not use it",
		}[v]
	case []string:
		return strings.Join(v, "\n")
	case int:
		return thousands(v)
	case uint64:
		return thousands(int(v))
	case time.Duration:
		if how == "roughly" {
			return roughly(v)
		}
	case string:
		switch how {
		case "other":
			return otherKind(v)
		case "go":
			return strconv.Quote(v)
		}
	}
	return fmt.Sprint(v)
}

// roughly is a duration as people say it.
func roughly(d time.Duration) string {
	switch {
	case d < 2*time.Minute:
		return plural(int(d/time.Second), "second", "seconds")
	case d < 2*time.Hour:
		return plural(int(d/time.Minute), "minute", "minutes")
	case d < 48*time.Hour:
		return plural(int(d/time.Hour), "hour", "hours")
	}
	return plural(int(d/(24*time.Hour)), "day", "days")
}

// Where a sentence depends on more than the values in it.

func also(f cli.Failure, hint string) cli.Failure {
	f.Hint = strings.TrimSpace(f.Hint + "\n" + hint)
	return f
}

func batchStopped(e *fault.Error, _, why cli.Failure) cli.Failure {
	if why.Exit == exitInterrupted {
		why.Message = "stopped"
	}
	why.Message += fmt.Sprintf("; %s of %s are done", thousands(fault.Get[int](e, "done")), many(fault.Get[int](e, "items"), "item", "items"))
	if to := fault.Get[string](e, "results"); to != "" {
		return also(why, "only their results could not be written: carekey batch resume --results "+cli.Quote(to))
	}
	return also(why, "go on where it stopped: carekey batch resume")
}

func kept(e *fault.Error, _, why cli.Failure) cli.Failure {
	if why.Exit == exitInterrupted && !errors.Is(e.Err, errBatchStopped) {
		why.Message = "stopped after something was signed"
	}
	return also(why, "A change that was signed waits in your wallet; every carekey command tries again to finish it.")
}

func synced(_ *fault.Error, _, why cli.Failure) cli.Failure {
	if why.Exit == exitUnreachable {
		why.Hint = "what waits goes out by itself with any later command that reaches the ledger"
	}
	return why
}

func inWordsFile(e *fault.Error, _, why cli.Failure) cli.Failure {
	if errors.Is(e.Err, crypto.ErrWord) || errors.Is(e.Err, crypto.ErrWordCount) {
		why.Hint = "look at the file: it holds the 24 words in their order, numbered or not, and no other words"
	}
	return why
}

func onLedger(e *fault.Error, _, why cli.Failure) cli.Failure {
	why.Message = fault.Get[string](e, "title") + ": " + why.Message
	why.Hint = strings.ReplaceAll(why.Hint, "carekey ledger verify", "carekey --ledger "+short(fault.Get[crypto.LedgerID](e, "id"))+" ledger verify")
	return why
}

func proved(e *fault.Error, _, why cli.Failure) cli.Failure {
	return also(why, "Proof that others can check is in "+fault.Get[string](e, "file")+"; they need no wallet for it:\n"+theirs+"ledger evidence FILE")
}

func pending(e *fault.Error, f, why cli.Failure) cli.Failure {
	if strings.HasPrefix(why.Code, "node-") { // the node is there and does not take it
		f.Hint = why.Hint + "\n" + f.Hint
	}
	if u, ok := errors.AsType[*ledgerclient.UnreachableError](e.Err); ok && u.Damaged { // not of a node that may come to itself
		why.Message, why.Exit = "signed, but not finished: "+why.Message, exitTampered
		return also(why, "after that: carekey sync")
	}
	return f
}

// own is for what is partly done whatever kept the rest.
func own(_ *fault.Error, f, _ cli.Failure) cli.Failure { return f }

func incompletely(_ *fault.Error, f, why cli.Failure) cli.Failure {
	if why.Exit == exitTampered {
		f.Code, f.Hint, f.Exit = why.Code, strings.Replace(f.Hint, "try again later; ", why.Hint+"\n", 1), exitTampered
	}
	return f
}

// outOfReach is a service that gave no answer, which is no verdict, or a node that does
// not do what it is asked for.
func outOfReach(e *fault.Error, f, why cli.Failure) cli.Failure {
	switch {
	case cli.Answered(e.Err), isNoLedger(e.Err), fault.Get[bool](e, "damaged") && is[*folder.DamagedError](e.Err):
		return why
	case is[*node.RefusedError](e.Err) && why.Exit != exitUnreachable:
		why.Exit = exitUnreachable
		return why
	}
	return f
}

func findings(e *fault.Error, f cli.Failure) cli.Failure {
	f.Exit = fault.Get[int](e, "exit")
	return f
}

func noWallet(e *fault.Error, f cli.Failure) cli.Failure {
	dir := fault.Get[string](e, "dir")
	if _, begun := wallet.Interrupted(dir, wallet.BeingRestored); begun {
		f.Message = "there is no wallet yet: a restore into " + dir + " was interrupted"
		f.Hint = "to go on with it, the same again: carekey restore --ledger ..."
	} else if _, begun := wallet.Interrupted(dir, wallet.BeingRemoved); begun {
		f.Message = "this wallet is being removed: the removal of " + dir + " was interrupted"
		f.Hint = "to end it, the same again: carekey profile remove PROFILE"
	} else if _, begun := wallet.Interrupted(dir, wallet.BeingMade); begun {
		f.Message = "there is no wallet yet: an init in " + dir + " was interrupted, and its words are void"
		f.Hint = "to begin anew, the same again: carekey init --name NAME ..."
	} else if wallet.Headless(dir) {
		return also(f, "if there was one: its wallet.json is gone. Put that back from a copy of the home; or move\nthe folder away and use your 24 words: carekey restore --ledger LEDGER")
	}
	return f
}

func inJournal(e *fault.Error, f cli.Failure) cli.Failure {
	if file := fault.Get[string](e, "file"); filepath.Base(filepath.Dir(file)) == home.JournalDir {
		f.Code = "journal-damaged"
		f.Message += ": what was signed in it may never have been sent"
		f.Hint = "see whether what you did last is there: carekey consent list, carekey record list; do again what is not, then remove the file"
	}
	return f
}

// ahead is for a head of a time that is yet to come.
func ahead(e *fault.Error, f cli.Failure) cli.Failure {
	if age := fault.Get[time.Duration](e, "age"); age < 0 {
		f.Message = "the newest head of the ledger is signed for " + roughly(-age) + " from now: its clock or yours is wrong"
	}
	return f
}

func codeHistory(e *fault.Error, f cli.Failure) cli.Failure {
	if r, ok := errors.AsType[*ledgerclient.RollbackError](e.Err); ok {
		f.Message = fmt.Sprintf("the share code was made when the ledger had %d entries, and your wallet is shown %d: newer ones are kept from it, or the code is forged", r.Pinned, r.Head)
	}
	return f
}

// unsafe says why a profile is not removed, and what is to be done before.
func unsafe(e *fault.Error, f cli.Failure) cli.Failure {
	var why, do []string
	for _, of := range []struct{ name, why, do string }{
		{"waiting", "changes that were signed with it wait to be sent", "carekey sync"},
		{"words", "its words were not checked within a year", "carekey words check"},
		{"backup", "a ledger of it was not backed up within 30 days", "carekey backup DIR"},
	} {
		if fault.Get[bool](e, of.name) {
			why, do = append(why, of.why), append(do, of.do)
		}
	}
	f.Message += strings.Join(why, ", and ")
	f.Hint += strings.Join(do, ", then: ")
	return f
}

// suspect says where to look for what is wrong with words.
func suspect(e *fault.Error, f cli.Failure) cli.Failure {
	var at []string
	for _, i := range fault.Get[[]int](e, "suspects") {
		at = append(at, fmt.Sprint(i+1))
	}
	if len(at) == 0 {
		f.Hint += ", all of them"
	} else {
		f.Hint += "; one slip would explain it at word " + strings.Join(at, ", or ")
	}
	return f
}

// lines lists what is wrong with a file, a line for each.
func lines(e *fault.Error, f cli.Failure) cli.Failure {
	of := fault.Get[*batch.LinesError](e, "of")
	var b strings.Builder
	fmt.Fprintf(&b, "%s in %s", many(of.Total, "problem", "problems"), of.File)
	for _, p := range of.Problems {
		fmt.Fprintf(&b, "\n%s:%d:%d: ", of.File, p.Line, p.Column)
		named := p.Field
		if p.Value != "" {
			named = strings.TrimSpace(named + " " + cli.Quote(cli.Clean(p.Value)))
		}
		if named != "" {
			b.WriteString(named + ": ")
		}
		b.WriteString(p.Why)
	}
	if n := of.Total - len(of.Problems); n > 0 {
		fmt.Fprintf(&b, "\nand %s more", thousands(n))
	}
	f.Message = b.String()
	return f
}

// tampered gives what did not verify its code: the first words name it.
func tampered(e *fault.Error, f cli.Failure) cli.Failure {
	of := fault.Get[string](e, "what")
	for _, k := range []struct{ begins, code string }{
		{"checkpoint of another", "foreign-checkpoint"}, {"order", "order-broken"}, {"checkpoint", "checkpoint-tampered"},
		{"consistency proof", "proof-tampered"}, {"configuration", "configuration-tampered"}, {"content", "content-tampered"},
		{"metadata", "metadata-tampered"}, {"terms", "terms-tampered"}, {"envelope", "envelope-tampered"}, {"share", "share-tampered"},
		{"lock key", "share-tampered"}, {"reason", "reason-tampered"}, {"entry", "entry-tampered"}, {"an entry", "entry-tampered"},
		{"leaves", "entry-tampered"}, {"answer", "answer-tampered"}, {"receipt", "receipt-tampered"},
		{"acknowledgement", "acknowledgement-tampered"}, {"refusal", "refusal-tampered"}, {"follow-ups", "entries-hidden"},
		{"tile", "tile-tampered"}, {"payload", "payload-tampered"}, {"keepers", "configuration-tampered"}, {"author key", "entry-tampered"},
		{"state proof", "proof-tampered"}, {"inclusion proof", "proof-tampered"}, {"remembered head", "wallet-damaged"},
	} {
		if strings.HasPrefix(of, k.begins) {
			f.Code = k.code
			break
		}
	}
	if f.Code == "foreign-checkpoint" {
		f.Message = "the ledger shows the checkpoint of another ledger"
	}
	return f
}

// damaged says which file of a ledger's folder is damaged.
func damaged(e *fault.Error, f cli.Failure) cli.Failure {
	of := fault.Get[*folder.DamagedError](e, "of")
	where := of.File
	if of.Entry != folder.NoEntry {
		where = fmt.Sprintf("entry %d (%s)", of.Entry, of.File)
	}
	f.Message += where + ": " + of.What
	switch part, _, _ := strings.Cut(of.What, ":"); {
	case of.File == "checkpoint" && of.What == folder.ForeignCheckpoint:
		f.Code = "foreign-checkpoint"
	case of.File == "checkpoint":
		f.Code = "checkpoint-tampered"
	case of.File == "genesis":
		f.Code = "configuration-tampered"
	case of.File == "leaves":
		f.Code = "entry-tampered"
	case strings.HasPrefix(of.File, "keys/"):
		f.Code = "ledger-key-damaged"
	case strings.HasPrefix(of.File, "keeper/shares"):
		f.Code = "share-tampered"
	case strings.HasPrefix(of.File, "keeper/"):
		f.Code = "keeper-damaged"
	case of.InStore() && slices.Contains([]string{"metadata", "content", "terms", "envelope", "access"}, part):
		f.Code = part + "-tampered"
	case of.InStore():
		f.Code = "store-damaged"
	default:
		f.Code = "index-damaged"
	}
	return f
}
