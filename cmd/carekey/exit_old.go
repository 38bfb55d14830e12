package main

import (
	"github.com/carekey/carekey/wallet"
)

// old gives errors of types whose values nobody looks at their code: each becomes that
// code where it is made, and its line here goes.
func old(err error) error {
	switch e := err.(type) {
	case *wallet.ExistsError:
		switch e.What {
		case "wallet":
			return wallet.ErrWalletExists
		case "contact":
			return wallet.ErrNameTaken
		}
		return wallet.ErrExists.With("what", e.What)
	case *wallet.NoWalletError:
		return wallet.ErrNoWallet.With("dir", e.Dir)
	case *wallet.NotFoundError:
		return wallet.ErrNotFound.With("noun", e.What, "query", e.Query, "like", e.Like)
	case *wallet.AmbiguousError:
		return wallet.ErrAmbiguous.With("query", e.Query, "matches", e.Matches)
	case *wallet.InputError:
		return wallet.ErrInput.With("field", e.Field, "value", e.Value, "why", e.Why)
	case *wallet.EmptyError:
		return wallet.ErrEmpty.With("of", e.What)
	case *wallet.BusyError:
		return wallet.ErrBusy.With("waited", e.Waited)
	case *wallet.VersionError:
		age := "newer"
		if e.Version < e.Known {
			age = "older"
		}
		return wallet.ErrVersion.With("age", age, "what", e.What, "version", e.Version)
	case *wallet.DamagedError:
		return wallet.ErrDamaged.Of(e.Err, "file", e.File)
	case *wallet.WrongKeyError:
		return wallet.ErrWrongKey
	case *wallet.EvidenceError:
		return wallet.ErrForkProved.Of(e.Err, "file", e.File)
	case *wallet.OtherWalletError:
		return wallet.ErrOtherWallet
	case *wallet.NotYoursError:
		code := wallet.ErrNotYours
		if e.Received {
			code = wallet.ErrNotGiver
		} else if e.Given {
			code = wallet.ErrNotRecipient
		}
		return code.With("consent", e.Consent)
	case *wallet.ForeignCodeError:
		return wallet.ErrForeignCode.With("code", e.Code, "wallet", e.Wallet)
	case *wallet.CodeHistoryError:
		return wallet.ErrCodeHistory.Of(e.Err)
	case *wallet.UnreadError:
		return wallet.ErrUnread.With("consent", e.Consent)
	case *wallet.MissingError:
		return wallet.ErrMissing.With("part", e.What, "id", e.ID)
	case *wallet.NothingError:
		return wallet.ErrNothing.With("ledger", e.Ledger, "entries", e.Entries)
	case *wallet.ForeignBackupError:
		return wallet.ErrForeignBackup.With("dir", e.Dir)
	case *wallet.UnsafeError:
		return wallet.ErrUnsafe.With("words", e.Words, "backup", e.Backup, "waiting", e.Waiting)
	case *wallet.FileExistsError:
		if e.Special {
			return wallet.ErrSpecialFile.With("path", e.Path)
		}
		return wallet.ErrFileExists.With("path", e.Path)
	case *wallet.WithdrawnError:
		return wallet.ErrWithdrawn.With("record", e.Record)
	case *wallet.PartlyError:
		return wallet.ErrPartly.Of(e.First, "done", e.Done, "failed", e.Failed)
	case *wallet.KeyLeftError:
		if e.Maybe {
			return wallet.ErrKeyMayLeft.Of(e.Err, "kind", e.Kind)
		}
		return wallet.ErrKeyLeft.Of(e.Err, "kind", e.Kind)
	case *wallet.LeaveError:
		switch {
		case e.Default:
			return wallet.ErrDefaultLedger.With("ledger", e.Ledger)
		case e.Waiting < 0:
			return wallet.ErrSomethingWaits.With("ledger", e.Ledger)
		}
		return wallet.ErrChangesWait.With("ledger", e.Ledger, "changes", e.Waiting)
	}
	return nil
}
