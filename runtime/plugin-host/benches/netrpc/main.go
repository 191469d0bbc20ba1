// A strategy in a process of its own, asked over net/rpc on a unix socket: the way in which the
// nearest peer has plugins. `languages.rs` measures it beside a component.
//
// Reads a number of calls from each line of its input, makes them, and writes the microseconds
// that one took.
package main

import (
	"bufio"
	"fmt"
	"net"
	"net/rpc"
	"os"
	"os/exec"
	"strconv"
	"time"
)

type ClusterView struct {
	Name, Role, Baseline                                          string
	Desired, NewReady, NewUnready, BaselineReady, BaselineUnready uint32
	Other, Failed, NewPermille, BaselinePermille                  uint32
	BatchMax, UnavailableMax, SurgeMax                            uint32
}

type Release struct{ Version, Digest string }

type Position struct {
	WaveName                 string
	Wave, Waves, Site, Sites uint32
}

type SiteView struct {
	Now                       float64
	Site                      string
	Clusters                  []ClusterView
	SplitsTraffic             bool
	Release                   Release
	Stage                     string
	StageElapsed, SiteElapsed uint32
	Completed                 string
	Position                  Position
}

type Question struct {
	View   SiteView
	Config string
	State  []byte
}

type ClusterGoal struct {
	Cluster                                      string
	New, Baseline, NewPermille, BaselinePermille uint32
}

type Outcome struct {
	Goal          []ClusterGoal
	Stage, Reason string
	State         []byte
}

type Strategy struct{}

func (Strategy) Decide(question *Question, outcome *Outcome) error {
	for _, cluster := range question.View.Clusters {
		quarter := (cluster.Desired + 3) / 4
		share := uint32(0)
		if cluster.Desired > 0 {
			share = 1000 * quarter / cluster.Desired
		}
		outcome.Goal = append(outcome.Goal, ClusterGoal{
			Cluster: cluster.Name, New: quarter, Baseline: cluster.Desired - quarter,
			NewPermille: share, BaselinePermille: 1000 - share,
		})
	}
	outcome.Stage, outcome.Reason, outcome.State = "1", "a quarter of the nodes", question.State
	return nil
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func serve(socket string) {
	check(rpc.Register(Strategy{}))
	listener, err := net.Listen("unix", socket)
	check(err)
	connection, err := listener.Accept()
	check(err)
	rpc.ServeConn(connection)
}

func connect(socket string) *rpc.Client {
	deadline := time.Now().Add(10 * time.Second)
	for {
		client, err := rpc.Dial("unix", socket)
		if err == nil {
			return client
		}
		if time.Now().After(deadline) {
			check(err)
		}
		time.Sleep(time.Millisecond)
	}
}

func main() {
	if len(os.Args) == 3 && os.Args[1] == "serve" {
		serve(os.Args[2])
		return
	}
	socket := os.Args[1]
	plugin := exec.Command(os.Args[0], "serve", socket)
	check(plugin.Start())
	client := connect(socket)
	digest := "sha256:" + fmt.Sprintf("%064d", 1)
	question := Question{
		View: SiteView{
			Now: 1.8e12, Site: "eu-1", SplitsTraffic: true, Release: Release{"2.0", digest},
			Clusters: []ClusterView{{
				Name: "eu-1", Baseline: digest, Desired: 4, BaselineReady: 4, BaselinePermille: 1000,
				BatchMax: 4, UnavailableMax: 1, SurgeMax: 1,
			}},
			Position: Position{"first", 1, 2, 1, 3},
		},
		Config: `{"stages":[{"nodes":"25%"}]}`,
		State:  make([]byte, 1024),
	}
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		calls, err := strconv.Atoi(lines.Text())
		check(err)
		begun := time.Now()
		for i := 0; i < calls; i++ {
			var outcome Outcome
			check(client.Call("Strategy.Decide", &question, &outcome))
			if len(outcome.State) != 1024 || outcome.Goal[0].New != 1 {
				check(fmt.Errorf("the answer is another one"))
			}
		}
		fmt.Println(float64(time.Since(begun).Nanoseconds()) / 1e3 / float64(calls))
	}
	client.Close()
	check(plugin.Wait())
}
