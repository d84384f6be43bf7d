package record_test

import (
	"encoding/json"
	"testing"

	"github.com/mrelease/mrelease/publish/record"
)

// What was attested first stays with whether the source was its commit: a clean run after
// one with changes says that there were changes, and the other way round.
func TestKeepCommitOfAChangedSource(t *testing.T) {
	clean, changed, loose := madeFrom(), madeFrom(), madeFrom()
	changed.Dirty = true
	loose.Commit, loose.Dirty = "", true // of no commit
	attested := func(all ...record.Source) (predicates []json.RawMessage) {
		for _, s := range all {
			data, err := json.Marshal(s.Provenance("1.0.0").Predicate)
			if err != nil {
				t.Fatal(err)
			}
			predicates = append(predicates, data)
		}
		return predicates
	}
	for name, tt := range map[string]struct {
		attested []json.RawMessage
		now      record.Source
		want     record.Source
	}{
		"changed, then clean":             {attested(changed), clean, changed},
		"clean, then changed":             {attested(clean), changed, clean},
		"changed, then the same":          {attested(changed), changed, changed},
		"of no commit, then clean":        {attested(loose), clean, loose},
		"clean, then of no commit":        {attested(clean), loose, clean},
		"of no commit, then changed":      {attested(loose), changed, loose},
		"both were attested, clean now":   {attested(changed, clean), clean, clean},
		"both were attested, loose now":   {attested(changed, clean), loose, changed},
		"nothing was attested, and dirty": {nil, changed, changed},
	} {
		got := tt.now
		got.KeepCommit(tt.attested)
		if got.Commit != tt.want.Commit || got.Dirty != tt.want.Dirty {
			t.Errorf("%s: %s, want %s", name, got.State(), tt.want.State())
		}
	}
}
