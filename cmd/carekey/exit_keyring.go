package main

import (
	"errors"
	"fmt"

	"github.com/carekey/carekey/wallet/keyring"
)

func explainKeyring(err error) (failure, bool) {
	fail := func(code, message, hint string) (failure, bool) {
		return failure{code, message, hint, exitLocked}, true
	}
	const (
		file   = "for a new wallet a passphrase file does without it: " + envKeyring + "=file carekey init ...\nfor this one, where the keyring is in reach: carekey keyring move file"
		unlock = "log in at the desktop, or unlock it here (it reads your login password): gnome-keyring-daemon --unlock\nthen look: carekey keyring status"
	)
	// These two wrap what was seen when they read back.
	if is[*keyring.NotStoredError](err) && is[*keyring.NotDeletedError](err) {
		return fail("key-left-behind", "the keyring took the key, did not give it back, and may still hold it: there is no wallet", "look for items of carekey in the keyring's own program, and delete what no wallet uses; then try again")
	}
	if is[*keyring.NotStoredError](err) {
		return fail("key-not-stored", "the keyring took the key and did not give it back: nothing was made", "was its prompt dismissed? try again")
	}
	if e, ok := errors.AsType[*keyring.NotDeletedError](err); ok {
		why := "it still has it"
		if e.Err != nil {
			why = explain(e.Err).Message
		}
		return fail("key-not-deleted", "the keyring did not give the key up: "+why, "")
	}
	if e, ok := errors.AsType[*keyring.AbsentError](err); ok {
		m := "the keyring of the operating system cannot be reached: " + string(e.Reason)
		switch e.Reason {
		case keyring.NoBus:
			return fail("keyring-absent", m+", as over SSH, in a container or under sudo", "log in at the desktop of this computer, and try again\n"+file)
		case keyring.NoProvider:
			return fail("keyring-absent", m+" runs in this session", "install and start one, such as gnome-keyring, and try again\n"+file)
		case keyring.BrokeOff:
			return fail("keyring-absent", m, "try again; if it happens again, log out and in")
		}
		return fail("keyring-absent", m, file)
	}
	if e, ok := errors.AsType[*keyring.LockedError](err); ok {
		m := "the keyring of the operating system is locked"
		if e.Reason != "" {
			m += ": " + string(e.Reason)
		}
		switch e.Reason {
		case keyring.Dismissed:
			return fail("keyring-locked", m, "try again, and give it the password of your keyring: mostly that of your login")
		case keyring.NotAsked:
			return fail("keyring-locked", m+" because of --no-input", "unlock it first, or leave out --no-input")
		}
		return fail("keyring-locked", m, unlock)
	}
	if e, ok := errors.AsType[*keyring.TimeoutError](err); ok {
		if e.Prompt {
			return fail("keyring-prompt-unanswered", fmt.Sprintf("the keyring of the operating system asked for its password, and nobody answered within %s", e.After),
				"try again, and answer in its window; it may be behind others or on another screen\nmore time: "+envPromptTimeout+"=5m carekey ...")
		}
		return fail("keyring-timeout", fmt.Sprintf("the keyring of the operating system did not answer within %s", e.After),
			"look for a window of it that waits for you, and see: carekey keyring status\nmore time: "+envKeyringTimeout+"=30s carekey ...")
	}
	if e, ok := errors.AsType[*keyring.ItemNotFoundError](err); ok {
		if e.Kind == keyring.KindFile {
			return fail("key-missing", "the key file of this wallet is not there", "make it anew from your 24 words: carekey keyring restore\nor put "+keyring.FileName+" back, if you keep a copy of it")
		}
		return fail("key-missing", "the keyring holds no key for this wallet: another user of this computer made it, or some program removed it", "look for it: carekey keyring status\nif it is gone, your 24 words bring it back: carekey keyring restore")
	}
	if is[*keyring.ItemExistsError](err) { // before ItemChangedError, which it may wrap
		return fail("key-exists", "there is a key here already, and no wallet that it belongs to", "an earlier init may have been interrupted: move the key away, then try again")
	}
	if is[*keyring.ItemChangedError](err) {
		return fail("key-changed", "what the keyring holds for this wallet was changed by another program", "your 24 words put it back: carekey keyring restore")
	}
	if is[*keyring.WrongPassphraseError](err) {
		return fail("wrong-passphrase", "the passphrase does not open your key file", "try again; check "+envPassphrase+" if you use it")
	}
	if is[*keyring.EmptyPassphraseError](err) {
		return fail("empty-passphrase", "the passphrase is empty", "of a file or a descriptor, the first line is taken")
	}
	if is[*keyring.DamagedError](err) {
		return fail("key-file-damaged", "the key file is damaged", "make it anew from your 24 words: carekey keyring restore\nor put "+keyring.FileName+" back, if you keep a copy of it")
	}
	if is[*keyring.TooLargeError](err) {
		return fail("key-too-large", "the keyring of the operating system takes no item of this size", file)
	}
	if is[*keyring.FailedError](err) || is[*keyring.ArgumentError](err) {
		return fail("keyring-failed", err.Error(), file)
	}
	return failure{}, false
}
