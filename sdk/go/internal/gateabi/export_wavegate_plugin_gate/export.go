// Package export_wavegate_plugin_gate is where the generated exports look for the plugin.
package export_wavegate_plugin_gate

import (
	wit "wavegate.dev/sdk/internal/gateabi/wavegate_plugin_gate"
	witTypes "wavegate.dev/sdk/internal/wit/types"
)

// Plugin is set by gate.Export.
var Plugin struct {
	Describe       func() (wit.GateAbout, *wit.Failure)
	ValidateConfig func(config string) ([]wit.Problem, *wit.Failure)
	Evaluate       func(call wit.GateCall, config string, state []uint8) (wit.Evaluation, *wit.Failure)
}

func Describe() witTypes.Result[wit.GateAbout, wit.Failure] {
	return result(Plugin.Describe())
}

func ValidateConfig(config string) witTypes.Result[[]wit.Problem, wit.Failure] {
	return result(Plugin.ValidateConfig(config))
}

func Evaluate(call wit.GateCall, config string, state []uint8) witTypes.Result[wit.Evaluation, wit.Failure] {
	return result(Plugin.Evaluate(call, config, state))
}

func result[T any](value T, failure *wit.Failure) witTypes.Result[T, wit.Failure] {
	if failure != nil {
		return witTypes.Err[T, wit.Failure](*failure)
	}
	return witTypes.Ok[T, wit.Failure](value)
}
