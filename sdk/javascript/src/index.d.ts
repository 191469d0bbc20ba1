/**
 * Write Wavegate plugins in TypeScript and JavaScript.
 *
 * Durations are whole milliseconds, instants are milliseconds since the epoch (UTC), shares are
 * permille from 0 to 1000.
 */

export * as config from "./config.js";
export * as log from "./log.js";
export * as query from "./query.js";
export * as shares from "./shares.js";
export { Amount, Duration, Percent, number } from "./units.js";
import type { Config, Infer } from "./config.js";

/** A gate's judgement. Only `pass` lets a rollout advance. */
export type Verdict = "pass" | "hold" | "fail";

/** Something wrong in a configuration; `pointer` is a JSON pointer such as "/steps/1". */
export interface Problem {
  pointer: string;
  message: string;
}

/** What is rolled out: the version that people say, and the digest that the host compares. */
export interface Release {
  version: string;
  digest: string;
}

/** A namespaced addition; unknown keys are ignored. */
export interface Extension {
  key: string;
  value: string;
}

/** A cluster of the site as it was observed. */
export interface ClusterView {
  name: string;
  /** What the cluster is in its site, such as `blue`; empty if it has none. */
  role: string;
  /** Digest of the release that the cluster ran when the rollout started. */
  baseline: string;
  /** Nodes that the cluster should have in total. */
  desired: number;
  newReady: number;
  newUnready: number;
  baselineReady: number;
  baselineUnready: number;
  /** Nodes on any other release. */
  other: number;
  /** Nodes that have failed, on any release; they are counted above too. */
  failed: number;
  newPermille: number;
  baselinePermille: number;
  batchMax: number;
  unavailableMax: number;
  surgeMax: number;
}

/** The last verdict of a gate for this site; null before the first evaluation. */
export interface GateView {
  name: string;
  last: Verdict | null;
  ageMs: number;
}

/** Where the site stands in the rollout, counted from 1. */
export interface Position {
  waveName: string;
  wave: number;
  waves: number;
  site: number;
  sites: number;
}

/** The present view of one site. A strategy never sees other sites. */
export interface SiteView {
  now: number;
  site: string;
  clusters: ClusterView[];
  /** If not, all permille are 0 and those of a goal are ignored. */
  splitsTraffic: boolean;
  release: Release;
  stage: string;
  stageElapsedMs: number;
  siteElapsedMs: number;
  timeLeftMs: number | null;
  /** What was carried out since the last call; "" at the first. */
  completed: "" | "goal" | "gates" | "time" | "person" | (string & {});
  gates: GateView[];
  position: Position;
  extensions: Extension[];
}

/** How many nodes of one cluster run what, and the traffic they get. */
export interface ClusterGoal {
  cluster: string;
  new: number;
  baseline: number;
  newPermille: number;
  baselinePermille: number;
}

/** Every cluster of the site exactly once, and shares that sum to 1000 over the site. */
export interface Goal {
  clusters: ClusterGoal[];
}

/** The answer of a strategy. */
export type Decision =
  | { tag: "go"; val: Goal }
  | { tag: "wait-gates"; val: string[] }
  | { tag: "wait-ms"; val: number }
  | { tag: "wait-person"; val: string }
  | { tag: "done" }
  | { tag: "failed"; val: string };

/** A decision and what goes with it. */
export interface Outcome<State> {
  decision: Decision;
  /** The stage that the site is in from now on, for people and for `stageElapsedMs`. */
  stage: string;
  /** Why, in a sentence. */
  reason: string;
  /** Comes back with the next call; 64 KiB of JSON at most. */
  state: State;
}

/** A site before anything has been observed. */
export interface SiteSummary {
  site: string;
  clusters: { name: string; role: string; desired: number }[];
  extensions: Extension[];
}

/** A step that the strategy means to take. */
export interface Stage {
  name: string;
  text: string;
}

interface About<Settings, State> {
  /** Kebab-case name. */
  name: string;
  /** Semantic version of the plugin. */
  version: string;
  /** A paragraph for people: what it does and when to use it. */
  text: string;
  /** Raise it when the form of the state changes: a swap to another number drops the state. */
  stateVersion?: number;
  config: Config<Settings>;
  /** Configurations to start from; they become part of the JSON Schema. */
  examples?: unknown[];
  /** The state of the first call; its fields are those of every later one. Stateless without. */
  initialState?: State;
  /** Checks what the JSON Schema cannot say. */
  validateConfig?(settings: Settings): Problem[];
}

/**
 * A strategy: says what a site should look like next.
 *
 * The host asks `decide` again whenever the last answer has been carried out, and carries goals out
 * within the policy's limits. Nothing is kept between calls but the state.
 */
export interface StrategyDefinition<Settings, State> extends About<Settings, State> {
  /** The stages that the strategy means to go through, shown before a rollout starts. */
  outline(site: SiteSummary, release: Release, settings: Settings): Stage[];
  /** What the site should look like next. */
  decide(view: SiteView, settings: Settings, state: State): Outcome<State>;
}

export interface Strategy<Settings, State> {
  readonly definition: StrategyDefinition<Settings, State>;
}

/** Makes what a component exports: `export const strategy = defineStrategy({…})`. */
export function defineStrategy<Settings, State = undefined>(
  definition: StrategyDefinition<Settings, State>,
): Strategy<Settings, State>;

/** Go to this goal. */
export function go(goal: Goal): Decision;
/** Wait until these gates have passed for the site as it is now. */
export function waitForGates(gates: string[]): Decision;
/** Wait so long. */
export function waitMs(ms: number): Decision;
/** Wait until a person approves; the text says what for. */
export function waitForPerson(text: string): Decision;
/** The site is done. Accepted only when everything is on the release. */
export function done(): Decision;
/** The site has failed. */
export function fail(reason: string): Decision;

/** A source that a gate needs; the policy binds it. */
export interface Slot {
  name: string;
  kind: "metrics" | "http" | "probes";
  text: string;
}

/** A cluster that the gate may ask about. */
export interface GateCluster {
  name: string;
  role: string;
  baseline: string;
  newReady: number;
  baselineReady: number;
}

/** One evaluation. */
export interface GateCall {
  now: number;
  subject: { kind: "site" | "wave" | "rollout" | (string & {}); name: string };
  phase: string;
  attempt: number;
  evidenceStart: number;
  release: Release;
  updated: GateCluster[];
  untouched: GateCluster[];
  extensions: Extension[];
}

/** Something that was measured, and the limit it was held against. */
export interface Measurement {
  name: string;
  /** Empty for all clusters. */
  cluster: string;
  /** Undefined if there was no data. */
  value: number | undefined;
  unit: string;
  /** A condition that must hold, such as `<= 0.01`; empty if none. */
  limit: string;
  verdict: Verdict;
  samples: number;
}

export interface ClusterVerdict {
  cluster: string;
  verdict: Verdict;
}

/** The answer of a gate. The host takes the worst of `verdict` and those of `clusters`. */
export interface Evaluation<State = undefined> {
  verdict: Verdict;
  reason: string;
  clusters?: ClusterVerdict[];
  measurements?: Measurement[];
  state?: State;
}

export interface Sample {
  at: number;
  value: number;
}

/** Samples with labels, both sorted. */
export interface Series {
  labels: [string, string][];
  samples: Sample[];
}

export interface Response {
  status: number;
  contentType: string;
  body: Uint8Array;
}

/** Counts and latencies of requests in a window. */
export interface Requests {
  total: number;
  failed: number;
  p50Ms: number | null;
  p95Ms: number | null;
  p99Ms: number | null;
}

/** The host's own health checks, and real traffic as the front door sees it. */
export interface ProbeSummary {
  checks: Requests;
  traffic: Requests;
}

export type Cohort = "new" | "baseline";

/** A question of any kind, to be asked together with others. */
export type Question =
  | { tag: "instant"; val: { slot: string; query: string } }
  | { tag: "range"; val: { slot: string; query: string; windowMs: number; stepMs: number } }
  | { tag: "get"; val: { slot: string; path: string } }
  | { tag: "summary"; val: { slot: string; cluster: string; cohort: Cohort; windowMs: number } };

/** The answer: `series` to `instant` and `range`. */
export type Answer =
  | { tag: "series"; val: Series[] }
  | { tag: "response"; val: Response }
  | { tag: "summary"; val: ProbeSummary };

/**
 * Where evidence comes from: the host, or recorded answers in a test.
 *
 * Where an answer is missing the host ends the call, fetches it and starts the call again, so ask at
 * once for what you know that you need: the plural forms take one round of at most 16. A source that
 * fails throws `Failed`; let it pass, and the host holds.
 */
export interface Evidence {
  instant(slot: string, query: string): Series[];
  instants(slot: string, queries: string[]): Series[][];
  range(slot: string, query: string, windowMs: number, stepMs: number): Series[];
  ranges(slot: string, queries: string[], windowMs: number, stepMs: number): Series[][];
  get(slot: string, path: string): Response;
  summary(slot: string, cluster: string, cohort: Cohort, windowMs: number): ProbeSummary;
  summaries(slot: string, clusters: string[], cohort: Cohort, windowMs: number): ProbeSummary[];
  gets(slot: string, paths: string[]): Response[];
  /** Asks everything in one round, over any slots; the answers are in the order of the questions. */
  ask(questions: Question[]): Answer[];
}

/**
 * A gate: judges whether what runs is healthy, one evaluation at a time.
 *
 * Counting failures, budgets and repetitions is the host's work. The same input must lead to the
 * same questions.
 */
export interface GateDefinition<Settings, State> extends About<Settings, State> {
  slots: Slot[];
  /** Judges once. Answer `hold` to a phase that you do not know. */
  evaluate(
    call: GateCall,
    settings: Settings,
    state: State,
    evidence: Evidence,
  ): Evaluation<State>;
}

export interface Gate<Settings, State> {
  readonly definition: GateDefinition<Settings, State>;
}

/** Makes what a component exports: `export const gate = defineGate({…})`. */
export function defineGate<Settings, State = undefined>(
  definition: GateDefinition<Settings, State>,
): Gate<Settings, State>;

/** The phases that this version of the contract names. Hold at any other phase. */
export const PHASES: readonly string[];

/** A measurement, and the sentence that says how it stands to its limit. */
export interface Finding {
  measurement: Measurement;
  text: string;
}

/** Not decided, for this reason. */
export function hold<State = undefined>(reason: string, state?: State): Evaluation<State>;
/** The worst of some verdicts: fail before hold before pass; hold without any. */
export function worst(verdicts: Verdict[]): Verdict;
/** The verdict of a cluster by its findings. */
export function clusterVerdict(cluster: string, findings: Finding[]): ClusterVerdict;
/** The worst of the findings, with the sentence of the first that says so. */
export function evaluationOf<State = undefined>(
  findings: Finding[],
  clusters?: ClusterVerdict[],
  state?: State,
): Evaluation<State>;

/** Throw it when the plugin cannot answer: the host holds and asks again later. */
export class Failed extends Error {
  constructor(
    code: string,
    message: string,
    more?: { retryable?: boolean; details?: [string, string][] },
  );
  readonly code: string;
  readonly retryable: boolean;
  readonly details: [string, string][];
}

/** A site before a rollout, for tests: every node is on the baseline and serves. */
export function site(
  clusters: Record<string, number>,
  gates?: string[],
  more?: { splitsTraffic?: boolean },
): SiteView;

/** A strategy at work on a site, for tests. */
export class StrategyRun<Settings, State> {
  constructor(strategy: Strategy<Settings, State>, view: SiteView, settings: unknown);
  /** Change it to test what goes wrong between calls. */
  view: SiteView;
  readonly log: [string, string][];
  decide(): Outcome<State>;
  carryOut(decision: Decision): void;
  run(calls?: number): Outcome<State>[];
  outline(): Stage[];
  problems(): Problem[];
}

/** Evidence with answers that the test recorded. */
export class Recorded implements Evidence {
  /** The questions, in order. */
  readonly asked: unknown[][];
  /** Records an answer, or a `Failed`, for `["instant", slot, query]` and its kind. */
  record(question: unknown[], answer: Series[] | Response | ProbeSummary | Failed): this;
  instant(slot: string, query: string): Series[];
  instants(slot: string, queries: string[]): Series[][];
  range(slot: string, query: string, windowMs: number, stepMs: number): Series[];
  ranges(slot: string, queries: string[], windowMs: number, stepMs: number): Series[][];
  get(slot: string, path: string): Response;
  summary(slot: string, cluster: string, cohort: Cohort, windowMs: number): ProbeSummary;
  summaries(slot: string, clusters: string[], cohort: Cohort, windowMs: number): ProbeSummary[];
  gets(slot: string, paths: string[]): Response[];
  /** Asks everything in one round, over any slots; the answers are in the order of the questions. */
  ask(questions: Question[]): Answer[];
}

/** A gate and the call that it gets, for tests. */
export class GateRun<Settings, State> {
  constructor(gate: Gate<Settings, State>, updated: string[], settings: unknown);
  call: GateCall;
  readonly log: [string, string][];
  evaluate(evidence: Evidence): Evaluation<State>;
  problems(): Problem[];
}

export type { Config, Infer };
