package server

import (
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/node"
)

// The keeper of the folder judges on the folder's own log, under its lock, so that
// its head is as fresh as it can be; the clock is the server's to judge.

func (s *Server) deposit(q *request) error {
	deposits, err := node.ParseDeposits(q.body)
	if err != nil {
		return err
	}
	clear(q.body) // the shares
	if err := s.checks(q, len(deposits)); err != nil {
		return err
	}
	receipts, err := s.keeper.Deposit(q.Context(), deposits)
	for i := range deposits {
		deposits[i].Share.Wipe()
	}
	codes, ok := node.Codes(err, len(deposits))
	if !ok {
		return err
	}
	return q.answer(node.TypeBinary, node.MarshalReceipts(receipts, codes))
}

// checks counts signatures that are to be checked for somebody who needs no token.
func (s *Server) checks(q *request, n int) error {
	if wait, ok := s.buckets.take(q.address, "checks", s.limits.Checks, float64(n)); !ok {
		return refuseFor(node.KindTooMany, wait)
	}
	return nil
}

func (s *Server) state(q *request) error {
	question, err := ledgerclient.ParseInquiry(q.body)
	if err != nil {
		return err
	}
	state, err := s.keeper.State(q.Context(), question)
	if err != nil {
		return err
	}
	return q.answer(node.TypeBinary, node.MarshalKeeperState(state))
}

func (s *Server) release(q *request) error {
	r, err := ledgerclient.ParseRequest(q.body)
	if err != nil {
		return err
	}
	// A revocation may stand in the order that the folder has not read yet.
	if s.opt.Ledger != nil {
		if err := s.opt.Ledger.Follow(q.Context()); err != nil {
			return err
		}
	}
	a, err := s.keeper.Release(q.Context(), r)
	if err != nil {
		return err
	}
	s.metrics.answered(a.Code)
	return q.answer(node.TypeBinary, a.Marshal())
}

func (s *Server) revoke(q *request) error {
	revocations, err := node.ParseEntries(q.body)
	if err != nil {
		return err
	}
	if err := s.checks(q, len(revocations)); err != nil {
		return err
	}
	acks, err := s.keeper.Revoke(q.Context(), revocations)
	codes, ok := node.Codes(err, len(revocations))
	if !ok {
		return err
	}
	return q.answer(node.TypeBinary, node.MarshalAcknowledgements(acks, codes))
}

func (s *Server) inquire(q *request) error {
	question, err := ledgerclient.ParseInquiry(q.body)
	if err != nil {
		return err
	}
	a, err := s.keeper.Inquire(q.Context(), question)
	if err != nil {
		return err
	}
	return q.answer(node.TypeBinary, a.Marshal())
}
