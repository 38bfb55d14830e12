package server

import (
	"context"
	"time"

	"github.com/carekey/carekey/ledgerclient/order"
)

// stateTime is how long an order may take to say in what state it is.
const stateTime = 5 * time.Second

// stated is an Ordered that may know whether its order decides: an order.Ledger.
type stated interface {
	State(context.Context) (*order.State, error)
}

// askOrder asks the order in what state it is, and says in the log when that becomes another.
// One that gives no answer does not decide what is submitted here.
func (s *Server) askOrder(run context.Context, of stated) {
	ctx, cancel := context.WithTimeout(run, stateTime)
	defer cancel()
	now, err := of.State(ctx)
	if run.Err() != nil || err == nil && now == nil {
		return
	}
	if err != nil {
		now = &order.State{Words: cause(err)}
	}
	was := s.order.Swap(now)
	switch decided := was == nil || was.Decides; {
	case decided && !now.Decides:
		s.log.Error("order: nothing is ordered", "cause", now.Words)
	case !decided && now.Decides:
		s.log.Info("order: it decides again", "state", now.Words)
	}
}

// orderGauges say in what state the order is, if it says that.
func (s *Server) orderGauges(now map[string]float64) {
	state := s.order.Load()
	if state == nil {
		return
	}
	now["carekey_order_decides"], now["carekey_order_waits_seconds"] = 0, state.Waits.Seconds()
	if state.Decides {
		now["carekey_order_decides"] = 1
	}
}
