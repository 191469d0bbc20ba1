package wavegate

import "fmt"

// Failure is the error of a plugin that cannot answer. The host holds and asks again later.
//
// Any other error becomes a Failure with the code "failed".
type Failure struct {
	// Code is a short kebab-case word for programs.
	Code string
	// Message is a sentence for people.
	Message string
	// Retryable says whether asking again with the same input could succeed.
	Retryable bool
	// Details has more facts.
	Details []Label
}

func (f *Failure) Error() string {
	return f.Code + ": " + f.Message
}

// Failf makes a Failure that asking again will not cure.
func Failf(code, format string, arguments ...any) *Failure {
	return &Failure{Code: code, Message: fmt.Sprintf(format, arguments...)}
}

const (
	badConfig = "bad-config"
	badState  = "bad-state"
)
