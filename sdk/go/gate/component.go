//go:build wasip1

package gate

import (
	wavegate "wavegate.dev/sdk"
	"wavegate.dev/sdk/internal"
	_ "wavegate.dev/sdk/internal/gateabi"
	exported "wavegate.dev/sdk/internal/gateabi/export_wavegate_plugin_gate"
	wit "wavegate.dev/sdk/internal/gateabi/wavegate_plugin_gate"
	hostlog "wavegate.dev/sdk/internal/gateabi/wavegate_plugin_log"
	witTypes "wavegate.dev/sdk/internal/wit/types"
)

var levels = map[string]hostlog.Level{
	"debug": hostlog.Level_Debug,
	"info":  hostlog.Level_Info,
	"warn":  hostlog.Level_Warn,
	"error": hostlog.Level_Error,
}

func export[C, S any](plugin wavegate.Gate[C, S]) {
	wavegate.LogWriter = func(level, message string) { hostlog.Write(levels[level], message) }
	exported.Plugin.Describe = func() (wit.GateAbout, *wit.Failure) {
		return call(func() (wit.GateAbout, error) {
			about := plugin.Describe()
			var slots []wit.Slot
			for _, slot := range about.Slots {
				slots = append(slots, wit.Slot(slot))
			}
			return wit.GateAbout{
				About: wit.About{
					Name:         about.Name,
					Version:      about.Version,
					StateVersion: max(about.StateVersion, 1),
					ConfigSchema: wavegate.Schema[C]("Configuration of the gate "+about.Name, about.Examples),
					Text:         about.Text,
				},
				Slots: slots,
			}, nil
		})
	}
	exported.Plugin.ValidateConfig = func(config string) ([]wit.Problem, *wit.Failure) {
		return call(func() ([]wit.Problem, error) {
			var problems []wit.Problem
			for _, problem := range wavegate.Problems[C](plugin, config) {
				problems = append(problems, wit.Problem(problem))
			}
			return problems, nil
		})
	}
	exported.Plugin.Evaluate = func(asked wit.GateCall, config string, state []uint8) (wit.Evaluation, *wit.Failure) {
		return call(func() (wit.Evaluation, error) {
			settings, err := wavegate.ReadConfig[C](config)
			if err != nil {
				return wit.Evaluation{}, err
			}
			remembered, err := wavegate.ReadState[S](state)
			if err != nil {
				return wit.Evaluation{}, err
			}
			found, err := plugin.Evaluate(gateCall(asked), settings, remembered, hostEvidence{})
			if err != nil {
				return wit.Evaluation{}, err
			}
			written, err := wavegate.WriteState(found.State)
			made := wit.Evaluation{Verdict: uint8(found.Verdict), Reason: found.Reason, State: written}
			for _, cluster := range found.Clusters {
				made.Clusters = append(made.Clusters, wit.ClusterVerdict{Cluster: cluster.Cluster, Verdict: uint8(cluster.Verdict)})
			}
			for _, measured := range found.Measurements {
				made.Measurements = append(made.Measurements, measurement(measured))
			}
			return made, err
		})
	}
}

func gateCall(call wit.GateCall) *wavegate.GateCall {
	asked := &wavegate.GateCall{
		Now:           call.Now,
		Subject:       wavegate.Subject(call.Subject),
		Phase:         call.Phase,
		Attempt:       call.Attempt,
		EvidenceStart: call.EvidenceStart,
		Release:       wavegate.Release(call.Release),
	}
	for _, cluster := range call.Updated {
		asked.Updated = append(asked.Updated, wavegate.GateCluster(cluster))
	}
	for _, cluster := range call.Untouched {
		asked.Untouched = append(asked.Untouched, wavegate.GateCluster(cluster))
	}
	return asked
}

func measurement(measured wavegate.Measurement) wit.Measurement {
	value := witTypes.None[float64]()
	if measured.Value != nil {
		value = witTypes.Some(*measured.Value)
	}
	return wit.Measurement{
		Name:    measured.Name,
		Cluster: measured.Cluster,
		Value:   value,
		Unit:    measured.Unit,
		Limit:   measured.Limit,
		Verdict: uint8(measured.Verdict),
		Samples: measured.Samples,
	}
}

// call runs a call; errors and panics become failures of the contract.
func call[T any](answer func() (T, error)) (value T, failed *wit.Failure) {
	defer func() {
		if panicked := recover(); panicked != nil {
			failed = failure(internal.Explain(panicked))
		}
	}()
	value, err := answer()
	return value, failure(internal.AsFailure(err))
}

func failure(failed *wavegate.Failure) *wit.Failure {
	if failed == nil {
		return nil
	}
	made := &wit.Failure{Code: failed.Code, Message: failed.Message, Retryable: failed.Retryable}
	for _, detail := range failed.Details {
		made.Details = append(made.Details, witTypes.Tuple2[string, string]{F0: detail.Name, F1: detail.Value})
	}
	return made
}
