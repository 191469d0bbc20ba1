/* Tests a plugin's logic in an ordinary program, without Wasm: compile `wavegate_test.c` and the
 * files in `src` but `memory.c` with the plugin and with the test, by any C compiler.
 *
 * Calls go through the same encoding of configuration and state as in a component. There is no
 * sandbox, no fuel and no limit of time.
 */
#ifndef WAVEGATE_TEST_H
#define WAVEGATE_TEST_H

#include "wavegate.h"

/* A test: it fails with the place and the condition, and the others go on. */
#define WG_CHECK(condition) wg_check((condition), __FILE__, __LINE__, #condition)
#define WG_CHECK_TEXT(text, wanted) wg_check_text((text), (wanted), __FILE__, __LINE__)

typedef struct {
  const char *name;
  void (*run)(void);
} wg_test;

/* Runs tests, says how each went, and gives the exit code for `main`. */
int wg_run_tests(const wg_test *tests, size_t count);
void wg_check(bool holds, const char *file, int line, const char *condition);
void wg_check_text(wg_string text, const char *wanted, const char *file, int line);

/* What the plugin finds wrong with a configuration, as JSON. */
wg_problems wg_test_problems(const char *config);

#ifdef WAVEGATE_STRATEGY

/* A strategy at work on a site. Change `view` to test what goes wrong between calls. */
typedef struct {
  wg_site_view view;
  const char *config;
  wg_bytes state;
} wg_strategy_run;

/* A site of one cluster before a rollout, with at most one gate, or NULL: every node is on the
 * baseline and serves. */
wg_strategy_run wg_start(const char *cluster, uint32_t nodes, const char *gate, const char *config);
/* Asks once and keeps the new state; false with a failure. */
bool wg_ask(wg_strategy_run *run, exports_wavegate_plugin_strategy_outcome_t *outcome,
            wg_failure *failure);
/* Goals are reached, gates pass, time goes by, people approve. */
void wg_carry_out(wg_strategy_run *run, const wg_decision *decision);
/* Asks and carries out until the end: a line for each call, with its stage and what is to happen. */
wg_string wg_trace(wg_strategy_run *run);

#else

/* Records the samples that answer a query; asked again it replaces them. */
void wg_record(const char *query, const double *samples, size_t count);
/* A call after a batch, for these updated clusters, given as texts up to NULL. */
wg_gate_call wg_test_call(const char *const *updated);
/* Asks once; false with a failure. */
bool wg_evaluate(wg_gate_call *call, const char *config,
                 exports_wavegate_plugin_gate_evaluation_t *evaluation, wg_failure *failure);

#endif
#endif
