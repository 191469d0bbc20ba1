// The same numbers as in every other language.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { Duration, Percent, number, query, shares } from "../src/index.js";

const file = new URL("../../conformance/arithmetic.json", import.meta.url);
const cases = JSON.parse(readFileSync(file, "utf8"));

test("nodes are spread", () => {
  for (const { nodes, capacities, given } of cases.spread) {
    assert.deepEqual(shares.spread(nodes, capacities), given);
  }
});

test("parts sum to the total", () => {
  for (const { total, weights, parts } of cases.apportion) {
    assert.deepEqual(shares.apportion(total, weights), parts);
  }
});

test("numbers are shown", () => {
  for (const { value, text } of cases.number) {
    assert.equal(number(value), text);
  }
});

test("durations are read and shown", () => {
  for (const { text, ms, shown } of cases.duration) {
    if (ms === null) {
      assert.throws(() => Duration.parse(text), text);
    } else {
      assert.deepEqual([Duration.parse(text).ms, `${Duration.parse(text)}`], [ms, shown]);
    }
  }
});

test("percentages are read", () => {
  for (const { text, permille } of cases.percent) {
    if (permille === null) {
      assert.throws(() => Percent.parse(text), text);
    } else {
      assert.equal(Percent.parse(text).permille, permille);
    }
  }
});

test("placeholders are replaced once", () => {
  for (const { query: text, values, filled, placeholders } of cases.fill) {
    assert.equal(query.fill(text, values), filled);
    assert.deepEqual(query.placeholders(text), placeholders);
  }
});
