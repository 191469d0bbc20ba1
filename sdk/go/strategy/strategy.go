// Package strategy makes a component of a strategy.
package strategy

import wavegate "wavegate.dev/sdk"

// Export says which strategy the component has. Call it in an init function:
//
//	func init() { strategy.Export[Config, State](plugin{}) }
//
// Outside of a component it does nothing.
func Export[C, S any](plugin wavegate.Strategy[C, S]) {
	export(plugin)
}
