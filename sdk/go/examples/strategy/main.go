// The strategy stepwise: takes a site to the new release step by step, watches after each step and
// asks the gates before the next one.
package main

import (
	"fmt"
	"slices"
	"strings"

	wavegate "wavegate.dev/sdk"
	"wavegate.dev/sdk/strategy"
)

// Config is the configuration.
type Config struct {
	Steps []wavegate.Amount  `json:"steps" text:"Nodes of the site on the new release, step by step: counts, or percentages rounded up. A step to all nodes follows the last one." minItems:"1" maxItems:"100"`
	Pause *wavegate.Duration `json:"pause" text:"How long to watch after each step, for example \"500ms\" or \"1m30s\". Not at all if left out."`
	Gates *[]string          `json:"gates" text:"Gates of the policy that must pass before the next step. All of them if left out, none if empty." maxItems:"64" uniqueItems:"true" itemMinLength:"1"`
}

// The phases of a step, in order.
const (
	phaseMove  = "move"
	phasePause = "pause"
	phaseGates = "gates"
)

// State is what is remembered from call to call.
type State struct {
	// Step is the index of the step.
	Step uint32 `json:"step"`
	// Phase is what the step waits for.
	Phase string `json:"phase"`
	// Nodes is the most new nodes that a step asked for: later steps never ask for fewer.
	Nodes uint32 `json:"nodes"`
}

type outcome = wavegate.Outcome[State]

// all is the step that follows those of the configuration.
var all = wavegate.Amount{Percent: wavegate.Whole, IsPercent: true}

type plugin struct{}

func init() {
	strategy.Export[Config, State](plugin{})
}

func main() {}

func (plugin) Describe() wavegate.About {
	return wavegate.About{
		Name:         "stepwise",
		Version:      "0.1.0",
		StateVersion: 1,
		Text:         "Takes a site to the new release step by step. After each step it pauses, then asks the gates.",
		Examples: []string{
			`{"steps":["25%","50%"],"pause":"10s"}`,
			`{"steps":[1],"gates":[]}`,
		},
	}
}

func (plugin) CheckConfig(config *Config) []wavegate.Problem {
	var problems []wavegate.Problem
	for index, step := range config.Steps {
		add := func(message string) {
			pointer := fmt.Sprintf("/steps/%d", index)
			problems = append(problems, wavegate.Problem{Pointer: pointer, Message: message})
		}
		if step.IsZero() {
			add("a step must have at least one node")
		}
		// A count against a percentage depends on the site; Decide never goes back.
		if index > 0 && step.Less(config.Steps[index-1]) {
			add("a step must not have fewer nodes than the step before it")
		}
	}
	return problems
}

func (plugin) Outline(site *wavegate.SiteSummary, release wavegate.Release, config *Config) ([]wavegate.Stage, error) {
	total := site.Desired()
	steps := allSteps(config, total)
	stages := make([]wavegate.Stage, 0, len(steps))
	for index, step := range steps {
		text := words(config, step.Of(total), total, release.Version)
		stages = append(stages, wavegate.Stage{Name: stageName(index, len(steps)), Text: text})
	}
	return stages, nil
}

func (plugin) Decide(view *wavegate.SiteView, config *Config, state State) (outcome, error) {
	if state.Phase == "" {
		state.Phase = phaseMove
	}
	total := view.Desired()
	if total == 0 {
		return wavegate.Decided(wavegate.Done{}, "all", "the site has no nodes", state)
	}
	var capacities []uint32
	for _, cluster := range view.Clusters {
		capacities = append(capacities, cluster.Desired)
	}
	steps := allSteps(config, total)
	completed := view.Completed
	for {
		// A site that shrank may have lost its last step.
		index := min(int(state.Step), len(steps)-1)
		stage := stageName(index, len(steps))
		nodes := max(steps[index].Of(total), min(state.Nodes, total))
		state.Nodes = nodes
		goal := wavegate.GoalByCapacity(view.Clusters, wavegate.Spread(nodes, capacities))
		if !wavegate.Reached(view, goal) {
			// Also when nodes were lost while something was waited for.
			state.Phase = phaseMove
			reason := fmt.Sprintf("%d of %d nodes to be new", nodes, total)
			return wavegate.Decided(wavegate.Go(goal), stage, reason, state)
		}
		paused := state.Phase == phaseGates || (state.Phase == phasePause && completed == "time")
		if config.Pause != nil && *config.Pause > 0 && !paused {
			state.Phase = phasePause
			reason := fmt.Sprintf("watching for %s", *config.Pause)
			return wavegate.Decided(wavegate.WaitMs(*config.Pause), stage, reason, state)
		}
		gates, err := askedGates(view, config)
		if err != nil {
			return outcome{}, err
		}
		passed := state.Phase == phaseGates && completed == "gates"
		if len(gates) > 0 && !passed {
			state.Phase = phaseGates
			reason := "asking " + strings.Join(gates, ", ")
			return wavegate.Decided(wavegate.WaitForGates(gates), stage, reason, state)
		}
		if index+1 == len(steps) {
			return wavegate.Decided(wavegate.Done{}, stage, fmt.Sprintf("all %d nodes are new", total), state)
		}
		// What was carried out belonged to the step that is over.
		completed = ""
		state.Step++
		state.Phase = phaseMove
	}
}

// allSteps has the steps of a site of so many nodes; the last one is everything.
func allSteps(config *Config, total uint32) []wavegate.Amount {
	steps := slices.Clone(config.Steps)
	if len(steps) == 0 || steps[len(steps)-1].Of(total) < total {
		steps = append(steps, all)
	}
	return steps
}

func stageName(index, count int) string {
	if index+1 == count {
		return "all"
	}
	return fmt.Sprintf("step %d", index+1)
}

// words says what happens in a step.
func words(config *Config, nodes, total uint32, version string) string {
	text := fmt.Sprintf("%d of %d nodes to %s", nodes, total, version)
	if config.Pause != nil && *config.Pause > 0 {
		text += fmt.Sprintf(", then wait %s", *config.Pause)
	}
	switch {
	case config.Gates == nil:
		text += ", then all gates"
	case len(*config.Gates) > 0:
		text += ", then " + strings.Join(*config.Gates, ", ")
	}
	return text
}

// askedGates are the gates that a step asks.
func askedGates(view *wavegate.SiteView, config *Config) ([]string, error) {
	var known []string
	for _, gate := range view.Gates {
		known = append(known, gate.Name)
	}
	if config.Gates == nil {
		return known, nil
	}
	for _, gate := range *config.Gates {
		if !slices.Contains(known, gate) {
			return nil, wavegate.Failf("unknown-gate", "the policy has no gate %s", gate)
		}
	}
	return *config.Gates, nil
}
