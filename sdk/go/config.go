package wavegate

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
)

// Schema is the JSON Schema of a configuration, made from the tags of a struct:
//
//	type Config struct {
//		Steps []Amount  `json:"steps" text:"Nodes, step by step." minItems:"1"`
//		Pause *Duration `json:"pause" text:"How long to watch."`
//	}
//
// A pointer, or a field with the tag default, may be left out. Tags are text, default (as JSON),
// enum (words with commas), pattern, minLength, maxLength, minItems, maxItems, uniqueItems, minimum,
// maximum, and itemMinLength for the items of a list.
func Schema[C any](title string, examples []string) string {
	made := object{{"$schema", "https://json-schema.org/draft/2020-12/schema"}, {"title", title}}
	made = append(made, objectSchema(reflect.TypeFor[C]())...)
	list := make([]json.RawMessage, 0, len(examples))
	for _, example := range examples {
		list = append(list, json.RawMessage(example))
	}
	made = append(made, entry{"examples", list})
	return string(marshal(made))
}

// ReadConfig reads a configuration; what cannot be read is the failure bad-config.
func ReadConfig[C any](text string) (*C, error) {
	config := new(C)
	if defaulter, ok := any(config).(Defaulter); ok {
		defaulter.SetDefaults()
	}
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(config); err != nil {
		return nil, Failf(badConfig, "the configuration cannot be read: %v", err)
	}
	return config, nil
}

// Problems is what a plugin finds wrong with a configuration.
func Problems[C any](plugin any, text string) []Problem {
	config, err := ReadConfig[C](text)
	if err != nil {
		// The host shows a problem where the author of the policy wrote it.
		return []Problem{{"", err.(*Failure).Message}}
	}
	if checker, ok := plugin.(ConfigChecker[C]); ok {
		return checker.CheckConfig(config)
	}
	return nil
}

// ReadState reads a state; no bytes are the state before the first call.
func ReadState[S any](state []byte) (S, error) {
	var read S
	if len(state) == 0 {
		return read, nil
	}
	decoder := json.NewDecoder(bytes.NewReader(state))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&read); err != nil {
		return read, Failf(badState, "the state cannot be read: %v", err)
	}
	return read, nil
}

const stateBytesMax = 64 * 1024

// WriteState writes a state, compact; an empty struct needs no bytes.
func WriteState[S any](state S) ([]byte, error) {
	if reflect.TypeFor[S]().Size() == 0 {
		return nil, nil
	}
	written := marshal(state)
	if len(written) > stateBytesMax {
		return nil, Failf(badState, "the state takes %d bytes, more than %d", len(written), stateBytesMax)
	}
	return written, nil
}

// object is a JSON object with its entries in order.
type object []entry

type entry struct {
	name  string
	value any
}

func (o object) MarshalJSON() ([]byte, error) {
	parts := make([]string, 0, len(o))
	for _, entry := range o {
		parts = append(parts, fmt.Sprintf("%s:%s", marshal(entry.name), marshal(entry.value)))
	}
	return []byte("{" + strings.Join(parts, ",") + "}"), nil
}

// marshal writes JSON as other languages do, without escapes for HTML.
func marshal(value any) []byte {
	var buffer bytes.Buffer
	encoder := json.NewEncoder(&buffer)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		panic(err)
	}
	return bytes.TrimSuffix(buffer.Bytes(), []byte("\n"))
}

func objectSchema(form reflect.Type) object {
	required := []string{}
	properties := object{}
	for index := range form.NumField() {
		field := form.Field(index)
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if _, isOptional := field.Tag.Lookup("default"); !isOptional && field.Type.Kind() != reflect.Pointer {
			required = append(required, name)
		}
		properties = append(properties, entry{name, fieldSchema(field)})
	}
	return object{
		{"type", "object"},
		{"additionalProperties", false},
		{"required", required},
		{"properties", properties},
	}
}

func fieldSchema(field reflect.StructField) object {
	made := object{{"description", field.Tag.Get("text")}}
	if value, ok := field.Tag.Lookup("default"); ok {
		made = append(made, entry{"default", json.RawMessage(value)})
	}
	if words, ok := field.Tag.Lookup("enum"); ok {
		return append(made, entry{"enum", strings.Split(words, ",")})
	}
	made = append(made, shape(field.Type, field.Tag)...)
	if pattern, ok := field.Tag.Lookup("pattern"); ok {
		made = append(made, entry{"pattern", pattern})
	}
	for _, limit := range []string{"minLength", "maxLength", "minItems", "maxItems", "uniqueItems", "minimum", "maximum"} {
		if value, ok := field.Tag.Lookup(limit); ok {
			made = append(made, entry{limit, json.RawMessage(value)})
		}
	}
	return made
}

func shape(form reflect.Type, tag reflect.StructTag) object {
	const percent = `^[0-9]{1,3}(\.[0-9])?%$`
	switch form {
	case reflect.TypeFor[Amount]():
		count := object{{"type", "integer"}, {"minimum", 1}, {"maximum", uint32(1<<32 - 1)}}
		share := object{{"type", "string"}, {"pattern", percent}}
		return object{{"oneOf", []object{count, share}}}
	case reflect.TypeFor[Percent]():
		return object{{"type", "string"}, {"pattern", percent}}
	case reflect.TypeFor[Duration]():
		return object{{"type", "string"}, {"pattern", "^([0-9]+(ms|s|m|h|d))+$"}}
	}
	switch form.Kind() {
	case reflect.Pointer:
		return shape(form.Elem(), tag)
	case reflect.Slice:
		items := shape(form.Elem(), "")
		if length, ok := tag.Lookup("itemMinLength"); ok {
			items = append(items, entry{"minLength", json.RawMessage(length)})
		}
		return object{{"type", "array"}, {"items", items}}
	case reflect.Struct:
		return objectSchema(form)
	case reflect.String:
		return object{{"type", "string"}}
	case reflect.Bool:
		return object{{"type", "boolean"}}
	case reflect.Float64:
		return object{{"type", "number"}}
	default:
		return object{{"type", "integer"}}
	}
}
