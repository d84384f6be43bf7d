package pool_test

import (
	"fmt"
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
