package main

import (
	"debug/buildinfo"
	"encoding/json"
	"os"
	"path/filepath"
)

// statementSuffix ends the name of the statement that nobody signed: the signed one is
// made of it.
const statementSuffix = ".unsigned.intoto.json"

// object is a JSON object; its keys are written in order.
type object = map[string]any

// state writes what was made from what, as an in-toto statement with a provenance of
// SLSA's. Who made it stands in its signature.
func (r release) state(programs []program) error {
	all, err := r.assets()
	if err != nil {
		return err
	}
	var subjects []object
	for _, a := range all {
		subjects = append(subjects, object{"name": a.name, "digest": object{"sha256": a.sum}})
	}
	compiler, err := buildinfo.ReadFile(programs[0].path)
	if err != nil {
		return err
	}
	const home = "https://github.com/mrelease/mrelease"
	text, err := json.MarshalIndent(object{
		"_type": "https://in-toto.io/Statement/v1", "subject": subjects,
		"predicateType": "https://slsa.dev/provenance/v1",
		"predicate": object{
			"buildDefinition": object{
				"buildType":            home + "/buildtypes/dist/v1",
				"externalParameters":   object{"version": r.version},
				"internalParameters":   object{"go": compiler.GoVersion},
				"resolvedDependencies": []object{{"uri": "git+" + r.source, "digest": object{"gitCommit": r.commit}}},
			},
			"runDetails": object{"builder": object{"id": home + "/make/dist"}},
		},
	}, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(r.out, "mrelease_"+r.version+statementSuffix), append(text, '\n'), 0o644)
}
