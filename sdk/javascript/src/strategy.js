import * as config from "./config.js";
import { about, call, problems, readState, writeState } from "./codec.js";
import * as wire from "./wire.js";

/** Makes what a component exports as `strategy` from what you write. */
export function defineStrategy(definition) {
  return {
    definition,
    describe: () => call(() => about(definition, "strategy")),
    validateConfig: (text) => call(() => problems(definition, text)),
    outline: (site, release, text) =>
      call(() => {
        const settings = config.read(definition.config, text);
        return definition.outline(wire.siteSummary(site), release, settings);
      }),
    decide: (view, text, state) =>
      call(() => {
        const settings = config.read(definition.config, text);
        const remembered = readState(definition, state);
        const outcome = definition.decide(wire.siteView(view), settings, remembered);
        return {
          decision: wire.decision(outcome.decision),
          stage: outcome.stage,
          reason: outcome.reason,
          state: writeState(definition, outcome.state),
          extensions: [],
        };
      }),
  };
}

/** Go to this goal: every cluster of the site once, and shares that sum to 1000. */
export function go(goal) {
  return { tag: "go", val: goal };
}

/** Wait until these gates have passed for the site as it is now. */
export function waitForGates(gates) {
  return { tag: "wait-gates", val: gates };
}

/** Wait so long. */
export function waitMs(ms) {
  return { tag: "wait-ms", val: ms };
}

/** Wait until a person approves; the text says what for. */
export function waitForPerson(text) {
  return { tag: "wait-person", val: text };
}

/** The site is done. Accepted only when everything is on the release. */
export function done() {
  return { tag: "done" };
}

/** The site has failed. */
export function fail(reason) {
  return { tag: "failed", val: reason };
}
