package cli

import (
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/node"
	"github.com/carekey/carekey/ledgerclient/order"
)

// old gives errors of types whose values nobody looks at their code: each becomes that
// code where it is made, and its line here goes.
func old(err error) error {
	switch e := err.(type) {
	case *ledgerclient.ForeignLedgerError:
		return ledgerclient.ErrForeign.With("want", e.Want, "got", e.Got)
	case *ledgerclient.StaleHeadError:
		if e.Age < 0 {
			return ledgerclient.ErrAhead.With("ahead", -e.Age)
		}
		return ledgerclient.ErrStale.With("age", e.Age)
	case *ledgerclient.EvidenceError:
		return ledgerclient.ErrEvidence.Of(e.Err, "what", e.What)
	case *ledgerclient.MessageError:
		return ledgerclient.ErrMessage.Of(e.Err, "message", e.Message)
	case *ledgerclient.SpentError:
		return ledgerclient.ErrSpent.With("entry", e.Entry)
	case *contract.ConfigError:
		return contract.ErrConfig.With("line", e.Line, "want", e.Want)
	case *contract.ContractVersionError:
		return contract.ErrContractVersion.With("version", e.Version)
	case *contract.PackageError:
		return contract.ErrPackage.With("what", e.What)
	case *contract.SizeError:
		return contract.ErrSize.With("what", e.What, "got", e.Got)
	case *node.InvitationError:
		return node.ErrInvitation.With("fault", e.Kind)
	case *node.AnswerError:
		return map[node.AnswerFault]error{node.AnswerSlow: node.ErrSlow, node.AnswerTooLarge: node.ErrTooLarge.With("limit", e.Limit),
			node.AnswerRedirects: node.ErrRedirect.With("to", e.To), node.AnswerForeign: node.ErrForeign.With("status", e.Status)}[e.Why]
	case *node.CertificateError:
		if e.Err != nil {
			return node.ErrAuthority.Of(e.Err)
		}
		return node.ErrCertificate.With("want", e.Want, "got", e.Got)
	case *order.UnknownError:
		return order.ErrUnknown.Of(e.Err)
	case *order.BrokenError:
		return order.ErrBroken.With("position", e.Position, "what", e.What)
	}
	return nil
}
