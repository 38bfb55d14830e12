package main

import (
	"path/filepath"
	"strings"

	"github.com/carekey/carekey/ledgerclient/folder"
)

// Stable error codes of what does not verify.

// tamperedCode is the error code for what did not verify: the first words name it.
func tamperedCode(what string) string {
	for _, k := range []struct{ begins, code string }{
		{"checkpoint of another", "foreign-checkpoint"}, {"order", "order-broken"}, {"checkpoint", "checkpoint-tampered"}, {"consistency proof", "proof-tampered"},
		{"configuration", "configuration-tampered"}, {"content", "content-tampered"}, {"metadata", "metadata-tampered"},
		{"terms", "terms-tampered"}, {"envelope", "envelope-tampered"}, {"share", "share-tampered"}, {"lock key", "share-tampered"},
		{"reason", "reason-tampered"}, {"entry", "entry-tampered"}, {"an entry", "entry-tampered"}, {"leaves", "entry-tampered"},
		{"answer", "answer-tampered"}, {"receipt", "receipt-tampered"}, {"acknowledgement", "acknowledgement-tampered"}, {"refusal", "refusal-tampered"},
		{"follow-ups", "entries-hidden"}, {"tile", "tile-tampered"}, {"payload", "payload-tampered"}, {"keepers", "configuration-tampered"}, {"author key", "entry-tampered"},
		{"state proof", "proof-tampered"}, {"inclusion proof", "proof-tampered"}, {"remembered head", "wallet-damaged"},
	} {
		if strings.HasPrefix(what, k.begins) {
			return k.code
		}
	}
	return "tampered"
}

// damagedCode is the error code for a damaged file of a ledger's folder.
func damagedCode(e *folder.DamagedError) string {
	switch dir, name := filepath.Split(e.File); {
	case e.File == "checkpoint" && e.What == folder.ForeignCheckpoint:
		return "foreign-checkpoint"
	case e.File == "checkpoint":
		return "checkpoint-tampered"
	case e.File == "genesis":
		return "configuration-tampered"
	case e.File == "leaves":
		return "entry-tampered"
	case strings.HasPrefix(e.File, "keys/"):
		return "ledger-key-damaged"
	case strings.HasPrefix(e.File, "keeper/shares"):
		return "share-tampered"
	case strings.HasPrefix(e.File, "keeper/"):
		return "keeper-damaged"
	case strings.HasPrefix(dir, "store/blobs/"):
		return name + "-tampered"
	case strings.HasPrefix(e.File, "store/"):
		return "store-damaged"
	}
	return "index-damaged"
}
