package order

import (
	"testing"

	"github.com/carekey/carekey/ledgerclient/contract"
)

func FuzzAnswer(f *testing.F) {
	f.Add([]byte(`{"id":1,"head":3}`), uint8(2))
	f.Add([]byte(`{"id":1,"positions":[0,1]}`), uint8(0))
	f.Add([]byte(`{"id":1,"items":[{"hour":5,"entry":"`+encodeEntry(&contract.Entry{Version: 1})+`"}]}`), uint8(1))
	f.Add([]byte(`{"id":1,"items":[{"hour":5,"entry":"`+encodeEntry(&contract.Entry{Version: 1, Kind: contract.KindConfig})+`","document":"Y2FyZQ=="}]}`), uint8(1))
	f.Add([]byte(`{"id":1,"error":{"code":"failed","message":"full"}}`), uint8(1))
	f.Fuzz(func(t *testing.T, line []byte, do uint8) {
		q := question{ID: 1, Do: []string{"append", "read", "head"}[do%3], Entries: []string{"", ""}, Most: 4}
		a, err := parseAnswer(line, &q)
		if err != nil || a.Error != nil {
			return
		}
		items, err := a.items()
		if err != nil {
			return
		}
		for i := range items {
			if encodeEntry(&items[i].Entry) != a.Items[i].Entry {
				t.Errorf("%q is not how this entry is written", a.Items[i].Entry)
			}
			if encodeDocument(items[i].Document) != a.Items[i].Document || len(items[i].Document) > MaxDocument {
				t.Errorf("%q is not how this document is written", a.Items[i].Document)
			}
		}
		switch {
		case q.Do == "append" && len(a.Positions) != 2, q.Do == "read" && len(items) > 4, q.Do == "head" && a.Head == nil:
			t.Errorf("%q is taken for an answer to %s", line, q.Do)
		}
	})
}
