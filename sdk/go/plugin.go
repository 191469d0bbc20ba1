package wavegate

// About is what a plugin says about itself.
type About struct {
	// Name is in kebab-case.
	Name string
	// Version is the semantic version of the plugin.
	Version string
	// StateVersion is to be raised when the form of the state changes: a swap to another number
	// drops the state.
	StateVersion uint32
	// Text is a paragraph for people: what it does and when to use it.
	Text string
	// Examples are configurations, as JSON; they become part of the JSON Schema.
	Examples []string
	// Slots are the sources that a gate needs.
	Slots []Slot
}

// Strategy says what a site should look like next.
//
// The host asks Decide again whenever the last answer has been carried out, and carries goals out
// within the policy's limits. Nothing is kept between calls but the state.
//
// C is the configuration: a struct with tags, see [Schema]. S is the state: a struct that is stored
// as JSON, 64 KiB at most; its zero value is the state of the first call.
type Strategy[C, S any] interface {
	// Describe must always answer the same.
	Describe() About
	// Outline has the stages that the strategy means to go through, shown before a rollout starts.
	Outline(site *SiteSummary, release Release, config *C) ([]Stage, error)
	// Decide says what the site should look like next.
	Decide(view *SiteView, config *C, state S) (Outcome[S], error)
}

// Gate judges whether what runs is healthy, one evaluation at a time.
//
// Counting failures, budgets and repetitions is the host's work. The same input must lead to the
// same questions. C and S are as for a [Strategy].
type Gate[C, S any] interface {
	// Describe must always answer the same.
	Describe() About
	// Evaluate judges once. It answers Hold to a phase that it does not know.
	Evaluate(call *GateCall, config *C, state S, evidence Evidence) (Evaluation[S], error)
}

// ConfigChecker is for plugins that check what the JSON Schema cannot say.
type ConfigChecker[C any] interface {
	CheckConfig(config *C) []Problem
}

// Defaulter is for configurations in which what is left out is not the zero value.
type Defaulter interface {
	SetDefaults()
}

// Nothing is the state of a plugin that remembers nothing.
type Nothing struct{}

// Decision is the answer of a strategy.
type Decision interface{ isDecision() }

type (
	// Go goes to this goal.
	Go Goal
	// WaitForGates waits until these gates have passed for the site as it is now.
	WaitForGates []string
	// WaitMs waits so long.
	WaitMs uint32
	// WaitForPerson waits until a person approves; the text says what for.
	WaitForPerson string
	// Done says that the site is done. Accepted only when everything is on the release.
	Done struct{}
	// Failed says that the site has failed, and why.
	Failed string
)

func (Go) isDecision()            {}
func (WaitForGates) isDecision()  {}
func (WaitMs) isDecision()        {}
func (WaitForPerson) isDecision() {}
func (Done) isDecision()          {}
func (Failed) isDecision()        {}

// Outcome is a decision and what goes with it.
type Outcome[S any] struct {
	Decision Decision
	// Stage is the one that the site is in from now on, for people and for StageElapsedMs.
	Stage string
	// Reason says why, in a sentence.
	Reason string
	// State comes back with the next call.
	State S
}

// Decided makes an Outcome.
func Decided[S any](decision Decision, stage, reason string, state S) (Outcome[S], error) {
	return Outcome[S]{decision, stage, reason, state}, nil
}

// Evaluation is the answer of a gate. The host takes the worst of Verdict and those of Clusters.
type Evaluation[S any] struct {
	Verdict      Verdict
	Reason       string
	Clusters     []ClusterVerdict
	Measurements []Measurement
	State        S
}

// Phases are those that this version of the contract names. Hold at any other phase.
var Phases = []string{"before-wave", "before-site", "after-batch", "soak", "after-wave", "continuous"}

// Cohort says which nodes of a cluster are meant.
type Cohort string

// The cohorts.
const (
	New      Cohort = "new"
	Baseline Cohort = "baseline"
)

// Evidence comes from the host, or from recorded answers in a test.
//
// Where an answer is missing the host ends the call, fetches it and starts the call again, so ask
// at once for what you know that you need: the plural forms take one round of at most 16. The error
// of a source is best passed on: the host then holds.
type Evidence interface {
	Instant(slot, query string) ([]Series, error)
	Instants(slot string, queries []string) ([][]Series, error)
	Range(slot, query string, windowMs, stepMs uint32) ([]Series, error)
	Ranges(slot string, queries []string, windowMs, stepMs uint32) ([][]Series, error)
	Get(slot, path string) (Response, error)
	Gets(slot string, paths []string) ([]Response, error)
	Summary(slot, cluster string, cohort Cohort, windowMs uint32) (ProbeSummary, error)
	Summaries(slot string, clusters []string, cohort Cohort, windowMs uint32) ([]ProbeSummary, error)
}

// Finding is a measurement, and the sentence that says how it stands to its limit.
type Finding struct {
	Measurement Measurement
	Text        string
}

// WorstOf is the worst verdict of some findings; Hold without any.
func WorstOf(findings []Finding) Verdict {
	if len(findings) == 0 {
		return Hold
	}
	worst := Pass
	for _, finding := range findings {
		worst = max(worst, finding.Measurement.Verdict)
	}
	return worst
}

// EvaluationOf is the worst of the findings, with the sentence of the first that says so.
func EvaluationOf[S any](findings []Finding, clusters []ClusterVerdict, state S) Evaluation[S] {
	verdict := WorstOf(findings)
	reason := "nothing was measured"
	more := -1
	measurements := make([]Measurement, 0, len(findings))
	for _, finding := range findings {
		measurements = append(measurements, finding.Measurement)
		if finding.Measurement.Verdict != verdict {
			continue
		}
		if more++; more == 0 {
			reason = finding.Text
		}
	}
	if more > 0 {
		reason += ", and " + Number(float64(more)) + " more"
	}
	return Evaluation[S]{verdict, reason, clusters, measurements, state}
}
