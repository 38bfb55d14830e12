// Package testdata holds files that were written for this project: a FHIR bundle
// of a person who does not exist, for tests and for carekey try.
package testdata

import _ "embed"

// Bundle is a FHIR R4 bundle, marked as test data (v3-ActReason HTEST).
//
//go:embed fhir/maria-example.json
var Bundle []byte

// BundleName is the bundle's file name.
const BundleName = "maria-example.json"
