package pool_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/mrelease/mrelease/buildkit/pool"
)

func addresses(n int) (all []string) {
	for i := range n {
		all = append(all, fmt.Sprintf("tcp://buildkitd-%d.buildkitd:1234", i))
	}
	return all
}

func apps() (all []string) {
	for i := range 1000 {
		all = append(all, fmt.Sprintf("app-%d", i))
	}
	return all
}

// The order is a promise: another one would leave every cache behind.
func TestOrderIsWrittenDown(t *testing.T) {
	got := pool.Order("hello", addresses(4))
	want := []string{"tcp://buildkitd-0.buildkitd:1234", "tcp://buildkitd-2.buildkitd:1234", "tcp://buildkitd-1.buildkitd:1234", "tcp://buildkitd-3.buildkitd:1234"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := pool.Order("", addresses(4)); !slices.Equal(got, addresses(4)) {
		t.Errorf("without an app: %q", got)
	}
}

// Where a builder is taken away its apps move, to the next of their orders, and no others;
// and where it is added again, they come back.
func TestOnlyTheAppsOfALostBuilderMove(t *testing.T) {
	for n := 2; n <= 12; n++ {
		all := addresses(n)
		for lost := range all {
			left := slices.Delete(slices.Clone(all), lost, lost+1)
			for _, app := range apps() {
				before, after := pool.Order(app, all), pool.Order(app, left)
				want := slices.DeleteFunc(slices.Clone(before), func(a string) bool { return a == all[lost] })
				if !slices.Equal(after, want) {
					t.Fatalf("%s of %d builders without %s: %q, want %q", app, n, all[lost], after, want)
				}
			}
		}
	}
}

// The order of the list does not count.
func TestOrderOfTheListDoesNotCount(t *testing.T) {
	reversed := addresses(7)
	slices.Reverse(reversed)
	for _, app := range apps() {
		if a, b := pool.Order(app, addresses(7)), pool.Order(app, reversed); !slices.Equal(a, b) {
			t.Fatalf("%s: %q, and %q from the list the other way round", app, a, b)
		}
	}
}

// Each builder has about the same number of apps, and so has each as the second choice.
func TestAppsAreSpread(t *testing.T) {
	for n := 2; n <= 10; n++ {
		counts := [2]map[string]int{{}, {}}
		for _, app := range apps() {
			for i := range counts {
				counts[i][pool.Order(app, addresses(n))[i]]++
			}
		}
		for i := range counts {
			for _, address := range addresses(n) {
				if share, fair := counts[i][address], len(apps())/n; share < fair*6/10 || share > fair*15/10 {
					t.Errorf("%s is choice %d of %d of 1000 apps, of %d builders", address, i+1, share, n)
				}
			}
		}
	}
}

// Each builder is home to its share of the apps, and to one more where they do not divide.
func TestHomesAreShared(t *testing.T) {
	for n := 1; n <= 10; n++ {
		for _, count := range []int{0, 1, 2, 7, 12, 40, 100} {
			shares := map[string]int{}
			homes := pool.Homes(apps()[:count], addresses(n))
			for _, app := range apps()[:count] {
				shares[homes[app]]++
			}
			for address, share := range shares {
				if share > (count+n-1)/n || !slices.Contains(addresses(n), address) {
					t.Errorf("%d of %d apps are at %q, of %d builders", share, count, address, n)
				}
			}
		}
	}
}

// One app alone is at home where it is without others, and the order of neither list counts.
func TestHomesFollowFromNames(t *testing.T) {
	for _, app := range apps()[:50] {
		if home, first := pool.Homes([]string{app}, addresses(4))[app], pool.Order(app, addresses(4))[0]; home != first {
			t.Errorf("%s alone is at %s, not at %s", app, home, first)
		}
	}
	few, far := apps()[:100], addresses(4)
	want := pool.Homes(few, far)
	slices.Reverse(few)
	slices.Reverse(far)
	if got := pool.Homes(few, far); !maps.Equal(got, want) {
		t.Error("they are elsewhere with the lists the other way round")
	}
}

// Where an app or a builder is added, few apps move that would not have to.
func TestHomesStay(t *testing.T) {
	moved := func(before, after map[string]string) (n int) {
		for app, home := range before {
			if after[app] != home {
				n++
			}
		}
		return n
	}
	all := apps()[:101]
	four := pool.Homes(all[:100], addresses(4))
	if n := moved(four, pool.Homes(all, addresses(4))); n > 4 {
		t.Errorf("%d of 100 apps move when another one is added", n)
	}
	if n := moved(four, pool.Homes(all[:100], addresses(5))); n < 20 || n > 30 {
		t.Errorf("%d of 100 apps move to or for a fifth builder, 20 have to", n)
	}
	for lost := range 4 {
		left := slices.Delete(addresses(4), lost, lost+1)
		if n := moved(four, pool.Homes(all[:100], left)); n < 25 || n > 38 {
			t.Errorf("%d of 100 apps move when a builder is taken away, 25 have to", n)
		}
	}
}
