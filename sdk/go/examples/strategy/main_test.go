package main

import (
	"errors"
	"reflect"
	"testing"

	wavegate "wavegate.dev/sdk"
	"wavegate.dev/sdk/wavegatetest"
)

func run(view *wavegate.SiteView, config string) *wavegatetest.StrategyRun[Config, State] {
	return &wavegatetest.StrategyRun[Config, State]{Strategy: plugin{}, View: view, Config: config}
}

func TestEachStepIsWatchedAndJudgedBeforeTheNext(t *testing.T) {
	view := wavegatetest.Site(map[string]uint32{"eu-1": 4}, "errors")
	lines, err := run(view, `{"steps":["25%"],"pause":"10s"}`).Run()
	if err != nil {
		t.Fatal(err)
	}
	wanted := []string{
		"step 1: go 1/3",
		"step 1: wait 10000",
		"step 1: gates errors",
		"all: go 4/0",
		"all: wait 10000",
		"all: gates errors",
		"all: done",
	}
	if !reflect.DeepEqual(lines, wanted) {
		t.Errorf("is %q, wanted %q", lines, wanted)
	}
}

func TestALostNodeIsReplacedBeforeAnythingElse(t *testing.T) {
	run := run(wavegatetest.Site(map[string]uint32{"eu-1": 4}, "errors"), `{"steps":[2]}`)
	first, err := run.Decide()
	if err != nil {
		t.Fatal(err)
	}
	run.CarryOut(first.Decision)
	run.View.Clusters[0].NewReady = 1
	second, err := run.Decide()
	if err != nil || !reflect.DeepEqual(first.Decision, second.Decision) {
		t.Errorf("is %v, wanted %v (%v)", second.Decision, first.Decision, err)
	}
}

func TestStepsNeverGoBack(t *testing.T) {
	problems := run(nil, `{"steps":["50%","25%"]}`).Problems()
	if len(problems) != 1 || problems[0].Pointer != "/steps/1" {
		t.Errorf("found %v", problems)
	}
}

func TestAGateThatThePolicyDoesNotHaveIsAFailure(t *testing.T) {
	view := wavegatetest.Site(map[string]uint32{"eu-1": 1})
	_, err := run(view, `{"steps":[1],"gates":["errors"]}`).Run()
	var failure *wavegate.Failure
	if !errors.As(err, &failure) || failure.Code != "unknown-gate" {
		t.Errorf("is %v", err)
	}
}
