package view

import (
	"encoding/json"
	"io"
	"math"
	"os"

	"github.com/carekey/carekey/crypto/codec"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/wallet/payload"
)

// indexFile is what follows from the first part of the cache: the threads, without what is
// looked up in the cache when it is needed. Every command needs to know all threads; the
// frames of a consent are four times as long as its row here, and are sealed in thousands of
// blocks. Without the file, or with one that does not fit the cache, all frames are read.
const indexFile = "index"

// indexVersion is that of the index's layout.
const indexVersion = 4

// The index is written anew when the cache has grown by so many bytes, or by that part of
// what the index is of: so that a command reads few frames, and few commands write it.
const (
	indexLeast = 256 << 10
	indexPart  = 16
)

func (v *View) indexName() string { return v.Home.In(indexFile) }

// readIndex takes the threads from the index and returns the end of the part of the cache
// that it is of: 0 if there is none that fits.
func (v *View) readIndex() (end int64) {
	plain, err := v.Home.Unseal(v.indexName())
	if err != nil {
		return 0
	}
	var x index
	if err := codec.Parse(plain, x.fields); err != nil || x.id != v.state.CacheID || x.end > uint64(v.state.CacheSize) || !x.take(v) {
		v.threads = newThreads()
		return 0
	}
	seal, err := v.sealAt(int64(x.end))
	if err != nil || seal != x.seal {
		v.threads = newThreads()
		return 0
	}
	return int64(x.end)
}

// sealAt are the last bytes of the cache before a place between two blocks.
func (v *View) sealAt(end int64) (seal [16]byte, err error) {
	f, err := v.Home.Open(v.Home.In(cacheFile), os.O_RDONLY)
	if err != nil {
		return seal, err
	}
	defer f.Close()
	_, err = io.ReadFull(io.NewSectionReader(f, end-int64(len(seal)), int64(len(seal))), seal[:])
	return seal, err
}

// writeIndex writes the index if it is of too little of the cache. The state that says how
// long the cache is must be written before. What fails is done the next time.
func (v *View) writeIndex() {
	size := v.state.CacheSize
	if !v.threads.loaded || v.cache.end() != size || size-v.cache.indexed < max(indexLeast, v.cache.indexed/indexPart) {
		return
	}
	seal, err := v.sealAt(size)
	if err != nil {
		return
	}
	x := index{id: v.state.CacheID, end: uint64(size), seal: seal}
	if x.give(v) == nil && v.Home.WriteDerivedBytes(v.indexName(), codec.Append(nil, x.fields)) == nil {
		v.cache.indexed = size
	}
}

// dropIndex has the next process read all frames: this one writes no other index.
func (v *View) dropIndex() {
	os.Remove(v.Home.Path(v.indexName()))
	v.cache.indexed = math.MaxInt64
}

// index is what is in the file.
type index struct {
	id        string   // state.CacheID
	end       uint64   // of the part of the cache that it is of
	seal      [16]byte // the last bytes before it: no other block ends with them
	sets      [][]byte // as JSON
	summaries []summaryRow
	threads   []Thread
	of        []uint32 // of each thread: the number of its summary and 1; 0 for none
}

type summaryRow struct {
	Summary
	set uint32
}

func (x *index) fields(c *codec.Codec) {
	version := uint8(indexVersion)
	codec.Int(c, &version)
	c.Check(version == indexVersion)
	codec.Sized[uint8](c, &x.id, 255)
	codec.Int(c, &x.end)
	c.Check(x.end >= blockOver && x.end < 1<<62)
	c.Bytes(x.seal[:])
	codec.Counted[uint32](c, &x.sets, 1<<32-1, func(c *codec.Codec, s *[]byte) { codec.Sized[uint32](c, s, maxBlock) })
	codec.Counted[uint32](c, &x.summaries, 1<<32-1, func(c *codec.Codec, s *summaryRow) {
		c.Bytes(s.Peer.Sign[:], s.Peer.View[:], s.Peer.Signature[:])
		codec.Int(c, &s.set)
		codec.Sized[uint8](c, &s.Purpose, 255)
		codec.Sized[uint16](c, &s.Says, payload.MaxName)
	})
	n := uint32(len(x.threads))
	codec.Int(c, &n)
	codec.List(c, &x.of, int(n), func(c *codec.Codec, at *uint32) { codec.Int(c, at) })
	codec.List(c, &x.threads, len(x.of), func(c *codec.Codec, t *Thread) { t.fields(c) })
}

func (t *Thread) fields(c *codec.Codec) {
	c.Bytes(t.ID[:], t.Tag[:])
	codec.Int(c, &t.Index)
	codec.Int(c, &t.opened)
	codec.Int(c, &t.termsAt)
	codec.Int(c, &t.Hour)
	codec.Int(c, &t.Status)
	codec.Int(c, &t.NotBefore)
	codec.Int(c, &t.NotAfter)
	codec.Int(c, &t.LastAccess)
	codec.Int(c, &t.end)
	codec.Int(c, &t.Role)
	codec.Int(c, &t.Unheld)
	more := t.details != nil
	if codec.Bool(c, &more); !more {
		return
	}
	if c.Reading() {
		t.details = &details{}
	}
	c.Bytes(t.chain[:], t.filed[:])
	codec.Int(c, &t.told)
	codec.Int(c, &t.asked)
	codec.Int(c, &t.keeping)
	spoken := t.letter != 0 || t.request != (contract.ID{})
	if codec.Bool(c, &spoken); spoken {
		codec.Int(c, &t.letter)
		c.Bytes(t.request[:])
	}
	codec.Counted[uint32](c, &t.follows, 1<<32-1, func(c *codec.Codec, f *FollowUp) {
		c.Bytes(f.ID[:])
		codec.Int(c, &f.Index)
		codec.Int(c, &f.at)
		codec.Int(c, &f.said)
		codec.Int(c, &f.Hour)
		codec.Int(c, &f.Kind)
		codec.Bool(c, &f.update)
	})
	codec.Counted[uint32](c, &t.Versions, 1<<32-1, func(c *codec.Codec, m **payload.Metadata) {
		var said []byte
		if *m != nil {
			said, _ = json.Marshal(*m) // it was marshalled before
		}
		codec.Sized[uint32](c, &said, maxBlock)
		if c.Reading() && said != nil {
			*m = new(payload.Metadata)
			c.Fail(json.Unmarshal(said, *m))
		}
	})
	codec.List(c, &t.Keys, len(t.Versions), func(c *codec.Codec, k **payload.FileKey) {
		has := *k != nil
		if codec.Bool(c, &has); !has {
			return
		}
		if c.Reading() {
			*k = new(payload.FileKey)
		}
		c.Bytes((*k)[:])
	})
}

// give fills an index with the view's threads.
func (x *index) give(v *View) error {
	sets := map[*RecordSet]uint32{}
	for _, s := range v.threads.summaries {
		if _, ok := sets[s.Set]; !ok {
			text, err := s.Set.marshal()
			if err != nil {
				return err
			}
			sets[s.Set] = uint32(len(x.sets))
			x.sets = append(x.sets, text)
		}
		x.summaries = append(x.summaries, summaryRow{*s, sets[s.Set]})
	}
	at := make(map[*Summary]uint32, len(v.threads.summaries))
	for i, s := range v.threads.summaries {
		at[s] = uint32(i + 1)
	}
	x.threads, x.of = make([]Thread, len(v.threads.list)), make([]uint32, len(v.threads.list))
	for i, t := range v.threads.list {
		x.threads[i] = *t
		if t.Terms != nil {
			x.of[i] = at[t.Terms]
		}
	}
	return nil
}

// take makes the view's threads those of an index; false if they do not fit each other.
func (x *index) take(v *View) bool {
	ts := &v.threads
	sets := make([]*RecordSet, len(x.sets))
	for i, text := range x.sets {
		var ok bool
		if sets[i], ok = ts.set(text); !ok {
			return false
		}
	}
	for i := range x.summaries {
		row := &x.summaries[i]
		if int(row.set) >= len(sets) {
			return false
		}
		row.Set = sets[row.set]
		ts.addSummary(&row.Summary)
	}
	ts.list, ts.byID = make([]*Thread, len(x.threads)), make(map[contract.ID]*Thread, len(x.threads))
	for i := range x.threads {
		t := &x.threads[i]
		if of := int(x.of[i]); of > len(ts.summaries) {
			return false
		} else if of > 0 {
			t.Terms = ts.summaries[of-1]
		}
		t.number = uint32(i)
		ts.list[i], ts.byID[t.ID] = t, t
	}
	return true
}
