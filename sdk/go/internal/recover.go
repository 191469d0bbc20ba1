// Package internal has what both kinds of plugin share.
package internal

import (
	"errors"
	"fmt"
	"runtime/debug"
	"strings"

	wavegate "wavegate.dev/sdk"
)

// AsFailure makes a Failure of any error; nil stays nil.
func AsFailure(err error) *wavegate.Failure {
	var failure *wavegate.Failure
	switch {
	case err == nil:
		return nil
	case errors.As(err, &failure):
		return failure
	default:
		return wavegate.Failf("failed", "%v", err)
	}
}

// Explain makes a Failure of a panic, with the stack in the log: without this the message would be
// lost with the instance.
func Explain(panicked any) *wavegate.Failure {
	wavegate.Errorf("panic: %v", panicked)
	for _, line := range strings.Split(strings.TrimSpace(string(debug.Stack())), "\n") {
		wavegate.Errorf("%s", line)
	}
	return wavegate.Failf("panic", "%s", fmt.Sprint(panicked))
}
