package ledgertest

import (
	"context"
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
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.at == nil {
		m.at = map[contract.Entry]uint64{}
	}
	hour := m.Clock()
	if n := len(m.items); n > 0 {
		hour = max(hour, m.items[n-1].Hour)
	}
	positions := make([]uint64, len(entries))
	for i, e := range entries {
		p, ok := m.at[e]
		if !ok {
			p = uint64(len(m.items))
			m.at[e] = p
			m.items = append(m.items, order.Item{Hour: hour, Entry: e})
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
