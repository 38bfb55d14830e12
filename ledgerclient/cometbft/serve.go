package cometbft

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/carekey/carekey/crypto/crash"
	"github.com/carekey/carekey/ledgerclient/order"
)

// socketFile is where the programs of this computer find a validator, in its folder: who
// may enter that may use it.
const socketFile = "socket"

// maxSocket is how long the path of a socket can be on all systems, in bytes.
const maxSocket = 103

// askStatus is the first line of who wants to know what the network looks like. All others
// speak the protocol of an order.
const askStatus = "status\n"

// Limits of the socket.
const (
	maxHello    = 64 << 10         // bytes of a first line
	helloWithin = 10 * time.Second // for it to come
	maxPrograms = 64               // at one time; more wait
)

// Listen makes the socket of a validator's folder, in which no other validator may run.
func Listen(dir string) (net.Listener, error) {
	path := filepath.Join(dir, socketFile)
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	return net.Listen("unix", path)
}

// Serve answers programs until the listener is closed.
func (e *Engine) Serve(l net.Listener) error {
	room := make(chan struct{}, maxPrograms)
	for {
		room <- struct{}{}
		conn, err := l.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer crash.Report()
			defer func() { <-room }()
			defer conn.Close()
			if err := e.answer(conn); err != nil {
				e.opt.Log.Debug("program", "cause", err.Error())
			}
		}()
	}
}

// answer speaks with one program.
func (e *Engine) answer(conn net.Conn) error {
	conn.SetReadDeadline(time.Now().Add(helloWithin))
	line, err := firstLine(conn)
	if err != nil {
		return err
	}
	conn.SetReadDeadline(time.Time{})
	if string(line) == askStatus {
		return json.NewEncoder(conn).Encode(e.Status())
	}
	return order.Serve(io.MultiReader(bytes.NewReader(line), conn), conn, func(string) (order.Backend, error) { return e.backend, nil })
}

// firstLine reads a line, and nothing that is behind it.
func firstLine(r io.Reader) (line []byte, err error) {
	var b [1]byte
	for len(line) < maxHello {
		if _, err := io.ReadFull(r, b[:]); err != nil {
			return nil, err
		}
		if line = append(line, b[0]); b[0] == '\n' {
			return line, nil
		}
	}
	return nil, errors.New("no first line")
}

// dial reaches the validator of a folder.
func dial(dir string) (*net.UnixConn, error) {
	conn, err := net.Dial("unix", filepath.Join(dir, socketFile))
	if err != nil {
		return nil, fmt.Errorf("no validator runs on %s: carekey-ledger-cometbft serve %s", dir, dir)
	}
	return conn.(*net.UnixConn), nil
}

// StatusOf asks the validator of a folder.
func StatusOf(dir string) (s Status, err error) {
	conn, err := dial(dir)
	if err != nil {
		return s, err
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, askStatus); err != nil {
		return s, err
	}
	err = json.NewDecoder(io.LimitReader(conn, 1<<20)).Decode(&s)
	return s, err
}

// Program is what carekey starts for a URL cometbft:DIR: it passes on what is said between
// carekey and the validator of that folder.
func Program(in io.Reader, out io.Writer) error {
	lines := bufio.NewReader(in)
	line, err := firstLine(lines)
	if err != nil {
		return err
	}
	var hello struct {
		URL string `json:"url"`
	}
	err = json.Unmarshal(line, &hello) // order.Serve says what is wrong with it
	dir, ok := strings.CutPrefix(hello.URL, "cometbft:")
	var conn *net.UnixConn
	switch {
	case err != nil:
	case !ok || dir == "":
		err = errors.New("the URL is cometbft: and the folder of a validator")
	default:
		conn, err = dial(dir)
	}
	if err != nil {
		return order.Serve(io.MultiReader(bytes.NewReader(line), lines), out, func(string) (order.Backend, error) { return nil, err })
	}
	defer conn.Close()
	if _, err := conn.Write(line); err != nil {
		return err
	}
	go func() {
		defer crash.Report()
		io.Copy(conn, lines)
		conn.CloseWrite()
	}()
	_, err = io.Copy(out, conn)
	return err
}
