/* Gates: evaluations, evidence, queries, and the exports. */
#include "inside.h"

#include <string.h>

#ifdef WAVEGATE_GATE

bool wg_knows_phase(wg_string phase) {
  static const char *const KNOWN[] = {"before-wave", "before-site", "after-batch",
                                      "soak",        "after-wave",  "continuous"};
  for (size_t i = 0; i < sizeof KNOWN / sizeof KNOWN[0]; i++) {
    if (wg_is(phase, KNOWN[i])) {
      return true;
    }
  }
  return false;
}

wg_evaluation wg_evaluation_of(const wg_finding *findings, size_t count) {
  wg_evaluation made = {.verdict = count == 0 ? WG_HOLD : WG_PASS,
                        .reason = wg_text("nothing was measured"),
                        .measurements = wg_new(count, wg_measurement),
                        .measurement_count = count};
  for (size_t i = 0; i < count; i++) {
    made.measurements[i] = findings[i].measurement;
    if (findings[i].measurement.verdict > made.verdict) {
      made.verdict = findings[i].measurement.verdict;
    }
  }
  size_t same = 0;
  for (size_t i = 0; i < count; i++) {
    if (findings[i].measurement.verdict == made.verdict && same++ == 0) {
      made.reason = findings[i].text;
    }
  }
  if (same > 1) {
    made.reason = wg_print("%.*s, and %zu more", WG(made.reason), same - 1);
  }
  return made;
}

static gate_plugin_list_string_t list(const wg_texts *texts) {
  return (gate_plugin_list_string_t){texts->ptr, texts->len};
}

bool wg_instants(const char *slot, const wg_texts *queries, wg_series_lists *answers,
                 wg_failure *failure) {
  wg_string name = wg_text(slot);
  gate_plugin_list_string_t asked = list(queries);
  return wavegate_plugin_metrics_instants(&name, &asked, answers, failure);
}

bool wg_ranges(const char *slot, const wg_texts *queries, uint32_t window_ms, uint32_t step_ms,
               wg_series_lists *answers, wg_failure *failure) {
  wg_string name = wg_text(slot);
  gate_plugin_list_string_t asked = list(queries);
  return wavegate_plugin_metrics_ranges(&name, &asked, window_ms, step_ms, answers, failure);
}

bool wg_get(const char *slot, wg_string path, wg_response *answer, wg_failure *failure) {
  wg_string name = wg_text(slot);
  return wavegate_plugin_http_get(&name, &path, answer, failure);
}

bool wg_summaries(const char *slot, const wg_texts *clusters, const char *cohort,
                  uint32_t window_ms, wg_probe_summaries *answers, wg_failure *failure) {
  wg_string name = wg_text(slot), which = wg_text(cohort);
  gate_plugin_list_string_t asked = list(clusters);
  return wavegate_plugin_probes_summaries(&name, &asked, &which, window_ms, answers, failure);
}

/* Where two braces of this kind are, from `at` on; the length of the text if nowhere. */
static size_t find_braces(wg_string text, size_t at, char brace) {
  while (at + 1 < text.len && (text.ptr[at] != brace || text.ptr[at + 1] != brace)) {
    at++;
  }
  return at + 1 < text.len ? at : text.len;
}

wg_texts wg_placeholders(wg_string query) {
  wg_texts found = {wg_new(query.len / 2 + 1, wg_string), 0, true};
  for (size_t open = find_braces(query, 0, '{'); open < query.len;) {
    size_t start = open + 2, next = find_braces(query, start, '{');
    size_t close = find_braces(wgi_made((char *)query.ptr, next), start, '}');
    if (close < next) {
      found.ptr[found.len++] = wgi_made((char *)query.ptr + start, close - start);
    }
    open = next;
  }
  return found;
}

wg_string wg_fill(wg_string query, const wg_string (*values)[2], size_t count) {
  wgi_builder to = {0};
  size_t at = 0;
  for (;;) {
    size_t open = find_braces(query, at, '{');
    wgi_add_bytes(&to, query.ptr + at, open - at);
    if (open == query.len) {
      return wgi_built(&to);
    }
    size_t start = open + 2, close = find_braces(query, start, '}');
    const wg_string *value = NULL;
    for (size_t i = 0; close < query.len && i < count; i++) {
      bool is_name = wg_equal(values[i][0], wgi_made((char *)query.ptr + start, close - start));
      value = is_name ? &values[i][1] : value;
    }
    if (value == NULL) {
      wgi_add(&to, "{{");
      at = start;
      continue;
    }
    for (size_t i = 0; i < value->len; i++) {
      if (value->ptr[i] == '"' || value->ptr[i] == '\\') {
        wgi_add(&to, "\\");
      }
      wgi_add_bytes(&to, &value->ptr[i], 1);
    }
    at = close + 2;
  }
}

bool exports_wavegate_plugin_gate_describe(exports_wavegate_plugin_gate_gate_about_t *ret,
                                           wg_failure *err) {
  (void)err;
  *ret = (exports_wavegate_plugin_gate_gate_about_t){
      wgi_say_about("gate"), {(wg_slot *)wg_plugin.slots, wg_plugin.slot_count}};
  return true;
}

bool exports_wavegate_plugin_gate_validate_config(gate_plugin_string_t *config, wg_problems *ret,
                                                  wg_failure *err) {
  (void)err;
  wgi_check_config(*config, ret);
  return true;
}

bool exports_wavegate_plugin_gate_evaluate(wg_gate_call *call, gate_plugin_string_t *config,
                                           wg_bytes *state,
                                           exports_wavegate_plugin_gate_evaluation_t *ret,
                                           wg_failure *err) {
  void *settings = wgi_read_config(*config, err);
  void *remembered = settings != NULL ? wgi_read_state(*state, err) : NULL;
  wg_evaluation found = {0};
  memset(ret, 0, sizeof *ret);
  if (remembered == NULL || !wg_plugin.evaluate(call, settings, remembered, &found, err)) {
    return false;
  }
  ret->verdict = found.verdict;
  ret->reason = found.reason;
  ret->clusters.ptr = found.clusters;
  ret->clusters.len = found.cluster_count;
  ret->measurements.ptr = found.measurements;
  ret->measurements.len = found.measurement_count;
  return wgi_write_state(remembered, &ret->state, err);
}

#endif
