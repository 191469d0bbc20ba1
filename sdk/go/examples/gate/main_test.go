package main

import (
	"testing"

	wavegate "wavegate.dev/sdk"
	"wavegate.dev/sdk/wavegatetest"
)

func series(values ...float64) []wavegate.Series {
	var samples []wavegate.Sample
	for _, value := range values {
		samples = append(samples, wavegate.Sample{Value: value})
	}
	return []wavegate.Series{{Samples: samples}}
}

func TestTheWorstValueIsHeldAgainstTheLimit(t *testing.T) {
	for _, test := range []struct {
		values  []float64
		verdict wavegate.Verdict
		reason  string
	}{
		{[]float64{0.5, 1}, wavegate.Pass, "value 1 meets <= 1 (2 samples)"},
		{[]float64{0.5, 1.5}, wavegate.Fail, "value 1.5 breaks <= 1 (2 samples)"},
		{nil, wavegate.Hold, "no data for value, which must be <= 1"},
	} {
		recorded := new(wavegatetest.Recorded).RecordInstant(slot, "q", series(test.values...))
		found, err := wavegatetest.Evaluate(plugin{}, wavegatetest.Call("eu-1"), `{"query":"q","max":1}`, recorded)
		if err != nil || found.Verdict != test.verdict || found.Reason != test.reason {
			t.Errorf("%v: %v %q (%v)", test.values, found.Verdict, found.Reason, err)
		}
	}
}

func TestEachClusterIsJudgedByItsOwnAnswer(t *testing.T) {
	config := `{"query":"q{c=\"{{cluster}}\"}","max":1,"perCluster":true,"window":"1m"}`
	recorded := new(wavegatetest.Recorded).
		RecordRange(slot, `q{c="ap"}`, 60_000, 3_000, series(2)).
		RecordRange(slot, `q{c="eu"}`, 60_000, 3_000, series(1))
	found, err := wavegatetest.Evaluate(plugin{}, wavegatetest.Call("ap", "eu"), config, recorded)
	if err != nil || found.Clusters[0].Verdict != wavegate.Fail || found.Clusters[1].Verdict != wavegate.Pass {
		t.Errorf("%v (%v)", found.Clusters, err)
	}
}

func TestAPhaseThatIsNotKnownHolds(t *testing.T) {
	call := wavegatetest.Call("eu-1")
	call.Phase = "full-moon"
	found, err := wavegatetest.Evaluate(plugin{}, call, `{"query":"q","max":1}`, new(wavegatetest.Recorded))
	if err != nil || found.Verdict != wavegate.Hold {
		t.Errorf("%v (%v)", found.Verdict, err)
	}
}

func TestPlaceholdersMustBeKnown(t *testing.T) {
	problems := wavegate.Problems[Config](plugin{}, `{"query":"{{cluster}} {{pod}}","max":1}`)
	if len(problems) != 2 || problems[0].Pointer != "/query" {
		t.Errorf("found %v", problems)
	}
}
