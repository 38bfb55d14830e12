package ledgerclient

import (
	"errors"
	"fmt"
	"testing"
)

// Who is silent is waited for once; who says of one question that it cannot answer it is
// asked the others.
func TestOneByOne(t *testing.T) {
	for _, c := range []struct {
		name  string
		why   error
		asked int
	}{
		{"silent", &UnreachableError{Service: "keeper", Err: errors.New("timeout")}, 1},
		{"cannot", &UnreachableError{Service: "keeper", Err: errors.New("failed"), Answered: true}, 3},
		{"damaged", &UnreachableError{Service: "keeper", Err: errors.New("damaged"), Damaged: true}, 3},
		{"refused", &KeeperError{Code: UnknownGrant}, 3},
	} {
		asked, said := 0, ""
		err := OneByOne([]int{2, 0, 1}, func(i int) (int, error) {
			if asked++; i == 2 {
				return 0, c.why
			}
			return 10 + i, nil
		}, func(i, a int, err error) error {
			if err != nil && err != c.why {
				t.Errorf("%s: %d: %v", c.name, i, err)
			}
			said += fmt.Sprint(i, a, err != nil, ";")
			return nil
		})
		want := "2 0 true;0 10 false;1 11 false;"
		if c.asked == 1 {
			want = "2 0 true;0 0 true;1 0 true;"
		}
		if err != nil || asked != c.asked || said != want {
			t.Errorf("%s: asked %d times: %q, %v", c.name, asked, said, err)
		}
	}
}
