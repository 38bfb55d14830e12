package main

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/node"
	"github.com/carekey/carekey/wallet"
)

// fourKeepers are the keepers of a consent, of which any two open it.
func fourKeepers() (ks []wallet.Keeper) {
	for i := range 4 {
		key := crypto.PubKey{2, byte(0x10 + i), 0xab, 0xcd}
		ks = append(ks, wallet.Keeper{Number: i + 1, Of: 4, Key: key})
	}
	return ks
}

// fits sees that a text has the lines that it is to have, and fits a screen.
func fits(t *testing.T, text string, lines ...string) {
	t.Helper()
	for line := range strings.Lines(text) {
		if len([]rune(strings.TrimSuffix(line, "\n"))) > 80 {
			t.Errorf("wider than a screen: %q", line)
		}
	}
	for _, want := range lines {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
}

// What is said of the keepers of a consent, of one and of several: who holds its share, who
// has stopped, of whom there is no word, and from when on it is final.
func TestWordsOfKeepers(t *testing.T) {
	inZone(t, "UTC")
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	ks := fourKeepers()
	hour := wallet.Hour(now.Unix() / 3600)
	c := wallet.Consent{ID: contract.ID{1}, To: "Dr Smith", Seen: wallet.Seen{Status: wallet.StatusActive}, Keepers: 4, Release: 2, Liars: 1}

	if s := keepersText(c); s != "any 2 of 4 give the key to an opening" || statusText(c, dates{}) != "active" {
		t.Errorf("%q, %q", s, statusText(c, dates{}))
	}
	c.Unheld = ks[2:]
	fits(t, keepersText(c), "2 of 4 keepers hold shares; not yet", "keeper 3 (0212abcd), keeper 4 (0213abcd)")
	if s := statusText(c, dates{}); s != "active, 2 of 4 keepers hold shares" {
		t.Error(s)
	}
	for want, k := range map[string]wallet.Keeper{"17 times more at keeper 2 (0211abcd), which only counted them": ks[1], "17 more times, which the keeper only counted": {Number: 1, Of: 1}} {
		if s := moreText(wallet.Event{More: 17, Keeper: k}); s != want {
			t.Errorf("%q, not %q", s, want)
		}
	}
	c.Pending, c.Unheld = wallet.Granting, ks[1:]
	if s := statusText(c, dates{}); s != "active, 1 of 4 keepers holds a share, 2 are needed" {
		t.Error(s)
	}
	for _, none := range [][]wallet.Keeper{ks, nil} { // nobody has it, or nobody was asked
		c.Unheld = none
		if s := statusText(c, dates{}); s != "active, not at the keepers yet" {
			t.Error(s)
		}
	}

	c = wallet.Consent{ID: c.ID, To: c.To, Seen: wallet.Seen{Status: wallet.StatusRevoked}, Revoked: hour, Keepers: 4, Release: 2, Liars: 1, Final: now.Add(4 * time.Minute)}
	r := wallet.Revocation{Consent: c, Stopped: 3, Silent: ks[2:3]}
	for _, k := range []int{0, 1, 3} {
		r.Acks = append(r.Acks, wallet.Acknowledged{Keeper: ks[k], End: ledgerclient.Stopped, Hour: hour})
		if k != 3 {
			r.Acks = append(r.Acks, wallet.Acknowledged{Keeper: ks[k], End: ledgerclient.DestroyedShare, Hour: hour})
		}
	}
	text := revocationText(r, now)
	fits(t, text, "at 3 of 4 keepers", "keeper 1 (0210abcd) has destroyed its share\n", "keeper 4 (0213abcd) gives nothing any more\n", "no word of  keeper 3 (0212abcd)",
		"final       from 21 Nov 2026 12:04 on: too few keepers are left\n", "to give the key, also if one of them lies\n")
	if strings.Contains(text, "keeper 1 (0210abcd) gives") {
		t.Errorf("a keeper's first word beside its last:\n%s", text)
	}
	fits(t, revocationText(r, now.Add(time.Hour)), "since 21 Nov 2026 12:04: too few")
	r.Consent.Final = time.Time{}
	fits(t, revocationText(r, now), "final       not yet")

	// Of one keeper it is as it was.
	c = wallet.Consent{ID: c.ID, To: c.To, Seen: wallet.Seen{Status: wallet.StatusRevoked}, Revoked: hour}
	one := wallet.Revocation{Consent: c, Stopped: 1, Acks: []wallet.Acknowledged{{Keeper: wallet.Keeper{Number: 1, Of: 1, Key: ks[0].Key}, End: ledgerclient.Stopped, Hour: hour}}}
	text = revocationText(one, now)
	fits(t, text, "acknowledged  keeper 1 gives nothing any more (signed, 21 Nov 2026 12:00)\n")
	if strings.Contains(text, "final") || keepersText(c) != "" || finalText(c, now) != "" || silentText(one.Silent) != "A keeper" {
		t.Errorf("of one keeper:\n%s", text)
	}
	if s := silentText(ks[1:3]); s != "Keeper 2 (0211abcd), keeper 3 (0212abcd)" {
		t.Error(s)
	}
	share := wallet.Check{Name: "share", OK: true, Held: 3, Keepers: 4}
	if s := checkText(share, nil); s != "3 of 4 keepers say that they hold their shares of its key" {
		t.Error(s)
	}
	if share.OK, share.Held = false, 1; checkText(share, nil) != "only 1 of 4 keepers says that it holds its share of its key" {
		t.Error(checkText(share, nil))
	}
}

// Who refused, or gave what need not be a lie, is not said to lie.
func TestWordsOfNodes(t *testing.T) {
	for _, x := range []struct {
		p    node.PassedOver
		want string
	}{
		{node.PassedOver{Name: "City", Err: &node.RefusedError{Kind: node.KindToken}}, "Node 1 (City) refused: "},
		{node.PassedOver{Err: &ledgerclient.StoreError{Reason: ledgerclient.BadLocators}}, "Node 1 refused: "},
		{node.PassedOver{Err: &ledgerclient.BatchError{Errs: []error{nil, &ledgerclient.StoreError{Reason: ledgerclient.BadEntry}}}}, "Node 1 refused: "},
		{node.PassedOver{Err: &ledgerclient.KeeperError{Code: ledgerclient.BadRequest}}, "Node 1 refused: "},
		{node.PassedOver{Line: 2, Err: &ledgerclient.UnreachableError{Service: "store", Err: &node.RefusedError{Kind: node.KindBusy}}}, "Node 3 could not do it: "},
		{node.PassedOver{Line: -1, Err: &ledgerclient.UnreachableError{Service: "store", Err: node.ErrSlow}}, "A node that left gave no answer in time."},
		{node.PassedOver{Err: &ledgerclient.TamperedError{What: "payload"}}, "Node 1 is not to be believed: "},
		{node.PassedOver{Err: &ledgerclient.ForkError{}}, "Node 1 is not to be believed: "},
		{node.PassedOver{Err: &ledgerclient.RollbackError{}}, "Node 1 is not to be believed: "},
		{node.PassedOver{Err: ledgerclient.ErrTooFew.With("have", 1, "need", 3)}, "Node 1 gave nothing that can be used: "},
		{node.PassedOver{Err: ledgerclient.ErrStale.With("age", 15*time.Minute)}, "Node 1 gave nothing that can be used: "},
		{node.PassedOver{Err: node.ErrCertificate.With("want", crypto.Hash{1}, "got", crypto.Hash{2})}, "Node 1 gave nothing that can be used: "},
		{node.PassedOver{Err: node.ErrAuthority.Of(errors.New("unknown authority"))}, "Node 1 gave nothing that can be used: "},
	} {
		if got := passedText(x.p); !strings.HasPrefix(got, x.want) {
			t.Errorf("%q, not %q", got, x.want)
		}
	}
}
