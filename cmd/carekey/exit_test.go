package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/carekey/carekey/cmd/carekey/ui"
	"github.com/carekey/carekey/cmd/cli"
	"github.com/carekey/carekey/cmd/cli/clitest"
	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/disk"
	"github.com/carekey/carekey/ledgerclient/folder"
	"github.com/carekey/carekey/ledgerclient/node"
	"github.com/carekey/carekey/ledgerclient/order"
	"github.com/carekey/carekey/wallet"
	"github.com/carekey/carekey/wallet/batch"
	"github.com/carekey/carekey/wallet/health"
	"github.com/carekey/carekey/wallet/keyring"
	"github.com/carekey/carekey/wallet/keyring/agent"
	"github.com/carekey/carekey/wallet/shlink"
)

var consent = contract.ID{0xab, 0xcd}

// explained lists one value or more of every error type that can reach a person.
var explained = []struct {
	err  error
	code string
	exit int
}{
	{wallet.ErrWalletExists, "wallet-exists", 3},
	{wallet.ErrNameTaken, "name-taken", 3},
	{wallet.ErrNoWallet, "no-wallet", 7},
	{wallet.ErrNotFound.With("noun", "record"), "record-not-found", 7},
	{wallet.ErrNotFound.With("noun", "batch"), "batch-not-found", 7},
	{errOnlySaid.With("name", "Maria", "consent", consent), "contact-not-found", 7},
	{wallet.ErrAmbiguous.With("query", "abcdef", "matches", []string{"abcdef01", "abcdef02"}), "ambiguous-id", 2},
	{wallet.ErrInput.With("field", "until"), "bad-until", 2},
	{&batch.LinesError{Problems: []batch.Problem{{File: "f.csv", Line: 2, Column: 5, Why: "not a date"}}, Total: 1}, "bad-file", 2},
	{batch.ErrStalePlan, "plan-stale", 3},
	{batch.ErrForeignPlan, "plan-foreign", 6},
	{batch.ErrOtherLedger.With("ledger", crypto.LedgerID{1}), "plan-foreign", 3},
	{batch.ErrUnfinished.With("left", 8), "batch-unfinished", 3},
	{errBatchStopped.Of(context.Canceled, "done", 2, "items", 10), "interrupted", 130},
	{errBatchStopped.Of(syscall.ENOSPC, "done", 10, "items", 10, "results", "r.jsonl"), "disk-full", 1},
	{wallet.ErrEmpty.With("of", "record"), "nothing-selected", 7},
	{wallet.ErrEmpty.With("of", "part"), "nothing-selected", 7},
	{wallet.ErrBeyondRole.With("role", "nurse", "days", 30, "purposes", "treatment"), "beyond-role", 3},
	{wallet.ErrBusy, "wallet-busy", 5},
	{wallet.ErrWatched, "wallet-busy", 5},
	{errUnopened.Of(wallet.ErrBusy, "consent", consent, "then", "x"), "wallet-busy", 5},
	{errUnopened.Of(errBroken, "consent", consent, "then", "x"), "opening-interrupted", 1},
	{wallet.WrongVersion("state", 2, 1), "newer-version", 1},
	{wallet.WrongVersion("wallet.json", 1, 2), "older-version", 1},
	{ledgerclient.ErrNewerAnswer.With("version", 3), "newer-version", 1},
	{wallet.ErrDefaultLedger, "default-ledger", 3},
	{wallet.ErrChangesWait.With("changes", 2), "changes-wait", 3},
	{wallet.ErrSomethingWaits, "changes-wait", 3},
	{wallet.ErrPending.Of(&ledgerclient.UnreachableError{Service: "ledger", Err: context.DeadlineExceeded}), "pending", 5},
	{wallet.ErrPending.Of(&ledgerclient.UnreachableError{Service: "ledger", Err: folder.ErrNoLedger.With("dir", "x")}), "pending", 5},
	{&ledgerclient.UnreachableError{Service: "ledger", Err: folder.ErrNoLedger.With("dir", "x")}, "ledger-missing", 5},
	{errSync.Of(&ledgerclient.UnreachableError{Service: "ledger", Err: context.DeadlineExceeded}), "ledger-unreachable", 5},
	{errInviter.Of(&ledgerclient.UnreachableError{Service: "ledger", Err: context.DeadlineExceeded}), "ledger-unreachable", 5},
	{errSync.Of(&ledgerclient.ForkError{}), "ledger-forked", 6},
	{ledgerclient.ErrSpent, "order-spent", 6},
	{errIncomplete.Of(&ledgerclient.UnreachableError{Service: "keeper", Err: context.DeadlineExceeded}, "lacks", "x"), "incomplete", 8},
	{&wallet.DamagedError{File: "state"}, "wallet-damaged", 6},
	{&wallet.DamagedError{File: "tables"}, "wallet-damaged", 6},
	{errBadBackup.Of(&folder.DamagedError{File: "leaves"}, "dir", "b"), "backup-damaged", 6},
	{wallet.ErrWrongKey, "wrong-key", 4},
	{wallet.ErrKeyLeft.Of(keyring.ErrLocked, "kind", "os"), "key-left", 8},
	{wallet.ErrKeyMayLeft.Of(keyring.ErrLocked, "kind", "os"), "key-left", 8},
	{wallet.ErrOtherWallet, "another-wallet", 4},
	{health.ErrUnmappable, "not-mappable", 3},
	{wallet.ErrNotYours, "not-yours", 3},
	{wallet.ErrForeignCode, "foreign-code", 7},
	{errNoPlace.With("code", crypto.LedgerID{1}), "foreign-code", 7},
	{wallet.ErrUnread, "unread", 8},
	{wallet.ErrCodeHistory.Of(&ledgerclient.ForkError{Size: 7}), "code-history", 6},
	{wallet.ErrCodeHistory.Of(&ledgerclient.RollbackError{Pinned: 9, Head: 7}), "code-history", 6},
	{wallet.ErrMissing.With("part", "content"), "content-missing", 7},
	{wallet.ErrFileExists, "file-exists", 2},
	{wallet.ErrWithdrawn, "record-removed", 7},
	{wallet.ErrNothing.With("entries", 3), "nothing-restored", 7},
	{wallet.ErrForeignBackup.With("dir", "b"), "foreign-backup", 3},
	{wallet.ErrUnsafe.With("words", true, "backup", true), "not-backed-up", 3},
	{crypto.ErrChecksum.With("suspects", []int{2, 6}), "bad-words", 2},
	{ui.ErrWordsDiffer, "words-differ", 3},
	{wallet.ErrPartly.Of(wallet.ErrNotYours, "done", 1, "failed", 1), "partly-done", 8},
	{&wallet.RefusedError{By: "ledger", Rule: contract.RuleRevoked, Consent: consent, Filed: true}, "revoked", 3},
	{&wallet.RefusedError{By: "ledger", Rule: contract.RuleExpired}, "expired", 3},
	{&wallet.RefusedError{By: "ledger", Rule: contract.RuleNotYet}, "not-yet", 3},
	{&wallet.RefusedError{By: "ledger", Rule: contract.RuleOncePerHour}, "once-per-hour", 3},
	{&wallet.RefusedError{By: "keeper", Code: ledgerclient.AccessTooOld}, "access-too-old", 3},
	{keyring.ErrNoBus, "keyring-absent", 4},
	{keyring.ErrLocked, "keyring-locked", 4},
	{keyring.ErrNotAsked, "keyring-locked", 4},
	{keyring.ErrTimeout, "keyring-timeout", 4},
	{keyring.ErrPromptTimeout, "keyring-prompt-unanswered", 4},
	{keyring.ErrItemNotFound, "key-missing", 4},
	{keyring.ErrItemChanged, "key-changed", 4},
	{keyring.ErrItemExists.Of(keyring.ErrItemChanged), "key-exists", 4},
	{keyring.ErrNotStored, "key-not-stored", 4},
	{keyring.ErrNotDeleted.Of(keyring.ErrLocked), "key-not-deleted", 4},
	{keyring.ErrTooLarge, "key-too-large", 4},
	{keyring.ErrFailed.Of(io.EOF, "op", "get"), "keyring-failed", 4},
	{keyring.ErrArgument.With("name", "id"), "keyring-failed", 4},
	{keyring.ErrWrongPassphrase, "wrong-passphrase", 4},
	{keyring.ErrEmptyPassphrase, "empty-passphrase", 4},
	{keyring.ErrDamaged, "key-file-damaged", 4},
	{ledgerclient.ErrForeign, "foreign-ledger", 6},
	{&ledgerclient.RollbackError{}, "ledger-rolled-back", 6},
	{&ledgerclient.ForkError{}, "ledger-forked", 6},
	{wallet.ErrForkProved.Of(&ledgerclient.ForkError{}, "file", "evidence-0a"), "ledger-forked", 6},
	{ledgerclient.ErrStale.With("age", 3*time.Hour), "head-stale", 6},
	{ledgerclient.ErrStale.With("age", -time.Hour), "head-stale", 6},
	{wallet.ErrUnconfirmed.With("ledger", crypto.LedgerID{1}, "configuration", crypto.Hash{2}), "ledger-unconfirmed", 3},
	{wallet.ErrNoWay.With("ledger", crypto.LedgerID{1}, "known", 1, "keepers", 4), "keepers-unknown", 3},
	{wallet.ErrOpeners.With("ledger", crypto.LedgerID{1}, "configuration", crypto.Hash{2}, "release", 2, "keepers", 4), "ledger-unconfirmed", 3},
	{wallet.ErrOtherKeepers.With("consent", contract.ID{1}), "keepers-changed", 3},
	{&ledgerclient.UnreachableError{Service: "keeper", Err: &ledgerclient.TamperedError{What: "answer of keeper 2 (02345678)"}, Answered: true, Damaged: true}, "answer-tampered", 6},
	{ledgerclient.ErrTooFew.With("have", 2, "need", 3), "head-undersigned", 6},
	{ledgerclient.ErrThreshold.With("nodes", 3, "threshold", 2), "threshold-low", 6},
	{ledgerclient.ErrNoLinks.With("reach", "https://ledger.example"), "links-untaken", 3},
	{wallet.ErrNoNode, "links-untaken", 3},
	{wallet.ErrKeepers.With("keepers", 4), "links-untaken", 3},
	{wallet.ErrNotLink.With("consent", contract.ID{1}), "not-a-link", 7},
	{wallet.ErrLinkLost.With("consent", contract.ID{1}), "link-lost", 7},
	{ledgerclient.ErrEvidence.With("what", "root"), "evidence-invalid", 6},
	{&ledgerclient.TamperedError{What: "consistency proof"}, "proof-tampered", 6},
	{&ledgerclient.TamperedError{What: "terms of consent ab"}, "terms-tampered", 6},
	{&ledgerclient.TamperedError{What: "configuration documents"}, "configuration-tampered", 6},
	{&ledgerclient.TamperedError{What: "remembered head"}, "wallet-damaged", 6},
	{&ledgerclient.TamperedError{What: "checkpoint of another ledger"}, "foreign-checkpoint", 6},
	{&ledgerclient.TamperedError{What: "follow-ups of the thread opened at entry 3"}, "entries-hidden", 6},
	{&ledgerclient.UnreachableError{Service: "keeper", Err: &folder.DamagedError{Entry: folder.NoEntry}}, "keeper-unreachable", 5},
	{&ledgerclient.KeeperError{Code: ledgerclient.Revoked}, "revoked", 3},
	{&wallet.RefusedError{By: "keeper", Code: ledgerclient.Destroyed, Consent: consent}, "destroyed", 3},
	{&ledgerclient.StoreError{}, "store-refused", 1},
	{&ledgerclient.BatchError{Errs: []error{nil, &ledgerclient.StoreError{}}}, "store-refused", 1},
	{&ledgerclient.NotFoundError{What: "payload"}, "payload-not-found", 7},
	{ledgerclient.ErrMessage.Of(io.EOF, "message", "answer"), "malformed", 6},
	{contract.ErrPackage, "malformed", 6},
	{contract.ErrSize, "malformed", 6},
	{contract.ErrContractVersion, "newer-contract", 1},
	{contract.ErrConfig, "configuration-tampered", 6},
	{crypto.ErrAddress.With("fault", crypto.FaultMixed), "address-mixed", 2},
	{crypto.ErrFetchCode.With("fault", crypto.FaultChecksum), "code-checksum", 2},
	{node.ErrCertificate, "node-certificate", 6},
	{shlink.ErrLink.With("why", "it has no url"), "bad-link", 2},
	{shlink.ErrVersion.With("version", "2"), "link-version", 1},
	{shlink.ErrLocal.With("host", "intranet", "address", "10.0.0.1"), "link-local", 3},
	{shlink.ErrOver.With("host", "example.org"), "link-over", 3},
	{shlink.ErrPasscode.With("host", "example.org", "left", "4"), "link-passcode", 3},
	{shlink.ErrAnswer.With("host", "example.org", "why", "a file is no FHIR resource"), "link-answer", 6},
	{shlink.ErrAuthority.Of(io.EOF, "host", "example.org"), "link-certificate", 6},
	{shlink.ErrServer.Of(io.EOF, "host", "example.org"), "link-unreachable", 5},
	{node.ErrAuthority.Of(io.EOF), "node-certificate", 6},
	{&ledgerclient.UnreachableError{Service: "store", Err: node.ErrSlow}, "answer-slow", 5},
	{&ledgerclient.UnreachableError{Service: "store", Err: node.ErrTooLarge.With("limit", 4096)}, "answer-too-large", 6},
	{&ledgerclient.UnreachableError{Service: "store", Err: node.ErrRedirect.With("to", "https://elsewhere.example")}, "answer-redirect", 6},
	{node.ErrForeign.With("status", 502), "answer-foreign", 5},
	{node.ErrInvitation.With("fault", crypto.FaultChecksum), "invitation-checksum", 2},
	{crypto.ErrWordCount.With("count", 3), "bad-words", 2},
	{crypto.ErrWord.With("position", 2), "bad-words", 2},
	{crypto.ErrChecksum, "bad-words", 2},
	{crypto.ErrNotForKey, "not-for-you", 3},
	{crypto.ErrDamaged.With("what", "payload"), "damaged", 6},
	{crypto.ErrShare, "malformed", 6},
	{crypto.ErrHex, "malformed", 6},
	{folder.ErrLedgerExists, "ledger-exists", 3},
	{folder.ErrNotEmpty, "folder-not-empty", 3},
	{folder.ErrNoLedger, "ledger-missing", 5},
	{folder.ErrFormat.With("dir", "x", "version", uint64(1)), "folder-version", 1},
	{folder.ErrNetworkFS, "network-file-system", 3},
	{folder.ErrReadOnly.Of(syscall.EROFS), "ledger-read-only", 1},
	{&folder.DamagedError{File: "checkpoint", Entry: folder.NoEntry, What: folder.ForeignCheckpoint}, "foreign-checkpoint", 6},
	{&folder.DamagedError{File: "checkpoint", Entry: folder.NoEntry, What: "too long"}, "checkpoint-tampered", 6},
	{&folder.DamagedError{File: "leaves", Entry: 17}, "entry-tampered", 6},
	{&folder.DamagedError{File: "payloads/0000000001", Entry: 3, What: "terms: other"}, "terms-tampered", 6},
	{&folder.DamagedError{File: "payloads/0000000001", Entry: folder.NoEntry, What: "header"}, "store-damaged", 6},
	{&folder.DamagedError{File: "contents/ab.content", Entry: 3, What: "content: missing"}, "content-tampered", 6},
	{&folder.DamagedError{File: "keeper/shares/1/ab", Entry: folder.NoEntry}, "share-tampered", 6},
	{&folder.DamagedError{File: "index", Entry: folder.NoEntry}, "index-damaged", 6},
	{folder.ErrBusy, "ledger-busy", 5},
	{folder.ErrClock, "clock-doubtful", 3},
	{&folder.RangeError{}, "unexpected", 1},
	{&node.RefusedError{Kind: node.KindToken}, "node-token", 3},
	{&node.RefusedError{Kind: node.KindTooLarge, Limit: 5}, "node-too-large", 3},
	{&node.RefusedError{Kind: node.KindNoVersion}, "node-version", 1},
	{&node.RefusedError{Kind: node.KindBusy}, "node-busy", 5},
	{&node.RefusedError{Kind: node.KindUnsigned}, "node-unsigned", 5},
	{&node.RefusedError{Kind: node.KindUndecided}, "node-undecided", 5},
	{&ledgerclient.UnreachableError{Service: "ledger", Err: &node.RefusedError{Kind: node.KindUnsigned}, Undecided: true}, "ledger-undecided", 5},
	{wallet.ErrPending.Of(&ledgerclient.UnreachableError{Service: "ledger", Err: io.EOF, Undecided: true}), "pending", 5},
	{&ledgerclient.UnreachableError{Service: "ledger", Err: &node.RefusedError{Kind: node.KindQuota}, Answered: true}, "node-quota", 5},
	{wallet.ErrPending.Of(&ledgerclient.UnreachableError{Service: "ledger", Err: &node.RefusedError{Kind: node.KindQuota}}), "pending", 5},
	{&ledgerclient.UnreachableError{Service: "ledger", Err: ledgerclient.ErrQuota.With("why", "12 grants")}, "order-quota", 5},
	{&ledgerclient.UnreachableError{Service: "ledger", Err: order.ErrUnknown.Of(ledgerclient.ErrQuota), Undecided: true}, "ledger-undecided", 5},
	{&ledgerclient.UnreachableError{Service: "ledger", Err: &node.RefusedError{Kind: node.KindClock}}, "ledger-unreachable", 5},
	{&ledgerclient.UnreachableError{Service: "ledger", Err: &node.RefusedError{Kind: node.KindToken}}, "node-token", 5},
	{wallet.ErrPending.Of(&ledgerclient.UnreachableError{Service: "ledger", Err: &node.RefusedError{Kind: node.KindToken}}), "pending", 5},
	{folder.ErrReplica, "ledger-replica", 3},
	{folder.ErrOwnOrder, "ledger-own-order", 3},
	{folder.ErrSuccessor.With("dir", "/node"), "ledger-successor", 1},
	{order.ErrBroken.With("position", 3, "what", order.Gap), "order-broken", 6},
	{&ledgerclient.TamperedError{What: "order"}, "order-broken", 6},
	{order.ErrAnother.With("want", crypto.LedgerID{1}, "got", crypto.LedgerID{2}), "order-another", 6},
	{order.ErrUnknown.Of(io.EOF), "order-unknown", 5},
	{&order.ProgramError{Fault: order.BadURL}, "usage", 2},
	{&order.ProgramError{Program: "carekey-ledger-foo", Fault: order.Missing}, "order-program-missing", 5},
	{&order.ProgramError{Program: "carekey-ledger-foo", Fault: order.Died}, "order-program", 5},
	{&ledgerclient.UnreachableError{Service: "ledger", Err: &order.ProgramError{Program: "carekey-ledger-foo", Fault: order.Late}}, "ledger-unreachable", 5},
	{&fs.PathError{Op: "write", Path: "f", Err: syscall.ENOSPC}, "disk-full", 1},
	{&fs.PathError{Op: "open", Path: "f", Err: syscall.EROFS}, "read-only", 1},
	{&fs.PathError{Op: "flock", Path: "f", Err: syscall.ENOLCK}, "no-locks", 1},
	{fmt.Errorf("x: %w", &fs.PathError{Op: "flock", Path: "f", Err: syscall.ENOTSUP}), "no-locks", 1},
	{&disk.KindError{Path: "f", Is: "a pipe"}, "not-a-file", 1},
	{&fs.PathError{Op: "open", Path: "f", Err: syscall.EACCES}, "permission-denied", 1},
	{&fs.PathError{Op: "open", Path: "f", Err: syscall.ENOENT}, "file-not-found", 7},
	{&os.LinkError{Op: "rename", Old: "a", New: "b", Err: syscall.ENOSPC}, "disk-full", 1},
	{context.Canceled, "interrupted", 130},
	{errUnwritten.Of(context.Canceled, "consents", 2, "which", "55aef0c0, 7d1b2c3e", "until", "21 Nov 2026 13:00"), "interrupted", 130},
	{errUnwritten.Of(context.Canceled, "consents", 1, "which", "55aef0c0", "until", ""), "interrupted", 130},
	{errLockedUnwritten.Of(crypto.ErrKeyLocked.Of(agent.ErrNotUnlocked), "consents", 1, "which", "55aef0c0", "until", "21 Nov 2026 13:00"), "key-locked", 4},
	{fmt.Errorf("%w: %w", ui.ErrCanceled, context.Canceled), "interrupted", 130},
	{cli.ErrDeclined, "declined", 3},
	{errFindings.With("exit", 4), "findings", 4},
	{errToDo.With("what", "1 consent to give"), "to-do", 9},
	{errBinary, "binary-to-terminal", 2},
	{io.ErrUnexpectedEOF, "unexpected", 1},
}

func TestExplain(t *testing.T) {
	for _, c := range explained {
		for _, err := range []error{c.err, fmt.Errorf("while at it: %w", c.err)} {
			f := explain(err)
			if f.Code != c.code || f.Exit != c.exit {
				t.Errorf("%T %v: %s, exit %d; want %s, %d", c.err, c.err, f.Code, f.Exit, c.code, c.exit)
			}
			if f.Message == "" || strings.HasSuffix(f.Message, ".") || strings.Contains(f.Message, "%!") || strings.Contains(f.Message, "secretword") {
				t.Errorf("%T: message %q", c.err, f.Message)
			}
		}
		if f := explain(errKept.Of(c.err)); f.Code != c.code || !strings.Contains(f.Hint, "waits in your wallet") {
			t.Errorf("%T, kept: %+v", c.err, f)
		}
	}
}

// An error is one line of JSON with --json, also when the flags were wrong.
func TestReport(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	a := &app{console: console{err: w}}
	if code := a.report(wallet.ErrNotFound.With("noun", "contact", "query", "\x1b[31m<b>"), []string{"grant", "--json"}); code != 7 {
		t.Errorf("exit %d", code)
	}
	if code := a.report(wallet.ErrNotFound.With("noun", "contact", "query", "\x1b[31mred"), nil); code != 7 {
		t.Errorf("exit %d", code)
	}
	if code := a.report(nil, nil); code != 0 {
		t.Errorf("no error: exit %d", code)
	}
	w.Close()
	d := json.NewDecoder(r)
	var j struct {
		Error failure `json:"error"`
	}
	if err := d.Decode(&j); err != nil || j.Error.Code != "contact-not-found" || j.Error.Exit != 7 || !strings.Contains(j.Error.Message, "<b>") {
		t.Errorf("%v: %+v", err, j)
	}
	rest, err := io.ReadAll(io.MultiReader(d.Buffered(), r))
	if err != nil || strings.Contains(string(rest), "\x1b") || !strings.HasPrefix(strings.TrimSpace(string(rest)), `error: there is no contact '\x1b[31mred'`) {
		t.Errorf("%v: %q", err, rest)
	}
}

// Who says no has made no error, and what the doctor finds is none of the program's.
func TestAnswersAreNoErrors(t *testing.T) {
	for err, want := range map[error]string{
		cli.ErrDeclined:                          "You said no: nothing was changed.\n",
		errDeclinedRest:                          "You said no: nothing was given; what you said yes to before stays.\n",
		errFindings.With("exit", cli.ExitLocked): "Something needs you: see above.\n",
		errToDo.With("what", "1 to give"):        "There is something to do, or new: 1 to give.\n",
		wallet.ErrBusy:                           "error: ",
	} {
		a := newApp()
		var e error
		if a.err, e = os.Create(filepath.Join(t.TempDir(), "stderr")); e != nil {
			t.Fatal(e)
		}
		exit := a.report(err, nil)
		said, e := os.ReadFile(a.err.Name())
		if e != nil || exit != explain(err).Exit || !strings.HasPrefix(string(said), want) {
			t.Errorf("%v: exit %d, %q, %v", err, exit, said, e)
		}
	}
}

// What does not verify, and why, is said, also where its code is that of another error.
func TestWhatDoesNotVerifyIsSaid(t *testing.T) {
	for _, what := range []string{"checkpoint", "configuration document 2", "order", "remembered head"} {
		if f := explain(&ledgerclient.TamperedError{What: what, Err: errors.New("too many")}); f.Message != what+" does not verify: too many" {
			t.Errorf("%s: %q", what, f.Message)
		}
	}
	for _, file := range []string{"checkpoint", "genesis", "leaves", "keys/ledger", "keeper/shares", "payloads/1", "index"} {
		if f := explain(&folder.DamagedError{File: file, Entry: folder.NoEntry, What: "too long"}); f.Message != "the ledger was changed: "+file+": too long" {
			t.Errorf("%s: %q", file, f.Message)
		}
	}
}

// Where there is no keyring, logging in again makes none.
func TestSystemWithoutKeyring(t *testing.T) {
	if f := explain(keyring.ErrUnsupported); f.Hint != inAFile || f.Message == explain(keyring.ErrAbsent).Message {
		t.Errorf("%q, %q", f.Message, f.Hint)
	}
}

// Every code has words, and every row a code.
func TestEveryCodeHasWords(t *testing.T) {
	// A refusal has the name of the contract's rule, or that of the keeper's answer.
	others := []string{"foreign-checkpoint"}
	for _, r := range contract.Rules() {
		others = append(others, string(r.Rule))
	}
	for c := range ledgerclient.Code(32) {
		others = append(others, c.String())
	}
	clitest.Codes(t, filepath.Join("..", ".."), explanations.Texts(), []string{"cmd/carekey", "cmd/cli", "cmd/qr", "crypto", "ledgerclient", "wallet"}, others, "clock-off", "signed-unknown", "too-many-gone")
}
