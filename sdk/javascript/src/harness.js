// Runs a plugin's logic in an ordinary unit test, without Wasm.
//
// Calls go through the same encoding of configuration and state as in a component. There is no
// sandbox, no fuel and no limit of time.

import { problems, readState, writeState } from "./codec.js";
import * as config from "./config.js";
import { Failed } from "./errors.js";
import * as log from "./log.js";
import { PERMILLE, apportion } from "./shares.js";

const NEW_DIGEST = `sha256:${"2".repeat(64)}`;
const BASELINE_DIGEST = `sha256:${"1".repeat(64)}`;
/** 2026-01-01T00:00:00Z. */
const NOW = 1767225600000;

/** A site before a rollout: every node is on the baseline and serves. */
export function site(clusters, gates = [], { splitsTraffic = true } = {}) {
  const names = Object.keys(clusters).sort();
  const shares = apportion(splitsTraffic ? PERMILLE : 0, names.map((name) => clusters[name]));
  return {
    now: NOW,
    site: "site",
    clusters: names.map((name, index) => ({
      name,
      role: "",
      baseline: BASELINE_DIGEST,
      desired: clusters[name],
      newReady: 0,
      newUnready: 0,
      baselineReady: clusters[name],
      baselineUnready: 0,
      other: 0,
      failed: 0,
      newPermille: 0,
      baselinePermille: shares[index],
      batchMax: 1,
      unavailableMax: 1,
      surgeMax: 0,
    })),
    splitsTraffic,
    release: { version: "2.0", digest: NEW_DIGEST },
    stage: "",
    stageElapsedMs: 0,
    siteElapsedMs: 0,
    timeLeftMs: null,
    completed: "",
    gates: [...gates].sort().map((name) => ({ name, last: null, ageMs: 0 })),
    position: { waveName: "first", wave: 1, waves: 1, site: 1, sites: 1 },
    extensions: [],
  };
}

/** A strategy at work on a site. Change `view` to test what goes wrong between calls. */
export class StrategyRun {
  constructor(strategy, view, settings) {
    this.definition = strategy.definition;
    this.view = view;
    this.config = JSON.stringify(settings);
    this.state = new Uint8Array();
    this.log = [];
  }

  /** Asks once and keeps the new state; nothing is carried out. */
  decide() {
    log.sendTo((level, message) => this.log.push([level, message]));
    const settings = config.read(this.definition.config, this.config);
    const state = readState(this.definition, this.state);
    const outcome = this.definition.decide(this.view, settings, state);
    this.state = writeState(this.definition, outcome.state);
    if (this.view.stage !== outcome.stage) {
      this.view.stage = outcome.stage;
      this.view.stageElapsedMs = 0;
    }
    return outcome;
  }

  /** Goals are reached, gates pass, time goes by, people approve. */
  carryOut({ tag, val }) {
    if (tag === "go") {
      this.#go(val);
    } else if (tag === "wait-gates") {
      this.view.gates.filter((gate) => val.includes(gate.name)).forEach((gate) => (gate.last = "pass"));
    } else if (tag === "wait-ms") {
      this.view.now += val;
      this.view.stageElapsedMs += val;
      this.view.siteElapsedMs += val;
    }
    const completed = { go: "goal", "wait-gates": "gates", "wait-ms": "time", "wait-person": "person" };
    this.view.completed = completed[tag] ?? this.view.completed;
  }

  /** Asks and carries out until the site is done or has failed; checks goals as the host does. */
  run(calls = 100) {
    const outcomes = [];
    while (outcomes.length < calls) {
      const outcome = this.decide();
      if (outcome.decision.tag === "go") {
        this.#check(outcome.decision.val);
      }
      this.carryOut(outcome.decision);
      outcomes.push(outcome);
      if (["done", "failed"].includes(outcome.decision.tag)) {
        return outcomes;
      }
    }
    throw new Error(`no end within ${calls} calls: ${JSON.stringify(outcomes.at(-1))}`);
  }

  /** The stages that the strategy means to go through. */
  outline() {
    const clusters = this.view.clusters.map(({ name, role, desired }) => ({ name, role, desired }));
    const settings = config.read(this.definition.config, this.config);
    const summary = { site: this.view.site, clusters, extensions: [] };
    return this.definition.outline(summary, this.view.release, settings);
  }

  /** What the strategy finds wrong with the configuration. */
  problems() {
    return problems(this.definition, this.config);
  }

  #go(goal) {
    for (const cluster of this.view.clusters) {
      const wanted = goal.clusters.find((it) => it.cluster === cluster.name);
      if (wanted === undefined) {
        continue;
      }
      Object.assign(cluster, { newReady: wanted.new, newUnready: 0 });
      Object.assign(cluster, { baselineReady: wanted.baseline, baselineUnready: 0 });
      if (this.view.splitsTraffic) {
        const { newPermille, baselinePermille } = wanted;
        Object.assign(cluster, { newPermille, baselinePermille });
      }
    }
    // A verdict was made for another state of the site.
    this.view.gates.forEach((gate) => (gate.last = null));
  }

  #check(goal) {
    const ours = this.view.clusters.map((cluster) => cluster.name).join();
    const theirs = goal.clusters.map((it) => it.cluster).sort().join();
    if (ours !== theirs) {
      throw new Error("a goal names every cluster exactly once");
    }
    const shares = goal.clusters.reduce((sum, it) => sum + it.newPermille + it.baselinePermille, 0);
    if (shares !== PERMILLE) {
      throw new Error(`shares sum to 1000: ${JSON.stringify(goal)}`);
    }
    for (const it of goal.clusters) {
      if ((it.new === 0 && it.newPermille > 0) || (it.baseline === 0 && it.baselinePermille > 0)) {
        throw new Error(`traffic without nodes: ${JSON.stringify(it)}`);
      }
    }
  }
}

/** Evidence with answers that the test recorded; `asked` keeps the questions, in order. */
export class Recorded {
  constructor() {
    this.answers = new Map();
    this.asked = [];
  }

  /** Records an answer, or a `Failed`, for `["instant", slot, query]` and its kind. */
  record(question, answer) {
    this.answers.set(JSON.stringify(question), answer);
    return this;
  }

  instant(slot, query) {
    return this.#answer(["instant", slot, query]);
  }

  instants(slot, queries) {
    return this.#all(queries, (query) => this.instant(slot, query));
  }

  range(slot, query, windowMs, stepMs) {
    return this.#answer(["range", slot, query, windowMs, stepMs]);
  }

  ranges(slot, queries, windowMs, stepMs) {
    return this.#all(queries, (query) => this.range(slot, query, windowMs, stepMs));
  }

  get(slot, path) {
    return this.#answer(["get", slot, path]);
  }

  summary(slot, cluster, cohort, windowMs) {
    return this.#answer(["summary", slot, cluster, cohort, windowMs]);
  }

  summaries(slot, clusters, cohort, windowMs) {
    return this.#all(clusters, (cluster) => this.summary(slot, cluster, cohort, windowMs));
  }

  gets(slot, paths) {
    return this.#all(paths, (path) => this.get(slot, path));
  }

  ask(questions) {
    const ways = {
      instant: ({ slot, query }) => ["series", this.instant(slot, query)],
      range: (it) => ["series", this.range(it.slot, it.query, it.windowMs, it.stepMs)],
      get: ({ slot, path }) => ["response", this.get(slot, path)],
      summary: (it) => ["summary", this.summary(it.slot, it.cluster, it.cohort, it.windowMs)],
    };
    return this.#all(questions, ({ tag, val }) => {
      const [kind, answer] = ways[tag](val);
      return { tag: kind, val: answer };
    });
  }

  #answer(question) {
    this.asked.push(question);
    const answer = this.answers.get(JSON.stringify(question));
    if (answer === undefined) {
      throw new Failed("no-recorded-answer", `nothing recorded for ${JSON.stringify(question)}`);
    }
    if (answer instanceof Failed) {
      throw answer;
    }
    return answer;
  }

  /** All answers, or the first failure: whoever asks at once has asked everything by then. */
  #all(questions, ask) {
    const failures = [];
    const answers = questions.map((question) => {
      try {
        return ask(question);
      } catch (error) {
        failures.push(error);
        return undefined;
      }
    });
    if (failures.length > 0) {
      throw failures[0];
    }
    return answers;
  }
}

/** A gate and the call that it gets: after a batch, for these updated clusters. */
export class GateRun {
  constructor(gate, updated, settings) {
    this.definition = gate.definition;
    this.config = JSON.stringify(settings);
    this.state = new Uint8Array();
    this.log = [];
    const cluster = (name) => ({
      name,
      role: "",
      baseline: BASELINE_DIGEST,
      newReady: 1,
      baselineReady: 3,
    });
    this.call = {
      now: NOW,
      subject: { kind: "site", name: "site" },
      phase: "after-batch",
      attempt: 0,
      evidenceStart: NOW - 10000,
      release: { version: "2.0", digest: NEW_DIGEST },
      updated: updated.map(cluster),
      untouched: [],
      extensions: [],
    };
  }

  /** Asks once and keeps the new state. */
  evaluate(evidence) {
    log.sendTo((level, message) => this.log.push([level, message]));
    const settings = config.read(this.definition.config, this.config);
    const state = readState(this.definition, this.state);
    const evaluation = this.definition.evaluate(this.call, settings, state, evidence);
    this.state = writeState(this.definition, evaluation.state);
    return evaluation;
  }

  /** What the gate finds wrong with the configuration. */
  problems() {
    return problems(this.definition, this.config);
  }
}
