package cometbft

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/carekey/carekey/ledgerclient/cometbft/chain"
	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/order"
	dbm "github.com/cometbft/cometbft-db"
)

// store keeps what was decided: the items, where each is, and the state behind the last
// block. A block comes in whole or not at all.
//
//	"s"               the state
//	"i" position 8    hour 4 ‖ entry 222 ‖ document
//	"k" chain.Key 32  position 8
//	"t" member 1      a height 8 at which it has voted for two blocks
type store struct {
	db    dbm.DB
	chain *chain.Chain
}

var stateKey = []byte("s")

func itemKey(position uint64) []byte { return binary.BigEndian.AppendUint64([]byte("i"), position) }

func placeKey(key [32]byte) []byte { return append([]byte("k"), key[:]...) }

// state is the one behind the last block.
func (s *store) state() (chain.State, error) {
	b, err := s.db.Get(stateKey)
	if err != nil {
		return chain.State{}, err
	}
	if b == nil {
		return s.chain.Start(), nil
	}
	return s.chain.ParseState(b)
}

// place is the position of an entry, by its chain.Key.
func (s *store) place(key [32]byte) (position uint64, ok bool, err error) {
	b, err := s.db.Get(placeKey(key))
	if err != nil || b == nil {
		return 0, false, err
	}
	if len(b) != 8 {
		return 0, false, errStore
	}
	return binary.BigEndian.Uint64(b), true, nil
}

func (s *store) ordered(key [32]byte) (bool, error) { return s.db.Has(placeKey(key)) }

// twice is, for each member, a height at which it has voted for two blocks; 0: none.
func (s *store) twice() ([]uint64, error) {
	heights := make([]uint64, len(s.chain.Nodes()))
	for i := range heights {
		b, err := s.db.Get(twiceKey(i))
		if err != nil {
			return nil, err
		}
		if len(b) == 8 {
			heights[i] = binary.BigEndian.Uint64(b)
		}
	}
	return heights, nil
}

func twiceKey(member int) []byte { return []byte{'t', byte(member)} }

var errStore = errors.New("the database of the order holds what it was not given")

// write keeps the items of a block, the first of them at that position, the state behind it,
// and who has voted twice, durably.
func (s *store) write(first uint64, items []order.Item, after chain.State, twice []uint64) error {
	batch := s.db.NewBatch()
	defer batch.Close()
	for n := range items {
		position := first + uint64(n)
		entry := items[n].Entry.Marshal()
		value := binary.BigEndian.AppendUint32(nil, uint32(items[n].Hour))
		value = append(append(value, entry[:]...), items[n].Document...)
		if err := batch.Set(itemKey(position), value); err != nil {
			return err
		}
		if err := batch.Set(placeKey(chain.Key(&items[n].Entry)), binary.BigEndian.AppendUint64(nil, position)); err != nil {
			return err
		}
	}
	for i, height := range twice {
		if height == 0 {
			continue
		}
		if err := batch.Set(twiceKey(i), binary.BigEndian.AppendUint64(nil, height)); err != nil {
			return err
		}
	}
	if err := batch.Set(stateKey, after.Marshal()); err != nil {
		return err
	}
	return batch.WriteSync()
}

// maxRead bounds what one read returns, in bytes of documents: with it no more than one
// line of a program has room for.
const maxRead = 512 << 10

// read returns the items from a position on, at least one if there is any.
func (s *store) read(from uint64) (items []order.Item, err error) {
	it, err := s.db.Iterator(itemKey(from), []byte("j"))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	size := 0
	for ; it.Valid() && len(items) < order.MaxRead && size < maxRead; it.Next() {
		key, value := it.Key(), it.Value()
		if len(value) < 4+contract.Size || string(key) != string(itemKey(from+uint64(len(items)))) {
			return nil, fmt.Errorf("%w at position %d", errStore, from+uint64(len(items)))
		}
		i := order.Item{Hour: contract.Hour(binary.BigEndian.Uint32(value)), Document: string(value[4+contract.Size:])}
		if i.Entry, err = contract.ParseEntry(value[4 : 4+contract.Size]); err != nil {
			return nil, err
		}
		size += len(i.Document)
		items = append(items, i)
	}
	return items, it.Error()
}
