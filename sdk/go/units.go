package wavegate

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Percent is a share in permille, written as a percentage such as "25%" or "0.5%".
type Percent uint32

// Whole is all of it.
const Whole Percent = 1000

// ParsePercent reads a percentage with at most one decimal, because shares are whole permille.
func ParsePercent(text string) (Percent, error) {
	number, ok := strings.CutSuffix(text, "%")
	whole, tenths, isDecimal := strings.Cut(number, ".")
	if !isDecimal {
		tenths = "0"
	}
	permille, isNumber := digits(whole + tenths)
	if !ok || whole == "" || len(tenths) != 1 || !isNumber || permille > uint64(Whole) {
		return 0, fmt.Errorf("%q is not a percentage from \"0%%\" to \"100%%\" with at most one decimal", text)
	}
	return Percent(permille), nil
}

// Of is this share of a count, rounded up.
func (p Percent) Of(count uint32) uint32 {
	return uint32((uint64(count)*uint64(p) + 999) / 1000)
}

func (p Percent) String() string {
	if p%10 == 0 {
		return fmt.Sprintf("%d %%", p/10)
	}
	return fmt.Sprintf("%d.%d %%", p/10, p%10)
}

// UnmarshalJSON reads a percentage.
func (p *Percent) UnmarshalJSON(bytes []byte) error {
	return unmarshalText(bytes, p, ParsePercent)
}

// Amount is a count such as 3, or a percentage such as "25%".
type Amount struct {
	// Count is used unless IsPercent.
	Count     uint32
	Percent   Percent
	IsPercent bool
}

// Of is the number out of total, rounded up and never more than total.
func (a Amount) Of(total uint32) uint32 {
	if a.IsPercent {
		return a.Percent.Of(total)
	}
	return min(a.Count, total)
}

// IsZero says whether it is nothing for every total.
func (a Amount) IsZero() bool {
	return a.Count == 0 && a.Percent == 0
}

// Less says whether both are counts or both are percentages, and this one is the smaller.
func (a Amount) Less(other Amount) bool {
	return a.IsPercent == other.IsPercent && (a.Count < other.Count || a.Percent < other.Percent)
}

// UnmarshalJSON reads a count or a percentage.
func (a *Amount) UnmarshalJSON(bytes []byte) error {
	if len(bytes) > 0 && bytes[0] == '"' {
		a.IsPercent = true
		return json.Unmarshal(bytes, &a.Percent)
	}
	return json.Unmarshal(bytes, &a.Count)
}

// Duration is in milliseconds, written as "500ms", "10s" or "1m30s"; 40 days at most.
type Duration uint32

const day = 24 * 60 * 60 * 1000

var durationUnits = []struct {
	name string
	ms   uint64
}{{"ms", 1}, {"s", 1000}, {"m", 60 * 1000}, {"h", 60 * 60 * 1000}, {"d", day}}

// ParseDuration reads a duration.
func ParseDuration(text string) (Duration, error) {
	var sum uint64
	rest := text
	for rest != "" && sum <= 40*day {
		size := len(rest) - len(strings.TrimLeft(rest, "0123456789"))
		number, isNumber := digits(rest[:size])
		rest = rest[size:]
		size = len(rest) - len(strings.TrimLeft(rest, "abcdefghijklmnopqrstuvwxyz"))
		ms := uint64(math.MaxUint64)
		for _, unit := range durationUnits {
			if isNumber && unit.name == rest[:size] {
				ms = number * unit.ms
			}
		}
		if ms > 40*day {
			sum = math.MaxUint64
			break
		}
		sum += ms
		rest = rest[size:]
	}
	if text == "" || sum > 40*day {
		return 0, fmt.Errorf("%q is not a duration up to 40 days such as \"500ms\", \"10s\" or \"1m30s\"", text)
	}
	return Duration(sum), nil
}

func (d Duration) String() string {
	if d == 0 {
		return "0 s"
	}
	for _, unit := range []int{3, 2, 1, 0} {
		if ms := durationUnits[unit].ms; uint64(d)%ms == 0 {
			return fmt.Sprintf("%d %s", uint64(d)/ms, durationUnits[unit].name)
		}
	}
	panic("every number is a multiple of one")
}

// UnmarshalJSON reads a duration.
func (d *Duration) UnmarshalJSON(bytes []byte) error {
	return unmarshalText(bytes, d, ParseDuration)
}

// Number is a number for people: at most six decimals, and no zeros at the end.
func Number(value float64) string {
	text := strconv.FormatFloat(value, 'f', 6, 64)
	return strings.TrimSuffix(strings.TrimRight(text, "0"), ".")
}

func unmarshalText[T any](bytes []byte, into *T, parse func(string) (T, error)) error {
	var text string
	if err := json.Unmarshal(bytes, &text); err != nil {
		return err
	}
	parsed, err := parse(text)
	*into = parsed
	return err
}

func digits(text string) (uint64, bool) {
	number, err := strconv.ParseUint(text, 10, 32)
	return number, err == nil && strings.Trim(text, "0123456789") == ""
}
