package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"github.com/carekey/carekey/cmd/cli"
	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/text"
	"github.com/carekey/carekey/ledgerclient/disk"
	"github.com/carekey/carekey/ledgerclient/node"
)

// explainText is about texts that people copy.
func explainText(err error) (failure, bool) {
	words := map[crypto.Fault]string{
		crypto.FaultMalformed: "is not complete, or is something else",
		crypto.FaultChecksum:  "has a typing mistake in it",
		crypto.FaultVersion:   "is of a newer carekey",
		crypto.FaultMixed:     "was put together from two addresses: do not use it",
	}
	if e, ok := errors.AsType[*crypto.AddressError](err); ok {
		return failure{"address-" + string(e.Kind), "the address " + words[e.Kind], "its owner sees it with: " + theirs + "address", exitUsage}, true
	}
	if e, ok := errors.AsType[*crypto.ShareCodeError](err); ok {
		return failure{"code-" + string(e.Kind), "the share code " + words[e.Kind], "copy it alone and whole, or look for the consent yourself: carekey inbox", exitUsage}, true
	}
	if e, ok := errors.AsType[*node.InvitationError](err); ok {
		return failure{"invitation-" + string(e.Kind), "the invitation " + words[e.Kind], "ask the operator of the node for it again", exitUsage}, true
	}
	if e, ok := errors.AsType[*text.EncodingError](err); ok {
		return failure{"bad-encoding", e.Why, "text files are UTF-8, or UTF-16 with its mark", exitUsage}, true
	}
	if e, ok := errors.AsType[*crypto.ChecksumError](err); ok {
		return failure{"bad-words", e.Error() + ": one is wrong, or their order", suspectText(e), exitUsage}, true
	}
	if is[*crypto.WordCountError](err) || is[*crypto.WordError](err) {
		hint := "compare them with your paper"
		if is[*wordsFileError](err) {
			hint = "look at the file: it holds the 24 words in their order, numbered or not, and no other words"
		}
		return failure{"bad-words", err.Error(), hint, exitUsage}, true
	}
	return failure{}, false
}

// suspectText says where to look for what is wrong with words.
func suspectText(e *crypto.ChecksumError) string {
	if len(e.Suspects) == 0 {
		return "compare them with your paper, all of them"
	}
	var at []string
	for _, i := range e.Suspects {
		at = append(at, fmt.Sprint(i+1))
	}
	return "compare them with your paper; one slip would explain it at word " + strings.Join(at, ", or ")
}

func explainSystem(err error) (failure, bool) {
	path := ""
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		path = e.Path + ": "
	} else if e, ok := errors.AsType[*os.LinkError](err); ok {
		path = e.New + ": "
	}
	if e, ok := errors.AsType[*disk.KindError](err); ok {
		return failure{"not-a-file", e.Error() + ", and is in the way", "no such thing is opened: move it away, and try again", exitUnexpected}, true
	}
	if at, ok := cli.NoLocks(err); ok {
		return failure{"no-locks", at + ": the file system keeps no locks: " + cause(err), "keep carekey's home and its ledger on a disk of this computer", exitUnexpected}, true
	}
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return failure{"disk-full", "the disk is full", "make room and try again", exitUnexpected}, true
	case errors.Is(err, syscall.EROFS):
		return failure{"read-only", path + "the file system is read-only", "make it writable, or name another place", exitUnexpected}, true
	case errors.Is(err, fs.ErrPermission):
		return failure{"permission-denied", path + "permission denied", "check who owns it", exitUnexpected}, true
	case errors.Is(err, fs.ErrNotExist):
		return failure{"file-not-found", path + "there is no such file", "look at its name and folder", exitNotFound}, true
	case path != "":
		return failure{"file-error", path + cause(err), "look at the file, and try again", exitUnexpected}, true
	}
	return failure{}, false
}

// cause is what the operating system says about a path, without the path.
func cause(err error) string {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err.Error()
	}
	return cli.System(err)
}
