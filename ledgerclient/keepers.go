package ledgerclient

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/crash"
	"github.com/carekey/carekey/ledgerclient/contract"
)

// A ledger has one keeper or several. Those of a grant are the ones in the document that
// was in force where the grant stands in the log, with its numbers: who joins or leaves
// later changes nothing of it.

// ConfigAt is the configuration in force for an entry at a position of the log, and its
// number: how many there were before it. It must not be changed.
func (c *Client) ConfigAt(position uint64) (number int, config *contract.Config) {
	terms := c.known()
	number = at(terms, position)
	return number, &terms[number].Config
}

// Configs are the configurations that are known now, by their numbers.
func (c *Client) Configs() (configs []contract.Config) {
	for _, t := range c.known() {
		configs = append(configs, t.Config)
	}
	return configs
}

// Keeper returns the keeper with a key. One that the services have no way to gives no
// answer to anything.
func (c *Client) Keeper(key crypto.PubKey) Keeper {
	for _, k := range c.Keepers {
		if k.Key() == key {
			return k
		}
	}
	return away{key: key, err: &UnreachableError{Service: "keeper", Err: errNoWay}}
}

// Ways is to how many keepers of the newest configuration the services have a way, and how
// many keepers it has.
func (c *Client) Ways() (known, all int) {
	config := c.Config()
	for _, k := range c.Keepers {
		if slices.Contains(config.Keepers, k.Key()) {
			known++
		}
	}
	return known, len(config.Keepers)
}

var errNoWay = errors.New("where it is reached is not known")

// KeeperName is what the keeper of a line of a configuration, from 0, is called: by its
// number, from 1. Numbers are those of one document: among several the beginning of its
// key says which it is everywhere.
func KeeperName(c *contract.Config, line int) string {
	name := fmt.Sprintf("keeper %d", line+1)
	if len(c.Keepers) > 1 {
		name += " (" + c.Keepers[line].String()[:8] + ")"
	}
	return name
}

// Liars is how many institutions of a configuration may lie, or be missing, without that
// its heads cannot be believed or come to an end.
func Liars(c *contract.Config) int { return len(c.Nodes) - int(c.Threshold) }

// Operators is how many institutions of a configuration have to break the rules together to
// open without an entry, for which it takes as many keepers as open a grant, or to show two
// histories, for which that many nodes must sign both.
func Operators(c *contract.Config) int {
	return min(int(c.Release), int(c.Threshold)-Liars(c))
}

// KeeperBound is for how long at most an honest keeper releases shares after enough nodes
// have signed a head with a revocation: it judges by a head that enough nodes signed no
// longer ago than that, and once they have signed one none of them gives a smaller one a
// later time.
const KeeperBound = 3 * time.Minute

// Patience is how long others are waited for once enough have answered.
const Patience = 3 * time.Second

// errSlow is why the context of an ask of AskAll ends.
var errSlow = &UnreachableError{Service: "keeper", Err: errors.New("it gave no answer when others did")}

// errNotNeeded is the same where nothing more is wanted.
var errNotNeeded = errors.New("enough others have answered")

// AskAll asks n keepers at the same time. ask asks one of them and keeps what it says; it
// runs in a goroutine of its own, unless there is one keeper only. said is called by who
// called AskAll, for each in the order in which they end, and reports whether that is
// enough: those that are left then have as long as rest, and their context ends, with
// which ask must end. With no rest nothing more is wanted of them: it says nothing against
// them that they were slower, and said is not called. AskAll returns when all have ended.
func AskAll(ctx context.Context, n int, rest time.Duration, ask func(ctx context.Context, i int) error, said func(i int, err error) (enough bool)) {
	if n == 1 {
		said(0, Waited(ctx, ask(ctx, 0)))
		return
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	type end struct {
		i   int
		err error
	}
	ends := make(chan end, n)
	for i := range n {
		go func() {
			defer crash.Report()
			err := Waited(ctx, ask(ctx, i))
			if context.Cause(ctx) == errNotNeeded {
				err = errNotNeeded
			}
			ends <- end{i, err}
		}()
	}
	enough := false
	for range n {
		e := <-ends
		if e.err == errNotNeeded || !said(e.i, e.err) || enough {
			continue
		}
		if enough = true; rest == 0 {
			stop(errNotNeeded)
			continue
		}
		defer time.AfterFunc(rest, func() { stop(errSlow) }).Stop()
	}
}

// Hurry is a context for what is tried beside something else, and not waited for longer
// than [Patience].
func Hurry(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, Patience, errSlow)
}

// Waited is why there is no answer to a question of AskAll whose error was err: that it
// was not waited for any longer, if that is so.
func Waited(ctx context.Context, err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		if slow := Unreachable(context.Cause(ctx)); slow != nil {
			return slow
		}
	}
	return err
}
