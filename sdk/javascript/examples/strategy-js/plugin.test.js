import assert from "node:assert/strict";
import { test } from "node:test";
import { StrategyRun, site } from "../../src/index.js";
import { strategy } from "./plugin.js";

/** The stage, and what is to happen. */
function line({ stage, decision }) {
  if (decision.tag === "go") {
    const nodes = decision.val.clusters.map((it) => `${it.new}/${it.baseline}`);
    return `${stage}: go ${nodes.join(" ")}`;
  }
  return `${stage}: ${decision.tag} ${decision.val ?? ""}`.trim();
}

test("each step is watched and judged before the next", () => {
  const run = new StrategyRun(strategy, site({ "eu-1": 4 }, ["errors"]), {
    steps: ["25%"],
    pause: "10s",
  });
  assert.deepEqual(run.run().map(line), [
    "step 1: go 1/3",
    "step 1: wait-ms 10000",
    "step 1: wait-gates errors",
    "all: go 4/0",
    "all: wait-ms 10000",
    "all: wait-gates errors",
    "all: done",
  ]);
});

test("a lost node is replaced before anything else", () => {
  const run = new StrategyRun(strategy, site({ "eu-1": 4 }, ["errors"]), { steps: [2] });
  const first = run.decide();
  run.carryOut(first.decision);
  run.view.clusters[0].newReady = 1;
  assert.deepEqual(run.decide().decision, first.decision);
});

test("steps never go back", () => {
  const run = new StrategyRun(strategy, site({ "eu-1": 4 }), { steps: ["50%", "25%"] });
  assert.deepEqual(run.problems().map((problem) => problem.pointer), ["/steps/1"]);
});

test("a gate that the policy does not have is a failure", () => {
  const run = new StrategyRun(strategy, site({ "eu-1": 1 }), { steps: [1], gates: ["errors"] });
  run.carryOut(run.decide().decision);
  assert.throws(() => run.decide(), { code: "unknown-gate" });
});
