package main

import (
	"strings"
	"testing"

	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/wallet"
)

// Threat: whoever knows the address of a link, and neither its passcode nor its key, writes an
// entry that the patient reads as an opening, with a name of their choice, and ends the link so.
// Promise: where the node lists no such opening it is said, and of one that it lists it is not.
func TestEntryWithoutOpening(t *testing.T) {
	const hour = 480_000
	link, other := contract.ID{1}, contract.ID{2}
	entry := func(of contract.ID, h wallet.Hour, by string) wallet.Event {
		return wallet.Event{What: wallet.Opened, Consent: of, Hour: h, By: by, HasReason: true}
	}
	opened := func(what ledgerclient.LinkHappened, h uint64, by string) ledgerclient.LinkEvent {
		return ledgerclient.LinkEvent{What: what, At: h*3600 + 59, By: by}
	}
	es := []wallet.Event{entry(link, hour, "Dr A"), entry(link, hour+1, "Dr Long…"), entry(other, hour, "x"), entry(link, hour+2, "Dr Forged"), entry(link, hour+9, "Dr A"), {What: wallet.Granted, Consent: link}}
	said := ledgerclient.LinkAnswer{Events: []ledgerclient.LinkEvent{
		opened(ledgerclient.LinkOpened, hour, "Dr A"), opened(ledgerclient.LinkOpened, hour, "Dr B"), opened(ledgerclient.LinkOpened, hour+1, "Dr Longname"), opened(ledgerclient.LinkRefused, hour+2, "Dr Forged"),
	}}
	alone, rest := matched(es, link, said)
	if len(alone) != 2 || alone[0].By != "Dr Forged" || alone[1].Hour != hour+9 || len(rest) != 1 || rest[0].By != "Dr B" {
		t.Errorf("%+v, %+v", alone, rest)
	}
	if text := unlisted(alone[:1]); !strings.Contains(text, "typed: Dr Forged. It gave nothing then, or somebody who knows the link's address") {
		t.Error(text)
	}
	said.More = 1 // it may be among those
	if alone, _ := matched(es, link, said); len(alone) != 0 || unlisted(alone) != "" {
		t.Errorf("%+v", alone)
	}
	said.More = 0
	for _, unknown := range []wallet.Event{{Damaged: true, HasReason: true}, {}, {HasReason: true, Missing: []string{"store"}}} {
		unknown.What, unknown.Consent, unknown.Hour = wallet.Opened, link, hour+9
		if alone, _ := matched([]wallet.Event{unknown}, link, said); len(alone) != 0 {
			t.Errorf("%+v", alone)
		}
	}

	s := wallet.Shown{}
	s.Status, s.Said.State = wallet.StatusActive, ledgerclient.LinkEnded
	if !strings.Contains(endedEarly(s), "an entry that its node did not write") {
		t.Error("why it ended is not said")
	}
	if s.Over = true; endedEarly(s) != "" {
		t.Error("it is over")
	}
}
