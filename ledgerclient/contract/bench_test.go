package contract

import "testing"

func BenchmarkParseEntry(b *testing.B) {
	w := newWorld(b)
	e := w.signed(w.access(), "clinic")
	bytes := e.Marshal()
	b.SetBytes(Size)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseEntry(bytes[:]); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkID(b *testing.B) {
	w := newWorld(b)
	e := w.signed(w.access(), "clinic")
	b.ReportAllocs()
	for b.Loop() {
		e.ID(w.ledger)
	}
}

func BenchmarkCheckShape(b *testing.B) {
	w := newWorld(b)
	for _, c := range []struct {
		name  string
		entry Entry
	}{{"access", w.signed(w.access(), "clinic")}, {"grant", w.signed(w.grantEntry(0, 2000), "patient")}} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := CheckShape(&c.entry); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkCheckSignature(b *testing.B) {
	w := newWorld(b)
	e := w.signed(w.access(), "clinic")
	b.ReportAllocs()
	for b.Loop() {
		if err := CheckSignature(w.ledger, &e); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkApply(b *testing.B) {
	w := newWorld(b)
	e := w.signed(w.access(), "clinic")
	c, s, id := w.config, w.states[w.index[w.grant]], e.ID(w.ledger)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Apply(c, s, &e, id, 3, 1000); err != nil {
			b.Fatal(err)
		}
	}
}
