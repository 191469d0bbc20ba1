/* JSON: configurations, states and schemas, by the fields of a struct. */
#include "inside.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A place in a JSON text. Errors stick. */
typedef struct {
  const uint8_t *at, *end;
  const char *error;
} reader;

static void skip_space(reader *from) {
  while (from->at < from->end && strchr(" \t\r\n", *from->at) != NULL) {
    from->at++;
  }
}

static bool next_is(reader *from, char c) {
  skip_space(from);
  return from->at < from->end && *from->at == c;
}

static bool take(reader *from, char c) {
  bool is = from->error == NULL && next_is(from, c);
  from->at += is;
  return is;
}

static bool wrong(reader *from, const char *error) {
  if (from->error == NULL) {
    from->error = error;
  }
  return false;
}

static bool take_word(reader *from, const char *word) {
  skip_space(from);
  size_t size = strlen(word);
  if ((size_t)(from->end - from->at) < size || memcmp(from->at, word, size) != 0) {
    return false;
  }
  from->at += size;
  return true;
}

static void add_code_point(wgi_builder *to, uint32_t c) {
  char bytes[4];
  size_t size = 0;
  if (c < 0x80) {
    bytes[size++] = (char)c;
  } else if (c < 0x800) {
    bytes[size++] = (char)(0xc0 | c >> 6);
  } else if (c < 0x10000) {
    bytes[size++] = (char)(0xe0 | c >> 12);
    bytes[size++] = (char)(0x80 | (c >> 6 & 63));
  } else {
    bytes[size++] = (char)(0xf0 | c >> 18);
    bytes[size++] = (char)(0x80 | (c >> 12 & 63));
    bytes[size++] = (char)(0x80 | (c >> 6 & 63));
  }
  if (c >= 0x80) {
    bytes[size++] = (char)(0x80 | (c & 63));
  }
  wgi_add_bytes(to, bytes, size);
}

static uint32_t read_hex(reader *from) {
  uint32_t value = 0;
  for (int i = 0; i < 4; i++, from->at++) {
    const char *hex = "0123456789abcdef0123456789ABCDEF";
    const char *found = from->at < from->end && *from->at != 0 ? strchr(hex, *from->at) : NULL;
    if (found == NULL) {
      wrong(from, "a bad escape in a text");
      return 0xfffd;
    }
    value = value * 16 + (uint32_t)((found - hex) & 15);
  }
  return value;
}

static void read_escape(reader *from, wgi_builder *to) {
  if (from->at == from->end) {
    wrong(from, "a text without an end");
    return;
  }
  const char *plain = "\"\\/bfnrt", *meant = "\"\\/\b\f\n\r\t";
  char c = (char)*from->at++;
  const char *found = c != 0 ? strchr(plain, c) : NULL;
  if (found != NULL) {
    wgi_add_bytes(to, meant + (found - plain), 1);
  } else if (c == 'u') {
    uint32_t code = read_hex(from);
    if (code >= 0xd800 && code < 0xdc00 && take_word(from, "\\u")) {
      code = 0x10000 + ((code - 0xd800) << 10) + (read_hex(from) - 0xdc00);
    }
    add_code_point(to, code);
  } else {
    wrong(from, "a bad escape in a text");
  }
}

static bool read_text(reader *from, wg_string *text) {
  if (!take(from, '"')) {
    return wrong(from, "a text is needed");
  }
  wgi_builder to = {0};
  while (from->error == NULL && from->at < from->end && *from->at != '"') {
    const uint8_t *start = from->at;
    while (from->at < from->end && *from->at != '"' && *from->at != '\\') {
      from->at++;
    }
    wgi_add_bytes(&to, start, (size_t)(from->at - start));
    if (from->at < from->end && *from->at == '\\') {
      from->at++;
      read_escape(from, &to);
    }
  }
  *text = wgi_built(&to);
  return take(from, '"') || wrong(from, "a text without an end");
}

static bool read_number(reader *from, double *number) {
  skip_space(from);
  char copy[400];
  size_t size = 0;
  while (from->at < from->end && size + 1 < sizeof copy && *from->at != 0 &&
         strchr("+-.0123456789eE", *from->at) != NULL) {
    copy[size++] = (char)*from->at++;
  }
  copy[size] = 0;
  char *end = copy;
  *number = strtod(copy, &end);
  return (size > 0 && *end == 0) || wrong(from, "a number is needed");
}

static bool read_count(reader *from, uint32_t *count) {
  double number = 0;
  if (!read_number(from, &number)) {
    return false;
  }
  if (number < 0 || number > UINT32_MAX || number != floor(number)) {
    return wrong(from, "a count is needed");
  }
  *count = (uint32_t)number;
  return true;
}

static bool read_amount(reader *from, wg_amount *amount) {
  wg_string text;
  amount->is_percent = next_is(from, '"');
  if (!amount->is_percent) {
    return read_count(from, &amount->value);
  }
  return read_text(from, &text) &&
         (wg_read_percent(text, &amount->value) || wrong(from, "not a percentage such as \"25%\""));
}

/* Reads a list into memory that grows; `read` is one of the functions above. */
static void *read_list(reader *from, size_t size, bool (*read)(reader *, void *), size_t *count) {
  wgi_builder to = {0};
  void *item = wg_allocate(1, size);
  *count = 0;
  if (!take(from, '[')) {
    wrong(from, "a list is needed");
  }
  while (from->error == NULL && !take(from, ']')) {
    if (*count > 0 && !take(from, ',')) {
      wrong(from, "a comma is missing in a list");
    }
    memset(item, 0, size);
    if (from->error == NULL && read(from, item)) {
      wgi_add_bytes(&to, item, size);
      *count += 1;
    }
  }
  return to.ptr;
}

static bool read_text_item(reader *from, void *item) { return read_text(from, item); }
static bool read_amount_item(reader *from, void *item) { return read_amount(from, item); }

static void read_field(reader *from, const wg_field *field, void *into) {
  void *place = (char *)into + field->offset;
  wg_string text;
  switch (field->type) {
  case WG_TEXT:
    read_text(from, place);
    break;
  case WG_NUMBER:
    read_number(from, place);
    break;
  case WG_COUNT:
    read_count(from, place);
    break;
  case WG_FLAG:
    *(bool *)place = take_word(from, "true");
    if (!*(bool *)place && !take_word(from, "false")) {
      wrong(from, "true or false is needed");
    }
    break;
  case WG_PERCENT:
    if (read_text(from, &text) && !wg_read_percent(text, place)) {
      wrong(from, "not a percentage such as \"25%\"");
    }
    break;
  case WG_AMOUNT:
    read_amount(from, place);
    break;
  case WG_DURATION:
    ((wg_duration *)place)->given = true;
    if (read_text(from, &text) && !wg_read_duration(text, &((wg_duration *)place)->ms)) {
      wrong(from, "not a duration up to 40 days such as \"1m30s\"");
    }
    break;
  case WG_TEXTS: {
    wg_texts *texts = place;
    texts->ptr = read_list(from, sizeof(wg_string), read_text_item, &texts->len);
    texts->given = true;
    break;
  }
  case WG_AMOUNTS: {
    wg_amounts *amounts = place;
    amounts->ptr = read_list(from, sizeof(wg_amount), read_amount_item, &amounts->len);
    break;
  }
  }
}

static const wg_field *find_field(const wg_form *form, wg_string name) {
  for (size_t i = 0; i < form->count; i++) {
    if (wg_is(name, form->fields[i].name)) {
      return &form->fields[i];
    }
  }
  return NULL;
}

void *wg_read(const wg_form *form, const uint8_t *json, size_t size, wg_string *problem) {
  void *into = wg_allocate(1, form->size + 1);
  bool *seen = wg_new(form->count, bool);
  for (size_t i = 0; i < form->count; i++) {
    const char *fallback = form->fields[i].fallback;
    if (fallback != NULL && *fallback != 0) {
      reader from = {(const uint8_t *)fallback, (const uint8_t *)fallback + strlen(fallback), NULL};
      read_field(&from, &form->fields[i], into);
    }
  }
  reader from = {json, json + size, NULL};
  if (!take(&from, '{')) {
    wrong(&from, "an object is needed");
  }
  wg_string name = {0};
  for (size_t count = 0; from.error == NULL && !take(&from, '}'); count++) {
    if (count > 0 && !take(&from, ',')) {
      wrong(&from, "a comma is missing in an object");
    }
    if (!read_text(&from, &name) || !take(&from, ':')) {
      wrong(&from, "a name is missing in an object");
      break;
    }
    const wg_field *field = find_field(form, name);
    if (field == NULL) {
      wrong(&from, "unknown");
      break;
    }
    seen[field - form->fields] = true;
    read_field(&from, field, into);
  }
  for (size_t i = 0; from.error == NULL && i < form->count; i++) {
    if (!seen[i] && form->fields[i].fallback == NULL) {
      name = wg_text(form->fields[i].name);
      wrong(&from, "missing");
    }
  }
  skip_space(&from);
  if (from.error == NULL && from.at != from.end) {
    wrong(&from, "more than one value");
  }
  if (from.error != NULL) {
    *problem = wg_print("%.*s: %s", WG(name), from.error);
    return NULL;
  }
  return into;
}

static void add_json_text(wgi_builder *to, wg_string text) {
  wgi_add(to, "\"");
  for (size_t i = 0; i < text.len; i++) {
    uint8_t c = text.ptr[i];
    if (c == '"' || c == '\\') {
      wgi_add_bytes(to, "\\", 1);
      wgi_add_bytes(to, &c, 1);
    } else if (c < 0x20) {
      wgi_add_text(to, wg_print("\\u%04x", c));
    } else {
      wgi_add_bytes(to, &c, 1);
    }
  }
  wgi_add(to, "\"");
}

wg_string wg_write(const wg_form *form, const void *from) {
  wgi_builder to = {0};
  for (size_t i = 0; i < form->count; i++) {
    const wg_field *field = &form->fields[i];
    const void *place = (const char *)from + field->offset;
    wgi_add(&to, i == 0 ? "{" : ",");
    add_json_text(&to, wg_text(field->name));
    wgi_add(&to, ":");
    switch (field->type) {
    case WG_TEXT:
      add_json_text(&to, *(const wg_string *)place);
      break;
    case WG_NUMBER:
      wgi_add_text(&to, wg_print("%.17g", *(const double *)place));
      break;
    case WG_FLAG:
      wgi_add(&to, *(const bool *)place ? "true" : "false");
      break;
    case WG_TEXTS: {
      const wg_texts *texts = place;
      wgi_add(&to, "[");
      for (size_t j = 0; j < texts->len; j++) {
        wgi_add(&to, j > 0 ? "," : "");
        add_json_text(&to, texts->ptr[j]);
      }
      wgi_add(&to, "]");
      break;
    }
    default: /* A state keeps other numbers as they are. */
      wgi_add_text(&to, wg_print("%u", *(const uint32_t *)place));
    }
  }
  wgi_add(&to, "}");
  return wgi_built(&to);
}

#define PERCENT_SCHEMA "\"type\":\"string\",\"pattern\":\"^[0-9]{1,3}(\\\\.[0-9])?%$\""
#define AMOUNT_SCHEMA                                                                              \
  "\"oneOf\":[{\"type\":\"integer\",\"minimum\":1,\"maximum\":4294967295},{" PERCENT_SCHEMA "}]"

wg_string wg_schema(const wg_form *form, const char *title, const char *examples) {
  static const char *const SHAPES[] = {
      [WG_TEXT] = "\"type\":\"string\"",
      [WG_NUMBER] = "\"type\":\"number\"",
      [WG_COUNT] = "\"type\":\"integer\",\"minimum\":0,\"maximum\":4294967295",
      [WG_FLAG] = "\"type\":\"boolean\"",
      [WG_PERCENT] = PERCENT_SCHEMA,
      [WG_AMOUNT] = AMOUNT_SCHEMA,
      [WG_DURATION] = "\"type\":\"string\",\"pattern\":\"^([0-9]+(ms|s|m|h|d))+$\"",
      [WG_TEXTS] = "\"type\":\"array\",\"items\":{\"type\":\"string\",\"minLength\":1}",
      [WG_AMOUNTS] = "\"type\":\"array\",\"items\":{" AMOUNT_SCHEMA "}",
  };
  wgi_builder to = {0};
  wgi_add(&to, "{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\",\"title\":");
  add_json_text(&to, wg_text(title));
  wgi_add(&to, ",\"type\":\"object\",\"additionalProperties\":false,\"required\":[");
  const char *between = "";
  for (size_t i = 0; i < form->count; i++) {
    if (form->fields[i].fallback == NULL) {
      wgi_add(&to, between);
      add_json_text(&to, wg_text(form->fields[i].name));
      between = ",";
    }
  }
  wgi_add(&to, "],\"properties\":{");
  for (size_t i = 0; i < form->count; i++) {
    const wg_field *field = &form->fields[i];
    wgi_add(&to, i > 0 ? "," : "");
    add_json_text(&to, wg_text(field->name));
    wgi_add(&to, ":{\"description\":");
    add_json_text(&to, wg_text(field->text));
    if (field->fallback != NULL && *field->fallback != 0) {
      wgi_add(&to, ",\"default\":");
      wgi_add(&to, field->fallback);
    }
    wgi_add(&to, ",");
    wgi_add(&to, SHAPES[field->type]);
    if (field->limits != NULL) {
      wgi_add(&to, ",");
      wgi_add(&to, field->limits);
    }
    wgi_add(&to, "}");
  }
  wgi_add(&to, "},\"examples\":");
  wgi_add(&to, examples != NULL ? examples : "[]");
  wgi_add(&to, "}");
  return wgi_built(&to);
}
