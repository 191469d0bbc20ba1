//go:build !wasip1

package strategy

import wavegate "wavegate.dev/sdk"

func export[C, S any](wavegate.Strategy[C, S]) {}
