package main

import (
	"github.com/carekey/carekey/cmd/cli"
	"github.com/carekey/carekey/cmd/version"
)

// schemas say what each command prints with --json: see carekey's.
func schemas() cli.Schemas {
	return cli.Schemas{Results: map[string]cli.Prints{
		"":             nil, // its help
		"init":         cli.JSON[description](),
		"found":        nil, // its help
		"found line":   cli.JSON[lineJSON](),
		"found draft":  cli.JSON[draftJSON](),
		"found show":   cli.JSON[draftJSON](),
		"found node":   cli.JSON[description](),
		"serve":        cli.JSON[servingJSON](), // once, when it listens
		"invite":       cli.JSON[invitationJSON](),
		"token list":   cli.JSON[[]tokenJSON](),
		"token remove": cli.JSON[tokenRemovedJSON](),
		"token close":  cli.JSON[closedJSON](),
		"token open":   cli.JSON[closedJSON](),
		"status":       cli.JSON[description](),
		"vkey":         cli.JSON[vkeyJSON](),
		"backup":       cli.JSON[backupJSON](),
		"witness":      cli.JSON[witnessJSON](), // once, when it listens
		"conform":      cli.JSON[[]ruleJSON](),
		"version":      cli.JSON[version.Build](),
		"unit":         cli.JSON[unitJSON](),
		"devnet":       cli.JSON[devnetJSON](), // once, when all of it serves, and what is played was
	}}
}
