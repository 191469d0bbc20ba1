//go:build !wasip1

package gate

import wavegate "wavegate.dev/sdk"

func export[C, S any](wavegate.Gate[C, S]) {}
