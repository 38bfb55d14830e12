package batch

import _ "embed"

//go:embed schema.json
var schema []byte

// Schema is the JSON Schema of one line of a file.
func Schema() []byte { return append([]byte(nil), schema...) }
