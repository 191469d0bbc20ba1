/* Write Wavegate plugins in C.
 *
 * A plugin answers one question: a strategy says what a site should look like next, a gate says
 * whether what runs is healthy. Include this file, and define `wg_plugin`.
 *
 * Compile everything with -DWAVEGATE_STRATEGY or with -DWAVEGATE_GATE.
 *
 * Every call gets a new instance, so nothing is ever freed: take memory from `wg_new` and its kind,
 * and forget it.
 *
 * Durations are whole milliseconds, instants are milliseconds since the epoch (UTC), shares are
 * permille from 0 to 1000.
 */
#ifndef WAVEGATE_H
#define WAVEGATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(WAVEGATE_STRATEGY) == defined(WAVEGATE_GATE)
#error "compile with -DWAVEGATE_STRATEGY or with -DWAVEGATE_GATE"
#endif

/* The records of the contract; the files in `generated` describe their fields. */
#ifdef WAVEGATE_STRATEGY
#include "generated/strategy_plugin.h"
typedef strategy_plugin_string_t wg_string;
typedef strategy_plugin_list_u8_t wg_bytes;
typedef exports_wavegate_plugin_strategy_failure_t wg_failure;
typedef exports_wavegate_plugin_strategy_problem_t wg_problem;
typedef exports_wavegate_plugin_strategy_list_problem_t wg_problems;
typedef exports_wavegate_plugin_strategy_release_t wg_release;
typedef exports_wavegate_plugin_strategy_verdict_t wg_verdict;
typedef exports_wavegate_plugin_strategy_cluster_view_t wg_cluster_view;
typedef exports_wavegate_plugin_strategy_gate_view_t wg_gate_view;
typedef exports_wavegate_plugin_strategy_site_view_t wg_site_view;
typedef exports_wavegate_plugin_strategy_site_summary_t wg_site_summary;
typedef exports_wavegate_plugin_strategy_cluster_goal_t wg_cluster_goal;
typedef exports_wavegate_plugin_strategy_goal_t wg_goal;
typedef exports_wavegate_plugin_strategy_decision_t wg_decision;
typedef exports_wavegate_plugin_strategy_stage_t wg_stage;
typedef exports_wavegate_plugin_strategy_list_stage_t wg_stages;
#else
#include "generated/gate_plugin.h"
typedef gate_plugin_string_t wg_string;
typedef gate_plugin_list_u8_t wg_bytes;
typedef exports_wavegate_plugin_gate_failure_t wg_failure;
typedef exports_wavegate_plugin_gate_problem_t wg_problem;
typedef exports_wavegate_plugin_gate_list_problem_t wg_problems;
typedef exports_wavegate_plugin_gate_release_t wg_release;
typedef exports_wavegate_plugin_gate_verdict_t wg_verdict;
typedef exports_wavegate_plugin_gate_slot_t wg_slot;
typedef exports_wavegate_plugin_gate_gate_cluster_t wg_gate_cluster;
typedef exports_wavegate_plugin_gate_gate_call_t wg_gate_call;
typedef exports_wavegate_plugin_gate_measurement_t wg_measurement;
typedef exports_wavegate_plugin_gate_cluster_verdict_t wg_cluster_verdict;
typedef wavegate_plugin_metrics_sample_t wg_sample;
typedef wavegate_plugin_metrics_series_t wg_series;
typedef wavegate_plugin_metrics_list_series_t wg_series_list;
typedef wavegate_plugin_metrics_list_list_series_t wg_series_lists;
typedef wavegate_plugin_http_response_t wg_response;
typedef wavegate_plugin_probes_probe_summary_t wg_probe_summary;
typedef wavegate_plugin_probes_list_probe_summary_t wg_probe_summaries;
#endif

/* ---- Memory and texts ---- */

/* Zeroed memory for so many things of a type. Ends the call where there is none. */
#define wg_new(count, type) ((type *)wg_allocate((count), sizeof(type)))
void *wg_allocate(size_t count, size_t size);

/* A text that lives long enough already, such as a literal. */
wg_string wg_text(const char *text);
bool wg_is(wg_string text, const char *other);
bool wg_equal(wg_string one, wg_string other);
/* A new text, as by printf. Write a wg_string with %.*s and WG(text). */
wg_string wg_print(const char *format, ...) __attribute__((format(printf, 1, 2)));
#define WG(text) (int)(text).len, (const char *)(text).ptr

/* A list of texts; `given` tells an empty list from one that was left out. */
typedef struct {
  wg_string *ptr;
  size_t len;
  bool given;
} wg_texts;

bool wg_contains(const wg_texts *texts, wg_string text);
wg_string wg_join(const wg_texts *texts, const char *between);

/* ---- Log ---- */

/* Writes a line, as by printf. The host caps and cleans it and keeps it with the call. */
void wg_info(const char *format, ...) __attribute__((format(printf, 1, 2)));
void wg_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* ---- Errors ---- */

/* Sets a failure and gives false, to be returned: the host holds and asks again later. The code is a
 * short kebab-case word for programs, the message a sentence for people. */
bool wg_fail(wg_failure *failure, const char *code, wg_string message);
/* Adds a problem in a configuration; the pointer is a JSON pointer such as "/steps/1". */
void wg_add_problem(wg_problems *problems, wg_string pointer, wg_string message);

/* ---- Units ---- */

/* A count such as 3, or a percentage such as "25%". */
typedef struct {
  bool is_percent;
  /* The count, or permille. */
  uint32_t value;
} wg_amount;

typedef struct {
  wg_amount *ptr;
  size_t len;
} wg_amounts;

/* A duration; `given` tells none from one that was left out. */
typedef struct {
  uint32_t ms;
  bool given;
} wg_duration;

/* The number out of `total`, rounded up and never more than `total`. */
uint32_t wg_amount_of(wg_amount amount, uint32_t total);
/* Whether both are counts or both are percentages, and `one` is the smaller. */
bool wg_amount_less(wg_amount one, wg_amount other);
/* Read a percentage into permille, and a duration such as "1m30s" into milliseconds. */
bool wg_read_percent(wg_string text, uint32_t *permille);
bool wg_read_duration(wg_string text, uint32_t *ms);
/* For people: "10 s"; and at most six decimals without zeros at the end. */
wg_string wg_show_duration(uint32_t ms);
wg_string wg_show_number(double value);

/* ---- Configuration and state ---- */

/* What a field of a struct is, in C and in JSON. */
typedef enum {
  WG_TEXT,     /* wg_string */
  WG_NUMBER,   /* double */
  WG_COUNT,    /* uint32_t */
  WG_FLAG,     /* bool */
  WG_PERCENT,  /* uint32_t, permille; "25%" */
  WG_AMOUNT,   /* wg_amount; 3 or "25%" */
  WG_DURATION, /* wg_duration; "10s" */
  WG_TEXTS,    /* wg_texts */
  WG_AMOUNTS,  /* wg_amounts */
} wg_type;

typedef struct {
  const char *name;
  wg_type type;
  size_t offset;
  /* A sentence for people; unused in a state. */
  const char *text;
  /* JSON of the value if it is left out; "" if it is then zero; NULL if it may not be. */
  const char *fallback;
  /* More JSON Schema, such as "\"minItems\":1"; NULL if there is none. */
  const char *limits;
} wg_field;

#define WG_FIELD(form, member) offsetof(form, member)

/* A struct by its fields, in their order. */
typedef struct {
  const wg_field *fields;
  size_t count;
  size_t size;
} wg_form;

#define WG_FORM(type, fields) {(fields), sizeof(fields) / sizeof((fields)[0]), sizeof(type)}

/* The JSON Schema of a configuration. */
wg_string wg_schema(const wg_form *form, const char *title, const char *examples);
/* Reads JSON into a new struct; says in `problem` what is wrong, and gives NULL. */
void *wg_read(const wg_form *form, const uint8_t *json, size_t size, wg_string *problem);
/* Writes a struct as compact JSON. */
wg_string wg_write(const wg_form *form, const void *from);

/* ---- Plugins ---- */

typedef struct {
  /* Kebab-case name, and semantic version. */
  const char *name;
  const char *version;
  /* A paragraph for people: what it does and when to use it. */
  const char *text;
  /* Raise it when the form of the state changes: a swap to another number drops the state. */
  uint32_t state_version;
  wg_form config;
  /* Configurations to start from, as a JSON list; they become part of the JSON Schema. */
  const char *examples;
  /* What is remembered from call to call; all zeros at first. Nothing if there are no fields. */
  wg_form state;
} wg_about;

#ifdef WAVEGATE_STRATEGY

/* A decision and what goes with it. The next state is the one that `decide` left. */
typedef struct {
  wg_decision decision;
  wg_string stage;
  wg_string reason;
} wg_outcome;

/* A strategy. The host asks `decide` again whenever the last answer has been carried out, and carries
 * goals out within the policy's limits. */
typedef struct {
  wg_about about;
  /* Checks what the JSON Schema cannot say; may be NULL. */
  void (*check)(const void *config, wg_problems *problems);
  /* The stages that the strategy means to go through. False with a failure. */
  bool (*outline)(const wg_site_summary *site, const wg_release *release, const void *config,
                  wg_stages *stages, wg_failure *failure);
  /* What the site should look like next. `state` is read and changed. False with a failure. */
  bool (*decide)(const wg_site_view *view, const void *config, void *state, wg_outcome *outcome,
                 wg_failure *failure);
} wg_strategy;

/* Defined by the plugin. */
extern const wg_strategy wg_plugin;

wg_outcome wg_go(wg_goal goal, wg_string stage, wg_string reason);
wg_outcome wg_wait_for_gates(const wg_texts *gates, wg_string stage, wg_string reason);
wg_outcome wg_wait_ms(uint32_t ms, wg_string stage, wg_string reason);
wg_outcome wg_wait_for_person(wg_string text, wg_string stage, wg_string reason);
wg_outcome wg_done(wg_string stage, wg_string reason);
wg_outcome wg_failed(wg_string why, wg_string stage, wg_string reason);

/* Spreads nodes over clusters in proportion to what they should have, by the method of D'Hondt: it
 * never takes a node away from a cluster when the total rises. One number for each cluster. */
uint32_t *wg_spread(uint32_t nodes, const wg_site_view *view);
/* Divides `total` by weights, by largest remainders; the parts sum to exactly `total`. */
void wg_apportion(uint32_t total, const uint32_t *weights, size_t count, uint32_t *parts);
/* These nodes on the new release, and traffic in proportion to the nodes. */
wg_goal wg_goal_by_capacity(const wg_site_view *view, const uint32_t *nodes);
/* These nodes on the new release, and this share of the site's traffic for them. */
wg_goal wg_goal_by_share(const wg_site_view *view, const uint32_t *nodes, uint32_t new_permille);
/* Whether the site is at this goal: enough new nodes serve, and the traffic is split so. */
bool wg_reached(const wg_site_view *view, const wg_goal *goal);
/* Nodes that the site should have in total. */
uint32_t wg_desired(const wg_site_view *view);

#else

enum { WG_PASS = 0, WG_HOLD = 1, WG_FAIL = 2 };

/* A measurement, and the sentence that says how it stands to its limit. */
typedef struct {
  wg_measurement measurement;
  wg_string text;
} wg_finding;

/* The answer of a gate. The host takes the worst of `verdict` and those of `clusters`. */
typedef struct {
  wg_verdict verdict;
  wg_string reason;
  wg_cluster_verdict *clusters;
  size_t cluster_count;
  wg_measurement *measurements;
  size_t measurement_count;
} wg_evaluation;

/* A gate judges one evaluation. Counting failures, budgets and repetitions is the host's work. The
 * same input must lead to the same questions. */
typedef struct {
  wg_about about;
  const wg_slot *slots;
  size_t slot_count;
  /* Checks what the JSON Schema cannot say; may be NULL. */
  void (*check)(const void *config, wg_problems *problems);
  /* Judges once. Hold at a phase that you do not know. False with a failure. */
  bool (*evaluate)(const wg_gate_call *call, const void *config, void *state,
                   wg_evaluation *evaluation, wg_failure *failure);
} wg_gate;

/* Defined by the plugin. */
extern const wg_gate wg_plugin;

#define WG_LITERAL(text) {(uint8_t *)(text), sizeof(text) - 1}

/* Whether this version of the contract names the phase. */
bool wg_knows_phase(wg_string phase);
/* The worst of the findings, with the sentence of the first that says so; hold without any. */
wg_evaluation wg_evaluation_of(const wg_finding *findings, size_t count);

/* Evidence. Where an answer is missing the host ends the call, fetches it and starts the call again,
 * so ask at once for what you know that you need. False with the failure of the source: pass it on,
 * and the host holds. More kinds of question are in `generated/gate_plugin.h`. */
bool wg_instants(const char *slot, const wg_texts *queries, wg_series_lists *answers,
                 wg_failure *failure);
bool wg_ranges(const char *slot, const wg_texts *queries, uint32_t window_ms, uint32_t step_ms,
               wg_series_lists *answers, wg_failure *failure);
bool wg_get(const char *slot, wg_string path, wg_response *answer, wg_failure *failure);
bool wg_summaries(const char *slot, const wg_texts *clusters, const char *cohort,
                  uint32_t window_ms, wg_probe_summaries *answers, wg_failure *failure);

/* The names between double braces in a query. */
wg_texts wg_placeholders(wg_string query);
/* The query with {{name}} replaced, escaped for double quotes: `values` are pairs of name and value. */
wg_string wg_fill(wg_string query, const wg_string (*values)[2], size_t count);

#endif
#endif
