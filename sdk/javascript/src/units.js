// Units for configurations, as people write them: "25%", 3, "1m30s".

const U32_MAX = 4294967295;
const DAY_MS = 24 * 60 * 60 * 1000;
const UNITS = { ms: 1, s: 1000, m: 60 * 1000, h: 60 * 60 * 1000, d: DAY_MS };

/** A share in permille, written as a percentage such as "25%" or "0.5%". */
export class Percent {
  static PATTERN = "^[0-9]{1,3}(\\.[0-9])?%$";

  constructor(permille) {
    this.permille = permille;
  }

  /** Reads a percentage with at most one decimal, because shares are whole permille. */
  static parse(text) {
    const match = typeof text === "string" ? /^([0-9]+)(?:\.([0-9]))?%$/.exec(text) : null;
    const permille = match ? Number(match[1]) * 10 + Number(match[2] ?? 0) : Infinity;
    if (permille > 1000) {
      throw new RangeError(
        `${JSON.stringify(text)} is not a percentage from "0%" to "100%" with at most one decimal`,
      );
    }
    return new Percent(permille);
  }

  /** This share of a count, rounded up. */
  of(count) {
    return Math.ceil((count * this.permille) / 1000);
  }

  isZero() {
    return this.permille === 0;
  }

  toString() {
    const [whole, tenths] = [Math.floor(this.permille / 10), this.permille % 10];
    return tenths === 0 ? `${whole} %` : `${whole}.${tenths} %`;
  }
}

/** A count such as 3, or a percentage such as "25%". */
export class Amount {
  constructor(value) {
    this.value = value;
  }

  static parse(value) {
    if (Number.isInteger(value) && value >= 0 && value <= U32_MAX) {
      return new Amount(value);
    }
    if (typeof value === "string") {
      return new Amount(Percent.parse(value));
    }
    throw new RangeError(`${JSON.stringify(value)} is not a count, nor a percentage such as "25%"`);
  }

  /** The number out of `total`, rounded up and never more than `total`. */
  of(total) {
    return this.value instanceof Percent ? this.value.of(total) : Math.min(this.value, total);
  }

  /** Whether it is nothing for every total. */
  isZero() {
    return this.value instanceof Percent ? this.value.isZero() : this.value === 0;
  }

  /** Whether both are counts or both are percentages, and this one is the smaller. */
  isLessThan(other) {
    if (this.value instanceof Percent && other.value instanceof Percent) {
      return this.value.permille < other.value.permille;
    }
    return typeof this.value === "number" && this.value < other.value;
  }

  toString() {
    return String(this.value);
  }
}

/** A duration in whole milliseconds, written as "500ms", "10s" or "1m30s"; 40 days at most. */
export class Duration {
  static PATTERN = "^([0-9]+(ms|s|m|h|d))+$";

  constructor(ms) {
    this.ms = ms;
  }

  static parse(text) {
    let ms = typeof text === "string" && /^([0-9]+(ms|s|m|h|d))+$/.test(text) ? 0 : Infinity;
    for (const [, number, unit] of ms === 0 ? text.matchAll(/([0-9]+)(ms|s|m|h|d)/g) : []) {
      ms += Number(number) * UNITS[unit];
    }
    if (ms > 40 * DAY_MS) {
      throw new RangeError(
        `${JSON.stringify(text)} is not a duration up to 40 days such as "500ms", "10s" or "1m30s"`,
      );
    }
    return new Duration(ms);
  }

  toString() {
    if (this.ms === 0) {
      return "0 s";
    }
    const unit = ["h", "m", "s", "ms"].find((unit) => this.ms % UNITS[unit] === 0);
    return `${this.ms / UNITS[unit]} ${unit}`;
  }
}

/** A number for people: at most six decimals, and no zeros at the end. */
export function number(value) {
  return fixed(value).replace(/0+$/, "").replace(/\.$/, "");
}

/** Six decimals; ties go to the even digit and the sign of zero stays, as in other languages. */
function fixed(value) {
  const sign = value < 0 || Object.is(value, -0) ? "-" : "";
  const size = Math.abs(value);
  if (size >= 2 ** 53) {
    // `toFixed` would write an exponent; these are whole numbers.
    return `${sign}${BigInt(size)}.000000`;
  }
  // A number lies just between two of six decimals only if it is an odd multiple of 1/128.
  const is_tie = Number.isInteger(size * 128) && (size * 128) % 2 === 1;
  if (!is_tie) {
    return sign + size.toFixed(6);
  }
  const below = size.toFixed(7).slice(0, -1);
  const is_even = Number(below.at(-1)) % 2 === 0;
  return sign + (is_even ? below : size.toFixed(6));
}
