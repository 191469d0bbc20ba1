// A strategy that does what its configuration says: loop, allocate, recurse, trap or flood the log.
package main

import (
	"strings"

	wavegate "wavegate.dev/sdk"
	"wavegate.dev/sdk/strategy"
)

// Config is the configuration.
type Config struct {
	Bad string `json:"bad" text:"What to do."`
}

type outcome = wavegate.Outcome[wavegate.Nothing]

type plugin struct{}

// Kept so that nothing is optimised away.
var (
	count uint64
	kept  [][]byte
)

func init() {
	strategy.Export[Config, wavegate.Nothing](plugin{})
}

func main() {}

func (plugin) Describe() wavegate.About {
	return wavegate.About{Name: "bad", Version: "0.1.0", Text: "Misbehaves."}
}

func (plugin) Outline(*wavegate.SiteSummary, wavegate.Release, *Config) ([]wavegate.Stage, error) {
	return nil, nil
}

func deep(depth uint64) uint64 {
	count = depth
	return deep(depth+1) + 1
}

func (plugin) Decide(_ *wavegate.SiteView, config *Config, _ wavegate.Nothing) (outcome, error) {
	switch config.Bad {
	case "loop":
		for {
			count++
		}
	case "allocate":
		for {
			kept = append(kept, make([]byte, 1<<20))
		}
	case "recurse":
		deep(0)
	case "log":
		for {
			wavegate.Infof("%s", strings.Repeat("x", 1000))
		}
	}
	panic("the author made a mistake")
}
