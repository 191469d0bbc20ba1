package wavegate

import (
	"encoding/json"
	"os"
	"reflect"
	"testing"
)

// The same numbers as in every other language.
var cases struct {
	Spread []struct {
		Nodes             uint32
		Capacities, Given []uint32
	}
	Apportion []struct {
		Total          uint32
		Weights, Parts []uint32
	}
	Number []struct {
		Value float64
		Text  string
	}
	Duration []struct {
		Text  string
		Ms    *uint32
		Shown string
	}
	Percent []struct {
		Text     string
		Permille *uint32
	}
	Fill []struct {
		Query, Filled string
		Values        map[string]string
		Placeholders  []string
	}
}

func TestMain(m *testing.M) {
	bytes, err := os.ReadFile("../conformance/arithmetic.json")
	if err == nil {
		err = json.Unmarshal(bytes, &cases)
	}
	if err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

func TestNodesAreSpread(t *testing.T) {
	for _, it := range cases.Spread {
		if given := Spread(it.Nodes, it.Capacities); !reflect.DeepEqual(given, it.Given) {
			t.Errorf("%+v: %v", it, given)
		}
	}
}

func TestPartsSumToTheTotal(t *testing.T) {
	for _, it := range cases.Apportion {
		if parts := Apportion(it.Total, it.Weights); !reflect.DeepEqual(parts, it.Parts) {
			t.Errorf("%+v: %v", it, parts)
		}
	}
}

func TestNumbersAreShown(t *testing.T) {
	for _, it := range cases.Number {
		if text := Number(it.Value); text != it.Text {
			t.Errorf("%+v: %v", it, text)
		}
	}
}

func TestDurationsAreReadAndShown(t *testing.T) {
	for _, it := range cases.Duration {
		duration, err := ParseDuration(it.Text)
		if (err == nil) != (it.Ms != nil) {
			t.Errorf("%+v: %v", it, err)
		} else if err == nil && (uint32(duration) != *it.Ms || duration.String() != it.Shown) {
			t.Errorf("%+v: %v", it, duration)
		}
	}
}

func TestPercentagesAreRead(t *testing.T) {
	for _, it := range cases.Percent {
		percent, err := ParsePercent(it.Text)
		if (err == nil) != (it.Permille != nil) || err == nil && uint32(percent) != *it.Permille {
			t.Errorf("%+v: %v (%v)", it, percent, err)
		}
	}
}

func TestPlaceholdersAreReplacedOnce(t *testing.T) {
	for _, it := range cases.Fill {
		if filled := FillQuery(it.Query, it.Values); filled != it.Filled {
			t.Errorf("%+v: %v", it, filled)
		}
		if found := Placeholders(it.Query); len(found)+len(it.Placeholders) > 0 && !reflect.DeepEqual(found, it.Placeholders) {
			t.Errorf("%+v: %v", it, found)
		}
	}
}
