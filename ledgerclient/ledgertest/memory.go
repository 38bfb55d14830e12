package ledgertest

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/carekey/carekey/ledgerclient/contract"
	"github.com/carekey/carekey/ledgerclient/order"
)

// Memory is an order in memory: the plainest backend that keeps all rules, for
// tests of what stands on one.
type Memory struct {
	Clock func() contract.Hour

	mu    sync.Mutex
	items []order.Item
	at    map[contract.Entry]uint64
}

var _ order.Backend = (*Memory)(nil)

// Name says where it is kept.
func (m *Memory) Name() string { return "memory" }

// Append orders entries.
func (m *Memory) Append(_ context.Context, entries []contract.Entry) ([]uint64, error) {
	items := make([]order.Item, len(entries))
	for i := range entries {
		items[i].Entry = entries[i]
	}
	return m.put(items)
}

// Configure orders a configuration entry with its document.
func (m *Memory) Configure(_ context.Context, entry contract.Entry, document string) (uint64, error) {
	if document == "" {
		return 0, errors.New("there is no document")
	}
	at, err := m.put([]order.Item{{Entry: entry, Document: document}})
	if err != nil {
		return 0, err
	}
	return at[0], nil
}

// put orders items at the hour that it is.
func (m *Memory) put(items []order.Item) ([]uint64, error) {
	for i := range items {
		if !items[i].Whole() {
			return nil, fmt.Errorf("item %d is none: a configuration entry has its document with it, and no other has one", i)
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.at == nil {
		m.at = map[contract.Entry]uint64{}
	}
	hour := m.Clock()
	if n := len(m.items); n > 0 {
		hour = max(hour, m.items[n-1].Hour)
	}
	positions := make([]uint64, len(items))
	for i, item := range items {
		p, ok := m.at[item.Entry]
		if !ok {
			p = uint64(len(m.items))
			m.at[item.Entry] = p
			item.Hour = hour
			m.items = append(m.items, item)
		}
		positions[i] = p
	}
	return positions, nil
}

// Read returns items.
func (m *Memory) Read(_ context.Context, from uint64) ([]order.Item, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := uint64(len(m.items))
	from = min(from, n)
	return append([]order.Item(nil), m.items[from:min(n, from+order.MaxRead)]...), nil
}

// Head returns the number of items.
func (m *Memory) Head(context.Context) (uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return uint64(len(m.items)), nil
}

// Close does nothing.
func (m *Memory) Close() error { return nil }
