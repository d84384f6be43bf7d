package settings

import (
	"bytes"
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/mrelease/mrelease/measure"
	"github.com/mrelease/mrelease/poco"
	"github.com/mrelease/mrelease/publish/orders"
	"github.com/mrelease/mrelease/publish/registry"
)

// schema is a JSON schema, as far as a configuration needs it.
type schema struct {
	Dialect     string             `json:"$schema,omitempty"`
	Title       string             `json:"title,omitempty"`
	Description string             `json:"description,omitempty"`
	Type        kinds              `json:"type,omitempty"`
	Enum        []string           `json:"enum,omitempty"`
	Examples    []string           `json:"examples,omitempty"`
	Pattern     string             `json:"pattern,omitempty"`
	MaxLength   int                `json:"maxLength,omitempty"`
	Minimum     *uint64            `json:"minimum,omitempty"`
	Items       *schema            `json:"items,omitempty"`
	AnyOf       []schema           `json:"anyOf,omitempty"`
	Properties  map[string]*schema `json:"properties,omitempty"`
	Required    []string           `json:"required,omitempty"`
	Names       *schema            `json:"propertyNames,omitempty"`
	Additional  any                `json:"additionalProperties,omitempty"`
	Default     any                `json:"default,omitempty"`
}

// kinds are the JSON types that a value can have.
type kinds []string

// MarshalJSON writes a single one without brackets.
func (k kinds) MarshalJSON() ([]byte, error) {
	if len(k) == 1 {
		return json.Marshal(k[0])
	}
	return json.Marshal([]string(k))
}

// Schema returns the JSON schema of a configuration file, as one document. No key
// is required: several files make one configuration.
func Schema() ([]byte, error) {
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(settingsSchema()); err != nil {
		return nil, fmt.Errorf("encoding schema: %w", err)
	}
	return text.Bytes(), nil
}

func settingsSchema() *schema {
	s := schemaOf(reflect.ValueOf(Defaults()))
	s.Dialect = "https://json-schema.org/draft/2020-12/schema"
	s.Title = "mrelease.yaml"
	s.Description = "What mrelease releases, and where to."
	for _, p := range poco.Chains() {
		s.Properties["chain"].Examples = append(s.Properties["chain"].Examples, p.Name)
	}
	return s
}

// schemaOf describes what the decoder takes for a value, which holds the
// default.
func schemaOf(v reflect.Value) *schema {
	if s := valueSchema(v.Interface()); s != nil {
		return s
	}
	if reflect.PointerTo(v.Type()).Implements(reflect.TypeFor[encoding.TextUnmarshaler]()) {
		return &schema{Type: kinds{"string"}}
	}
	switch v.Kind() {
	case reflect.Struct:
		return structSchema(v)
	case reflect.Map:
		entry := schemaOf(reflect.Zero(v.Type().Elem()))
		for _, child := range entry.Properties {
			child.Default = nil // an entry of a map has none
		}
		return &schema{Type: kinds{"object"}, Names: entryNames(), Additional: entry}
	case reflect.Bool:
		return &schema{Type: kinds{"boolean"}, Default: v.Bool()}
	case reflect.Uint64:
		return &schema{Type: kinds{"integer"}, Minimum: new(uint64), Default: v.Uint()}
	}
	return &schema{Type: kinds{"string"}, Default: nonEmpty(v.String())}
}

func structSchema(v reflect.Value) *schema {
	s := &schema{Type: kinds{"object"}, Properties: map[string]*schema{}, Additional: false}
	for i := range v.NumField() {
		field := v.Type().Field(i)
		child := schemaOf(v.Field(i))
		child.Description = field.Tag.Get("doc")
		s.Properties[field.Tag.Get("yaml")] = child
	}
	return s
}

// valueSchema describes the types that parse their own text, and returns nil
// for any other. YAML reads hex digits as a number unless they are quoted; the
// decoder takes both.
func valueSchema(v any) *schema {
	switch v := v.(type) {
	case measure.Format:
		return &schema{Type: kinds{"string"}, Enum: texts(measure.Formats()), Default: nonEmpty(string(v))}
	case measure.Trust:
		return &schema{Type: kinds{"string"}, Enum: texts(measure.Trusts()), Default: nonEmpty(string(v))}
	case registry.Layout:
		return &schema{Type: kinds{"string"}, Enum: texts(registry.Layouts()), Default: nonEmpty(string(v))}
	case orders.Retire:
		return &schema{Type: kinds{"string"}, Enum: texts(orders.Retires()), Default: nonEmpty(string(v))}
	case poco.Fees:
		return &schema{Type: kinds{"string"}, Enum: texts(poco.FeeModes())}
	case SealMode:
		return &schema{Type: kinds{"string"}, Enum: texts(sealModes()), Default: nonEmpty(string(v))}
	case Apps:
		return &schema{Type: kinds{"array"}, Items: appSchema()}
	case Builders:
		return &schema{Type: kinds{"array"}, Items: builderSchema()}
	case List:
		return &schema{Type: kinds{"array"}, Items: &schema{Type: kinds{"string"}}}
	case Network:
		return &schema{Type: kinds{"string"}, Enum: networks(), Default: nonEmpty(string(v))}
	case Compression:
		return &schema{Type: kinds{"string"}, Enum: compressions(), Default: nonEmpty(string(v))}
	case CacheMode:
		return &schema{Type: kinds{"string"}, Enum: cacheModes(), Default: nonEmpty(string(v))}
	case poco.Tag:
		return tagSchema(v)
	case Addresses:
		return &schema{Type: kinds{"array"}, Items: valueSchema(common.Address{})}
	case common.Address:
		return &schema{Type: kinds{"string", "integer"}, Pattern: "^0x[0-9a-fA-F]{40}$"}
	case Pin:
		return &schema{Type: kinds{"string"}, Pattern: "^sha256:[0-9a-f]{64}$"}
	case KMSKey:
		return &schema{Type: kinds{"string"}, Pattern: kmsPattern}
	case URL:
		return urlSchema()
	case URLs: // which the decoder takes in one text, too, joined by commas
		return &schema{AnyOf: []schema{*urlSchema(), {Type: kinds{"array"}, Items: urlSchema()}}}
	case Duration:
		return &schema{Type: kinds{"string"}, Pattern: `^([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+$`, Default: shortDuration(v)}
	case Size:
		return &schema{Type: kinds{"string", "integer"}, Pattern: "^[0-9]+[KMG]?$", Minimum: new(uint64), Default: v.text()}
	case Name:
		return &schema{Type: kinds{"string"}, MaxLength: MaxName}
	case map[string]string: // the decoder takes any scalar
		return &schema{Type: kinds{"object"}, Names: entryNames(), Additional: &schema{Type: kinds{"string", "number", "boolean"}}}
	}
	return nil
}

// builderSchema describes an entry of builders, which may be its address alone.
func builderSchema() *schema {
	entry := structSchema(reflect.ValueOf(Builder{}))
	entry.inherit()
	entry.Required = []string{"address"}
	return &schema{AnyOf: []schema{{Type: kinds{"string"}}, *entry}}
}

// appSchema describes an entry of apps: what is not set in it is as it is for all.
func appSchema() *schema {
	s := &schema{Type: kinds{"object"}, Properties: map[string]*schema{}, Required: []string{"name"}, Additional: false}
	defaults := reflect.ValueOf(Defaults())
	for i := range defaults.NumField() {
		field := defaults.Type().Field(i)
		if key := field.Tag.Get("yaml"); !slices.Contains(commonKeys(), key) {
			child := schemaOf(defaults.Field(i))
			child.Description = field.Tag.Get("doc")
			child.inherit()
			s.Properties[key] = child
		}
	}
	s.Properties["name"] = &schema{Type: kinds{"string"}, Pattern: appName, Description: "the app's name, for --only and on the chain; no other app has it (required)"}
	return s
}

// inherit drops the defaults.
func (s *schema) inherit() {
	s.Default = nil
	for _, child := range s.Properties {
		child.inherit()
	}
}

func urlSchema() *schema { return &schema{Type: kinds{"string"}, Pattern: "^https?://."} }

// entryNames describes the names of a map's entries.
func entryNames() *schema { return &schema{Pattern: entryName} }

func tagSchema(t poco.Tag) *schema {
	names := schema{Type: kinds{"string"}, Enum: poco.TagNames()}
	name := "(" + strings.Join(poco.TagNames(), "|") + ")"
	return &schema{
		AnyOf: []schema{
			names,
			{Type: kinds{"string"}, Pattern: "^" + name + "(, *" + name + ")*$"},
			{Type: kinds{"string", "integer"}, Pattern: "^0x[0-9a-fA-F]{1,64}$"},
			{Type: kinds{"array"}, Items: &names},
		},
		Default: strings.Join(t.Names(), ","),
	}
}

func texts[T ~string](values []T) []string {
	var all []string
	for _, v := range values {
		all = append(all, string(v))
	}
	return all
}

// nonEmpty makes no default of an empty text.
func nonEmpty(text string) any {
	if text == "" {
		return nil
	}
	return text
}

// shortDuration writes 1m for time's 1m0s.
func shortDuration(d Duration) any {
	text := time.Duration(d).String()
	text = strings.Replace(text, "m0s", "m", 1)
	return nonEmpty(strings.Replace(text, "h0m", "h", 1))
}
