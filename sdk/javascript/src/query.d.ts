import type { Series } from "./index.js";

/** The names between double braces, in order. */
export function placeholders(query: string): string[];
/**
 * The query with `{{name}}` replaced, escaped for double quotes; what stands in a value is not
 * replaced again.
 */
export function fill(query: string, values: Record<string, string>): string;
/** The value of a label; undefined if the series does not have it. */
export function label(series: Series, name: string): string | undefined;
