/* What the files of this library share; not for plugins. */
#ifndef WAVEGATE_INSIDE_H
#define WAVEGATE_INSIDE_H

#include "../wavegate.h"

/* A text that grows. */
typedef struct {
  char *ptr;
  size_t len, room;
} wgi_builder;

void wgi_add_bytes(wgi_builder *to, const void *bytes, size_t size);
void wgi_add(wgi_builder *to, const char *text);
void wgi_add_text(wgi_builder *to, wg_string text);
wg_string wgi_built(const wgi_builder *from);
wg_string wgi_made(const char *ptr, size_t len);

/* Both kinds of plugin read and answer alike. */
void *wgi_read_config(wg_string json, wg_failure *failure);
void *wgi_read_state(wg_bytes bytes, wg_failure *failure);
bool wgi_write_state(const void *state, wg_bytes *bytes, wg_failure *failure);
void wgi_check_config(wg_string json, wg_problems *problems);
wavegate_plugin_types_about_t wgi_say_about(const char *kind);

#endif
