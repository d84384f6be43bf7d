package poco

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
)

// Obstacle says who cannot use an app's order, and why. The contracts take all
// the same: they do not look at an app's enclave value, and of a tag's bits only
// at the first.
type Obstacle struct {
	Who string `json:"who"`
	Why string `json:"why"`
}

// Compatibility returns who of today's users of the market cannot match an
// app's order with this tag, for what the app stores about its enclave. One
// reason each, the first that they run into.
//
// The rules are those of tagSchema and checkAppRequirements in iExec's SDK (8.24
// and 9.0), of the tags that 5.3 has names for, of TeeUtils in iexec-commons-poco for the scheduler, and of
// matchOrders in PoCo.
func Compatibility(t Tag, mrenclave []byte) []Obstacle {
	var found []Obstacle
	for _, r := range rules() {
		seen := slices.ContainsFunc(found, func(o Obstacle) bool { return o.Who == r.Who })
		if !seen && r.applies(t, frameworkOf(mrenclave)) {
			found = append(found, r.Obstacle)
		}
	}
	return found
}

// rule is an obstacle and when it stands in the way. The framework is that of
// the enclave value: unnamed for a value that names none (KEY|TAG|MRENCLAVE),
// empty for an app without one.
type rule struct {
	Obstacle
	applies func(t Tag, framework string) bool
}

const unnamed = "?"

func rules() []rule {
	const (
		anybody   = "requesters of a TEE"
		sdk5      = "iExec's SDK 5"
		sdk8      = "iExec's SDK 8"
		sdk9      = "iExec's SDK 9"
		scheduler = "iExec's scheduler and secret service"
	)
	return []rule{
		{Obstacle{anybody, "matchOrders reverts (iExecV5-matchOrders-0x07): the tag lacks tee"},
			func(t Tag, framework string) bool { return framework != "" && !t.Has("tee") }},
		{Obstacle{sdk5, "of a tag it knows tee and gpu, and looks for orders without any other bit, unless the requester writes the tag in hex"},
			func(t Tag, _ string) bool {
				return slices.ContainsFunc(t.Names(), func(name string) bool { return name != "tee" && name != "gpu" })
			}},
		{Obstacle{sdk8, "it refuses the tag: tee goes with exactly one of scone, gramine and tdx there"},
			func(t Tag, _ string) bool {
				return t.Has("tee") != (len(frameworkBits(t)) == 1) || len(frameworkBits(t)) > 1
			}},
		{Obstacle{sdk8, "its preflight check compares the tag's framework with the one that the enclave value names, and they differ (a value with keys that do not belong to its framework names none)"},
			func(t Tag, framework string) bool {
				bits, named := frameworkBits(t), frameworks(framework)
				return !slices.Equal(bits, named) && !(len(bits) == 0 && slices.Equal(named, []string{"tdx"})) // which a tag need not name
			}},
		{Obstacle{sdk9, "it refuses any app with an enclave value: it runs TDX apps only, which have none"},
			func(_ Tag, framework string) bool { return framework != "" }},
		{Obstacle{sdk9, "it looks for orders with tee and tdx, and refuses scone and gramine"},
			func(t Tag, _ string) bool { return !t.Has("tee") || !slices.Equal(frameworkBits(t), []string{"tdx"}) }},
		{Obstacle{scheduler, "to them the tag names no TEE: they know 0x3 (scone), 0x5 (gramine) and 0x9 (tdx), and run anything else outside of an enclave"},
			func(t Tag, framework string) bool {
				return framework != "" && !slices.Contains([]byte{0x3, 0x5, 0x9}, t[31]&0xf)
			}},
	}
}

// Frameworks returns the names of the frameworks that a tag and an enclave value can
// name.
func Frameworks() []string { return []string{"scone", "gramine", "tdx"} }

// frameworkBits returns the names of the frameworks in a tag.
func frameworkBits(t Tag) []string {
	return slices.DeleteFunc(t.Names(), func(name string) bool { return !slices.Contains(Frameworks(), name) })
}

// frameworks returns the bits that a tag must have for an enclave value; an app
// without one counts as TDX since SDK 8.23.
func frameworks(framework string) []string {
	switch framework {
	case unnamed:
		return nil
	case "":
		return []string{"tdx"}
	}
	return []string{framework}
}

// frameworkOf returns the framework that an enclave value names: as SDK 8 reads it,
// one with another set of keys names none.
func frameworkOf(mrenclave []byte) string {
	if len(mrenclave) == 0 {
		return ""
	}
	var value map[string]any
	if json.Unmarshal(mrenclave, &value) != nil {
		return unnamed
	}
	name, _ := value["framework"].(string)
	name = strings.ToLower(name)
	keys := []string{"fingerprint", "framework", "version"}
	if name == "scone" {
		keys = []string{"entrypoint", "fingerprint", "framework", "heapSize", "version"}
	}
	if !slices.Contains(Frameworks(), name) || !slices.Equal(slices.Sorted(maps.Keys(value)), keys) {
		return unnamed
	}
	return name
}
