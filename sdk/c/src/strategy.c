/* Strategies: outcomes, arithmetic, and the exports. */
#include "inside.h"

#include <string.h>

#ifdef WAVEGATE_STRATEGY

static wg_outcome outcome(uint8_t tag, wg_string stage, wg_string reason) {
  return (wg_outcome){{.tag = tag}, stage, reason};
}

wg_outcome wg_go(wg_goal goal, wg_string stage, wg_string reason) {
  wg_outcome made = outcome(EXPORTS_WAVEGATE_PLUGIN_STRATEGY_DECISION_GO, stage, reason);
  made.decision.val.go = goal;
  return made;
}

wg_outcome wg_wait_for_gates(const wg_texts *gates, wg_string stage, wg_string reason) {
  wg_outcome made = outcome(EXPORTS_WAVEGATE_PLUGIN_STRATEGY_DECISION_WAIT_GATES, stage, reason);
  made.decision.val.wait_gates.ptr = gates->ptr;
  made.decision.val.wait_gates.len = gates->len;
  return made;
}

wg_outcome wg_wait_ms(uint32_t ms, wg_string stage, wg_string reason) {
  wg_outcome made = outcome(EXPORTS_WAVEGATE_PLUGIN_STRATEGY_DECISION_WAIT_MS, stage, reason);
  made.decision.val.wait_ms = ms;
  return made;
}

wg_outcome wg_wait_for_person(wg_string text, wg_string stage, wg_string reason) {
  wg_outcome made = outcome(EXPORTS_WAVEGATE_PLUGIN_STRATEGY_DECISION_WAIT_PERSON, stage, reason);
  made.decision.val.wait_person = text;
  return made;
}

wg_outcome wg_done(wg_string stage, wg_string reason) {
  return outcome(EXPORTS_WAVEGATE_PLUGIN_STRATEGY_DECISION_DONE, stage, reason);
}

wg_outcome wg_failed(wg_string why, wg_string stage, wg_string reason) {
  wg_outcome made = outcome(EXPORTS_WAVEGATE_PLUGIN_STRATEGY_DECISION_FAILED, stage, reason);
  made.decision.val.failed = why;
  return made;
}

static uint64_t sum(const uint32_t *numbers, size_t count) {
  uint64_t total = 0;
  for (size_t i = 0; i < count; i++) {
    total += numbers[i];
  }
  return total;
}

uint32_t wg_desired(const wg_site_view *view) {
  uint64_t total = 0;
  for (size_t i = 0; i < view->clusters.len; i++) {
    total += view->clusters.ptr[i].desired;
  }
  return total > UINT32_MAX ? UINT32_MAX : (uint32_t)total;
}

uint32_t *wg_spread(uint32_t nodes, const wg_site_view *view) {
  size_t count = view->clusters.len;
  const wg_cluster_view *clusters = view->clusters.ptr;
  uint32_t *given = wg_new(count, uint32_t);
  uint64_t whole = 0;
  for (size_t i = 0; i < count; i++) {
    whole += clusters[i].desired;
  }
  if (whole == 0) {
    return given;
  }
  uint64_t wanted = nodes < whole ? nodes : whole;
  /* Nobody gets less than the quota rounded down, so only the rest needs the method. */
  for (size_t i = 0; i < count; i++) {
    given[i] = (uint32_t)(wanted * clusters[i].desired / whole);
  }
  for (uint64_t rest = wanted - sum(given, count); rest > 0; rest--) {
    size_t best = 0;
    for (size_t i = 1; i < count; i++) {
      uint64_t ours = (uint64_t)clusters[i].desired * ((uint64_t)given[best] + 1);
      uint64_t theirs = (uint64_t)clusters[best].desired * ((uint64_t)given[i] + 1);
      if (ours > theirs) {
        best = i;
      }
    }
    given[best]++;
  }
  return given;
}

void wg_apportion(uint32_t total, const uint32_t *weights, size_t count, uint32_t *parts) {
  uint64_t whole = sum(weights, count);
  if (whole == 0) {
    memset(parts, 0, count * sizeof *parts);
    return;
  }
  uint64_t *remainders = wg_new(count, uint64_t);
  for (size_t i = 0; i < count; i++) {
    parts[i] = (uint32_t)((uint64_t)total * weights[i] / whole);
    remainders[i] = (uint64_t)total * weights[i] % whole + 1;
  }
  for (uint64_t rest = total - sum(parts, count); rest > 0; rest--) {
    /* Of equal remainders the earlier one is served first. */
    size_t best = 0;
    for (size_t i = 1; i < count; i++) {
      best = remainders[i] > remainders[best] ? i : best;
    }
    parts[best]++;
    remainders[best] = 0;
  }
}

/* `nodes` and `shares` have a pair for each cluster: new and baseline. */
static wg_goal assemble(const wg_site_view *view, const uint32_t *nodes, const uint32_t *shares) {
  wg_goal goal = {{wg_new(view->clusters.len, wg_cluster_goal), view->clusters.len}};
  for (size_t i = 0; i < view->clusters.len; i++) {
    goal.clusters.ptr[i] = (wg_cluster_goal){
        .cluster = view->clusters.ptr[i].name,
        .new_ = nodes[2 * i],
        .baseline = nodes[2 * i + 1],
        .new_permille = shares[2 * i],
        .baseline_permille = shares[2 * i + 1],
    };
  }
  return goal;
}

static uint32_t *pairs(const wg_site_view *view, const uint32_t *nodes) {
  uint32_t *found = wg_new(2 * view->clusters.len, uint32_t);
  for (size_t i = 0; i < view->clusters.len; i++) {
    uint32_t desired = view->clusters.ptr[i].desired;
    found[2 * i] = nodes[i] < desired ? nodes[i] : desired;
    found[2 * i + 1] = desired - found[2 * i];
  }
  return found;
}

wg_goal wg_goal_by_capacity(const wg_site_view *view, const uint32_t *nodes) {
  size_t count = 2 * view->clusters.len;
  uint32_t *weights = pairs(view, nodes), *shares = wg_new(count, uint32_t);
  wg_apportion(1000, weights, count, shares);
  return assemble(view, weights, shares);
}

wg_goal wg_goal_by_share(const wg_site_view *view, const uint32_t *nodes, uint32_t new_permille) {
  size_t count = view->clusters.len;
  uint32_t *both = pairs(view, nodes), *shares = wg_new(2 * count, uint32_t);
  uint32_t *side = wg_new(count, uint32_t), *parts = wg_new(count, uint32_t);
  uint64_t totals[2] = {0, 0};
  for (size_t i = 0; i < 2 * count; i++) {
    totals[i % 2] += both[i];
  }
  uint32_t share = new_permille > 1000 ? 1000 : new_permille;
  /* A side without nodes gets no traffic, whatever the share says. */
  share = totals[0] == 0 ? 0 : totals[1] == 0 ? 1000 : share;
  for (size_t which = 0; which < 2; which++) {
    for (size_t i = 0; i < count; i++) {
      side[i] = both[2 * i + which];
    }
    wg_apportion(which == 0 ? share : 1000 - share, side, count, parts);
    for (size_t i = 0; i < count; i++) {
      shares[2 * i + which] = parts[i];
    }
  }
  return assemble(view, both, shares);
}

bool wg_reached(const wg_site_view *view, const wg_goal *goal) {
  for (size_t i = 0; i < view->clusters.len; i++) {
    const wg_cluster_view *cluster = &view->clusters.ptr[i];
    const wg_cluster_goal *wanted = NULL;
    /* Goals of this library are in the order of the clusters. */
    for (size_t j = 0; j < goal->clusters.len && wanted == NULL; j++) {
      const wg_cluster_goal *other = &goal->clusters.ptr[(i + j) % goal->clusters.len];
      wanted = wg_equal(other->cluster, cluster->name) ? other : NULL;
    }
    if (wanted == NULL || cluster->new_ready < wanted->new_) {
      return false;
    }
    bool is_split = cluster->new_permille == wanted->new_permille &&
                    cluster->baseline_permille == wanted->baseline_permille;
    if (view->splits_traffic && !is_split) {
      return false;
    }
  }
  return true;
}

bool exports_wavegate_plugin_strategy_describe(exports_wavegate_plugin_strategy_about_t *ret,
                                               exports_wavegate_plugin_strategy_failure_t *err) {
  (void)err;
  *ret = wgi_say_about("strategy");
  return true;
}

bool exports_wavegate_plugin_strategy_validate_config(strategy_plugin_string_t *config,
                                                      wg_problems *ret, wg_failure *err) {
  (void)err;
  wgi_check_config(*config, ret);
  return true;
}

bool exports_wavegate_plugin_strategy_outline(wg_site_summary *site, wg_release *release,
                                              strategy_plugin_string_t *config, wg_stages *ret,
                                              wg_failure *err) {
  void *settings = wgi_read_config(*config, err);
  *ret = (wg_stages){0};
  return settings != NULL && wg_plugin.outline(site, release, settings, ret, err);
}

bool exports_wavegate_plugin_strategy_decide(wg_site_view *view, strategy_plugin_string_t *config,
                                             wg_bytes *state,
                                             exports_wavegate_plugin_strategy_outcome_t *ret,
                                             wg_failure *err) {
  void *settings = wgi_read_config(*config, err);
  void *remembered = settings != NULL ? wgi_read_state(*state, err) : NULL;
  wg_outcome decided = {0};
  memset(ret, 0, sizeof *ret);
  if (remembered == NULL || !wg_plugin.decide(view, settings, remembered, &decided, err)) {
    return false;
  }
  ret->decision = decided.decision;
  ret->stage = decided.stage;
  ret->reason = decided.reason;
  return wgi_write_state(remembered, &ret->state, err);
}

#endif
