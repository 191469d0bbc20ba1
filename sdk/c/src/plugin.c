/* What both kinds of plugin read and answer. */
#include "inside.h"

#include <string.h>

enum { STATE_BYTES_MAX = 64 * 1024 };

void *wgi_read_config(wg_string json, wg_failure *failure) {
  wg_string problem;
  void *config = wg_read(&wg_plugin.about.config, json.ptr, json.len, &problem);
  if (config == NULL) {
    wg_fail(failure, "bad-config",
            wg_print("the configuration cannot be read: %.*s", WG(problem)));
  }
  return config;
}

/* No bytes are the state before the first call. */
void *wgi_read_state(wg_bytes bytes, wg_failure *failure) {
  const wg_form *form = &wg_plugin.about.state;
  if (bytes.len == 0 || form->count == 0) {
    return wg_allocate(1, form->size + 1);
  }
  wg_string problem;
  void *state = wg_read(form, bytes.ptr, bytes.len, &problem);
  if (state == NULL) {
    wg_fail(failure, "bad-state", wg_print("the state cannot be read: %.*s", WG(problem)));
  }
  return state;
}

bool wgi_write_state(const void *state, wg_bytes *bytes, wg_failure *failure) {
  const wg_form *form = &wg_plugin.about.state;
  *bytes = (wg_bytes){0};
  if (form->count == 0) {
    return true;
  }
  wg_string written = wg_write(form, state);
  if (written.len > STATE_BYTES_MAX) {
    return wg_fail(failure, "bad-state",
                   wg_print("the state takes %zu bytes, more than %d", written.len,
                            STATE_BYTES_MAX));
  }
  *bytes = (wg_bytes){written.ptr, written.len};
  return true;
}

void wgi_check_config(wg_string json, wg_problems *problems) {
  wg_failure failure;
  void *config = wgi_read_config(json, &failure);
  *problems = (wg_problems){0};
  if (config == NULL) {
    /* The host shows a problem where the author of the policy wrote it. */
    wg_add_problem(problems, wg_text(""), failure.message);
  } else if (wg_plugin.check != NULL) {
    wg_plugin.check(config, problems);
  }
}

wavegate_plugin_types_about_t wgi_say_about(const char *kind) {
  const wg_about *said = &wg_plugin.about;
  wg_string title = wg_print("Configuration of the %s %s", kind, said->name);
  return (wavegate_plugin_types_about_t){
      .name = wg_text(said->name),
      .version = wg_text(said->version),
      .state_version = said->state_version,
      .config_schema = wg_schema(&said->config, (const char *)title.ptr, said->examples),
      .text = wg_text(said->text),
  };
}
