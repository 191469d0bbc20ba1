#include "../../wavegate_test.h"

static void each_step_is_watched_and_judged_before_the_next(void) {
  wg_strategy_run run = wg_start("eu-1", 4, "errors", "{\"steps\":[\"25%\"],\"pause\":\"10s\"}");
  WG_CHECK_TEXT(wg_trace(&run), "step 1: go 1/3\n"
                                "step 1: wait 10000\n"
                                "step 1: gates errors\n"
                                "all: go 4/0\n"
                                "all: wait 10000\n"
                                "all: gates errors\n"
                                "all: done\n");
}

static void a_lost_node_is_replaced_before_anything_else(void) {
  wg_strategy_run run = wg_start("eu-1", 4, "errors", "{\"steps\":[2]}");
  exports_wavegate_plugin_strategy_outcome_t outcome;
  wg_failure failure;
  WG_CHECK(wg_ask(&run, &outcome, &failure));
  wg_carry_out(&run, &outcome.decision);
  run.view.clusters.ptr[0].new_ready = 1;
  WG_CHECK(wg_ask(&run, &outcome, &failure));
  WG_CHECK(outcome.decision.tag == EXPORTS_WAVEGATE_PLUGIN_STRATEGY_DECISION_GO);
  WG_CHECK(outcome.decision.val.go.clusters.ptr[0].new_ == 2);
}

static void steps_never_go_back(void) {
  wg_problems problems = wg_test_problems("{\"steps\":[\"50%\",\"25%\"]}");
  WG_CHECK(problems.len == 1 && wg_is(problems.ptr[0].pointer, "/steps/1"));
}

static void a_gate_that_the_policy_does_not_have_is_a_failure(void) {
  wg_strategy_run run = wg_start("eu-1", 1, NULL, "{\"steps\":[1],\"gates\":[\"errors\"]}");
  WG_CHECK_TEXT(wg_trace(&run), "all: go 1/0\nunknown-gate: the policy has no gate errors\n");
}

int main(void) {
  static const wg_test TESTS[] = {
      {"each step is watched and judged before the next",
       each_step_is_watched_and_judged_before_the_next},
      {"a lost node is replaced before anything else",
       a_lost_node_is_replaced_before_anything_else},
      {"steps never go back", steps_never_go_back},
      {"a gate that the policy does not have is a failure",
       a_gate_that_the_policy_does_not_have_is_a_failure},
  };
  return wg_run_tests(TESTS, sizeof TESTS / sizeof TESTS[0]);
}
