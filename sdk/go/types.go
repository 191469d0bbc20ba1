// Package wavegate is for writing Wavegate plugins in Go.
//
// A plugin answers one question: a [Strategy] says what a site should look like next, a [Gate]
// says whether what runs is healthy. Implement one of the two interfaces, and hand it to
// strategy.Export or gate.Export in an init function.
//
// The package needs no host: package wavegatetest plays the host's part under "go test".
//
// Durations are whole milliseconds, instants are milliseconds since the epoch (UTC), shares are
// permille from 0 to 1000.
package wavegate

// Verdict is a gate's judgement. Only Pass lets a rollout advance.
type Verdict uint8

// The verdicts, from good to bad.
const (
	// Pass means healthy, by enough evidence.
	Pass Verdict = iota
	// Hold means not decided: too little evidence, or none.
	Hold
	// Fail means not healthy, by evidence.
	Fail
)

func (v Verdict) String() string {
	return [...]string{"pass", "hold", "fail"}[v]
}

// Release is what is rolled out.
type Release struct {
	// Version is what people say.
	Version string
	// Digest is what the host compares.
	Digest string
}

// ClusterView is a cluster of the site as it was observed.
type ClusterView struct {
	Name string
	// Role is what the cluster is in its site, such as "blue"; empty if it has none.
	Role string
	// Baseline is the digest of the release that the cluster ran when the rollout started.
	Baseline string
	// Desired is how many nodes the cluster should have in total.
	Desired         uint32
	NewReady        uint32
	NewUnready      uint32
	BaselineReady   uint32
	BaselineUnready uint32
	// Other counts nodes on any other release.
	Other uint32
	// Failed counts nodes that have failed, on any release; they are counted above too.
	Failed           uint32
	NewPermille      uint32
	BaselinePermille uint32
	BatchMax         uint32
	UnavailableMax   uint32
	SurgeMax         uint32
}

// GateView is the last verdict of a gate for this site.
type GateView struct {
	Name string
	// Last is nil before the first evaluation and after a new batch.
	Last  *Verdict
	AgeMs uint32
}

// Position is where the site stands in the rollout, counted from 1.
type Position struct {
	WaveName string
	Wave     uint32
	Waves    uint32
	Site     uint32
	Sites    uint32
}

// SiteView is the present view of one site. A strategy never sees other sites.
type SiteView struct {
	Now      float64
	Site     string
	Clusters []ClusterView
	// SplitsTraffic says whether the driver can; if not, all permille are 0.
	SplitsTraffic  bool
	Release        Release
	Stage          string
	StageElapsedMs uint32
	SiteElapsedMs  uint32
	// TimeLeftMs is nil if there is no limit.
	TimeLeftMs *uint32
	// Completed says what was carried out since the last call: empty at the first call, "goal",
	// "gates", "time" or "person".
	Completed string
	Gates     []GateView
	Position  Position
}

// ClusterGoal is how many nodes of one cluster run what, and the traffic they get.
type ClusterGoal struct {
	Cluster          string
	New              uint32
	Baseline         uint32
	NewPermille      uint32
	BaselinePermille uint32
}

// Goal has every cluster of the site exactly once, and shares that sum to 1000 over the site.
type Goal []ClusterGoal

// ClusterSummary is a cluster before anything has been observed.
type ClusterSummary struct {
	Name    string
	Role    string
	Desired uint32
}

// SiteSummary is a site before anything has been observed.
type SiteSummary struct {
	Site     string
	Clusters []ClusterSummary
}

// Stage is a step that a strategy means to take.
type Stage struct {
	Name string
	Text string
}

// Problem is something wrong in a configuration; Pointer is a JSON pointer such as "/steps/1".
type Problem struct {
	Pointer string
	Message string
}

// Slot is a source that a gate needs; the policy binds it. Kind is "metrics", "http" or "probes".
type Slot struct {
	Name string
	Kind string
	Text string
}

// GateCluster is a cluster that a gate may ask about.
type GateCluster struct {
	Name          string
	Role          string
	Baseline      string
	NewReady      uint32
	BaselineReady uint32
}

// Subject is what is judged: a "site", a "wave" or the "rollout".
type Subject struct {
	Kind string
	Name string
}

// GateCall is one evaluation.
type GateCall struct {
	Now           float64
	Subject       Subject
	Phase         string
	Attempt       uint32
	EvidenceStart float64
	Release       Release
	Updated       []GateCluster
	Untouched     []GateCluster
}

// Measurement is something that was measured, and the limit it was held against.
type Measurement struct {
	Name string
	// Cluster is empty for all.
	Cluster string
	// Value is nil if there was no data.
	Value *float64
	Unit  string
	// Limit is a condition that must hold, such as "<= 0.01"; empty if none.
	Limit   string
	Verdict Verdict
	Samples uint32
}

// ClusterVerdict is the verdict for one cluster.
type ClusterVerdict struct {
	Cluster string
	Verdict Verdict
}

// Sample is a sample of a series.
type Sample struct {
	At    float64
	Value float64
}

// Label is a label of a series.
type Label struct {
	Name  string
	Value string
}

// Series has samples with labels, both sorted.
type Series struct {
	Labels  []Label
	Samples []Sample
}

// Response is the answer to an HTTP GET.
type Response struct {
	Status      uint32
	ContentType string
	Body        []byte
}

// Requests has counts and latencies of requests in a window; latencies are nil without a request.
type Requests struct {
	Total  uint32
	Failed uint32
	P50Ms  *float64
	P95Ms  *float64
	P99Ms  *float64
}

// ProbeSummary has the host's own health checks, and real traffic as the front door sees it.
type ProbeSummary struct {
	Checks  Requests
	Traffic Requests
}
