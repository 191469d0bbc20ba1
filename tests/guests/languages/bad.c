/* A strategy that does what its configuration says: loop, allocate, recurse, trap or flood the log. */
#include "./sdk/c/wavegate.h"

#include <stdlib.h>

typedef struct {
  wg_string bad;
} config;

static const wg_field CONFIG[] = {
    {"bad", WG_TEXT, WG_FIELD(config, bad), "What to do.", NULL, NULL},
};

static volatile uint64_t count;

static uint64_t deep(uint64_t depth) {
  count = depth;
  return count == UINT64_MAX ? 0 : deep(depth + 1) + count;
}

static bool outline(const wg_site_summary *site, const wg_release *release, const void *settings,
                    wg_stages *stages, wg_failure *failure) {
  (void)site, (void)release, (void)settings, (void)failure;
  *stages = (wg_stages){0};
  return true;
}

static bool decide(const wg_site_view *view, const void *settings, void *state,
                   wg_outcome *outcome, wg_failure *failure) {
  (void)view, (void)state, (void)outcome, (void)failure;
  const config *config = settings;
  while (wg_is(config->bad, "loop")) {
    count++;
  }
  while (wg_is(config->bad, "allocate")) {
    *(volatile char *)wg_new(1 << 20, char) = 1;
  }
  while (wg_is(config->bad, "log")) {
    wg_info("%01000d", 1);
  }
  if (wg_is(config->bad, "recurse")) {
    deep(0);
  }
  abort();
}

const wg_strategy wg_plugin = {
    .about =
        {
            .name = "bad",
            .version = "0.1.0",
            .text = "Misbehaves.",
            .state_version = 1,
            .config = WG_FORM(config, CONFIG),
        },
    .outline = outline,
    .decide = decide,
};
