// The strategy *stepwise*: takes a site to the new release step by step, watches after each step
// and asks the gates before the next one.

import {
  Amount,
  Failed,
  type Infer,
  type Problem,
  type SiteView,
  Percent,
  config,
  defineStrategy,
  done,
  go,
  shares,
  waitForGates,
  waitMs,
} from "../../src/index.js";

const settings = config.object({
  steps: config.list(config.amount(), {
    text:
      "Nodes of the site on the new release, step by step: counts, or percentages rounded up. " +
      "A step to all nodes follows the last one.",
    minItems: 1,
    maxItems: 100,
  }),
  pause: config.optional(
    config.duration({
      text: "How long to watch after each step, for example `500ms` or `1m30s`. Not at all if left out.",
    }),
  ),
  gates: config.optional(
    config.list(config.text({ minLength: 1 }), {
      text: "Gates of the policy that must pass before the next step. All of them if left out, none if empty.",
      maxItems: 64,
      uniqueItems: true,
    }),
  ),
});

type Settings = Infer<typeof settings>;

/** The phases of a step, in order. */
type Phase = "move" | "pause" | "gates";

/** What is remembered from call to call. */
interface State {
  /** Index of the step. */
  step: number;
  /** What the step waits for. */
  phase: Phase;
  /** Most new nodes that a step asked for: later steps never ask for fewer. */
  nodes: number;
}

const initialState: State = { step: 0, phase: "move", nodes: 0 };

/** The step that follows those of the configuration. */
const ALL = new Amount(new Percent(1000));

export const strategy = defineStrategy<Settings, State>({
  name: "stepwise",
  version: "0.1.0",
  text: "Takes a site to the new release step by step. After each step it pauses, then asks the gates.",
  config: settings,
  examples: [
    { steps: ["25%", "50%"], pause: "10s" },
    { steps: [1], gates: [] },
  ],
  initialState,

  validateConfig({ steps }) {
    const problems: Problem[] = [];
    steps.forEach((step, index) => {
      const pointer = `/steps/${index}`;
      if (step.isZero()) {
        problems.push({ pointer, message: "a step must have at least one node" });
      }
      // A count against a percentage depends on the site; `decide` never goes back.
      const before = steps[index - 1];
      if (before !== undefined && step.isLessThan(before)) {
        const message = "a step must not have fewer nodes than the step before it";
        problems.push({ pointer, message });
      }
    });
    return problems;
  },

  outline(site, release, settings) {
    const total = shares.desired(site);
    const steps = allSteps(settings, total);
    return steps.map((step, index) => ({
      name: stageName(index, steps.length),
      text: words(settings, step.of(total), total, release.version),
    }));
  },

  decide(view, settings, state) {
    const total = shares.desired(view);
    if (total === 0) {
      return { decision: done(), stage: "all", reason: "the site has no nodes", state };
    }
    const capacities = view.clusters.map((cluster) => cluster.desired);
    const steps = allSteps(settings, total);
    let completed = view.completed;
    for (;;) {
      // A site that shrank may have lost its last step.
      const index = Math.min(state.step, steps.length - 1);
      const stage = stageName(index, steps.length);
      const nodes = Math.max(steps[index]!.of(total), Math.min(state.nodes, total));
      state.nodes = nodes;
      const goal = shares.goalByCapacity(view.clusters, shares.spread(nodes, capacities));
      if (!shares.reached(view, goal)) {
        // Also when nodes were lost while something was waited for.
        state.phase = "move";
        return { decision: go(goal), stage, reason: `${nodes} of ${total} nodes to be new`, state };
      }
      const { pause } = settings;
      const paused = state.phase === "gates" || (state.phase === "pause" && completed === "time");
      if (pause !== undefined && pause.ms > 0 && !paused) {
        state.phase = "pause";
        return { decision: waitMs(pause.ms), stage, reason: `watching for ${pause}`, state };
      }
      const gates = askedGates(view, settings);
      const passed = state.phase === "gates" && completed === "gates";
      if (gates.length > 0 && !passed) {
        state.phase = "gates";
        return { decision: waitForGates(gates), stage, reason: `asking ${gates.join(", ")}`, state };
      }
      if (index + 1 === steps.length) {
        return { decision: done(), stage, reason: `all ${total} nodes are new`, state };
      }
      // What was carried out belonged to the step that is over.
      completed = "";
      state.step += 1;
      state.phase = "move";
    }
  },
});

/** The steps of a site of so many nodes; the last one is everything. */
function allSteps({ steps }: Settings, total: number): Amount[] {
  const last = steps.at(-1);
  return last !== undefined && last.of(total) >= total ? steps : [...steps, ALL];
}

function stageName(index: number, count: number): string {
  return index + 1 === count ? "all" : `step ${index + 1}`;
}

/** What happens in a step, in words. */
function words({ pause, gates }: Settings, nodes: number, total: number, version: string): string {
  let text = `${nodes} of ${total} nodes to ${version}`;
  if (pause !== undefined && pause.ms > 0) {
    text += `, then wait ${pause}`;
  }
  if (gates === undefined) {
    text += ", then all gates";
  } else if (gates.length > 0) {
    text += `, then ${gates.join(", ")}`;
  }
  return text;
}

/** The gates that a step asks. */
function askedGates(view: SiteView, { gates }: Settings): string[] {
  const known = view.gates.map((gate) => gate.name);
  const unknown = gates?.find((gate) => !known.includes(gate));
  if (unknown !== undefined) {
    throw new Failed("unknown-gate", `the policy has no gate ${unknown}`);
  }
  return gates ?? known;
}
