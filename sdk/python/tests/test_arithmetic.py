"""The same numbers as in every other language."""

import json
import unittest
from pathlib import Path

from wavegate import Duration, Percent, query, shares, units

CASES = json.loads((Path(__file__).parents[2] / "conformance/arithmetic.json").read_text())


class Arithmetic(unittest.TestCase):
    def test_nodes_are_spread(self):
        for case in CASES["spread"]:
            self.assertEqual(shares.spread(case["nodes"], case["capacities"]), case["given"], case)

    def test_parts_sum_to_the_total(self):
        for case in CASES["apportion"]:
            self.assertEqual(shares.apportion(case["total"], case["weights"]), case["parts"], case)

    def test_numbers_are_shown(self):
        for case in CASES["number"]:
            self.assertEqual(units.number(case["value"]), case["text"], case)

    def test_durations_are_read_and_shown(self):
        for case in CASES["duration"]:
            if case["ms"] is None:
                self.assertRaises(ValueError, Duration.parse, case["text"])
            else:
                duration = Duration.parse(case["text"])
                self.assertEqual((duration.ms, str(duration)), (case["ms"], case["shown"]), case)

    def test_percentages_are_read(self):
        for case in CASES["percent"]:
            if case["permille"] is None:
                self.assertRaises(ValueError, Percent.parse, case["text"])
            else:
                self.assertEqual(Percent.parse(case["text"]).permille, case["permille"], case)

    def test_placeholders_are_replaced_once(self):
        for case in CASES["fill"]:
            self.assertEqual(query.fill(case["query"], case["values"]), case["filled"], case)
            self.assertEqual(query.placeholders(case["query"]), case["placeholders"], case)


if __name__ == "__main__":
    unittest.main()
