import unittest

from plugin import Stepwise
from wavegate import Failed, Outcome
from wavegate.harness import StrategyRun, site


def line(outcome: Outcome) -> str:
    """The stage, and what is to happen."""
    decision = outcome.decision
    if decision.kind == "go":
        nodes = " ".join(f"{it.new}/{it.baseline}" for it in decision.value)
        return f"{outcome.stage}: go {nodes}"
    return f"{outcome.stage}: {decision.kind} {decision.value}"


class Steps(unittest.TestCase):
    def test_each_step_is_watched_and_judged_before_the_next(self):
        view = site({"eu-1": 4}, ("errors",))
        run = StrategyRun(Stepwise, view, '{"steps":["25%"],"pause":"10s"}')
        self.assertEqual(
            [line(outcome) for outcome in run.run()],
            [
                "step 1: go 1/3",
                "step 1: wait-ms 10000",
                "step 1: wait-gates ['errors']",
                "all: go 4/0",
                "all: wait-ms 10000",
                "all: wait-gates ['errors']",
                "all: done None",
            ],
        )

    def test_a_lost_node_is_replaced_before_anything_else(self):
        run = StrategyRun(Stepwise, site({"eu-1": 4}, ("errors",)), '{"steps":[2]}')
        first = run.decide()
        run.carry_out(first.decision)
        run.view.clusters[0].new_ready = 1
        self.assertEqual(run.decide().decision, first.decision)

    def test_steps_never_go_back(self):
        run = StrategyRun(Stepwise, site({"eu-1": 4}), '{"steps":["50%","25%"]}')
        self.assertEqual([problem.pointer for problem in run.problems()], ["/steps/1"])

    def test_a_gate_that_the_policy_does_not_have_is_a_failure(self):
        run = StrategyRun(Stepwise, site({"eu-1": 1}), '{"steps":[1],"gates":["errors"]}')
        run.carry_out(run.decide().decision)
        with self.assertRaises(Failed) as raised:
            run.decide()
        self.assertEqual(raised.exception.code, "unknown-gate")


if __name__ == "__main__":
    unittest.main()
