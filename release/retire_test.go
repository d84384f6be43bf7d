package release

import (
	"math/big"
	"strings"
	"testing"

	"github.com/mrelease/mrelease/poco"
	"github.com/mrelease/mrelease/publish/rotation"
)

// notes is a Teller that keeps what is told beside the steps.
type notes struct {
	silent
	told []string
}

func (n *notes) Note(text string) { n.told = append(n.told, text) }

// A wallet can have fifty old orders: some are told one by one, and the others counted, none
// is passed over in silence.
func TestOldOrdersAreToldOrCounted(t *testing.T) {
	for n, want := range map[int]string{0: "", 5: "", 6: "1 old order more: each is late", 50: "45 old orders more: each is late"} {
		var sales []rotation.Sale
		for range n {
			sales = append(sales, rotation.Sale{Order: poco.SignedAppOrder{AppOrder: poco.AppOrder{AppPrice: new(big.Int)}}, Left: new(big.Int)})
		}
		all := &notes{}
		(&run{Release: Release{Teller: all}}).noteEach(sales, "is late")
		each := min(n, maxStaying)
		if got := strings.Join(all.told[each:], "\n"); got != want {
			t.Errorf("of %d: %q, want %q", n, got, want)
		}
		for _, text := range all.told[:each] {
			if !strings.HasPrefix(text, "old order 0x") || !strings.HasSuffix(text, " is late") {
				t.Errorf("of %d: %q", n, text)
			}
		}
	}
}
