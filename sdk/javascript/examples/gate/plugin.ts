// The gate *ceiling*: holds the answer of a metric query against a greatest value, for the subject
// as a whole or for each updated cluster.

import {
  type ClusterVerdict,
  type Evidence,
  type Finding,
  type GateCall,
  type GateCluster,
  type Infer,
  type Problem,
  type Series,
  type Verdict,
  PHASES,
  clusterVerdict,
  config,
  defineGate,
  evaluationOf,
  hold,
  number,
  query,
} from "../../src/index.js";

/** The name of the slot that the policy binds to a source. */
export const SLOT = "metrics";

/** Samples of a window: enough to see a course, few enough to be cheap for a source. */
const SAMPLES_PER_WINDOW = 20;

const settings = config.object({
  query: config.text({
    text:
      "The query, in the language of the source. `{{release}}` is replaced by the digest of the new " +
      "release and `{{version}}` by its version; with `perCluster` also `{{cluster}}` by the cluster's " +
      "name. Inside double quotes.",
    minLength: 1,
    maxLength: 8192,
  }),
  max: config.number({ text: "Greatest value that passes." }),
  window: config.optional(
    config.duration({
      text: "Looks at the worst value of so long, in twenty samples. At the present one if left out.",
    }),
  ),
  perCluster: config.optional(
    config.flag({ text: "Asks for each updated cluster and judges each." }),
    false,
  ),
  onNoData: config.optional(
    config.choice(["hold", "fail"], { text: "What an empty answer means. It never passes." }),
    "hold",
  ),
  name: config.optional(
    config.text({
      text: "Name of the measurement in reports.",
      pattern: "^[a-z][a-z0-9-]{0,62}$",
    }),
    "value",
  ),
  unit: config.optional(
    config.text({ text: "Unit of the measurement in reports.", maxLength: 32 }),
    "",
  ),
});

type Settings = Infer<typeof settings>;

export const gate = defineGate<Settings>({
  name: "ceiling",
  version: "0.1.0",
  text:
    "Holds the answer of a metric query against a greatest value, for the subject as a whole or " +
    "for each updated cluster.",
  slots: [{ name: SLOT, kind: "metrics", text: "answers of the configured query" }],
  config: settings,
  examples: [
    { query: "error_ratio", max: 0.01 },
    { query: 'p95_ms{cluster="{{cluster}}"}', max: 500, perCluster: true, unit: "ms" },
  ],

  validateConfig(settings) {
    const problems: Problem[] = [];
    if (settings.window?.ms === 0) {
      problems.push({ pointer: "/window", message: "must be longer than nothing" });
    }
    for (const name of query.placeholders(settings.query)) {
      if (["release", "version"].includes(name) || (name === "cluster" && settings.perCluster)) {
        continue;
      }
      const message =
        name === "cluster"
          ? "{{cluster}} is known with perCluster only"
          : `{{${name}}} is not known; known are release, version and cluster`;
      problems.push({ pointer: "/query", message });
    }
    return problems;
  },

  evaluate(call, settings, _state, evidence) {
    if (!PHASES.includes(call.phase)) {
      return hold(`the phase ${call.phase} is not known`);
    }
    const subjects = settings.perCluster ? call.updated : [undefined];
    if (subjects.length === 0) {
      return hold("no cluster runs the new release yet");
    }
    const answers = ask(call, settings, subjects, evidence);
    const findings: Finding[] = [];
    const clusters: ClusterVerdict[] = [];
    subjects.forEach((cluster, index) => {
      const finding = judge(settings, cluster?.name ?? "", answers[index]!);
      if (cluster !== undefined) {
        clusters.push(clusterVerdict(cluster.name, [finding]));
      }
      findings.push(finding);
    });
    return evaluationOf(findings, clusters);
  },
});

/** Asks for all subjects at once: one by one, each would take a round of evidence. */
function ask(
  call: GateCall,
  settings: Settings,
  subjects: (GateCluster | undefined)[],
  evidence: Evidence,
): Series[][] {
  const queries = subjects.map((cluster) =>
    query.fill(settings.query, {
      release: call.release.digest,
      version: call.release.version,
      cluster: cluster?.name ?? "",
    }),
  );
  if (settings.window === undefined) {
    return evidence.instants(SLOT, queries);
  }
  const windowMs = settings.window.ms;
  const stepMs = Math.max(Math.floor(windowMs / SAMPLES_PER_WINDOW), 1);
  return evidence.ranges(SLOT, queries, windowMs, stepMs);
}

/** The worst value counts, of all samples of all series. */
function judge(settings: Settings, cluster: string, series: Series[]): Finding {
  const values = series
    .flatMap((it) => it.samples.map((sample) => sample.value))
    .filter((value) => Number.isFinite(value));
  const value = values.reduce<number | undefined>(
    (worst, value) => (worst === undefined || value > worst ? value : worst),
    undefined,
  );
  const { name, unit, max } = settings;
  const limit = `<= ${number(max)}`;
  const place = cluster === "" ? "" : `cluster ${cluster}: `;
  let verdict: Verdict = settings.onNoData;
  let text = `${place}no data for ${name}, which must be ${limit}`;
  if (value !== undefined) {
    verdict = value <= max ? "pass" : "fail";
    const says = verdict === "pass" ? "meets" : "breaks";
    text = `${place}${name} ${number(value)} ${says} ${limit} (${values.length} samples)`;
  }
  return {
    measurement: { name, cluster, value, unit, limit, verdict, samples: values.length },
    text,
  };
}
