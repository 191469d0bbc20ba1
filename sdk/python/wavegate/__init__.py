"""Write Wavegate plugins in Python.

A plugin answers one question: a strategy says what a site should look like next, a gate says
whether what runs is healthy. Write a class that derives from `Strategy` or `Gate`, and hand it
to `export_strategy` or `export_gate`.

The package is plain Python: it runs under `python -m unittest` without a host. `wavegate.harness`
plays the host's part there.
"""

from . import log, query, shares, units
from .config import setting
from .errors import Failed, Problem
from .export import export_gate, export_strategy
from .gate import Evaluation, Evidence, Finding, Gate, PHASES, cluster_verdict, evaluation_of, worst
from .strategy import Outcome, Strategy, done, fail, go, wait_for_gates, wait_for_person, wait_ms
from .types import (
    ClusterGoal,
    ClusterSummary,
    ClusterVerdict,
    ClusterView,
    Decision,
    GateCall,
    GateCluster,
    GateView,
    Measurement,
    Position,
    ProbeSummary,
    Release,
    Requests,
    Response,
    Sample,
    Series,
    SiteSummary,
    SiteView,
    Slot,
    Stage,
    Subject,
    Verdict,
)
from .units import Amount, Duration, Percent

__all__ = [
    "Amount",
    "ClusterGoal",
    "ClusterSummary",
    "ClusterVerdict",
    "ClusterView",
    "Decision",
    "Duration",
    "Evaluation",
    "Evidence",
    "Failed",
    "Finding",
    "Gate",
    "GateCall",
    "GateCluster",
    "GateView",
    "Measurement",
    "Outcome",
    "PHASES",
    "Percent",
    "Position",
    "ProbeSummary",
    "Problem",
    "Release",
    "Requests",
    "Response",
    "Sample",
    "Series",
    "SiteSummary",
    "SiteView",
    "Slot",
    "Stage",
    "Strategy",
    "Subject",
    "Verdict",
    "cluster_verdict",
    "done",
    "evaluation_of",
    "export_gate",
    "export_strategy",
    "fail",
    "go",
    "log",
    "query",
    "setting",
    "shares",
    "units",
    "wait_for_gates",
    "wait_for_person",
    "wait_ms",
    "worst",
]
