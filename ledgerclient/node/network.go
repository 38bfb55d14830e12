package node

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/crash"
	"github.com/carekey/carekey/crypto/fault"
	"github.com/carekey/carekey/ledgerclient"
	"github.com/carekey/carekey/ledgerclient/contract"
	"golang.org/x/mod/sumdb/tlog"
)

// Turn is how long a node may take before the next one is asked too.
const Turn = 2 * time.Second

// Network is a ledger at the nodes of its institutions: each of their keepers where that
// is reached, and ledger and store at any of them. The node of the invitation is asked first,
// and then the next in the order of the configuration: always the same, so that few learn who
// asks. One that gives no answer is asked last from then on. Its methods are safe for
// concurrent use.
//
// A ledger of one institution is one node: then it is that [Node] and nothing else.
type Network struct {
	inv   Invitation
	first *Node // of the invitation
	opt   Options
	turn  time.Duration // Turn, but in tests
	// configs are those that are known, the newest last: its nodes are asked. Keepers of
	// consents are in any.
	configs []*contract.Config

	mu     sync.Mutex
	order  []*Node                    // as they are asked
	left   []*Node                    // that have left, whose keepers may hold shares
	met    map[crypto.Signature]*Node // each node that was laid, by the signature of its site
	sites  Sites
	old    bool // sites that are not kept yet, or a node was not where they say
	passed []PassedOver

	headed map[*Node]uint64 // the sizes of the heads that Checkpoints took since the last Append
	gave   []*Node          // the leaves since the last Checkpoints, or Unlike
	unlike []*Node          // that, since the last Checkpoints, gave others than those under a head, or may have

	took    *Node   // answered the last Append; nil: that was doubted, or there was none
	doubted []*Node // what they answered to an Append since the last Anew
}

// PassedOver is a node that did not do what it was asked for, so that another one was.
type PassedOver struct {
	Line int    // in the configuration that is known, from 0; -1: it has left
	Name string // what its institution calls itself; "": that is not known
	Err  error  // of what it did not do, the one that says most
}

// Passed are the nodes that were passed over, each once, in the order in which that was.
func (nw *Network) Passed() []PassedOver {
	nw.mu.Lock()
	defer nw.mu.Unlock()
	return slices.Clone(nw.passed)
}

// Institution is what the institution with a keeper calls itself; "" if that is not known.
func (nw *Network) Institution(keeper crypto.PubKey) string {
	nw.mu.Lock()
	defer nw.mu.Unlock()
	site, _ := nw.sites.OfKeeper(keeper)
	return site.Name
}

// Reach prepares to speak with the nodes of the ledger of an invitation. Which there are is
// asked for where Options do not know it; as long as it is not known of some, their
// keepers are not among the services. Errors: those of Dial.
func Reach(ctx context.Context, inv Invitation, opt Options) (*Network, error) {
	first, err := Dial(ctx, inv, opt)
	if err != nil {
		return nil, err
	}
	nw := &Network{inv: inv, first: first, opt: opt, turn: Turn, order: []*Node{first}, met: map[crypto.Signature]*Node{}, configs: []*contract.Config{first.config}}
	if len(opt.Later) > 0 {
		all, err := ledgerclient.ReadConfigs(slices.Concat([][]byte{first.genesis}, opt.Later))
		if err != nil {
			return nil, err
		}
		nw.configs = all
	}
	if nw.sites = NoSites(first.id, nw.configs...); len(nw.configs) == 1 && len(first.config.Nodes) == 1 {
		return nw, nil
	}
	if some, err := SitesForm.Parse(opt.Sites); err == nil {
		nw.sites, _ = nw.sites.With(some...)
	}
	nw.lay()
	// So many that one of them does not lie: who is first met does not keep the others away.
	for asked := 0; asked <= ledgerclient.Liars(nw.config()) && asked < len(nw.order) && !nw.sites.Whole(); asked++ {
		nw.ask(ctx, nw.order[asked])
		nw.lay()
	}
	return nw, nil
}

// ask asks a node for sites. Without an answer there are those that are known.
func (nw *Network) ask(ctx context.Context, n *Node) {
	ctx, cancel := context.WithTimeout(ctx, peerWait)
	defer cancel()
	some, err := n.wire.sites(ctx)
	if err != nil {
		return
	}
	taken := 0
	if nw.sites, taken = nw.sites.With(some...); taken > 0 {
		nw.old = true
		nw.keep()
	}
}

// keep keeps the sites.
func (nw *Network) keep() {
	if nw.opt.Keep != nil && nw.opt.Keep(SitesForm.Marshal(nw.sites.All())) == nil {
		nw.old = false
	}
}

// lay makes the nodes, from that of the invitation on in the order of the configuration. Where
// the invitation leads to another place than that of its node's site, it is asked last, and
// has no keeper.
func (nw *Network) lay() {
	inv, nodes := nw.inv, nw.config().Nodes
	begin := max(0, slices.IndexFunc(nodes, func(n contract.Node) bool { return n.Checkpoint == inv.Node }))
	var order []*Node
	for i := range nodes {
		site, ok := nw.sites.Of(nodes[(begin+i)%len(nodes)])
		switch {
		case !ok:
		case nw.isFirst(site):
			order = append(order, nw.first)
		default:
			order = append(order, nw.at(site))
		}
	}
	if !slices.Contains(order, nw.first) {
		order = append(order, nw.first)
		if _, ok := nw.sites.Of(nodes[begin]); !ok { // it is what is known of its node
			order = slices.Insert(order[:len(order)-1], 0, nw.first)
		}
	}
	for _, n := range order {
		n.others = nw.head
	}
	nw.order, nw.left = order, nil
	for _, site := range nw.sites.All() {
		if !slices.Contains(nodes, site.Node) {
			nw.left = append(nw.left, nw.at(site))
		}
	}
}

// isFirst reports whether a site is where the invitation leads.
func (nw *Network) isFirst(s Site) bool {
	return s.Node.Checkpoint == nw.inv.Node && s.Fingerprint == nw.inv.Fingerprint && slices.Equal(s.URLs, nw.inv.URLs)
}

// Close ends the connections. Before that it looks where the nodes are now, if one was not
// where it was known to be, and keeps that.
func (nw *Network) Close() error {
	nw.mu.Lock()
	defer nw.mu.Unlock()
	if nw.old && len(nw.order) > 1 {
		nw.ask(context.Background(), nw.order[0])
		nw.keep()
	}
	errs := []error{nw.first.Close()}
	for _, n := range nw.met {
		errs = append(errs, n.Close())
	}
	return errors.Join(errs...)
}

// Services are the ledger, the store, and the keepers of which it is known where they are
// reached.
func (nw *Network) Services() ledgerclient.Services {
	s := nw.first.Services()
	if len(nw.order) == 1 && len(nw.configs) == 1 {
		return s
	}
	s.Ledger, s.Store, s.Keepers, s.Links = logs{nw}, stores{nw}, nil, nil
	done, nodes := map[crypto.PubKey]bool{}, slices.Concat(nw.order, nw.left)
	for _, config := range slices.Backward(nw.configs) {
		for _, key := range config.Keepers {
			site, ok := nw.sites.OfKeeper(key)
			if !ok || done[key] {
				continue
			}
			done[key] = true
			for _, n := range nodes {
				if n.self == site.Node.Checkpoint && (n != nw.first || nw.isFirst(site)) {
					s.Keepers = append(s.Keepers, keeper{n, key})
					break
				}
			}
		}
	}
	return s
}

// config is the newest configuration that is known.
func (nw *Network) config() *contract.Config { return nw.configs[len(nw.configs)-1] }

// at is the node at a site.
func (nw *Network) at(site Site) *Node {
	if n := nw.met[site.ByNode]; n != nil {
		return n
	}
	inv := Invitation{Ledger: nw.inv.Ledger, Node: site.Node.Checkpoint, Name: nw.inv.Name, URLs: site.URLs, Fingerprint: site.Fingerprint, Token: nw.inv.Token}
	n := &Node{wire: newWire(&inv, nw.opt.Wait), id: inv.Ledger, place: nw.first.place, genesis: nw.first.genesis, config: nw.config(), self: inv.Node}
	nw.met[site.ByNode] = n
	return n
}

// asked are the nodes in the order in which they are asked.
func (nw *Network) asked() []*Node {
	nw.mu.Lock()
	defer nw.mu.Unlock()
	return slices.Clone(nw.order)
}

// failed takes note of what a node did not do. Is it not there, or is wrong what it
// answered, it is asked after the others from now on.
func (nw *Network) failed(n *Node, why error, wrong bool) {
	if is[*ledgerclient.NotFoundError](why) || is[*ledgerclient.RangeError](why) {
		return
	}
	nw.mu.Lock()
	defer nw.mu.Unlock()
	if !slices.Contains(nw.order, n) {
		return
	}
	if wrong || isAway(why) || weight(why) == 4 {
		nw.behind(n)
	}
	nodes := nw.config().Nodes
	p := PassedOver{Line: slices.IndexFunc(nodes, func(c contract.Node) bool { return c.Checkpoint == n.self }), Err: why}
	switch at := slices.IndexFunc(nw.passed, func(was PassedOver) bool { return was.Line == p.Line }); {
	case at >= 0:
		nw.passed[at].Err = worse(nw.passed[at].Err, why)
		return
	case p.Line >= 0:
		site, _ := nw.sites.Of(nodes[p.Line])
		p.Name = site.Name
	}
	nw.passed = append(nw.passed, p)
}

// behind has a node asked after the others.
func (nw *Network) behind(n *Node) {
	i := slices.Index(nw.order, n)
	nw.order, nw.old = append(slices.Delete(nw.order, i, i+1), n), true
}

// head is the root of a head that one of the nodes has shown.
func (nw *Network) head(size uint64) (root tlog.Hash, known bool) {
	for _, n := range nw.asked() {
		if root, known, _ := n.shown(size); known {
			return root, true
		}
	}
	return root, false
}

// gather asks nodes until so many have an answer that take accepts: as many at first, and the
// next one when one fails, or has taken its Turn. Where there are no more, those that have not
// answered are not waited for once one has. Without an answer the error is the one that says
// most. ask is told how many were asked before.
func gather[T any](ctx context.Context, nw *Network, nodes []*Node, want int, ask func(ctx context.Context, n *Node, before int) (T, error), take func(T) error) error {
	want = min(want, len(nodes))
	if len(nodes) == 1 {
		v, err := ask(ctx, nodes[0], 0)
		if err == nil {
			err = take(v)
		}
		return err
	}
	parent := ctx
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	type said struct {
		at  int
		v   T
		err error
	}
	answers := make(chan said, len(nodes))
	begun, have, open := 0, 0, map[int]bool{}
	begin := func() {
		if begun == len(nodes) {
			return
		}
		at := begun
		begun, open[at] = begun+1, true
		go func() {
			defer crash.Report()
			v, err := ask(ctx, nodes[at], at)
			answers <- said{at, v, err}
		}()
	}
	for range want {
		begin()
	}
	turn := time.NewTicker(nw.turn)
	defer turn.Stop()
	var worst error
	for last := 0; have < want && len(open) > 0; {
		select {
		case <-turn.C:
			if begun == len(nodes) && have > 0 {
				last = begun
				want = have
			}
			begin()
		case a := <-answers:
			delete(open, a.at)
			came := a.err == nil
			if came {
				a.err = take(a.v)
			}
			if a.err == nil {
				have, last = have+1, a.at
				break
			}
			if err := parent.Err(); err != nil {
				return err
			}
			nw.failed(nodes[a.at], a.err, came)
			worst = worse(worst, a.err)
			begin()
			turn.Reset(nw.turn)
		}
		if have == want {
			for at := range open {
				if at < last { // the others were not given their turn
					nw.failed(nodes[at], errTurn, false)
				}
			}
		}
	}
	if have > 0 {
		return nil
	}
	return worst
}

// some is gather of one answer.
func some[T any](ctx context.Context, nw *Network, nodes []*Node, ask func(context.Context, *Node) (T, error)) (answer T, err error) {
	err = gather(ctx, nw, nodes, 1, func(ctx context.Context, n *Node, _ int) (T, error) { return ask(ctx, n) }, func(v T) error {
		answer = v
		return nil
	})
	return answer, err
}

// wanting are those who want a token, and what else nodes did not do.
type wanting struct {
	mu    sync.Mutex
	n     int
	token *RefusedError // of the last of them
	other error         // that says most of the others
}

// hear takes in what a node did not do.
func (w *wanting) hear(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if r, ok := errors.AsType[*RefusedError](err); ok && r.Kind == KindToken {
		w.n, w.token = w.n+1, r
	} else if err != nil {
		w.other = worse(w.other, err)
	}
}

// worst is what says most of what was heard; nil: nothing was.
func (w *wanting) worst() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.token == nil {
		return w.other
	}
	return worse(w.other, w.token)
}

// instead is what is to be said in the place of err, which none of them did: where one of those
// who want a token cannot be a liar, that it is wanting, whatever fewer say, otherwise what the
// others say. It is as of a node out of reach where one did not refuse, which may have done it.
func (w *wanting) instead(liars int, service string, err error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch said, refused := errors.AsType[*RefusedError](err); {
	case w.n <= liars && refused && said.Kind == KindToken && w.other != nil:
		return w.other
	case w.n <= liars:
	case weight(err) > 1 || errors.Is(err, ledgerclient.ErrMessage):
		return &ledgerclient.UnreachableError{Service: service, Err: w.token, Answered: true}
	case ProblemOf(err).Kind != KindFailed: // that is nobody's answer
		return w.token
	}
	return err
}

// errTurn is what is wrong with a node that was slower than the one that was asked after it.
var errTurn = &ledgerclient.UnreachableError{Service: ofLedger, Err: ErrSlow}

// isAway reports whether an error means that a node is not where it was looked for.
func isAway(err error) bool {
	_, other := fault.As(err, ErrCertificate)
	_, unknown := fault.As(err, ErrAuthority)
	return other || unknown || ledgerclient.Unreachable(err) != nil
}

// worse is the error of two nodes that says more: that one is not what it should be, then why
// one that answers cannot do it, then that one is silent, then what one has not.
func worse(a, b error) error {
	if a == nil || weight(b) > weight(a) {
		return b
	}
	return a
}

func weight(err error) int {
	switch u := ledgerclient.Unreachable(err); {
	case is[*ledgerclient.TamperedError](err), is[*ledgerclient.ForkError](err), is[*ledgerclient.RollbackError](err):
		return 4
	case u != nil && u.Answered:
		return 3
	case u != nil:
		return 2
	case is[*ledgerclient.NotFoundError](err):
		return 0
	}
	return 1
}

// logs is the log at the nodes of a Network.
type logs struct{ nw *Network }

var (
	_ ledgerclient.Configured = logs{}
	_ ledgerclient.Follower   = logs{}
	_ ledgerclient.Several    = logs{}
	_ ledgerclient.Witnessed  = logs{}
)

func (l logs) Properties() ledgerclient.Properties {
	return properties(l.nw.inv.URLs[0], ledgerclient.Operators(l.nw.config()))
}
func (l logs) Genesis(context.Context) ([]byte, error) { return l.nw.first.genesis, nil }
func (l logs) Configs(ctx context.Context) ([][]byte, error) {
	return some(ctx, l.nw, l.nw.asked(), func(ctx context.Context, n *Node) ([][]byte, error) { return ledger{n}.Configs(ctx) })
}
func (l logs) Witnessed(ctx context.Context) ([]byte, error) {
	return some(ctx, l.nw, l.nw.asked(), func(ctx context.Context, n *Node) ([]byte, error) { return ledger{n}.Witnessed(ctx) })
}
func (l logs) Checkpoint(ctx context.Context) (note []byte, err error) {
	return some(ctx, l.nw, l.nw.asked(), func(ctx context.Context, n *Node) ([]byte, error) { return ledger{n}.Checkpoint(ctx) })
}

// Checkpoints asks them at the same time, first the one that took the last entries: it
// knows why they stand where they do. Leaves come along from one of them.
func (l logs) Checkpoints(ctx context.Context, want int, take func(note []byte) error) error {
	nw := l.nw
	nodes := nw.asked()
	nw.mu.Lock()
	nw.gave, nw.unlike, nw.headed = nil, nil, map[*Node]uint64{}
	if i := slices.Index(nodes, nw.took); i > 0 {
		nodes = slices.Insert(slices.Delete(nodes, i, i+1), 0, nw.took)
	}
	nw.mu.Unlock()
	type answer struct {
		n    *Node
		note []byte
	}
	return gather(ctx, nw, nodes, want, func(ctx context.Context, n *Node, before int) (answer, error) {
		note, err := ledger{n}.checkpoint(ctx, before == 0)
		return answer{n, note}, err
	}, func(a answer) error {
		err := take(a.note)
		if err == nil {
			head, _ := ledgerclient.Unverified(a.note) // take has verified it
			nw.mu.Lock()
			defer nw.mu.Unlock()
			nw.headed[a.n] = head.Size
		}
		return err
	})
}

// From tells all nodes, and so their keepers: what was ordered through one of them the others
// read before they answer.
func (l logs) From(position uint64) {
	for _, n := range l.nw.asked() {
		ledger{n}.From(position)
	}
}

// Append submits at one node, and at the next if that one gives no answer, or refuses: the same
// entries again are the same. When so many say that they are not decided that one of them does
// not lie, the others, who have them too, are not waited for. Where one of those who want a token
// cannot be a liar either, it is a token that is wanting, whatever fewer say; but those who do not
// refuse may have them, so that they wait. Who is doubted is not asked while there is another.
func (l logs) Append(ctx context.Context, entries []contract.Entry) ([]ledgerclient.Outcome, error) {
	type answer struct {
		n   *Node
		out []ledgerclient.Outcome
	}
	ctx, enough := context.WithCancelCause(ctx)
	defer enough(nil)
	liars := ledgerclient.Liars(l.nw.config())
	var undecided atomic.Int32
	var wanting wanting
	a, err := some(ctx, l.nw, l.undoubted(), func(ctx context.Context, n *Node) (answer, error) {
		out, err := ledger{n}.Append(ctx, entries)
		if u := ledgerclient.Unreachable(err); u != nil && u.Undecided && int(undecided.Add(1)) > liars {
			enough(err)
		}
		wanting.hear(err)
		return answer{n, out}, err
	})
	if u := ledgerclient.Unreachable(context.Cause(ctx)); err != nil && u != nil {
		err = u
	} else {
		err = wanting.instead(liars, ofLedger, err)
	}
	l.nw.mu.Lock()
	defer l.nw.mu.Unlock()
	l.nw.took, l.nw.headed = a.n, map[*Node]uint64{}
	return a.out, err
}

// undoubted are the nodes without those that are doubted; all, if no other is left.
func (l logs) undoubted() []*Node {
	nodes := l.nw.asked()
	l.nw.mu.Lock()
	defer l.nw.mu.Unlock()
	left := slices.DeleteFunc(slices.Clone(nodes), func(n *Node) bool { return slices.Contains(l.nw.doubted, n) })
	if len(left) == 0 {
		return nodes
	}
	return left
}

// Anew forgets who was doubted; they are behind the others still.
func (l logs) Anew() {
	l.nw.mu.Lock()
	defer l.nw.mu.Unlock()
	l.nw.took, l.nw.doubted = nil, nil
}

// Doubt puts who took the last entries behind the others. Where it showed no head after that, or
// a smaller one than another node, it may be right, and is not named.
func (l logs) Doubt(why error) bool {
	nw := l.nw
	nw.mu.Lock()
	n := nw.took
	nw.took = nil
	if n == nil || slices.Contains(nw.doubted, n) {
		nw.mu.Unlock()
		return false
	}
	nw.doubted = append(nw.doubted, n)
	nw.behind(n)
	size, headed := nw.headed[n]
	for _, followed := range nw.headed {
		headed = headed && size >= followed
	}
	again := len(nw.doubted) < len(nw.order)
	nw.mu.Unlock()
	if headed {
		nw.failed(n, why, true)
	}
	return again
}

// showed are the nodes, those before the others that have shown a head of that size or a
// larger one, and those behind them that gave others than those under the heads.
func (l logs) showed(size uint64) []*Node {
	nodes := l.nw.asked()
	l.nw.mu.Lock()
	unlike := slices.Clone(l.nw.unlike)
	l.nw.mu.Unlock()
	rank := func(n *Node) int {
		if slices.Contains(unlike, n) {
			return 2
		}
		if _, _, newest := n.shown(size); newest >= size {
			return 0
		}
		return 1
	}
	slices.SortStableFunc(nodes, func(a, b *Node) int { return cmp.Compare(rank(a), rank(b)) })
	return nodes
}

func (l logs) Leaves(ctx context.Context, from, to uint64) ([]contract.Leaf, error) {
	type answer struct {
		n      *Node
		leaves []contract.Leaf
	}
	a, err := some(ctx, l.nw, l.showed(to), func(ctx context.Context, n *Node) (answer, error) {
		leaves, err := ledger{n}.Leaves(ctx, from, to)
		return answer{n, leaves}, err
	})
	if err != nil {
		return nil, err
	}
	l.nw.mu.Lock()
	if !slices.Contains(l.nw.gave, a.n) {
		l.nw.gave = append(l.nw.gave, a.n)
	}
	l.nw.mu.Unlock()
	for _, n := range l.nw.asked() {
		n.read(from, to)
	}
	return a.leaves, nil
}

// Unlike puts who gave the leaves behind the others, and names it if it gave all of them: of
// several it may have been any.
func (l logs) Unlike(why error) (again bool) {
	nw := l.nw
	nw.mu.Lock()
	gave := nw.gave
	nw.gave = nil
	for _, n := range gave {
		if !slices.Contains(nw.unlike, n) {
			nw.unlike, again = append(nw.unlike, n), true
		}
		nw.behind(n)
	}
	again = again && len(nw.unlike) < len(nw.order)
	nw.mu.Unlock()
	for _, n := range gave {
		n.forget()
	}
	if len(gave) == 1 {
		nw.failed(gave[0], why, true)
	}
	return again
}

func (l logs) ProveConsistency(ctx context.Context, old, new uint64) ([]crypto.Hash, error) {
	return some(ctx, l.nw, l.showed(new), func(ctx context.Context, n *Node) ([]crypto.Hash, error) {
		return ledger{n}.ProveConsistency(ctx, old, new)
	})
}
