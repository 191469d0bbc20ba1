// The gate ceiling: holds the answer of a metric query against a greatest value, for the subject as
// a whole or for each updated cluster.
package main

import (
	"fmt"
	"math"
	"slices"

	wavegate "wavegate.dev/sdk"
	"wavegate.dev/sdk/gate"
)

// slot is the name that the policy binds to a source.
const slot = "metrics"

// samplesPerWindow is enough to see a course, and cheap for a source.
const samplesPerWindow = 20

// Config is the configuration.
type Config struct {
	Query      string             `json:"query" text:"The query, in the language of the source. {{release}} is replaced by the digest of the new release and {{version}} by its version; with perCluster also {{cluster}} by the cluster's name. Inside double quotes." minLength:"1" maxLength:"8192"`
	Max        float64            `json:"max" text:"Greatest value that passes."`
	Window     *wavegate.Duration `json:"window" text:"Looks at the worst value of so long, in twenty samples. At the present one if left out."`
	PerCluster bool               `json:"perCluster" text:"Asks for each updated cluster and judges each." default:"false"`
	OnNoData   string             `json:"onNoData" text:"What an empty answer means. It never passes." default:"\"hold\"" enum:"hold,fail"`
	Name       string             `json:"name" text:"Name of the measurement in reports." default:"\"value\"" pattern:"^[a-z][a-z0-9-]{0,62}$"`
	Unit       string             `json:"unit" text:"Unit of the measurement in reports." default:"\"\"" maxLength:"32"`
}

// SetDefaults says what is meant where something is left out.
func (c *Config) SetDefaults() {
	c.OnNoData = "hold"
	c.Name = "value"
}

// Each evaluation stands for itself.
type evaluation = wavegate.Evaluation[wavegate.Nothing]

type plugin struct{}

func init() {
	gate.Export[Config, wavegate.Nothing](plugin{})
}

func main() {}

func (plugin) Describe() wavegate.About {
	return wavegate.About{
		Name:         "ceiling",
		Version:      "0.1.0",
		StateVersion: 1,
		Text:         "Holds the answer of a metric query against a greatest value, for the subject as a whole or for each updated cluster.",
		Slots:        []wavegate.Slot{{Name: slot, Kind: "metrics", Text: "answers of the configured query"}},
		Examples: []string{
			`{"query":"error_ratio","max":0.01}`,
			`{"query":"p95_ms{cluster=\"{{cluster}}\"}","max":500,"perCluster":true,"unit":"ms"}`,
		},
	}
}

func (plugin) CheckConfig(config *Config) []wavegate.Problem {
	var problems []wavegate.Problem
	if config.Window != nil && *config.Window == 0 {
		problems = append(problems, wavegate.Problem{Pointer: "/window", Message: "must be longer than nothing"})
	}
	for _, name := range wavegate.Placeholders(config.Query) {
		message := fmt.Sprintf("{{%s}} is not known; known are release, version and cluster", name)
		switch {
		case name == "release" || name == "version" || name == "cluster" && config.PerCluster:
			continue
		case name == "cluster":
			message = "{{cluster}} is known with perCluster only"
		}
		problems = append(problems, wavegate.Problem{Pointer: "/query", Message: message})
	}
	return problems
}

func (plugin) Evaluate(call *wavegate.GateCall, config *Config, _ wavegate.Nothing, evidence wavegate.Evidence) (evaluation, error) {
	if !slices.Contains(wavegate.Phases, call.Phase) {
		return evaluation{Verdict: wavegate.Hold, Reason: fmt.Sprintf("the phase %s is not known", call.Phase)}, nil
	}
	// The empty name stands for the subject as a whole.
	subjects := []string{""}
	if config.PerCluster {
		subjects = nil
		for _, cluster := range call.Updated {
			subjects = append(subjects, cluster.Name)
		}
	}
	if len(subjects) == 0 {
		return evaluation{Verdict: wavegate.Hold, Reason: "no cluster runs the new release yet"}, nil
	}
	answers, err := ask(call, config, subjects, evidence)
	if err != nil {
		return evaluation{}, err
	}
	var findings []wavegate.Finding
	var clusters []wavegate.ClusterVerdict
	for index, cluster := range subjects {
		finding := judge(config, cluster, answers[index])
		if config.PerCluster {
			verdict := wavegate.ClusterVerdict{Cluster: cluster, Verdict: finding.Measurement.Verdict}
			clusters = append(clusters, verdict)
		}
		findings = append(findings, finding)
	}
	return wavegate.EvaluationOf(findings, clusters, wavegate.Nothing{}), nil
}

// ask asks for all subjects at once: one by one, each would take a round of evidence.
func ask(call *wavegate.GateCall, config *Config, subjects []string, evidence wavegate.Evidence) ([][]wavegate.Series, error) {
	var queries []string
	for _, cluster := range subjects {
		queries = append(queries, wavegate.FillQuery(config.Query, map[string]string{
			"release": call.Release.Digest,
			"version": call.Release.Version,
			"cluster": cluster,
		}))
	}
	if config.Window == nil {
		return evidence.Instants(slot, queries)
	}
	window := uint32(*config.Window)
	return evidence.Ranges(slot, queries, window, max(window/samplesPerWindow, 1))
}

// judge holds the worst value, of all samples of all series, against the limit.
func judge(config *Config, cluster string, series []wavegate.Series) wavegate.Finding {
	var value *float64
	var samples uint32
	for _, series := range series {
		for _, sample := range series.Samples {
			if math.IsNaN(sample.Value) || math.IsInf(sample.Value, 0) {
				continue
			}
			samples++
			if value == nil || sample.Value > *value {
				value = &sample.Value
			}
		}
	}
	limit := "<= " + wavegate.Number(config.Max)
	place := ""
	if cluster != "" {
		place = fmt.Sprintf("cluster %s: ", cluster)
	}
	var verdict wavegate.Verdict
	var text string
	switch {
	case value == nil:
		verdict = wavegate.Hold
		if config.OnNoData == "fail" {
			verdict = wavegate.Fail
		}
		text = fmt.Sprintf("%sno data for %s, which must be %s", place, config.Name, limit)
	case *value <= config.Max:
		verdict = wavegate.Pass
		text = fmt.Sprintf("%s%s %s meets %s (%d samples)", place, config.Name, wavegate.Number(*value), limit, samples)
	default:
		verdict = wavegate.Fail
		text = fmt.Sprintf("%s%s %s breaks %s (%d samples)", place, config.Name, wavegate.Number(*value), limit, samples)
	}
	measurement := wavegate.Measurement{
		Name:    config.Name,
		Cluster: cluster,
		Value:   value,
		Unit:    config.Unit,
		Limit:   limit,
		Verdict: verdict,
		Samples: samples,
	}
	return wavegate.Finding{Measurement: measurement, Text: text}
}
