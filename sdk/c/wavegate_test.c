#include "wavegate_test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char NEW_DIGEST[] =
    "sha256:2222222222222222222222222222222222222222222222222222222222222222";
static const char BASELINE_DIGEST[] =
    "sha256:1111111111111111111111111111111111111111111111111111111111111111";
/* 2026-01-01T00:00:00Z. */
static const double NOW = 1767225600000.0;

static int failures;

void wg_check(bool holds, const char *file, int line, const char *condition) {
  if (!holds) {
    failures++;
    printf("%s:%d: not so: %s\n", file, line, condition);
  }
}

void wg_check_text(wg_string text, const char *wanted, const char *file, int line) {
  if (!wg_is(text, wanted)) {
    failures++;
    printf("%s:%d: is     %.*s\n", file, line, WG(text));
    printf("%s:%d: wanted %s\n", file, line, wanted);
  }
}

int wg_run_tests(const wg_test *tests, size_t count) {
  size_t failed = 0;
  for (size_t i = 0; i < count; i++) {
    failures = 0;
    tests[i].run();
    failed += failures > 0;
    printf("%s %zu - %s\n", failures > 0 ? "not ok" : "ok", i + 1, tests[i].name);
  }
  printf("%zu passed, %zu failed\n", count - failed, failed);
  return failed > 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* The host's part. */
void wavegate_plugin_log_write(wavegate_plugin_log_level_t level, wg_string *message) {
  (void)level;
  printf("# %.*s\n", WG(*message));
}

#ifdef WAVEGATE_STRATEGY

wg_problems wg_test_problems(const char *config) {
  wg_string text = wg_text(config);
  wg_problems problems;
  wg_failure failure;
  exports_wavegate_plugin_strategy_validate_config(&text, &problems, &failure);
  return problems;
}

wg_strategy_run wg_start(const char *cluster, uint32_t nodes, const char *gate,
                         const char *config) {
  wg_strategy_run run = {.config = config};
  run.view.now = NOW;
  run.view.site = wg_text("site");
  run.view.clusters.ptr = wg_new(1, wg_cluster_view);
  run.view.clusters.len = 1;
  run.view.clusters.ptr[0] = (wg_cluster_view){
      .name = wg_text(cluster),
      .baseline = wg_text(BASELINE_DIGEST),
      .desired = nodes,
      .baseline_ready = nodes,
      .baseline_permille = 1000,
      .batch_max = 1,
      .unavailable_max = 1,
  };
  run.view.splits_traffic = true;
  run.view.release.version = wg_text("2.0");
  run.view.release.digest = wg_text(NEW_DIGEST);
  run.view.gates.ptr = wg_new(1, wg_gate_view);
  run.view.gates.len = gate != NULL;
  run.view.gates.ptr[0].name = wg_text(gate != NULL ? gate : "");
  run.view.position.wave_name = wg_text("first");
  run.view.position.wave = run.view.position.waves = 1;
  run.view.position.site = run.view.position.sites = 1;
  return run;
}

bool wg_ask(wg_strategy_run *run, exports_wavegate_plugin_strategy_outcome_t *outcome,
            wg_failure *failure) {
  wg_string config = wg_text(run->config);
  if (!exports_wavegate_plugin_strategy_decide(&run->view, &config, &run->state, outcome,
                                               failure)) {
    return false;
  }
  run->state = outcome->state;
  if (!wg_equal(run->view.stage, outcome->stage)) {
    run->view.stage = outcome->stage;
    run->view.stage_elapsed_ms = 0;
  }
  return true;
}

static void carry_out_goal(wg_strategy_run *run, const wg_goal *goal) {
  uint32_t sum = 0;
  for (size_t i = 0; i < goal->clusters.len; i++) {
    const wg_cluster_goal *wanted = &goal->clusters.ptr[i];
    sum += wanted->new_permille + wanted->baseline_permille;
    for (size_t j = 0; j < run->view.clusters.len; j++) {
      wg_cluster_view *cluster = &run->view.clusters.ptr[j];
      if (wg_equal(cluster->name, wanted->cluster)) {
        cluster->new_ready = wanted->new_;
        cluster->baseline_ready = wanted->baseline;
        cluster->new_permille = wanted->new_permille;
        cluster->baseline_permille = wanted->baseline_permille;
      }
    }
  }
  wg_check(sum == 1000, __FILE__, __LINE__, "the shares of a goal sum to 1000");
  /* A verdict was made for another state of the site. */
  for (size_t i = 0; i < run->view.gates.len; i++) {
    run->view.gates.ptr[i].last.is_some = false;
  }
}

void wg_carry_out(wg_strategy_run *run, const wg_decision *decision) {
  static const char *const COMPLETED[] = {"goal", "gates", "time", "person"};
  if (decision->tag < 4) {
    run->view.completed = wg_text(COMPLETED[decision->tag]);
  }
  if (decision->tag == EXPORTS_WAVEGATE_PLUGIN_STRATEGY_DECISION_GO) {
    carry_out_goal(run, &decision->val.go);
  } else if (decision->tag == EXPORTS_WAVEGATE_PLUGIN_STRATEGY_DECISION_WAIT_MS) {
    run->view.now += decision->val.wait_ms;
    run->view.stage_elapsed_ms += decision->val.wait_ms;
    run->view.site_elapsed_ms += decision->val.wait_ms;
  }
}

static wg_string shown(const exports_wavegate_plugin_strategy_outcome_t *outcome) {
  const wg_decision *decision = &outcome->decision;
  wg_string text = wg_text("");
  wg_texts gates = {decision->val.wait_gates.ptr, decision->val.wait_gates.len, true};
  switch (decision->tag) {
  case EXPORTS_WAVEGATE_PLUGIN_STRATEGY_DECISION_GO:
    text = wg_text("go");
    for (size_t i = 0; i < decision->val.go.clusters.len; i++) {
      const wg_cluster_goal *goal = &decision->val.go.clusters.ptr[i];
      text = wg_print("%.*s %u/%u", WG(text), goal->new_, goal->baseline);
    }
    break;
  case EXPORTS_WAVEGATE_PLUGIN_STRATEGY_DECISION_WAIT_GATES:
    text = wg_print("gates %.*s", WG(wg_join(&gates, ",")));
    break;
  case EXPORTS_WAVEGATE_PLUGIN_STRATEGY_DECISION_WAIT_MS:
    text = wg_print("wait %u", decision->val.wait_ms);
    break;
  case EXPORTS_WAVEGATE_PLUGIN_STRATEGY_DECISION_WAIT_PERSON:
    text = wg_print("person %.*s", WG(decision->val.wait_person));
    break;
  case EXPORTS_WAVEGATE_PLUGIN_STRATEGY_DECISION_DONE:
    text = wg_text("done");
    break;
  default:
    text = wg_print("failed %.*s", WG(decision->val.failed));
  }
  return wg_print("%.*s: %.*s", WG(outcome->stage), WG(text));
}

wg_string wg_trace(wg_strategy_run *run) {
  wg_string trace = wg_text("");
  for (int call = 0; call < 100; call++) {
    exports_wavegate_plugin_strategy_outcome_t outcome;
    wg_failure failure;
    if (!wg_ask(run, &outcome, &failure)) {
      return wg_print("%.*s%.*s: %.*s\n", WG(trace), WG(failure.code), WG(failure.message));
    }
    trace = wg_print("%.*s%.*s\n", WG(trace), WG(shown(&outcome)));
    if (outcome.decision.tag >= EXPORTS_WAVEGATE_PLUGIN_STRATEGY_DECISION_DONE) {
      return trace;
    }
    wg_carry_out(run, &outcome.decision);
  }
  return wg_print("%.*sno end\n", WG(trace));
}

#else

wg_problems wg_test_problems(const char *config) {
  wg_string text = wg_text(config);
  wg_problems problems;
  wg_failure failure;
  exports_wavegate_plugin_gate_validate_config(&text, &problems, &failure);
  return problems;
}

static struct {
  const char *query;
  const double *samples;
  size_t count;
} recorded[64];
static size_t recorded_count;

void wg_record(const char *query, const double *samples, size_t count) {
  size_t at = 0;
  while (at < recorded_count && strcmp(recorded[at].query, query) != 0) {
    at++;
  }
  if (at == sizeof recorded / sizeof recorded[0]) {
    abort();
  }
  recorded[at].query = query;
  recorded[at].samples = samples;
  recorded[at].count = count;
  recorded_count += at == recorded_count;
}

wg_gate_call wg_test_call(const char *const *updated) {
  size_t count = 0;
  while (updated[count] != NULL) {
    count++;
  }
  wg_gate_call call = {.now = NOW, .evidence_start = NOW - 10000};
  call.subject.kind = wg_text("site");
  call.subject.name = wg_text("site");
  call.phase = wg_text("after-batch");
  call.release.version = wg_text("2.0");
  call.release.digest = wg_text(NEW_DIGEST);
  call.updated.ptr = wg_new(count, wg_gate_cluster);
  call.updated.len = count;
  for (size_t i = 0; i < count; i++) {
    call.updated.ptr[i] = (wg_gate_cluster){.name = wg_text(updated[i]),
                                            .baseline = wg_text(BASELINE_DIGEST),
                                            .new_ready = 1,
                                            .baseline_ready = 3};
  }
  return call;
}

bool wg_evaluate(wg_gate_call *call, const char *config,
                 exports_wavegate_plugin_gate_evaluation_t *evaluation, wg_failure *failure) {
  wg_string text = wg_text(config);
  wg_bytes state = {0};
  return exports_wavegate_plugin_gate_evaluate(call, &text, &state, evaluation, failure);
}

static bool series(wg_string query, wg_series_list *answer, wg_failure *failure) {
  for (size_t i = 0; i < recorded_count; i++) {
    if (!wg_is(query, recorded[i].query)) {
      continue;
    }
    *answer = (wg_series_list){wg_new(1, wg_series), 1};
    answer->ptr[0].samples.ptr = wg_new(recorded[i].count, wg_sample);
    answer->ptr[0].samples.len = recorded[i].count;
    for (size_t j = 0; j < recorded[i].count; j++) {
      answer->ptr[0].samples.ptr[j].value = recorded[i].samples[j];
    }
    return true;
  }
  return wg_fail(failure, "no-recorded-answer", wg_print("nothing recorded for %.*s", WG(query)));
}

static bool all_series(const gate_plugin_list_string_t *queries, wg_series_lists *answers,
                       wg_failure *failure) {
  *answers = (wg_series_lists){wg_new(queries->len, wg_series_list), queries->len};
  for (size_t i = 0; i < queries->len; i++) {
    if (!series(queries->ptr[i], &answers->ptr[i], failure)) {
      return false;
    }
  }
  return true;
}

static bool nothing_recorded(wg_failure *failure) {
  return wg_fail(failure, "no-recorded-answer", wg_text("only metric queries can be recorded"));
}

/* The host's part. */
bool wavegate_plugin_metrics_instant(wg_string *slot, wg_string *query, wg_series_list *ret,
                                     wg_failure *err) {
  (void)slot;
  return series(*query, ret, err);
}

bool wavegate_plugin_metrics_range(wg_string *slot, wg_string *query, uint32_t window_ms,
                                   uint32_t step_ms, wg_series_list *ret, wg_failure *err) {
  (void)slot, (void)window_ms, (void)step_ms;
  return series(*query, ret, err);
}

bool wavegate_plugin_metrics_instants(wg_string *slot, gate_plugin_list_string_t *queries,
                                      wg_series_lists *ret, wg_failure *err) {
  (void)slot;
  return all_series(queries, ret, err);
}

bool wavegate_plugin_metrics_ranges(wg_string *slot, gate_plugin_list_string_t *queries,
                                    uint32_t window_ms, uint32_t step_ms, wg_series_lists *ret,
                                    wg_failure *err) {
  (void)slot, (void)window_ms, (void)step_ms;
  return all_series(queries, ret, err);
}

bool wavegate_plugin_http_get(wg_string *slot, wg_string *path, wg_response *ret,
                              wg_failure *err) {
  (void)slot, (void)path, (void)ret;
  return nothing_recorded(err);
}

bool wavegate_plugin_probes_summary(wg_string *slot, wg_string *cluster, wg_string *cohort,
                                    uint32_t window_ms, wg_probe_summary *ret, wg_failure *err) {
  (void)slot, (void)cluster, (void)cohort, (void)window_ms, (void)ret;
  return nothing_recorded(err);
}

bool wavegate_plugin_probes_summaries(wg_string *slot, gate_plugin_list_string_t *clusters,
                                      wg_string *cohort, uint32_t window_ms,
                                      wg_probe_summaries *ret, wg_failure *err) {
  (void)slot, (void)clusters, (void)cohort, (void)window_ms, (void)ret;
  return nothing_recorded(err);
}

#endif
