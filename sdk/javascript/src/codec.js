// Typed state on one side, JSON bytes on the other.

import { BAD_CONFIG, BAD_STATE, Failed } from "./errors.js";
import * as config from "./config.js";
import * as log from "./log.js";
import { decodeUtf8, encodeUtf8 } from "./utf8.js";

const STATE_BYTES_MAX = 64 * 1024;

/** Reads a state; no bytes are the state before the first call. */
export function readState(definition, bytes) {
  if (definition.initialState === undefined) {
    return undefined;
  }
  if (bytes.length === 0) {
    return structuredCopy(definition.initialState);
  }
  try {
    const state = JSON.parse(decodeUtf8(bytes));
    const names = (value) => Object.keys(value).sort().join();
    if (names(state) !== names(definition.initialState)) {
      throw new RangeError("its fields are not those of this version");
    }
    return state;
  } catch (error) {
    throw new Failed(BAD_STATE, `the state cannot be read: ${error.message}`);
  }
}

/** Writes a state, compact, with its fields in the order of the initial state. */
export function writeState(definition, state) {
  if (definition.initialState === undefined) {
    return new Uint8Array();
  }
  const names = Object.keys(definition.initialState);
  const ordered = Object.fromEntries(names.map((name) => [name, state[name]]));
  const bytes = encodeUtf8(JSON.stringify(ordered));
  if (bytes.length > STATE_BYTES_MAX) {
    const text = `the state takes ${bytes.length} bytes, more than ${STATE_BYTES_MAX}`;
    throw new Failed(BAD_STATE, text);
  }
  return bytes;
}

/** What a plugin finds wrong with a configuration, as JSON. */
export function problems(definition, text) {
  let settings;
  try {
    settings = config.read(definition.config, text);
  } catch (error) {
    if (!(error instanceof Failed) || error.code !== BAD_CONFIG) {
      throw error;
    }
    // The host shows a problem where the author of the policy wrote it.
    return [{ pointer: "", message: error.message }];
  }
  return definition.validateConfig?.(settings) ?? [];
}

/** Runs a call; what is thrown becomes a failure of the contract, with its stack in the log. */
export function call(answer) {
  try {
    return answer();
  } catch (error) {
    if (error instanceof Failed) {
      const { code, message, retryable, details } = error;
      throw { code, message, retryable, details };
    }
    // Without this the message would be lost with the instance.
    const lines = `${error?.stack ?? ""}`.split("\n").filter((line) => line.trim() !== "");
    log.error(`${error}`);
    lines.forEach((line) => log.error(line));
    throw { code: "uncaught", message: `${error}`, retryable: false, details: [] };
  }
}

export function about(definition, kind) {
  const title = `Configuration of the ${kind} ${definition.name}`;
  return {
    name: definition.name,
    version: definition.version,
    stateVersion: (definition.stateVersion ?? 1) | 0,
    configSchema: config.schema(definition.config, title, definition.examples ?? []),
    text: definition.text,
  };
}

function structuredCopy(value) {
  return JSON.parse(JSON.stringify(value));
}
