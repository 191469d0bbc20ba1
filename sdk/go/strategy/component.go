//go:build wasip1

package strategy

import (
	wavegate "wavegate.dev/sdk"
	"wavegate.dev/sdk/internal"
	_ "wavegate.dev/sdk/internal/strategyabi"
	exported "wavegate.dev/sdk/internal/strategyabi/export_wavegate_plugin_strategy"
	hostlog "wavegate.dev/sdk/internal/strategyabi/wavegate_plugin_log"
	wit "wavegate.dev/sdk/internal/strategyabi/wavegate_plugin_strategy"
	witTypes "wavegate.dev/sdk/internal/wit/types"
)

var levels = map[string]hostlog.Level{
	"debug": hostlog.Level_Debug,
	"info":  hostlog.Level_Info,
	"warn":  hostlog.Level_Warn,
	"error": hostlog.Level_Error,
}

func export[C, S any](plugin wavegate.Strategy[C, S]) {
	wavegate.LogWriter = func(level, message string) { hostlog.Write(levels[level], message) }
	exported.Plugin.Describe = func() (wit.About, *wit.Failure) {
		return call(func() (wit.About, error) {
			about := plugin.Describe()
			return wit.About{
				Name:         about.Name,
				Version:      about.Version,
				StateVersion: max(about.StateVersion, 1),
				ConfigSchema: wavegate.Schema[C]("Configuration of the strategy "+about.Name, about.Examples),
				Text:         about.Text,
			}, nil
		})
	}
	exported.Plugin.ValidateConfig = func(config string) ([]wit.Problem, *wit.Failure) {
		return call(func() ([]wit.Problem, error) {
			var problems []wit.Problem
			for _, problem := range wavegate.Problems[C](plugin, config) {
				problems = append(problems, wit.Problem(problem))
			}
			return problems, nil
		})
	}
	exported.Plugin.Outline = func(site wit.SiteSummary, release wit.Release, config string) ([]wit.Stage, *wit.Failure) {
		return call(func() ([]wit.Stage, error) {
			settings, err := wavegate.ReadConfig[C](config)
			if err != nil {
				return nil, err
			}
			summary := wavegate.SiteSummary{Site: site.Site}
			for _, cluster := range site.Clusters {
				summary.Clusters = append(summary.Clusters, wavegate.ClusterSummary(cluster))
			}
			outline, err := plugin.Outline(&summary, wavegate.Release(release), settings)
			var stages []wit.Stage
			for _, stage := range outline {
				stages = append(stages, wit.Stage(stage))
			}
			return stages, err
		})
	}
	exported.Plugin.Decide = func(view wit.SiteView, config string, state []uint8) (wit.Outcome, *wit.Failure) {
		return call(func() (wit.Outcome, error) {
			settings, err := wavegate.ReadConfig[C](config)
			if err != nil {
				return wit.Outcome{}, err
			}
			remembered, err := wavegate.ReadState[S](state)
			if err != nil {
				return wit.Outcome{}, err
			}
			outcome, err := plugin.Decide(siteView(view), settings, remembered)
			if err != nil {
				return wit.Outcome{}, err
			}
			written, err := wavegate.WriteState(outcome.State)
			return wit.Outcome{
				Decision: decision(outcome.Decision),
				Stage:    outcome.Stage,
				Reason:   outcome.Reason,
				State:    written,
			}, err
		})
	}
}

func siteView(view wit.SiteView) *wavegate.SiteView {
	seen := &wavegate.SiteView{
		Now:            view.Now,
		Site:           view.Site,
		SplitsTraffic:  view.SplitsTraffic,
		Release:        wavegate.Release(view.Release),
		Stage:          view.Stage,
		StageElapsedMs: view.StageElapsedMs,
		SiteElapsedMs:  view.SiteElapsedMs,
		Completed:      view.Completed,
		Position:       wavegate.Position(view.Position),
	}
	if view.TimeLeftMs.Tag() == witTypes.OptionSome {
		left := view.TimeLeftMs.Some()
		seen.TimeLeftMs = &left
	}
	for _, cluster := range view.Clusters {
		seen.Clusters = append(seen.Clusters, wavegate.ClusterView(cluster))
	}
	for _, gate := range view.Gates {
		known := wavegate.GateView{Name: gate.Name, AgeMs: gate.AgeMs}
		if gate.Last.Tag() == witTypes.OptionSome {
			last := wavegate.Verdict(gate.Last.Some())
			known.Last = &last
		}
		seen.Gates = append(seen.Gates, known)
	}
	return seen
}

func decision(decision wavegate.Decision) wit.Decision {
	switch decision := decision.(type) {
	case wavegate.Go:
		var goal wit.Goal
		for _, cluster := range decision {
			goal.Clusters = append(goal.Clusters, wit.ClusterGoal(cluster))
		}
		return wit.MakeDecisionGo(goal)
	case wavegate.WaitForGates:
		return wit.MakeDecisionWaitGates(decision)
	case wavegate.WaitMs:
		return wit.MakeDecisionWaitMs(uint32(decision))
	case wavegate.WaitForPerson:
		return wit.MakeDecisionWaitPerson(string(decision))
	case wavegate.Done:
		return wit.MakeDecisionDone()
	case wavegate.Failed:
		return wit.MakeDecisionFailed(string(decision))
	default:
		panic("a decision is missing")
	}
}

// call runs a call; errors and panics become failures of the contract.
func call[T any](answer func() (T, error)) (value T, failed *wit.Failure) {
	defer func() {
		if panicked := recover(); panicked != nil {
			failed = failure(internal.Explain(panicked))
		}
	}()
	value, err := answer()
	return value, failure(internal.AsFailure(err))
}

func failure(failed *wavegate.Failure) *wit.Failure {
	if failed == nil {
		return nil
	}
	made := &wit.Failure{Code: failed.Code, Message: failed.Message, Retryable: failed.Retryable}
	for _, detail := range failed.Details {
		made.Details = append(made.Details, witTypes.Tuple2[string, string]{F0: detail.Name, F1: detail.Value})
	}
	return made
}
