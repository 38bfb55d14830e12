package wallet

import (
	"regexp"
	"strings"
	"sync"

	"github.com/carekey/carekey/ledgerclient/disk"
)

// Every name that carekey gives in a wallet's folder, as a path with slashes. What has
// another name is nobody's: files that an operating system, or a program that copies
// folders, left there. It is passed over, and never removed.
var (
	layoutFolders = layout(`ledgers(/{id}(/(journal|batch|parts))?)?`)
	layoutFiles   = layout(
		`wallet\.json|state|tables|key-check|lock(\.next)?|making|removing|restoring|key\.age(\.new)?|evidence-[0-9a-f]{8}-[0-9a-f]{8}`,
		`ledgers/{id}/(state|cache|index|mark|genesis|sites|config-[1-9][0-9]*)`,
		`ledgers/{id}/journal/{id}-{id}`,
		`ledgers/{id}/parts/{id}{id}{id}{id}(-persons)?`,
		`ledgers/{id}/batch/(job|recipients|choices|ask|(items|left|done)-[0-9]+)`,
		`(ledgers/{id}/)?((journal|batch|parts)/)?\.new-[0-9a-f]{12}`,
	)
	profileFolder = layout(`{id}`)
)

func layout(paths ...string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`^(` + strings.ReplaceAll(strings.Join(paths, "|"), `{id}`, `[0-9a-f]{16}`) + `)$`)
	})
}

// Strangers looks through the wallet's folder dir without opening a file. strange are
// the paths in it, with slashes, that carekey never writes. damaged are those that it
// writes, but not as what they are: a link, a pipe, a folder in the place of a file.
func Strangers(dir string) (strange []string, damaged []*DamagedError, err error) {
	strange, others, err := disk.Strangers(dir, layoutFiles(), layoutFolders())
	for _, o := range others {
		damaged = append(damaged, &DamagedError{File: o.Path, Err: o})
	}
	return strange, damaged, err
}
