package health

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
)

// manyEntries is a Bundle of so many resources of 2.7 kB, most of them results, as
// systems write them: indented, with several codings each and a narrative in one of ten.
func manyEntries(n int) []byte {
	var b strings.Builder
	b.WriteString("{\n  \"resourceType\": \"Bundle\",\n  \"type\": \"collection\",\n  \"entry\": [")
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		text := ""
		if i%10 == 0 {
			text = "\n        \"text\": {\"status\": \"generated\", \"div\": \"<div xmlns=\\\"http://www.w3.org/1999/xhtml\\\">" + strings.Repeat("Sodium 141 mmol\\/l. ", 20) + "</div>\"},"
		}
		fmt.Fprintf(&b, `
    {
      "fullUrl": "urn:uuid:0b2f6c1e-7a4d-4d35-9c1e-%012d",
      "resource": {
        "resourceType": "Observation",
        "id": "0b2f6c1e-7a4d-4d35-9c1e-%012[1]d",%s
        "status": "final",
        "category": [
          {
            "coding": [
              {
                "system": "http://terminology.hl7.org/CodeSystem/observation-category",
                "code": "laboratory",
                "display": "laboratory"
              }
            ]
          }
        ],
        "code": {"coding": [{"system": "http://loinc.org", "code": "2951-2", "display": "Sodium [Moles/volume] in Serum or Plasma"}], "text": "Sodium"},
        "subject": {
          "reference": "urn:uuid:0b2f6c1e-7a4d-4d35-9c1e-000000000000"
        },
        "effectiveDateTime": "2019-03-%02d",
        "issued": "2019-03-01T14:35:33.162+01:00",
        "component": [`, i, text, i%28+1)
		for j := range 6 {
			if j > 0 {
				b.WriteByte(',')
			}
			fmt.Fprintf(&b, `
          {
            "code": {"coding": [{"system": "http://loinc.org", "code": "8462-%d", "display": "Part of a panel"}]},
            "valueQuantity": {
              "value": %d.%d,
              "unit": "mmol/L",
              "system": "http://unitsofmeasure.org",
              "code": "mmol/L"
            }
          }`, j, 100+i%50, i)
		}
		b.WriteString("\n        ]\n      }\n    }")
	}
	b.WriteString("\n  ]\n}\n")
	return []byte(b.String())
}

// Cutting 10,000 resources, reading each part of them, and labelling them, which reads them too, as
// multiples of encoding/json's Unmarshal of the file.
func BenchmarkSplit(b *testing.B) {
	file := manyEntries(10_000)
	b.SetBytes(int64(len(file)))
	b.ReportAllocs()
	var cut, read, label, standard time.Duration
	for b.Loop() {
		began := time.Now()
		c, err := Split(file)
		cut += time.Since(began)
		if err != nil || len(c.Parts) != 11_000 {
			b.Fatal(err)
		}
		b.StopTimer()
		began = time.Now()
		for i := range c.Parts {
			if _, _, err := c.Parts[i].decode(); err != nil {
				b.Fatal(err)
			}
		}
		read += time.Since(began)
		began = time.Now()
		BuiltIn().Label(c, nil)
		label += time.Since(began)
		began = time.Now()
		var v any
		if err := json.Unmarshal(file, &v); err != nil {
			b.Fatal(err)
		}
		standard += time.Since(began)
		b.StartTimer()
	}
	b.ReportMetric(float64(cut)/float64(standard), "of-Unmarshal")
	b.ReportMetric(float64(read)/float64(standard), "to-decode-of-Unmarshal")
	b.ReportMetric(float64(label)/float64(standard), "to-label-of-Unmarshal")
}
