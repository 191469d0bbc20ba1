// A strategy that does what its configuration says: loop, allocate, recurse, trap or flood the log.

import { config, defineStrategy, log } from "./sdk/javascript/src/index.js";

function deep(depth) {
  return deep(depth + 1) + 1;
}

const ways = {
  loop() {
    for (;;) {
      ways.count = (ways.count ?? 0) + 1;
    }
  },
  allocate() {
    const kept = [];
    for (;;) {
      kept.push("x".repeat(1 << 20) + kept.length);
    }
  },
  recurse() {
    deep(0);
  },
  log() {
    for (;;) {
      log.info("x".repeat(1000));
    }
  },
  trap() {
    throw new Error("the author made a mistake");
  },
};

export const strategy = defineStrategy({
  name: "bad",
  version: "0.1.0",
  text: "Misbehaves.",
  config: config.object({ bad: config.text() }),
  outline: () => [],
  decide: (view, settings) => ways[settings.bad](),
});
