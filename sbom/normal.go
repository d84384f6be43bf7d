package sbom

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
)

// date sets who made a document, and when; and when what is noted in it was noted. Dates of
// packages are what is listed, and stay.
func date(value any, made time.Time, scanner string) error {
	const want = "an object creationInfo with a list of creators"
	document, _ := value.(map[string]any)
	info, ok := document["creationInfo"].(map[string]any)
	if !ok {
		return &Error{"does not say who made it", "nothing", want}
	}
	creators, ok := info["creators"].([]any)
	if !ok {
		return &Error{"does not say who made it", "nothing", want}
	}
	if by := any(tool(scanner)); !slices.Contains(creators, by) {
		creators = append(creators, by)
	}
	at := made.UTC().Format(time.RFC3339)
	info["created"], info["creators"] = at, creators
	dateNotes(document, at)
	return nil
}

func dateNotes(value any, at string) {
	switch v := value.(type) {
	case map[string]any:
		if _, ok := v["annotationDate"]; ok {
			v["annotationDate"] = at
		}
		for _, member := range v {
			dateNotes(member, at)
		}
	case []any:
		for _, element := range v {
			dateNotes(element, at)
		}
	}
}

// uuids matches those that a scanner may have made.
var uuids = regexp.MustCompile(`[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}`)

// rename puts UUIDs that are made from the document in the place of those in its namespace,
// and sorts all arrays. What a UUID is made from has a mark in its place, so that another
// scan, and what was renamed already, come to the same.
func rename(value any) (any, error) {
	document, _ := value.(map[string]any)
	namespace, _ := document["documentNamespace"].(string)
	random := uuids.FindAllString(namespace, -1)
	marks := make([]string, 2*len(random))
	for i, id := range random {
		marks[2*i], marks[2*i+1] = id, fmt.Sprintf("urn:mrelease:uuid:%d", i)
	}
	marked, err := arranged(value, strings.NewReplacer(marks...))
	if err != nil {
		return nil, err
	}
	text, err := canonical(marked)
	if err != nil {
		return nil, &Error{"cannot be written: " + err.Error(), "something else", wanted}
	}
	for i := range random {
		made := uuid.NewHash(sha256.New(), uuid.Nil, append(text, byte(i)), 8)
		marks[2*i], marks[2*i+1] = marks[2*i+1], made.String()
	}
	return arranged(marked, strings.NewReplacer(marks...))
}

// arranged replaces in all texts of a value, and sorts the elements of all arrays.
func arranged(value any, in *strings.Replacer) (any, error) {
	switch v := value.(type) {
	case string:
		return in.Replace(v), nil
	case map[string]any:
		made := make(map[string]any, len(v))
		for name, member := range v {
			var err error
			if made[name], err = arranged(member, in); err != nil {
				return nil, err
			}
		}
		return made, nil
	case []any:
		return arrangedList(v, in)
	}
	return value, nil
}

func arrangedList(list []any, in *strings.Replacer) (any, error) {
	type element struct {
		text  string
		value any
	}
	elements := make([]element, len(list))
	for i, v := range list {
		made, err := arranged(v, in)
		if err != nil {
			return nil, err
		}
		text, err := json.Marshal(made) // which sorts the members of objects
		if err != nil {
			return nil, fmt.Errorf("sorting: %w", err)
		}
		elements[i] = element{string(text), made}
	}
	slices.SortFunc(elements, func(a, b element) int { return strings.Compare(a.text, b.text) })
	made := make([]any, len(list))
	for i, e := range elements {
		made[i] = e.value
	}
	return made, nil
}
