package order

import "testing"

func TestShown(t *testing.T) {
	for url, want := range map[string]string{
		"":                                "",
		"example:/srv/order":              "example:/srv/order",
		"fabric://peer:7051/channel":      "fabric://peer:7051/channel",
		"fabric://maria@peer/channel":     "fabric://…@peer/channel",
		"fabric://maria:hunter2@peer/c":   "fabric://…@peer/c",
		"fabric://maria:hun@ter2@peer/c":  "fabric://…@peer/c",
		"fabric://maria:h%75nter2@peer/c": "fabric://…@peer/c",
		"fabric://m:hunter2@peer/c@d?n=1": "fabric://…@d?…",
		"sql://h/db?user=m&password=hunter2&Api-Key=hunter2&n=1": "sql://h/db?…",
		"sql:db?token=hunter2":     "sql:db?…",
		"sql:db#hunter2":           "sql:db#…",
		"sql://m:1#hunter2@[::1]/": "sql://m:1#…",
		"sql://m:hunter2@[::1":     "sql:…",
	} {
		if got := Shown(url); got != want {
			t.Errorf("%s is shown as %s, want %s", url, got, want)
		}
	}
}
