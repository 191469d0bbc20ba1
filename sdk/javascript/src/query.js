// Queries with placeholders: `{{name}}` is replaced by what a call knows.
//
// Values go inside the double quotes of a query, as in `up{cluster="{{cluster}}"}`, and are escaped
// for them: a name can never change what a query asks for.

/** The names between double braces, in order. */
export function placeholders(query) {
  return query
    .split("{{")
    .slice(1)
    .filter((rest) => rest.includes("}}"))
    .map((rest) => rest.slice(0, rest.indexOf("}}")));
}

/** The query with these placeholders replaced; what stands in a value is not replaced again. */
export function fill(query, values) {
  let filled = "";
  let rest = query;
  for (;;) {
    const open = rest.indexOf("{{");
    if (open < 0) {
      return filled + rest;
    }
    filled += rest.slice(0, open);
    rest = rest.slice(open + 2);
    const close = rest.indexOf("}}");
    const name = rest.slice(0, Math.max(close, 0));
    if (close >= 0 && Object.hasOwn(values, name)) {
      filled += values[name].replaceAll("\\", "\\\\").replaceAll('"', '\\"');
      rest = rest.slice(close + 2);
    } else {
      filled += "{{";
    }
  }
}

/** The value of a label; undefined if the series does not have it. */
export function label(series, name) {
  return series.labels.find(([key]) => key === name)?.[1];
}
