package diff

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// settings compares the configs field by field, whatever fields they have. The
// diff ids are left out: they follow from the layers.
func settings(a, b subject) ([]Field, error) {
	x, err := flatten(a.rawConfig)
	if err != nil {
		return nil, err
	}
	y, err := flatten(b.rawConfig)
	if err != nil {
		return nil, err
	}
	fields := compareMaps(x, y)
	if len(fields) == 0 && slices.Equal(a.config.RootFS.DiffIDs, b.config.RootFS.DiffIDs) {
		fields = []Field{{Name: "encoding", A: "the same fields", B: "written in another way"}}
	}
	slices.SortStableFunc(fields, func(f, g Field) int { return rank(f.Name) - rank(g.Name) })
	return fields, nil
}

// rank puts what a program sees before what only tells of the build.
func rank(field string) int {
	for i, prefix := range []string{"env", "config", "os", "architecture", "rootfs", "created", "history"} {
		if strings.HasPrefix(field, prefix) {
			return i
		}
	}
	return len(field)
}

// compareMaps returns the keys whose values differ, sorted.
func compareMaps(a, b map[string]string) []Field {
	var fields []Field
	keys := maps.Clone(a)
	if keys == nil {
		keys = map[string]string{}
	}
	maps.Copy(keys, b)
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		x, inA := a[key]
		y, inB := b[key]
		if x != y || inA != inB {
			fields = append(fields, Field{Name: key, A: x, B: y})
		}
	}
	return fields
}

// flatten makes a map of a config: "config.User", "history[2].created",
// "env HEAP".
func flatten(config []byte) (map[string]string, error) {
	dec := json.NewDecoder(bytes.NewReader(config))
	dec.UseNumber()
	var tree map[string]any
	if err := dec.Decode(&tree); err != nil {
		return nil, fmt.Errorf("parsing config: %w", err)
	}
	if root, ok := tree["rootfs"].(map[string]any); ok {
		delete(root, "diff_ids")
	}
	flat := map[string]string{}
	flattenValue(flat, "", tree)
	return flat, nil
}

func flattenValue(flat map[string]string, name string, value any) {
	switch v := value.(type) {
	case map[string]any:
		for key, inner := range v {
			flattenValue(flat, strings.TrimPrefix(name+"."+key, "."), inner)
		}
	case []any:
		if name == "config.Env" {
			flattenEnv(flat, v)
			return
		}
		for i, inner := range v {
			flattenValue(flat, fmt.Sprintf("%s[%d]", name, i), inner)
		}
	case nil:
	default:
		flat[name] = fmt.Sprint(v)
	}
}

// flattenEnv names variables by their name. Their order is a setting too: it
// changes the digest, and which one counts when a name stands twice.
func flattenEnv(flat map[string]string, env []any) {
	var names []string
	for _, entry := range env {
		name, value, _ := strings.Cut(fmt.Sprint(entry), "=")
		names = append(names, name)
		flat["env "+name] = value
	}
	flat["env (order)"] = strings.Join(names, " ")
}
