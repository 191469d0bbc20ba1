// Configurations: one declaration gives the JSON Schema, the reading and the type.
//
//   const settings = config.object({
//     steps: config.list(config.amount(), { text: "Nodes, step by step.", minItems: 1 }),
//     pause: config.optional(config.duration({ text: "How long to watch." })),
//   });

import { BAD_CONFIG, Failed } from "./errors.js";
import { Amount, Duration, Percent } from "./units.js";

/** A text. */
export function text(options = {}) {
  const { text: description, ...limits } = options;
  return setting(description, { type: "string", ...limits }, expect("string", "a text"));
}

/** A number. */
export function number(options = {}) {
  const { text: description, ...limits } = options;
  return setting(description, { type: "number", ...limits }, expect("number", "a number"));
}

/** True or false. */
export function flag(options = {}) {
  return setting(options.text, { type: "boolean" }, expect("boolean", "true or false"));
}

/** One of some words. */
export function choice(words, options = {}) {
  return setting(options.text, { enum: words }, (value) => {
    if (!words.includes(value)) {
      throw new RangeError(`not one of ${words.join(", ")}`);
    }
    return value;
  });
}

/** A share such as "25%". */
export function percent(options = {}) {
  return setting(options.text, { type: "string", pattern: Percent.PATTERN }, Percent.parse);
}

/** A count, or a share such as "25%". */
export function amount(options = {}) {
  const count = { type: "integer", minimum: 1, maximum: 4294967295 };
  const share = { type: "string", pattern: Percent.PATTERN };
  return setting(options.text, { oneOf: [count, share] }, Amount.parse);
}

/** A duration such as "1m30s". */
export function duration(options = {}) {
  return setting(options.text, { type: "string", pattern: Duration.PATTERN }, Duration.parse);
}

/** A list. */
export function list(item, options = {}) {
  const { text: description, ...limits } = options;
  const schema = { type: "array", items: item.schema, ...limits };
  return setting(description, schema, (value) => {
    if (!Array.isArray(value)) {
      throw new TypeError("not a list");
    }
    return value.map((it) => item.read(it));
  });
}

/** May be left out; then it is `fallback`, or undefined. */
export function optional(inner, fallback = undefined) {
  const schema =
    fallback === undefined ? inner.schema : { ...inner.schema, default: fallback };
  return { ...inner, schema, isOptional: true, fallback };
}

/** Settings by name; others are refused. */
export function object(fields, options = {}) {
  const entries = Object.entries(fields);
  const schema = {
    type: "object",
    additionalProperties: false,
    required: entries.filter(([, field]) => !field.isOptional).map(([name]) => name),
    properties: Object.fromEntries(entries.map(([name, field]) => [name, field.schema])),
  };
  return setting(options.text, schema, (value) => {
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      throw new TypeError("not an object");
    }
    const unknown = Object.keys(value).find((name) => !Object.hasOwn(fields, name));
    if (unknown !== undefined) {
      throw new RangeError(`unknown: ${unknown}`);
    }
    return Object.fromEntries(entries.map(([name, field]) => [name, readField(field, name, value)]));
  });
}

/** The JSON Schema of a whole configuration. */
export function schema(settings, title, examples) {
  return JSON.stringify({
    $schema: "https://json-schema.org/draft/2020-12/schema",
    title,
    ...settings.schema,
    examples,
  });
}

/** Reads a configuration; what cannot be read is the failure `bad-config`. */
export function read(settings, text) {
  try {
    return settings.read(JSON.parse(text));
  } catch (error) {
    throw new Failed(BAD_CONFIG, `the configuration cannot be read: ${error.message}`);
  }
}

function readField(field, name, value) {
  if (!Object.hasOwn(value, name)) {
    if (field.isOptional) {
      return field.fallback;
    }
    throw new RangeError(`${name} is missing`);
  }
  try {
    return field.read(value[name]);
  } catch (error) {
    throw new RangeError(`${name}: ${error.message}`);
  }
}

function setting(description, shape, read) {
  const schema = description === undefined ? shape : { description, ...shape };
  return { schema, read, isOptional: false };
}

function expect(type, words) {
  return (value) => {
    if (typeof value !== type) {
      throw new TypeError(`not ${words}`);
    }
    return value;
  };
}
