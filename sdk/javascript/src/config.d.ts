/** Configurations: one declaration gives the JSON Schema, the reading and the type. */

import type { Amount, Duration, Percent } from "./units.js";

/** A setting that is read as `T`. */
export interface Config<T> {
  readonly schema: Record<string, unknown>;
  readonly isOptional: boolean;
  read(value: unknown): T;
}

/** What a declaration reads as. */
export type Infer<C> = C extends Config<infer T> ? T : never;

interface Described {
  /** A sentence for people. */
  text?: string;
}

export function text(
  options?: Described & { minLength?: number; maxLength?: number; pattern?: string },
): Config<string>;
export function number(options?: Described & { minimum?: number; maximum?: number }): Config<number>;
export function flag(options?: Described): Config<boolean>;
export function choice<const W extends string>(words: readonly W[], options?: Described): Config<W>;
/** A share such as "25%". */
export function percent(options?: Described): Config<Percent>;
/** A count, or a share such as "25%". */
export function amount(options?: Described): Config<Amount>;
/** A duration such as "1m30s". */
export function duration(options?: Described): Config<Duration>;
export function list<T>(
  item: Config<T>,
  options?: Described & { minItems?: number; maxItems?: number; uniqueItems?: boolean },
): Config<T[]>;
/** May be left out; then it is `fallback`, or undefined. */
export function optional<T>(inner: Config<T>): Config<T | undefined>;
export function optional<T>(inner: Config<T>, fallback: T): Config<T>;
/** Settings by name; others are refused. */
export function object<F extends Record<string, Config<unknown>>>(
  fields: F,
  options?: Described,
): Config<{ [K in keyof F]: Infer<F[K]> }>;
