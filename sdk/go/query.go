package wavegate

import "strings"

// Placeholders are the names between double braces in a query, in order.
func Placeholders(query string) []string {
	var found []string
	for _, rest := range strings.Split(query, "{{")[1:] {
		if name, _, ok := strings.Cut(rest, "}}"); ok {
			found = append(found, name)
		}
	}
	return found
}

// FillQuery replaces placeholders such as {{cluster}}; what stands in a value is not replaced again.
//
// Values go inside the double quotes of a query, as in up{cluster="{{cluster}}"}, and are escaped
// for them: a name can never change what a query asks for.
func FillQuery(query string, values map[string]string) string {
	quoted := strings.NewReplacer(`\`, `\\`, `"`, `\"`)
	var filled strings.Builder
	rest := query
	for {
		before, after, ok := strings.Cut(rest, "{{")
		filled.WriteString(before)
		if !ok {
			return filled.String()
		}
		name, behind, _ := strings.Cut(after, "}}")
		if value, known := values[name]; known && len(behind)+len(name) < len(after) {
			filled.WriteString(quoted.Replace(value))
			rest = behind
		} else {
			filled.WriteString("{{")
			rest = after
		}
	}
}

// Label is the value of a label of a series.
func (s *Series) Label(name string) (string, bool) {
	for _, label := range s.Labels {
		if label.Name == name {
			return label.Value, true
		}
	}
	return "", false
}
