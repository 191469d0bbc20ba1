// Package wavegatetest runs a plugin's logic in an ordinary unit test, without Wasm.
//
// Calls go through the same encoding of configuration and state as in a component. There is no
// sandbox, no fuel and no limit of time.
package wavegatetest

import (
	"fmt"
	"slices"
	"strings"

	wavegate "wavegate.dev/sdk"
)

// What the views and calls of this package have.
var (
	// Now is 2026-01-01T00:00:00Z.
	Now            = 1767225600000.0
	NewDigest      = "sha256:" + strings.Repeat("2", 64)
	BaselineDigest = "sha256:" + strings.Repeat("1", 64)
)

// Site is a site before a rollout: every node is on the baseline and serves.
func Site(clusters map[string]uint32, gates ...string) *wavegate.SiteView {
	view := &wavegate.SiteView{
		Now:           Now,
		Site:          "site",
		SplitsTraffic: true,
		Release:       wavegate.Release{Version: "2.0", Digest: NewDigest},
		Position:      wavegate.Position{WaveName: "first", Wave: 1, Waves: 1, Site: 1, Sites: 1},
	}
	var names []string
	var nodes []uint32
	for name := range clusters {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		nodes = append(nodes, clusters[name])
	}
	for index, share := range wavegate.Apportion(wavegate.Permille, nodes) {
		view.Clusters = append(view.Clusters, wavegate.ClusterView{
			Name:             names[index],
			Baseline:         BaselineDigest,
			Desired:          nodes[index],
			BaselineReady:    nodes[index],
			BaselinePermille: share,
			BatchMax:         1,
			UnavailableMax:   1,
		})
	}
	slices.Sort(gates)
	for _, gate := range gates {
		view.Gates = append(view.Gates, wavegate.GateView{Name: gate})
	}
	return view
}

// StrategyRun is a strategy at work on a site.
type StrategyRun[C, S any] struct {
	Strategy wavegate.Strategy[C, S]
	// View is what the strategy sees next. Change it to test what goes wrong between calls.
	View *wavegate.SiteView
	// Config is the configuration, as JSON.
	Config string
	// State is what the strategy gets next.
	State []byte
	// Log has the lines that the strategy wrote.
	Log []string
}

// Decide asks once and keeps the new state; nothing is carried out.
func (r *StrategyRun[C, S]) Decide() (wavegate.Outcome[S], error) {
	wavegate.LogWriter = func(level, message string) { r.Log = append(r.Log, level+": "+message) }
	var none wavegate.Outcome[S]
	config, err := wavegate.ReadConfig[C](r.Config)
	if err != nil {
		return none, err
	}
	state, err := wavegate.ReadState[S](r.State)
	if err != nil {
		return none, err
	}
	outcome, err := r.Strategy.Decide(r.View, config, state)
	if err != nil {
		return none, err
	}
	if r.View.Stage != outcome.Stage {
		r.View.Stage = outcome.Stage
		r.View.StageElapsedMs = 0
	}
	r.State, err = wavegate.WriteState(outcome.State)
	return outcome, err
}

// CarryOut reaches goals, passes gates, lets time go by and people approve.
func (r *StrategyRun[C, S]) CarryOut(decision wavegate.Decision) {
	switch decision := decision.(type) {
	case wavegate.Go:
		r.reach(decision)
		r.View.Completed = "goal"
	case wavegate.WaitForGates:
		for index, gate := range r.View.Gates {
			if slices.Contains(decision, gate.Name) {
				passed := wavegate.Pass
				r.View.Gates[index].Last = &passed
			}
		}
		r.View.Completed = "gates"
	case wavegate.WaitMs:
		r.View.Now += float64(decision)
		r.View.StageElapsedMs += uint32(decision)
		r.View.SiteElapsedMs += uint32(decision)
		r.View.Completed = "time"
	case wavegate.WaitForPerson:
		r.View.Completed = "person"
	}
}

// Run asks and carries out until the site is done or has failed, and checks goals as the host does.
// It gives a line for each answer: the stage, and what is to happen.
func (r *StrategyRun[C, S]) Run() ([]string, error) {
	var lines []string
	for range 100 {
		outcome, err := r.Decide()
		if err != nil {
			return lines, err
		}
		lines = append(lines, outcome.Stage+": "+words(outcome.Decision))
		if goal, ok := outcome.Decision.(wavegate.Go); ok {
			if err := r.check(goal); err != nil {
				return lines, err
			}
		}
		switch outcome.Decision.(type) {
		case wavegate.Done, wavegate.Failed:
			return lines, nil
		}
		r.CarryOut(outcome.Decision)
	}
	return lines, fmt.Errorf("no end within 100 calls")
}

// Problems is what the strategy finds wrong with the configuration.
func (r *StrategyRun[C, S]) Problems() []wavegate.Problem {
	return wavegate.Problems[C](r.Strategy, r.Config)
}

func words(decision wavegate.Decision) string {
	switch decision := decision.(type) {
	case wavegate.Go:
		text := "go"
		for _, goal := range decision {
			text += fmt.Sprintf(" %d/%d", goal.New, goal.Baseline)
		}
		return text
	case wavegate.WaitForGates:
		return "gates " + strings.Join(decision, ",")
	case wavegate.WaitMs:
		return fmt.Sprintf("wait %d", uint32(decision))
	case wavegate.WaitForPerson:
		return "person " + string(decision)
	case wavegate.Done:
		return "done"
	default:
		return fmt.Sprintf("failed %v", decision)
	}
}

func (r *StrategyRun[C, S]) reach(goal wavegate.Go) {
	for _, wanted := range goal {
		for index := range r.View.Clusters {
			cluster := &r.View.Clusters[index]
			if cluster.Name != wanted.Cluster {
				continue
			}
			cluster.NewReady, cluster.NewUnready = wanted.New, 0
			cluster.BaselineReady, cluster.BaselineUnready = wanted.Baseline, 0
			if r.View.SplitsTraffic {
				cluster.NewPermille, cluster.BaselinePermille = wanted.NewPermille, wanted.BaselinePermille
			}
		}
	}
	// A verdict was made for another state of the site.
	for index := range r.View.Gates {
		r.View.Gates[index].Last = nil
	}
}

func (r *StrategyRun[C, S]) check(goal wavegate.Go) error {
	var shares uint32
	named := map[string]bool{}
	for _, wanted := range goal {
		named[wanted.Cluster] = true
		shares += wanted.NewPermille + wanted.BaselinePermille
		idle := wanted.New == 0 && wanted.NewPermille > 0 || wanted.Baseline == 0 && wanted.BaselinePermille > 0
		if idle {
			return fmt.Errorf("traffic without nodes: %+v", wanted)
		}
	}
	if len(goal) != len(r.View.Clusters) || len(named) != len(goal) || shares != wavegate.Permille {
		return fmt.Errorf("a goal names every cluster once, and its shares sum to 1000: %+v", goal)
	}
	return nil
}
