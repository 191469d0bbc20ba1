//go:build wasip1

package gate

import (
	wavegate "wavegate.dev/sdk"
	wit "wavegate.dev/sdk/internal/gateabi/wavegate_plugin_gate"
	"wavegate.dev/sdk/internal/gateabi/wavegate_plugin_http"
	"wavegate.dev/sdk/internal/gateabi/wavegate_plugin_metrics"
	"wavegate.dev/sdk/internal/gateabi/wavegate_plugin_probes"
	witTypes "wavegate.dev/sdk/internal/wit/types"
)

// hostEvidence asks the host.
type hostEvidence struct{}

func (hostEvidence) Instant(slot, query string) ([]wavegate.Series, error) {
	return answer(wavegate_plugin_metrics.Instant(slot, query), series)
}

func (hostEvidence) Instants(slot string, queries []string) ([][]wavegate.Series, error) {
	return answer(wavegate_plugin_metrics.Instants(slot, queries), each(series))
}

func (hostEvidence) Range(slot, query string, windowMs, stepMs uint32) ([]wavegate.Series, error) {
	return answer(wavegate_plugin_metrics.Range(slot, query, windowMs, stepMs), series)
}

func (hostEvidence) Ranges(slot string, queries []string, windowMs, stepMs uint32) ([][]wavegate.Series, error) {
	return answer(wavegate_plugin_metrics.Ranges(slot, queries, windowMs, stepMs), each(series))
}

func (hostEvidence) Get(slot, path string) (wavegate.Response, error) {
	return answer(wavegate_plugin_http.Get(slot, path), response)
}

func (hostEvidence) Gets(slot string, paths []string) ([]wavegate.Response, error) {
	return answer(wavegate_plugin_http.Gets(slot, paths), each(response))
}

func (hostEvidence) Summary(slot, cluster string, cohort wavegate.Cohort, windowMs uint32) (wavegate.ProbeSummary, error) {
	return answer(wavegate_plugin_probes.Summary(slot, cluster, string(cohort), windowMs), summary)
}

func (hostEvidence) Summaries(slot string, clusters []string, cohort wavegate.Cohort, windowMs uint32) ([]wavegate.ProbeSummary, error) {
	return answer(wavegate_plugin_probes.Summaries(slot, clusters, string(cohort), windowMs), each(summary))
}

func answer[A, B any](result witTypes.Result[A, wit.Failure], convert func(A) B) (B, error) {
	if result.Tag() == witTypes.ResultErr {
		failed := result.Err()
		made := &wavegate.Failure{Code: failed.Code, Message: failed.Message, Retryable: failed.Retryable}
		for _, detail := range failed.Details {
			made.Details = append(made.Details, wavegate.Label{Name: detail.F0, Value: detail.F1})
		}
		var none B
		return none, made
	}
	return convert(result.Ok()), nil
}

func each[A, B any](convert func(A) B) func([]A) []B {
	return func(list []A) []B {
		converted := make([]B, 0, len(list))
		for _, item := range list {
			converted = append(converted, convert(item))
		}
		return converted
	}
}

func series(found []wavegate_plugin_metrics.Series) []wavegate.Series {
	return each(func(it wavegate_plugin_metrics.Series) wavegate.Series {
		var made wavegate.Series
		for _, label := range it.Labels {
			made.Labels = append(made.Labels, wavegate.Label{Name: label.F0, Value: label.F1})
		}
		for _, sample := range it.Samples {
			made.Samples = append(made.Samples, wavegate.Sample(sample))
		}
		return made
	})(found)
}

func response(it wavegate_plugin_http.Response) wavegate.Response {
	return wavegate.Response(it)
}

func summary(it wavegate_plugin_probes.ProbeSummary) wavegate.ProbeSummary {
	return wavegate.ProbeSummary{Checks: requests(it.Checks), Traffic: requests(it.Traffic)}
}

func requests(it wavegate_plugin_probes.Requests) wavegate.Requests {
	return wavegate.Requests{
		Total:  it.Total,
		Failed: it.Failed,
		P50Ms:  optional(it.P50Ms),
		P95Ms:  optional(it.P95Ms),
		P99Ms:  optional(it.P99Ms),
	}
}

func optional(option witTypes.Option[float64]) *float64 {
	if option.Tag() != witTypes.OptionSome {
		return nil
	}
	value := option.Some()
	return &value
}
