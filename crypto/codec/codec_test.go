package codec_test

import (
	"bytes"
	"errors"
	"reflect"
	"testing"

	"github.com/carekey/carekey/crypto/codec"
)

type inner struct {
	n         uint16
	signature [2]byte
}

func (m *inner) fields(c *codec.Codec) {
	codec.Int(c, &m.n)
	c.Signature(m.signature[:])
}

type message struct {
	id        [3]byte
	flag      bool
	small     uint8
	large     uint64
	name      string
	inner     inner
	signature [4]byte
	list      []inner
	data      []byte
	rest      []byte
}

func (m *message) fields(c *codec.Codec) {
	c.Bytes(m.id[:])
	codec.Bool(c, &m.flag)
	codec.Int(c, &m.small)
	c.Check(m.small < 200)
	codec.Int(c, &m.large)
	codec.Sized[uint8](c, &m.name, 5)
	c.Message(m.inner.fields)
	c.Signature(m.signature[:])
	codec.Counted[uint16](c, &m.list, 2, func(c *codec.Codec, i *inner) { c.Message(i.fields) })
	codec.Sized[uint32](c, &m.data, 4)
	c.Rest(&m.rest, 1, 9)
}

var sample = message{
	id: [3]byte{1, 2, 3}, flag: true, small: 9, large: 1<<40 + 5, name: "name", inner: inner{513, [2]byte{7, 8}},
	signature: [4]byte{4, 4, 4, 4}, list: []inner{{1, [2]byte{1, 1}}, {2, [2]byte{2, 2}}}, data: []byte("data"), rest: []byte("rest"),
}

const (
	before  = "\x01\x02\x03" + "\x01" + "\x09" + "\x00\x00\x01\x00\x00\x00\x00\x05" + "\x04name" + "\x02\x01\x07\x08"
	signed  = "\x04\x04\x04\x04"
	rest    = "rest"
	between = "\x00\x02" + "\x00\x01\x01\x01" + "\x00\x02\x02\x02" + "\x00\x00\x00\x04data"
)

func TestLayout(t *testing.T) {
	if b := codec.Append([]byte("x"), sample.fields); string(b) != "x"+before+signed+between+rest {
		t.Errorf("%q", b)
	}
	// Messages within it keep their signatures.
	if b := codec.Unsigned(sample.fields); string(b) != before+between+rest {
		t.Errorf("to be signed: %q", b)
	}
	var m message
	if err := codec.Parse([]byte(before+signed+between+rest), m.fields); err != nil || !reflect.DeepEqual(m, sample) {
		t.Errorf("%+v, %v", m, err)
	}
	var i inner
	if left, err := codec.Read([]byte("\x01\x02\x03\x04more"), i.fields); err != nil || string(left) != "more" || i.n != 258 {
		t.Errorf("%+v, %q, %v", i, left, err)
	}
}

// One long item before short ones takes no multiple of its memory.
func TestLongFirst(t *testing.T) {
	items := make([][]byte, 64)
	items[0] = make([]byte, 2<<20)
	b := codec.Append(nil, func(c *codec.Codec) {
		codec.List(c, &items, len(items), func(c *codec.Codec, b *[]byte) { codec.Sized[uint32](c, b, 2<<20) })
	})
	if len(b) != 2<<20+64*4 || cap(b) > 8<<20 {
		t.Errorf("%d bytes in room for %d", len(b), cap(b))
	}
}

func TestRefused(t *testing.T) {
	whole := []byte(before + signed + between + rest)
	for n := range whole[:len(whole)-len(rest)+1] {
		var m message
		if err := codec.Parse(whole[:n], m.fields); !errors.Is(err, codec.ErrLength) && !errors.Is(err, codec.ErrRange) {
			t.Errorf("%d of %d bytes: %v", n, len(whole), err)
		}
	}
	for name, bad := range map[string]func(*message){
		"a check":        func(m *message) { m.small = 200 },
		"a long name":    func(m *message) { m.name = "longer" },
		"a long list":    func(m *message) { m.list = make([]inner, 3) },
		"large data":     func(m *message) { m.data = make([]byte, 5) },
		"no rest":        func(m *message) { m.rest = nil },
		"too large rest": func(m *message) { m.rest = make([]byte, 10) },
	} {
		m, got := sample, message{}
		bad(&m)
		if err := codec.Parse(codec.Append(nil, m.fields), got.fields); !errors.Is(err, codec.ErrRange) {
			t.Errorf("%s: %v", name, err)
		}
	}
	odd := bytes.Clone(whole)
	odd[3] = 2 // neither false nor true
	if err := codec.Parse(odd, new(message).fields); !errors.Is(err, codec.ErrRange) {
		t.Errorf("a bool of 2: %v", err)
	}
	if err := codec.Parse([]byte("\x01\x02\x03\x04."), new(inner).fields); !errors.Is(err, codec.ErrLength) {
		t.Errorf("a byte behind it: %v", err)
	}
	var all []inner
	item := func(c *codec.Codec, i *inner) { c.Message(i.fields) }
	for n, ok := range map[int]bool{0: false, 4: true, 8: true, 12: false, 7: false} {
		err := codec.Parse(make([]byte, n), func(c *codec.Codec) { codec.All(c, &all, 1, 2, item) })
		if (err == nil) != ok || ok && len(all) != n/4 {
			t.Errorf("%d bytes of items: %d, %v", n, len(all), err)
		}
	}
}
