/** A share in permille, written as a percentage such as "25%" or "0.5%". */
export class Percent {
  constructor(permille: number);
  readonly permille: number;
  static readonly PATTERN: string;
  static parse(text: unknown): Percent;
  /** This share of a count, rounded up. */
  of(count: number): number;
  isZero(): boolean;
  toString(): string;
}

/** A count such as 3, or a percentage such as "25%". */
export class Amount {
  constructor(value: number | Percent);
  readonly value: number | Percent;
  static parse(value: unknown): Amount;
  /** The number out of `total`, rounded up and never more than `total`. */
  of(total: number): number;
  isZero(): boolean;
  /** Whether both are counts or both are percentages, and this one is the smaller. */
  isLessThan(other: Amount): boolean;
  toString(): string;
}

/** A duration in whole milliseconds, written as "500ms", "10s" or "1m30s"; 40 days at most. */
export class Duration {
  constructor(ms: number);
  readonly ms: number;
  static readonly PATTERN: string;
  static parse(text: unknown): Duration;
  toString(): string;
}

/** A number for people: at most six decimals, and no zeros at the end. */
export function number(value: number): string;
