package wallet_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/carekey/carekey/crypto/lane"
	"github.com/carekey/carekey/wallet"
)

// manyResources is a bundle of a patient and so many results with components, of some
// 2.7 kB each, which are no other bundle's.
func manyResources(n, salt int) []byte {
	var b bytes.Buffer
	b.Grow(n * 2800)
	writeResources(&b, n, salt)
	return b.Bytes()
}

func writeResources(w io.Writer, n, salt int) {
	io.WriteString(w, `{"resourceType":"Bundle","type":"collection","entry":[
{"fullUrl":"urn:uuid:p","resource":{"resourceType":"Patient","id":"p","name":[{"family":"Example","given":["Maria"]}],"birthDate":"1979-02-11"}}`)
	for i := 1; i < n; i++ {
		fmt.Fprintf(w, `,
{"fullUrl":"urn:uuid:%[1]d-%[2]d","resource":{"resourceType":"Observation","id":"o%[2]d","status":"final",
  "category":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/observation-category","code":"laboratory","display":"laboratory"}]}],
  "code":{"coding":[{"system":"http://loinc.org","code":"58410-2","display":"Complete blood count panel"}]},
  "subject":{"reference":"urn:uuid:p"},"effectiveDateTime":"2024-03-%02[3]dT08:00:00+01:00","component":[`, salt, i, i%28+1)
		for j := range 9 {
			if j > 0 {
				io.WriteString(w, ",")
			}
			fmt.Fprintf(w, `
    {"code":{"coding":[{"system":"http://loinc.org","code":"718-7","display":"Hemoglobin [Mass/volume] in Blood"}]},"valueQuantity":{"value":%d.%d,"unit":"g/dL","system":"http://unitsofmeasure.org","code":"g/dL"}}`, i%20, j)
		}
		io.WriteString(w, "]}}")
	}
	io.WriteString(w, "\n]}\n")
}

// BenchmarkBudgetParts prints what adding a bundle as parts takes: of 10,000 resources to
// what it takes to parse it and to add a file of its size, of 230 to what it takes to add a
// file of its size. In processor time the latter cannot be met: cutting, sealing and storing
// the parts takes 0.7 of adding the file, and labelling them 0.5. The wait is shorter on two
// free cores: parts are made beside the file, and labels while the disk is waited for.
func BenchmarkBudgetParts(b *testing.B) {
	ctx := context.Background()
	tn := newTown(b)
	w := tn.person("Maria")
	n := 0
	add := func(b *testing.B, name string, file []byte) time.Duration {
		settle(b, tn.dir)
		start := time.Now()
		r, _, err := w.Records().Add(ctx, fileOf(name, file), wallet.Describe{}, nil)
		took := time.Since(start)
		if err != nil || r.Parts > 0 != (name == "x.json") {
			b.Fatal(r.Parts, r.Whole, err)
		}
		return took
	}
	ours := func(b *testing.B, entries int) func() time.Duration {
		return func() time.Duration { n++; return add(b, "x.json", manyResources(entries, n)) }
	}
	theirs := func(b *testing.B, entries int, parse bool) func() time.Duration {
		return func() (took time.Duration) {
			n++
			file := manyResources(entries, n)
			if parse {
				start := time.Now()
				var v any
				if err := json.Unmarshal(file, &v); err != nil {
					b.Fatal(err)
				}
				took = time.Since(start)
			}
			return took + add(b, "x.bin", append([]byte("x"), file...))
		}
	}
	b.Run("10000", func(b *testing.B) { pairs(b, 7, 2, ours(b, 10_000), theirs(b, 10_000, true)) })
	b.Run("230", func(b *testing.B) { pairs(b, 21, 1.3, ours(b, 230), theirs(b, 230, false)) })
}

// A bundle of 10,000 resources is cut, labelled, encrypted and read again in little more
// than the memory that a file of any size takes: without a bound on what is collected it
// takes 100 MiB. BenchmarkBudgetMemoryParts says how much it is.
func TestMemoryOfParts(t *testing.T) {
	if lane.Race() {
		return // its own memory is many times more
	}
	if got := peakMemory(t, bundleChild); got > memoryLimit {
		t.Errorf("%.0f MiB, more than %d", got, memoryLimit)
	}
}

// BenchmarkBudgetMemoryParts prints the peak memory of that process.
func BenchmarkBudgetMemoryParts(b *testing.B) {
	var most float64
	for range b.N {
		most = max(most, peakMemory(b, bundleChild))
	}
	b.ReportMetric(most, "MiB-peak")
	b.ReportMetric(most/memoryLimit, "ratio")
	b.ReportMetric(1, "budget-max")
	b.ReportMetric(0, "ns/op")
}
