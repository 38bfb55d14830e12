package main

import (
	"reflect"

	"github.com/carekey/carekey/cmd/cli"
	"github.com/carekey/carekey/cmd/version"
	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/wallet"
	"github.com/carekey/carekey/wallet/batch"
	"github.com/carekey/carekey/wallet/health"
	"github.com/carekey/carekey/wallet/payload"
)

// schemas say what each command prints with --json. What one prints is of a type of its
// own that is named here: a command without a row fails a test, and so does each story in
// which a command prints what its type does not say.
func schemas() cli.Schemas {
	return cli.Schemas{
		Results: map[string]cli.Prints{
			"":     cli.JSON[overviewJSON](),
			"help": cli.JSON[guideText](), // of a guide; what a command does is for people

			"record add":           cli.JSON[addedJSON](cli.JSON[[]addedJSON]()), // several of them
			"record update":        cli.JSON[[]addedJSON](),
			"record list":          cli.JSON[[]listedJSON](),
			"record get":           cli.JSON[[]recordJSON](), // with -o; otherwise the record alone is printed
			"record history":       cli.JSON[[]recordJSON](),
			"record edit":          cli.JSON[editedJSON](),
			"record export":        cli.JSON[recordsOutJSON](),
			"record remove":        cli.JSON[[]recordJSON](),
			"record show":          cli.JSON[recordPartsJSON](),
			"record attest":        cli.JSON[attestedJSON](cli.JSON[signerJSON]()), // the second with --check
			"record label":         cli.JSON[[]wallet.PartInfo](),
			"record tables":        cli.JSON[tablesJSON](),
			"record tables show":   cli.JSON[tablesJSON](),
			"record tables import": cli.JSON[tableJSON](),
			"record tables remove": cli.JSON[removedJSON](),

			"contact add":    cli.JSON[[]wallet.AddedContact](),
			"contact rename": cli.JSON[[]wallet.AddedContact](),
			"contact import": cli.JSON[[]wallet.AddedContact](),
			"contact show":   cli.JSON[[]contactJSON](),
			"contact list":   cli.JSON[[]wallet.Contact](),
			"contact verify": cli.JSON[[]wallet.Contact](),
			"contact remove": cli.JSON[[]wallet.Contact](),
			"role list":      cli.JSON[[]wallet.OwnRole](),
			"role show":      cli.JSON[health.Role](),
			"role add":       cli.JSON[wallet.OwnRole](),
			"role remove":    cli.JSON[removedJSON](),

			"grant":            cli.JSON[grantedJSON](cli.JSON[planJSON]()),   // the latter with --list
			"link create":      cli.JSON[linkShownJSON](cli.JSON[planJSON]()), // the latter with --list
			"link list":        cli.JSON[[]consentJSON](),
			"link show":        cli.JSON[linkShownJSON](),
			"link revoke":      cli.JSON[[]revocationJSON](),
			"revoke":           cli.JSON[[]revocationJSON](),
			"consent list":     cli.JSON[[]consentJSON](),
			"consent show":     cli.JSON[[]shownJSON](),
			"consent explain":  cli.JSON[[]explanationJSON](),
			"consent export":   cli.JSON[exportedJSON](cli.JSON[*health.Bundle]()), // the latter without -o
			"request send":     cli.JSON[requestJSON](cli.JSON[batchJSON]()),       // the latter with --from
			"request list":     cli.JSON[[]requestJSON](),
			"request show":     cli.JSON[requestJSON](),
			"request approve":  cli.JSON[grantedJSON](cli.JSON[planJSON]()), // the latter with --list
			"request deny":     cli.JSON[requestJSON](),
			"request withdraw": cli.JSON[requestJSON](),
			"audit":            cli.JSON[[]eventJSON](),
			"audit export":     cli.JSON[exportedEvents](cli.JSON[*health.Bundle](), cli.JSON[[]disclosureJSON]()), // the latter two without -o
			"view":             cli.JSON[*health.View](),
			"inbox":            cli.JSON[[]receivedJSON](cli.Lines[receivedJSON]("--watch")),
			"inbox accept":     cli.JSON[addedJSON](),
			"inbox decline":    cli.JSON[deliveryJSON](),
			"deliver":          cli.JSON[[]deliveryJSON](),
			"deliver list":     cli.JSON[[]deliveryJSON](),
			"deliver show":     cli.JSON[deliveryJSON](),
			"deliver withdraw": cli.JSON[deliveryJSON](),
			"fetch":            cli.JSON[[]fetchedJSON](cli.JSON[fetchedViewJSON](), cli.JSON[fromLinkJSON](), cli.Lines[fetchedJSON]("--watch"), cli.JSON[unitJSON]()), // the second with --view, the third of a link, the last with --unit

			"batch plan":   cli.JSON[*batch.Plan](),
			"batch apply":  cli.JSON[batchJSON](),
			"batch resume": cli.JSON[batchJSON](),
			"batch status": cli.JSON[batchJSON](),
			"batch drop":   cli.JSON[batchJSON](),
			"batch schema": nil, // of a line of a file

			"init":            cli.JSON[madeJSON](),
			"restore":         cli.JSON[restoredJSON](),
			"status":          cli.JSON[statusJSON](),
			"sync":            cli.JSON[[]syncJSON](),
			"address":         cli.JSON[addressJSON](),
			"card":            cli.JSON[cardJSON](),
			"keyring status":  cli.JSON[custody](),
			"keyring move":    cli.JSON[keyMovedJSON](),
			"keyring passwd":  cli.JSON[keyChangedJSON](),
			"keyring restore": cli.JSON[keyBackJSON](),
			"keyring unlock":  cli.JSON[unlockedJSON](),
			"keyring lock":    cli.JSON[lockedJSON](),
			"unlock":          cli.JSON[unlockedJSON](),
			"lock":            cli.JSON[lockedJSON](),
			"words show":      nil, // on a terminal alone
			"words check":     cli.JSON[wordsCheckedJSON](),
			"backup":          cli.JSON[backupJSON](),
			"profile list":    cli.JSON[[]profileJSON](),
			"profile create":  cli.JSON[madeJSON](),
			"profile remove":  cli.JSON[profileRemovedJSON](),
			"age identity":    cli.JSON[ageJSON](),
			"age recipient":   cli.JSON[ageJSON](),
			"age install":     cli.JSON[installedJSON](),
			"doctor":          cli.JSON[examJSON](),
			"try":             cli.JSON[triedJSON](),
			"version":         cli.JSON[version.Build](),

			"ledger list":     cli.JSON[[]placeJSON](),
			"ledger join":     cli.JSON[joinedJSON](),
			"ledger default":  cli.JSON[[]placeJSON](),
			"ledger confirm":  cli.JSON[ledgerIDJSON](),
			"ledger move":     cli.JSON[moveJSON](),
			"ledger leave":    cli.JSON[ledgerIDJSON](),
			"ledger witness":  cli.JSON[wallet.Witnessed](),
			"ledger info":     cli.JSON[ledgerJSON](),
			"ledger verify":   cli.JSON[ledgerJSON](),
			"ledger export":   cli.JSON[ledgerOutJSON](),
			"ledger evidence": cli.JSON[evidenceJSON](),
		},
		Texts: map[reflect.Type]cli.Schema{
			reflect.TypeFor[crypto.Hash]():               {Type: "string", Pattern: "^[0-9a-f]{64}$"},
			reflect.TypeFor[ledgerclient.Key]():          {Type: "string", Pattern: "^[0-9a-f]{64}$"},
			reflect.TypeFor[crypto.LedgerID]():           {Type: "string", Pattern: "^[0-9a-f]{64}$"},
			reflect.TypeFor[crypto.PubKey]():             {Type: "string", Pattern: "^0[23][0-9a-f]{64}$"},
			reflect.TypeFor[crypto.Address]():            {Type: "string", Pattern: "^carekey1[a-z2-7]+$"},
			reflect.TypeFor[crypto.Card]():               {Type: "string", Pattern: "^carekey-card1[a-z2-7]+$"},
			reflect.TypeFor[crypto.FetchCode]():          {Type: "string", Pattern: "^carekey-fetch1[a-z2-7]+$"},
			reflect.TypeFor[wallet.Hour]():               {Type: "string", Pattern: "^([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:00:00Z)?$", Comment: "a time, RFC 3339, or nothing"},
			reflect.TypeFor[wallet.Status]():             cli.OneOf(wallet.StatusActive, wallet.StatusUpcoming, wallet.StatusExpired, wallet.StatusRevoked, wallet.StatusPending, ""),
			reflect.TypeFor[wallet.What]():               cli.OneOf(wallet.Granted, wallet.Opened, wallet.Refused, wallet.Revoked, wallet.Stopped, wallet.Destroyed),
			reflect.TypeFor[wallet.StayReason]():         cli.OneOf(wallet.StayReceived, wallet.StayEnded, wallet.StayLink, wallet.StayUnreadable),
			reflect.TypeFor[payload.Category]():          cli.OneOf(append(payload.Categories(), payload.Part, "")...),
			reflect.TypeFor[health.Sensitivity]():        cli.OneOf(append(health.Sensitivities(), health.Unclassified, "plain")...),
			reflect.TypeFor[ledgerclient.Gate]():         cli.OneOf(ledgerclient.Advisory, ledgerclient.Enforced),
			reflect.TypeFor[ledgerclient.End]():          {Type: "string", Enum: []string{ledgerclient.Stopped.String(), ledgerclient.DestroyedShare.String()}},
			reflect.TypeFor[ledgerclient.LinkState]():    cli.OneOf(ledgerclient.LinkActive.String(), ledgerclient.LinkExhausted.String(), ledgerclient.LinkEnded.String(), ledgerclient.LinkLocked.String()),
			reflect.TypeFor[ledgerclient.LinkHappened](): cli.OneOf(ledgerclient.LinkOpened.String(), ledgerclient.LinkWrong.String(), ledgerclient.LinkRefused.String()),
			reflect.TypeFor[batch.Do]():                  cli.OneOf(batch.State, batch.Grant, batch.Revoke, batch.Ask),
			reflect.TypeFor[batch.Change]():              cli.OneOf(batch.Loses, batch.Sooner, batch.Gains, batch.Newer, batch.Longer, batch.Keeps),
			reflect.TypeFor[wallet.RequestStatus]():      cli.OneOf(wallet.RequestOpen, wallet.RequestApproved, wallet.RequestDenied, wallet.RequestOver, wallet.RequestWithdrawn, wallet.RequestUnread, wallet.RequestPending),
			reflect.TypeFor[severity]():                  cli.OneOf(fine, advice, broken),
		},
	}
}
