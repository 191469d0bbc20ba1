import assert from "node:assert/strict";
import { test } from "node:test";
import { GateRun, Recorded, type Series } from "../../src/index.js";
import { SLOT, gate } from "./plugin.js";

function series(...values: number[]): Series[] {
  return [{ labels: [], samples: values.map((value) => ({ at: 0, value })) }];
}

test("the worst value is held against the limit", () => {
  for (const [values, verdict, reason] of [
    [[0.5, 1], "pass", "value 1 meets <= 1 (2 samples)"],
    [[0.5, 1.5], "fail", "value 1.5 breaks <= 1 (2 samples)"],
    [[], "hold", "no data for value, which must be <= 1"],
  ] as const) {
    const recorded = new Recorded().record(["instant", SLOT, "q"], series(...values));
    const evaluation = new GateRun(gate, ["eu-1"], { query: "q", max: 1 }).evaluate(recorded);
    assert.deepEqual([evaluation.verdict, evaluation.reason], [verdict, reason]);
  }
});

test("each cluster is judged by its own answer", () => {
  const settings = { query: 'q{c="{{cluster}}"}', max: 1, perCluster: true, window: "1m" };
  const recorded = new Recorded()
    .record(["range", SLOT, 'q{c="ap"}', 60000, 3000], series(2))
    .record(["range", SLOT, 'q{c="eu"}', 60000, 3000], series(1));
  const evaluation = new GateRun(gate, ["ap", "eu"], settings).evaluate(recorded);
  assert.deepEqual(evaluation.clusters, [
    { cluster: "ap", verdict: "fail" },
    { cluster: "eu", verdict: "pass" },
  ]);
});

test("a phase that is not known holds", () => {
  const run = new GateRun(gate, ["eu-1"], { query: "q", max: 1 });
  run.call.phase = "full-moon";
  assert.equal(run.evaluate(new Recorded()).verdict, "hold");
});

test("placeholders must be known", () => {
  const run = new GateRun(gate, [], { query: "{{cluster}} {{pod}}", max: 1 });
  assert.deepEqual(run.problems().map((problem) => problem.pointer), ["/query", "/query"]);
});
