#include "../../wavegate_test.h"

static const char *const ONE[] = {"eu-1", NULL};
static exports_wavegate_plugin_gate_evaluation_t evaluation;
static wg_failure failure;

static void expect(const double *samples, size_t count, wg_verdict verdict, const char *reason) {
  wg_gate_call call = wg_test_call(ONE);
  wg_record("q", samples, count);
  WG_CHECK(wg_evaluate(&call, "{\"query\":\"q\",\"max\":1}", &evaluation, &failure));
  WG_CHECK(evaluation.verdict == verdict);
  WG_CHECK_TEXT(evaluation.reason, reason);
}

static void the_worst_value_is_held_against_the_limit(void) {
  static const double GOOD[] = {0.5, 1.0}, BAD[] = {0.5, 1.5};
  expect(GOOD, 2, WG_PASS, "value 1 meets <= 1 (2 samples)");
  expect(BAD, 2, WG_FAIL, "value 1.5 breaks <= 1 (2 samples)");
  expect(NULL, 0, WG_HOLD, "no data for value, which must be <= 1");
}

static void each_cluster_is_judged_by_its_own_answer(void) {
  static const char *const TWO[] = {"ap", "eu", NULL};
  static const double GOOD[] = {1.0}, BAD[] = {2.0};
  wg_gate_call call = wg_test_call(TWO);
  wg_record("q{c=\"ap\"}", BAD, 1);
  wg_record("q{c=\"eu\"}", GOOD, 1);
  WG_CHECK(wg_evaluate(&call,
                       "{\"query\":\"q{c=\\\"{{cluster}}\\\"}\",\"max\":1,\"perCluster\":true,"
                       "\"window\":\"1m\"}",
                       &evaluation, &failure));
  WG_CHECK(evaluation.clusters.len == 2);
  WG_CHECK(evaluation.clusters.ptr[0].verdict == WG_FAIL);
  WG_CHECK(evaluation.clusters.ptr[1].verdict == WG_PASS);
}

static void a_phase_that_is_not_known_holds(void) {
  wg_gate_call call = wg_test_call(ONE);
  call.phase = wg_text("full-moon");
  WG_CHECK(wg_evaluate(&call, "{\"query\":\"q\",\"max\":1}", &evaluation, &failure));
  WG_CHECK(evaluation.verdict == WG_HOLD);
}

static void placeholders_must_be_known(void) {
  wg_problems problems = wg_test_problems("{\"query\":\"{{cluster}} {{pod}}\",\"max\":1}");
  WG_CHECK(problems.len == 2);
  WG_CHECK_TEXT(problems.ptr[0].message, "{{cluster}} is known with perCluster only");
}

int main(void) {
  static const wg_test TESTS[] = {
      {"the worst value is held against the limit", the_worst_value_is_held_against_the_limit},
      {"each cluster is judged by its own answer", each_cluster_is_judged_by_its_own_answer},
      {"a phase that is not known holds", a_phase_that_is_not_known_holds},
      {"placeholders must be known", placeholders_must_be_known},
  };
  return wg_run_tests(TESTS, sizeof TESTS / sizeof TESTS[0]);
}
