// Package gate makes a component of a gate.
package gate

import wavegate "wavegate.dev/sdk"

// Export says which gate the component has. Call it in an init function:
//
//	func init() { gate.Export[Config, State](plugin{}) }
//
// Outside of a component it does nothing.
func Export[C, S any](plugin wavegate.Gate[C, S]) {
	export(plugin)
}
