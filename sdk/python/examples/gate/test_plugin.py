import unittest

from plugin import SLOT, Ceiling
from wavegate import Sample, Series, Verdict
from wavegate.harness import GateRun, Recorded


def series(*values: float) -> list[Series]:
    return [Series([], [Sample(0.0, value) for value in values])]


class Limits(unittest.TestCase):
    def test_the_worst_value_is_held_against_the_limit(self):
        for values, verdict, reason in [
            ((0.5, 1.0), Verdict.PASS, "value 1 meets <= 1 (2 samples)"),
            ((0.5, 1.5), Verdict.FAIL, "value 1.5 breaks <= 1 (2 samples)"),
            ((), Verdict.HOLD, "no data for value, which must be <= 1"),
        ]:
            with self.subTest(values=values):
                recorded = Recorded().record("instant", SLOT, "q", answer=series(*values))
                evaluation = GateRun(Ceiling, ["eu-1"], '{"query":"q","max":1}').evaluate(recorded)
                self.assertEqual((evaluation.verdict, evaluation.reason), (verdict, reason))

    def test_each_cluster_is_judged_by_its_own_answer(self):
        config = r'{"query":"q{c=\"{{cluster}}\"}","max":1,"perCluster":true,"window":"1m"}'
        recorded = (
            Recorded()
            .record("range", SLOT, 'q{c="ap"}', 60_000, 3_000, answer=series(2.0))
            .record("range", SLOT, 'q{c="eu"}', 60_000, 3_000, answer=series(1.0))
        )
        evaluation = GateRun(Ceiling, ["ap", "eu"], config).evaluate(recorded)
        verdicts = [(it.cluster, it.verdict) for it in evaluation.clusters]
        self.assertEqual(verdicts, [("ap", Verdict.FAIL), ("eu", Verdict.PASS)])

    def test_a_phase_that_is_not_known_holds(self):
        run = GateRun(Ceiling, ["eu-1"], '{"query":"q","max":1}')
        run.call.phase = "full-moon"
        self.assertEqual(run.evaluate(Recorded()).verdict, Verdict.HOLD)

    def test_placeholders_must_be_known(self):
        run = GateRun(Ceiling, [], '{"query":"{{cluster}} {{pod}}","max":1}')
        self.assertEqual([problem.pointer for problem in run.problems()], ["/query", "/query"])


if __name__ == "__main__":
    unittest.main()
