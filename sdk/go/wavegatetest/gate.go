package wavegatetest

import (
	"fmt"

	wavegate "wavegate.dev/sdk"
)

// Recorded is evidence with answers that the test recorded.
type Recorded struct {
	answers map[string]any
	// Asked has the questions, in order.
	Asked []string
}

// RecordInstant records the answer of a query.
func (r *Recorded) RecordInstant(slot, query string, answer []wavegate.Series) *Recorded {
	return r.record(fmt.Sprintf("%s instant %s", slot, query), answer)
}

// RecordRange records the answer of a query over a window.
func (r *Recorded) RecordRange(slot, query string, windowMs, stepMs uint32, answer []wavegate.Series) *Recorded {
	return r.record(fmt.Sprintf("%s range %s over %d every %d", slot, query, windowMs, stepMs), answer)
}

// RecordGet records the answer of a GET.
func (r *Recorded) RecordGet(slot, path string, answer wavegate.Response) *Recorded {
	return r.record(fmt.Sprintf("%s get %s", slot, path), answer)
}

// RecordSummary records the summary of a cohort.
func (r *Recorded) RecordSummary(slot, cluster string, cohort wavegate.Cohort, answer wavegate.ProbeSummary) *Recorded {
	return r.record(fmt.Sprintf("%s summary %s %s", slot, cluster, cohort), answer)
}

func (r *Recorded) record(question string, answer any) *Recorded {
	if r.answers == nil {
		r.answers = map[string]any{}
	}
	r.answers[question] = answer
	return r
}

func ask[A any](r *Recorded, question string) (A, error) {
	r.Asked = append(r.Asked, question)
	answer, ok := r.answers[question].(A)
	if !ok {
		return answer, wavegate.Failf("no-recorded-answer", "nothing recorded for %s", question)
	}
	return answer, nil
}

// all asks everything before it fails: whoever asks at once has asked everything by then.
func all[A any](questions []string, ask func(string) (A, error)) ([]A, error) {
	answers := make([]A, len(questions))
	var failed error
	for index, question := range questions {
		answer, err := ask(question)
		answers[index] = answer
		if failed == nil {
			failed = err
		}
	}
	return answers, failed
}

// Instant answers as recorded.
func (r *Recorded) Instant(slot, query string) ([]wavegate.Series, error) {
	return ask[[]wavegate.Series](r, fmt.Sprintf("%s instant %s", slot, query))
}

// Instants answers as recorded.
func (r *Recorded) Instants(slot string, queries []string) ([][]wavegate.Series, error) {
	return all(queries, func(query string) ([]wavegate.Series, error) { return r.Instant(slot, query) })
}

// Range answers as recorded.
func (r *Recorded) Range(slot, query string, windowMs, stepMs uint32) ([]wavegate.Series, error) {
	return ask[[]wavegate.Series](r, fmt.Sprintf("%s range %s over %d every %d", slot, query, windowMs, stepMs))
}

// Ranges answers as recorded.
func (r *Recorded) Ranges(slot string, queries []string, windowMs, stepMs uint32) ([][]wavegate.Series, error) {
	return all(queries, func(query string) ([]wavegate.Series, error) { return r.Range(slot, query, windowMs, stepMs) })
}

// Get answers as recorded.
func (r *Recorded) Get(slot, path string) (wavegate.Response, error) {
	return ask[wavegate.Response](r, fmt.Sprintf("%s get %s", slot, path))
}

// Gets answers as recorded.
func (r *Recorded) Gets(slot string, paths []string) ([]wavegate.Response, error) {
	return all(paths, func(path string) (wavegate.Response, error) { return r.Get(slot, path) })
}

// Summary answers as recorded, for windows of any length.
func (r *Recorded) Summary(slot, cluster string, cohort wavegate.Cohort, _ uint32) (wavegate.ProbeSummary, error) {
	return ask[wavegate.ProbeSummary](r, fmt.Sprintf("%s summary %s %s", slot, cluster, cohort))
}

// Summaries answers as recorded.
func (r *Recorded) Summaries(slot string, clusters []string, cohort wavegate.Cohort, windowMs uint32) ([]wavegate.ProbeSummary, error) {
	return all(clusters, func(cluster string) (wavegate.ProbeSummary, error) {
		return r.Summary(slot, cluster, cohort, windowMs)
	})
}

// Call is one after a batch, for these updated clusters.
func Call(updated ...string) *wavegate.GateCall {
	call := &wavegate.GateCall{
		Now:           Now,
		Subject:       wavegate.Subject{Kind: "site", Name: "site"},
		Phase:         "after-batch",
		EvidenceStart: Now - 10_000,
		Release:       wavegate.Release{Version: "2.0", Digest: NewDigest},
	}
	for _, name := range updated {
		call.Updated = append(call.Updated, wavegate.GateCluster{
			Name: name, Baseline: BaselineDigest, NewReady: 1, BaselineReady: 3,
		})
	}
	return call
}

// Evaluate asks a gate once, with a configuration as JSON and the state of a first call.
func Evaluate[C, S any](gate wavegate.Gate[C, S], call *wavegate.GateCall, config string, evidence wavegate.Evidence) (wavegate.Evaluation[S], error) {
	var state S
	settings, err := wavegate.ReadConfig[C](config)
	if err != nil {
		return wavegate.Evaluation[S]{}, err
	}
	return gate.Evaluate(call, settings, state, evidence)
}
