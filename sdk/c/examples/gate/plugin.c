/* The gate ceiling: holds the answer of a metric query against a greatest value, for the subject as a
 * whole or for each updated cluster. */
#include "../../wavegate.h"

#include <math.h>

/* The name of the slot that the policy binds to a source. */
static const char SLOT[] = "metrics";

/* Samples of a window: enough to see a course, few enough to be cheap for a source. */
enum { SAMPLES_PER_WINDOW = 20 };

/* The configuration. */
typedef struct {
  wg_string query;
  double max;
  wg_duration window;
  bool per_cluster;
  wg_string on_no_data;
  wg_string name;
  wg_string unit;
} config;

static const wg_field CONFIG[] = {
    {"query", WG_TEXT, WG_FIELD(config, query),
     "The query, in the language of the source. `{{release}}` is replaced by the digest of the new "
     "release and `{{version}}` by its version; with `perCluster` also `{{cluster}}` by the "
     "cluster's name. Inside double quotes.",
     NULL, "\"minLength\":1,\"maxLength\":8192"},
    {"max", WG_NUMBER, WG_FIELD(config, max), "Greatest value that passes.", NULL, NULL},
    {"window", WG_DURATION, WG_FIELD(config, window),
     "Looks at the worst value of so long, in twenty samples. At the present one if left out.", "",
     NULL},
    {"perCluster", WG_FLAG, WG_FIELD(config, per_cluster),
     "Asks for each updated cluster and judges each.", "false", NULL},
    {"onNoData", WG_TEXT, WG_FIELD(config, on_no_data),
     "What an empty answer means. It never passes.", "\"hold\"", "\"enum\":[\"hold\",\"fail\"]"},
    {"name", WG_TEXT, WG_FIELD(config, name), "Name of the measurement in reports.", "\"value\"",
     "\"pattern\":\"^[a-z][a-z0-9-]{0,62}$\""},
    {"unit", WG_TEXT, WG_FIELD(config, unit), "Unit of the measurement in reports.", "\"\"",
     "\"maxLength\":32"},
};

static void check(const void *settings, wg_problems *problems) {
  const config *config = settings;
  if (config->window.given && config->window.ms == 0) {
    wg_add_problem(problems, wg_text("/window"), wg_text("must be longer than nothing"));
  }
  wg_texts names = wg_placeholders(config->query);
  for (size_t i = 0; i < names.len; i++) {
    wg_string name = names.ptr[i];
    bool is_cluster = wg_is(name, "cluster");
    if (wg_is(name, "release") || wg_is(name, "version") || (is_cluster && config->per_cluster)) {
      continue;
    }
    wg_string text =
        is_cluster ? wg_text("{{cluster}} is known with perCluster only")
                   : wg_print("{{%.*s}} is not known; known are release, version and cluster",
                              WG(name));
    wg_add_problem(problems, wg_text("/query"), text);
  }
}

/* Asks for all subjects at once: one by one, each would take a round of evidence. The empty name
 * stands for the subject as a whole. */
static bool ask(const wg_gate_call *call, const config *config, const wg_texts *subjects,
                wg_series_lists *answers, wg_failure *failure) {
  wg_texts queries = {wg_new(subjects->len, wg_string), subjects->len, true};
  for (size_t i = 0; i < subjects->len; i++) {
    wg_string values[][2] = {
        {wg_text("release"), call->release.digest},
        {wg_text("version"), call->release.version},
        {wg_text("cluster"), subjects->ptr[i]},
    };
    queries.ptr[i] = wg_fill(config->query, values, 3);
  }
  if (!config->window.given) {
    return wg_instants(SLOT, &queries, answers, failure);
  }
  uint32_t window = config->window.ms, step = window / SAMPLES_PER_WINDOW;
  return wg_ranges(SLOT, &queries, window, step > 0 ? step : 1, answers, failure);
}

/* The worst value counts, of all samples of all series. */
static wg_finding judge(const config *config, wg_string cluster, const wg_series_list *series) {
  bool is_some = false;
  double value = 0;
  uint32_t samples = 0;
  for (size_t i = 0; i < series->len; i++) {
    for (size_t j = 0; j < series->ptr[i].samples.len; j++) {
      double sample = series->ptr[i].samples.ptr[j].value;
      if (isfinite(sample)) {
        samples++;
        value = !is_some || sample > value ? sample : value;
        is_some = true;
      }
    }
  }
  wg_string limit = wg_print("<= %.*s", WG(wg_show_number(config->max)));
  wg_string place = cluster.len > 0 ? wg_print("cluster %.*s: ", WG(cluster)) : wg_text("");
  wg_verdict verdict = wg_is(config->on_no_data, "fail") ? WG_FAIL : WG_HOLD;
  wg_string text = wg_print("%.*sno data for %.*s, which must be %.*s", WG(place),
                            WG(config->name), WG(limit));
  if (is_some) {
    verdict = value <= config->max ? WG_PASS : WG_FAIL;
    text = wg_print("%.*s%.*s %.*s %s %.*s (%u samples)", WG(place), WG(config->name),
                    WG(wg_show_number(value)), verdict == WG_PASS ? "meets" : "breaks", WG(limit),
                    samples);
  }
  return (wg_finding){
      .measurement =
          {
              .name = config->name,
              .cluster = cluster,
              .value = {is_some, value},
              .unit = config->unit,
              .limit = limit,
              .verdict = verdict,
              .samples = samples,
          },
      .text = text,
  };
}

static bool evaluate(const wg_gate_call *call, const void *settings, void *state,
                     wg_evaluation *evaluation, wg_failure *failure) {
  (void)state; /* Each evaluation stands for itself. */
  const config *config = settings;
  *evaluation = (wg_evaluation){.verdict = WG_HOLD};
  if (!wg_knows_phase(call->phase)) {
    evaluation->reason = wg_print("the phase %.*s is not known", WG(call->phase));
    return true;
  }
  size_t count = config->per_cluster ? call->updated.len : 1;
  if (count == 0) {
    evaluation->reason = wg_text("no cluster runs the new release yet");
    return true;
  }
  wg_texts subjects = {wg_new(count, wg_string), count, true};
  for (size_t i = 0; i < count && config->per_cluster; i++) {
    subjects.ptr[i] = call->updated.ptr[i].name;
  }
  wg_series_lists answers;
  if (!ask(call, config, &subjects, &answers, failure)) {
    return false;
  }
  wg_finding *findings = wg_new(count, wg_finding);
  wg_cluster_verdict *clusters = wg_new(count, wg_cluster_verdict);
  for (size_t i = 0; i < count; i++) {
    findings[i] = judge(config, subjects.ptr[i], &answers.ptr[i]);
    clusters[i] = (wg_cluster_verdict){subjects.ptr[i], findings[i].measurement.verdict};
  }
  *evaluation = wg_evaluation_of(findings, count);
  evaluation->clusters = clusters;
  evaluation->cluster_count = config->per_cluster ? count : 0;
  return true;
}

static const wg_slot SLOTS[] = {
    {WG_LITERAL("metrics"), WG_LITERAL("metrics"), WG_LITERAL("answers of the configured query")},
};

const wg_gate wg_plugin = {
    .about =
        {
            .name = "ceiling",
            .version = "0.1.0",
            .text = "Holds the answer of a metric query against a greatest value, for the subject "
                    "as a whole or for each updated cluster.",
            .state_version = 1,
            .config = WG_FORM(config, CONFIG),
            .examples = "[{\"query\":\"error_ratio\",\"max\":0.01},"
                        "{\"query\":\"p95_ms{cluster=\\\"{{cluster}}\\\"}\",\"max\":500,"
                        "\"perCluster\":true,\"unit\":\"ms\"}]",
        },
    .slots = SLOTS,
    .slot_count = sizeof SLOTS / sizeof SLOTS[0],
    .check = check,
    .evaluate = evaluate,
};
