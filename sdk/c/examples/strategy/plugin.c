/* The strategy stepwise: takes a site to the new release step by step, watches after each step and
 * asks the gates before the next one. */
#include "../../wavegate.h"

/* The configuration. */
typedef struct {
  wg_amounts steps;
  wg_duration pause;
  wg_texts gates;
} config;

static const wg_field CONFIG[] = {
    {"steps", WG_AMOUNTS, WG_FIELD(config, steps),
     "Nodes of the site on the new release, step by step: counts, or percentages rounded up. A "
     "step to all nodes follows the last one.",
     NULL, "\"minItems\":1,\"maxItems\":100"},
    {"pause", WG_DURATION, WG_FIELD(config, pause),
     "How long to watch after each step, for example `500ms` or `1m30s`. Not at all if left out.",
     "", NULL},
    {"gates", WG_TEXTS, WG_FIELD(config, gates),
     "Gates of the policy that must pass before the next step. All of them if left out, none if "
     "empty.",
     "", "\"maxItems\":64,\"uniqueItems\":true"},
};

/* What is remembered from call to call. */
typedef struct {
  /* Index of the step. */
  uint32_t step;
  /* What the step waits for: move, pause or gates. */
  wg_string phase;
  /* Most new nodes that a step asked for: later steps never ask for fewer. */
  uint32_t nodes;
} state;

static const wg_field STATE[] = {
    {"step", WG_COUNT, WG_FIELD(state, step), NULL, NULL, NULL},
    {"phase", WG_TEXT, WG_FIELD(state, phase), NULL, NULL, NULL},
    {"nodes", WG_COUNT, WG_FIELD(state, nodes), NULL, NULL, NULL},
};

static void check(const void *settings, wg_problems *problems) {
  const config *config = settings;
  for (size_t i = 0; i < config->steps.len; i++) {
    wg_amount step = config->steps.ptr[i];
    if (step.value == 0) {
      wg_add_problem(problems, wg_print("/steps/%zu", i),
                     wg_text("a step must have at least one node"));
    }
    /* A count against a percentage depends on the site; `decide` never goes back. */
    if (i > 0 && wg_amount_less(step, config->steps.ptr[i - 1])) {
      wg_add_problem(problems, wg_print("/steps/%zu", i),
                     wg_text("a step must not have fewer nodes than the step before it"));
    }
  }
}

/* The steps of a site of so many nodes; the last one is everything. */
static wg_amounts all_steps(const config *config, uint32_t total) {
  wg_amounts steps = {wg_new(config->steps.len + 1, wg_amount), config->steps.len};
  for (size_t i = 0; i < steps.len; i++) {
    steps.ptr[i] = config->steps.ptr[i];
  }
  if (steps.len == 0 || wg_amount_of(steps.ptr[steps.len - 1], total) < total) {
    steps.ptr[steps.len++] = (wg_amount){.is_percent = true, .value = 1000};
  }
  return steps;
}

static wg_string stage_name(size_t index, size_t count) {
  return index + 1 == count ? wg_text("all") : wg_print("step %zu", index + 1);
}

static bool outline(const wg_site_summary *site, const wg_release *release, const void *settings,
                    wg_stages *stages, wg_failure *failure) {
  (void)failure;
  const config *config = settings;
  uint64_t sum = 0;
  for (size_t i = 0; i < site->clusters.len; i++) {
    sum += site->clusters.ptr[i].desired;
  }
  uint32_t total = sum > UINT32_MAX ? UINT32_MAX : (uint32_t)sum;
  wg_amounts steps = all_steps(config, total);
  *stages = (wg_stages){wg_new(steps.len, wg_stage), steps.len};
  for (size_t i = 0; i < steps.len; i++) {
    wg_string text = wg_print("%u of %u nodes to %.*s", wg_amount_of(steps.ptr[i], total), total,
                              WG(release->version));
    if (config->pause.ms > 0) {
      text = wg_print("%.*s, then wait %.*s", WG(text), WG(wg_show_duration(config->pause.ms)));
    }
    if (!config->gates.given) {
      text = wg_print("%.*s, then all gates", WG(text));
    } else if (config->gates.len > 0) {
      text = wg_print("%.*s, then %.*s", WG(text), WG(wg_join(&config->gates, ", ")));
    }
    stages->ptr[i] = (wg_stage){stage_name(i, steps.len), text};
  }
  return true;
}

/* The gates that a step asks. */
static bool asked_gates(const wg_site_view *view, const config *config, wg_texts *gates,
                        wg_failure *failure) {
  wg_texts known = {wg_new(view->gates.len, wg_string), view->gates.len, true};
  for (size_t i = 0; i < known.len; i++) {
    known.ptr[i] = view->gates.ptr[i].name;
  }
  *gates = config->gates.given ? config->gates : known;
  for (size_t i = 0; i < gates->len; i++) {
    if (!wg_contains(&known, gates->ptr[i])) {
      return wg_fail(failure, "unknown-gate",
                     wg_print("the policy has no gate %.*s", WG(gates->ptr[i])));
    }
  }
  return true;
}

static bool decide(const wg_site_view *view, const void *settings, void *remembered,
                   wg_outcome *outcome, wg_failure *failure) {
  const config *config = settings;
  state *state = remembered;
  if (state->phase.len == 0) {
    state->phase = wg_text("move");
  }
  uint32_t total = wg_desired(view);
  if (total == 0) {
    *outcome = wg_done(wg_text("all"), wg_text("the site has no nodes"));
    return true;
  }
  wg_amounts steps = all_steps(config, total);
  wg_string completed = view->completed;
  for (;;) {
    /* A site that shrank may have lost its last step. */
    size_t index = state->step < steps.len ? state->step : steps.len - 1;
    wg_string stage = stage_name(index, steps.len);
    uint32_t nodes = wg_amount_of(steps.ptr[index], total);
    uint32_t before = state->nodes < total ? state->nodes : total;
    nodes = nodes > before ? nodes : before;
    state->nodes = nodes;
    wg_goal goal = wg_goal_by_capacity(view, wg_spread(nodes, view));
    if (!wg_reached(view, &goal)) {
      /* Also when nodes were lost while something was waited for. */
      state->phase = wg_text("move");
      *outcome = wg_go(goal, stage, wg_print("%u of %u nodes to be new", nodes, total));
      return true;
    }
    bool paused = wg_is(state->phase, "gates") ||
                  (wg_is(state->phase, "pause") && wg_is(completed, "time"));
    if (config->pause.ms > 0 && !paused) {
      state->phase = wg_text("pause");
      wg_string reason = wg_print("watching for %.*s", WG(wg_show_duration(config->pause.ms)));
      *outcome = wg_wait_ms(config->pause.ms, stage, reason);
      return true;
    }
    wg_texts gates;
    if (!asked_gates(view, config, &gates, failure)) {
      return false;
    }
    bool passed = wg_is(state->phase, "gates") && wg_is(completed, "gates");
    if (gates.len > 0 && !passed) {
      state->phase = wg_text("gates");
      wg_string reason = wg_print("asking %.*s", WG(wg_join(&gates, ", ")));
      *outcome = wg_wait_for_gates(&gates, stage, reason);
      return true;
    }
    if (index + 1 == steps.len) {
      *outcome = wg_done(stage, wg_print("all %u nodes are new", total));
      return true;
    }
    /* What was carried out belonged to the step that is over. */
    completed = wg_text("");
    state->step++;
    state->phase = wg_text("move");
  }
}

const wg_strategy wg_plugin = {
    .about =
        {
            .name = "stepwise",
            .version = "0.1.0",
            .text = "Takes a site to the new release step by step. After each step it pauses, "
                    "then asks the gates.",
            .state_version = 1,
            .config = WG_FORM(config, CONFIG),
            .examples = "[{\"steps\":[\"25%\",\"50%\"],\"pause\":\"10s\"},"
                        "{\"steps\":[1],\"gates\":[]}]",
            .state = WG_FORM(state, STATE),
        },
    .check = check,
    .outline = outline,
    .decide = decide,
};
