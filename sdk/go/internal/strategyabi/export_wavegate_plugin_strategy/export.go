// Package export_wavegate_plugin_strategy is where the generated exports look for the plugin.
package export_wavegate_plugin_strategy

import (
	wit "wavegate.dev/sdk/internal/strategyabi/wavegate_plugin_strategy"
	witTypes "wavegate.dev/sdk/internal/wit/types"
)

// Plugin is set by strategy.Export.
var Plugin struct {
	Describe       func() (wit.About, *wit.Failure)
	ValidateConfig func(config string) ([]wit.Problem, *wit.Failure)
	Outline        func(site wit.SiteSummary, release wit.Release, config string) ([]wit.Stage, *wit.Failure)
	Decide         func(view wit.SiteView, config string, state []uint8) (wit.Outcome, *wit.Failure)
}

func Describe() witTypes.Result[wit.About, wit.Failure] {
	return result(Plugin.Describe())
}

func ValidateConfig(config string) witTypes.Result[[]wit.Problem, wit.Failure] {
	return result(Plugin.ValidateConfig(config))
}

func Outline(site wit.SiteSummary, release wit.Release, config string) witTypes.Result[[]wit.Stage, wit.Failure] {
	return result(Plugin.Outline(site, release, config))
}

func Decide(view wit.SiteView, config string, state []uint8) witTypes.Result[wit.Outcome, wit.Failure] {
	return result(Plugin.Decide(view, config, state))
}

func result[T any](value T, failure *wit.Failure) witTypes.Result[T, wit.Failure] {
	if failure != nil {
		return witTypes.Err[T, wit.Failure](*failure)
	}
	return witTypes.Ok[T, wit.Failure](value)
}
