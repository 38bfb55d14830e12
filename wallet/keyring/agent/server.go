package agent

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/carekey/carekey/crypto"
	"github.com/carekey/carekey/crypto/codec"
	"github.com/carekey/carekey/crypto/crash"
	"github.com/carekey/carekey/ledgerclient/disk"
)

// holding is what an agent is told by the pipe, before the root.
type holding struct {
	version uint8
	wallet  [32]byte
	time    uint64 // nanoseconds
	wait    uint64 // the same: Patience of its place
	socket  string
	keyFile string
}

func (h *holding) fields(c *codec.Codec) {
	codec.Int(c, &h.version)
	c.Check(h.version == version)
	c.Bytes(h.wallet[:])
	codec.Int(c, &h.time)
	c.Check(0 < h.time && h.time <= uint64(MaxFor))
	codec.Int(c, &h.wait)
	c.Check(0 < h.wait && h.wait <= uint64(MaxFor))
	codec.Sized[uint16](c, &h.socket, maxSocket)
	codec.Sized[uint16](c, &h.keyFile, 4096)
}

const maxHolding = 1 + 32 + 8 + 8 + 2 + maxSocket + 2 + 4096

// report is what it answers when it listens, or why it does not.
type report struct {
	until uint64 // seconds since 1970; 0: it does not
	code  string
	why   string
}

func (r *report) fields(c *codec.Codec) {
	codec.Int(c, &r.until)
	codec.Sized[uint8](c, &r.code, 64)
	codec.Sized[uint16](c, &r.why, 1024)
}

const maxReport = 8 + 1 + 64 + 2 + 1024

// instant is a reading of the clocks.
type instant struct {
	wall  time.Time
	boot  time.Duration // runs while the machine sleeps
	awake time.Duration // does not
}

// agent is one that holds a key.
type agent struct {
	holding
	page  []byte
	keys  *crypto.HeldKeys
	clock func() (instant, error)
	begin instant

	listener  *net.UnixListener
	socketIs  fs.FileInfo
	keyFileIs fs.FileInfo
	slots     chan []byte  // of the page, those that no client has
	mu        sync.RWMutex // of the page, and of ended
	ended     bool
	ending    chan struct{} // closed when it has ended
}

// Serve is the agent's process: in is the pipe with what it holds, out takes its report.
// It returns when it ends. SIGHUP and the like are for ctx.
func Serve(ctx context.Context, in io.Reader, out io.WriteCloser) error {
	a, err := receive(in)
	if err == nil {
		defer a.end()
		err = a.listen()
	}
	r := report{}
	if err == nil {
		r.until = uint64(a.until().Unix())
	} else {
		r.code, r.why = codeOf(err)
	}
	_, werr := out.Write(codec.Append(nil, r.fields))
	if err = errors.Join(err, werr, out.Close()); err != nil {
		return err // who has started it is gone, or is told
	}
	shed()
	return a.serve(ctx)
}

// receive makes an agent of what comes through the pipe.
func receive(in io.Reader) (*agent, error) {
	page, err := lockedPage(memory)
	if err != nil {
		return nil, ErrMemory.Of(err, "why", err.Error())
	}
	var size [2]byte
	if _, err := io.ReadFull(in, size[:]); err != nil {
		return nil, ErrStart.Of(err, "why", err.Error())
	}
	n := int(size[0])<<8 | int(size[1])
	if n > maxHolding {
		return nil, ErrStart.With("why", "what it was told is none")
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(in, b); err != nil {
		return nil, ErrStart.Of(err, "why", err.Error())
	}
	var h holding
	if err := codec.Parse(b, h.fields); err != nil {
		return nil, ErrStart.Of(err, "why", err.Error())
	}
	if _, err := io.ReadFull(in, page[:32]); err != nil { // straight into the page
		return nil, ErrStart.Of(err, "why", err.Error())
	}
	return newAgent(h, page, clocks)
}

func newAgent(h holding, page []byte, clock func() (instant, error)) (*agent, error) {
	a := &agent{holding: h, page: page, clock: clock, slots: make(chan []byte, clients), ending: make(chan struct{})}
	for b := range slices.Chunk(page[crypto.HeldMemory:memory], slot) {
		a.slots <- b
	}
	var err error
	if a.begin, err = clock(); err != nil {
		return nil, ErrStart.Of(err, "why", err.Error())
	}
	a.keys = crypto.HoldKeys((*[crypto.HeldMemory]byte)(page))
	return a, nil
}

func (a *agent) patience() time.Duration { return time.Duration(a.wait) }

// until is when it ends by the clock of the day.
func (a *agent) until() time.Time { return a.begin.wall.Add(time.Duration(a.time)) }

// listen makes the socket, in the place of one that may be there: the agent behind that
// ends when it sees that its own is gone. Those that hold the key for other sessions end
// too: how long it is held is what was said last. One that begins at the same time waits: else
// each would take the other's socket, and see that the key file has another time.
func (a *agent) listen() error {
	fail := func(err error) error { return ErrStart.Of(err, "why", err.Error()) }
	keyFile, err := disk.Open(a.keyFile, os.O_RDONLY, 0)
	if err != nil {
		return fail(err)
	}
	defer keyFile.Close()
	// Where the file system knows no locks nobody waits.
	if alone, err := disk.WaitLock(context.Background(), keyFile, true, a.patience()); !alone && err == nil {
		return ErrStart.With("why", "another one begins, and does not end that")
	}
	fresh := a.socket + beside
	if err := os.Remove(fresh); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fail(err)
	}
	l, err := listen(fresh)
	if err != nil {
		return fail(err)
	}
	l.SetUnlinkOnClose(false)
	a.listener = l
	if a.socketIs, err = os.Lstat(fresh); err == nil {
		err = os.Rename(fresh, a.socket)
	}
	if err != nil {
		os.Remove(fresh)
		return fail(err)
	}
	if err := touch(a.keyFile); err != nil {
		return ErrElsewhere.Of(err, "why", err.Error())
	}
	if a.keyFileIs, err = os.Lstat(a.keyFile); err != nil {
		return fail(err)
	}
	return nil
}

// over reports whether its time has come.
func (a *agent) over() bool {
	now, err := a.clock()
	if err != nil {
		return true
	}
	const slack = time.Second // of two clocks that are read one after the other
	asleep := (now.boot - now.awake) - (a.begin.boot - a.begin.awake)
	return now.boot-a.begin.boot >= time.Duration(a.time) || !now.wall.Before(a.until()) || asleep > slack ||
		!unchanged(a.socket, a.socketIs) || !unchanged(a.keyFile, a.keyFileIs)
}

// unchanged reports whether a path still leads to the file that it led to.
func unchanged(path string, was fs.FileInfo) bool {
	is, err := os.Lstat(path)
	return err == nil && os.SameFile(is, was) && is.Size() == was.Size() && is.ModTime().Equal(was.ModTime())
}

// end overwrites the key and hangs up. It waits for answers that are on their way.
func (a *agent) end() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.ended {
		return
	}
	a.ended = true
	clear(a.page)
	close(a.ending)
	if a.listener != nil {
		a.listener.Close()
		if unchanged(a.socket, a.socketIs) {
			os.Remove(a.socket)
		}
	}
}

// serve accepts until it ends.
func (a *agent) serve(ctx context.Context) error {
	go func() {
		defer crash.Report()
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for !a.over() {
			select {
			case <-tick.C:
			case <-ctx.Done():
				a.end()
				return
			case <-a.ending:
				return
			}
		}
		a.end()
	}()
	for {
		conn, err := a.listener.AcceptUnix()
		if err != nil {
			select {
			case <-a.ending:
				return nil
			default:
			}
			a.end()
			return err
		}
		if uid, err := peer(conn); err != nil || uid != os.Getuid() {
			conn.Close()
			continue
		}
		select {
		case place := <-a.slots:
			go func() {
				defer crash.Report()
				a.converse(conn, place)
				conn.Close()
				a.slots <- place
			}()
		default:
			conn.SetDeadline(time.Now().Add(a.patience()))
			a.greet(conn, full)
			conn.Close()
		}
	}
}

func (a *agent) greet(conn net.Conn, state uint8) error {
	g := greeting{version, state, uint64(a.until().Unix())}
	_, err := conn.Write(codec.Append(nil, g.fields))
	return err
}

// converse serves one client. b is its part of the page.
func (a *agent) converse(conn net.Conn, b []byte) {
	conn.SetDeadline(time.Now().Add(a.patience()))
	var o opening
	begun := make([]byte, openingSize)
	if _, err := io.ReadFull(conn, begun); err != nil || codec.Parse(begun, o.fields) != nil {
		return
	}
	state := uint8(welcome)
	if o.wallet != a.wallet {
		state = otherWallet
	}
	if a.over() {
		a.end()
		state = ended
	}
	if a.greet(conn, state) != nil || state != welcome || o.version != version {
		return
	}
	for {
		conn.SetReadDeadline(time.Time{}) // a client may think as long as it likes
		var request [slot]byte
		if _, err := io.ReadFull(conn, request[:1]); err != nil {
			return
		}
		conn.SetDeadline(time.Now().Add(a.patience()))
		asked := request[1 : 1+int(request[0])]
		if _, err := io.ReadFull(conn, asked); err != nil {
			return
		}
		if !a.answer(conn, b, asked) {
			return
		}
	}
}

// answer answers one request from b, and reports whether there may be another one. What is
// none is not answered.
func (a *agent) answer(conn net.Conn, b, request []byte) (goes bool) {
	if len(request) == 1 && request[0] == askEnd || a.over() {
		a.end()
	}
	a.mu.RLock() // end overwrites the key, and b
	defer a.mu.RUnlock()
	if a.ended {
		conn.Write([]byte{0})
		return false
	}
	answer, ok := a.keys.Answer(b[1:1], request)
	if !ok {
		return false
	}
	b[0] = byte(len(answer))
	conn.SetWriteDeadline(time.Now().Add(a.patience() / 5)) // end waits for it
	_, err := conn.Write(b[:1+len(answer)])                 // write(2) straight from the page
	clear(b)
	return err == nil
}
