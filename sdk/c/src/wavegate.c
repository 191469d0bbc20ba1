/* Memory, texts, log, errors and units. */
#include "inside.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const uint64_t DAY_MS = 24ull * 60 * 60 * 1000;

/* ---- Memory and texts ---- */

void *wg_allocate(size_t count, size_t size) {
  void *memory = calloc(count == 0 ? 1 : count, size);
  if (memory == NULL) {
    abort();
  }
  return memory;
}

wg_string wgi_made(const char *ptr, size_t len) {
  return (wg_string){(uint8_t *)ptr, len};
}

wg_string wg_text(const char *text) { return wgi_made(text, strlen(text)); }

bool wg_equal(wg_string one, wg_string other) {
  return one.len == other.len && (one.len == 0 || memcmp(one.ptr, other.ptr, one.len) == 0);
}

bool wg_is(wg_string text, const char *other) { return wg_equal(text, wg_text(other)); }

static wg_string print(const char *format, va_list arguments) {
  va_list again;
  va_copy(again, arguments);
  int size = vsnprintf(NULL, 0, format, arguments);
  if (size < 0) {
    abort();
  }
  char *text = wg_new((size_t)size + 1, char);
  vsnprintf(text, (size_t)size + 1, format, again);
  va_end(again);
  return wgi_made(text, (size_t)size);
}

wg_string wg_print(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  wg_string text = print(format, arguments);
  va_end(arguments);
  return text;
}

bool wg_contains(const wg_texts *texts, wg_string text) {
  for (size_t i = 0; i < texts->len; i++) {
    if (wg_equal(texts->ptr[i], text)) {
      return true;
    }
  }
  return false;
}

void wgi_add_bytes(wgi_builder *to, const void *bytes, size_t size) {
  if (to->len + size > to->room) {
    to->room = 2 * (to->len + size) + 64;
    char *larger = wg_new(to->room, char);
    if (to->len > 0) {
      memcpy(larger, to->ptr, to->len);
    }
    to->ptr = larger;
  }
  if (size > 0) {
    memcpy(to->ptr + to->len, bytes, size);
  }
  to->len += size;
}

void wgi_add(wgi_builder *to, const char *text) { wgi_add_bytes(to, text, strlen(text)); }

void wgi_add_text(wgi_builder *to, wg_string text) { wgi_add_bytes(to, text.ptr, text.len); }

wg_string wgi_built(const wgi_builder *from) { return wgi_made(from->ptr, from->len); }

wg_string wg_join(const wg_texts *texts, const char *between) {
  wgi_builder joined = {0};
  for (size_t i = 0; i < texts->len; i++) {
    wgi_add(&joined, i > 0 ? between : "");
    wgi_add_text(&joined, texts->ptr[i]);
  }
  return wgi_built(&joined);
}

/* ---- Log and errors ---- */

void wg_info(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  wg_string line = print(format, arguments);
  va_end(arguments);
  wavegate_plugin_log_write(WAVEGATE_PLUGIN_LOG_LEVEL_INFO, &line);
}

void wg_error(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  wg_string line = print(format, arguments);
  va_end(arguments);
  wavegate_plugin_log_write(WAVEGATE_PLUGIN_LOG_LEVEL_ERROR, &line);
}

bool wg_fail(wg_failure *failure, const char *code, wg_string message) {
  memset(failure, 0, sizeof *failure);
  failure->code = wg_text(code);
  failure->message = message;
  return false;
}

void wg_add_problem(wg_problems *problems, wg_string pointer, wg_string message) {
  wg_problem *larger = wg_new(problems->len + 1, wg_problem);
  if (problems->len > 0) {
    memcpy(larger, problems->ptr, problems->len * sizeof *larger);
  }
  larger[problems->len] = (wg_problem){pointer, message};
  problems->ptr = larger;
  problems->len++;
}

/* ---- Units ---- */

uint32_t wg_amount_of(wg_amount amount, uint32_t total) {
  if (amount.is_percent) {
    return (uint32_t)(((uint64_t)total * amount.value + 999) / 1000);
  }
  return amount.value < total ? amount.value : total;
}

bool wg_amount_less(wg_amount one, wg_amount other) {
  return one.is_percent == other.is_percent && one.value < other.value;
}

/* Reads digits up to a number of 32 bits; gives how many there were, 0 if there is none. */
static size_t digits(wg_string text, size_t at, uint64_t *number) {
  size_t size = 0;
  *number = 0;
  while (at + size < text.len && text.ptr[at + size] >= '0' && text.ptr[at + size] <= '9') {
    *number = *number * 10 + (text.ptr[at + size] - '0');
    if (*number > UINT32_MAX) {
      return 0;
    }
    size++;
  }
  return size;
}

bool wg_read_percent(wg_string text, uint32_t *permille) {
  uint64_t whole = 0, tenths = 0;
  size_t at = digits(text, 0, &whole);
  if (at == 0) {
    return false;
  }
  if (at < text.len && text.ptr[at] == '.') {
    if (digits(text, at + 1, &tenths) != 1) {
      return false;
    }
    at += 2;
  }
  *permille = (uint32_t)(whole * 10 + tenths);
  return at + 1 == text.len && text.ptr[at] == '%' && whole * 10 + tenths <= 1000;
}

bool wg_read_duration(wg_string text, uint32_t *ms) {
  static const struct {
    const char *name;
    uint32_t ms;
  } UNITS[] = {{"ms", 1}, {"s", 1000}, {"m", 60 * 1000}, {"h", 60 * 60 * 1000}, {"d", 86400000}};
  uint64_t sum = 0;
  size_t at = 0;
  while (at < text.len) {
    uint64_t number;
    size_t size = digits(text, at, &number);
    size_t unit = at + size, end = unit;
    while (end < text.len && text.ptr[end] >= 'a' && text.ptr[end] <= 'z') {
      end++;
    }
    uint64_t unit_ms = 0;
    for (size_t i = 0; i < sizeof UNITS / sizeof UNITS[0]; i++) {
      if (wg_is(wgi_made((char *)text.ptr + unit, end - unit), UNITS[i].name)) {
        unit_ms = UNITS[i].ms;
      }
    }
    sum += number * unit_ms;
    if (size == 0 || unit_ms == 0 || sum > 40 * DAY_MS) {
      return false;
    }
    at = end;
  }
  *ms = (uint32_t)sum;
  return text.len > 0;
}

wg_string wg_show_duration(uint32_t ms) {
  if (ms == 0) {
    return wg_text("0 s");
  }
  if (ms % 3600000 == 0) {
    return wg_print("%u h", ms / 3600000);
  }
  if (ms % 60000 == 0) {
    return wg_print("%u m", ms / 60000);
  }
  return ms % 1000 == 0 ? wg_print("%u s", ms / 1000) : wg_print("%u ms", ms);
}

wg_string wg_show_number(double value) {
  wg_string text = wg_print("%.6f", value);
  while (text.ptr[text.len - 1] == '0') {
    text.len--;
  }
  text.len -= text.ptr[text.len - 1] == '.';
  return text;
}
