//! Adds matchers to every selector of a query in Prometheus' language.
//!
//! The language is read by its grammar, and only the part that is certain: what this reader does
//! not know (comments, functions of later versions, metrics named like a keyword) is refused, so
//! that no selector can hide from it. A server that reads the rest of the language in another way
//! then refuses the query itself.

/// Deeper nesting is no query that a person wrote, and would use up the stack.
const DEPTH_MAX: usize = 64;

#[rustfmt::skip]
const AGGREGATIONS: [&str; 14] = [
    "avg", "bottomk", "count", "count_values", "group", "limit_ratio", "limitk", "max", "min",
    "quantile", "stddev", "stdvar", "sum", "topk",
];
/// Words that mean something else than a metric in some place.
#[rustfmt::skip]
const KEYWORDS: [&str; 18] = [
    "and", "atan2", "bool", "by", "end", "fill", "fill_left", "fill_right", "group_left",
    "group_right", "ignoring", "offset", "on", "or", "start", "step", "unless", "without",
];
/// Functions that read nothing but their arguments. `info` is not among them: it looks up other
/// series by itself.
#[rustfmt::skip]
const FUNCTIONS: [&str; 79] = [
    "abs", "absent", "absent_over_time", "acos", "acosh", "asin", "asinh", "atan", "atanh",
    "avg_over_time", "ceil", "changes", "clamp", "clamp_max", "clamp_min", "cos", "cosh",
    "count_over_time", "day_of_month", "day_of_week", "day_of_year", "days_in_month", "deg",
    "delta", "deriv", "double_exponential_smoothing", "exp", "first_over_time", "floor",
    "histogram_avg", "histogram_count", "histogram_fraction", "histogram_quantile",
    "histogram_stddev", "histogram_stdvar", "histogram_sum", "holt_winters", "hour", "idelta",
    "increase", "irate", "label_join", "label_replace", "last_over_time", "ln", "log10", "log2",
    "mad_over_time", "max_over_time", "min_over_time", "minute", "month", "pi",
    "predict_linear", "present_over_time", "quantile_over_time", "rad", "rate", "resets",
    "round", "scalar", "sgn", "sin", "sinh", "sort", "sort_by_label", "sort_by_label_desc",
    "sort_desc", "sqrt", "stddev_over_time", "stdvar_over_time", "sum_over_time", "tan", "tanh",
    "time", "timestamp", "vector", "year", "ts_of_max_over_time",
];
const OPERATORS: [&str; 12] = [
    "==", "!=", ">=", "<=", ">", "<", "+", "-", "*", "/", "%", "^",
];
const MATCHERS: [&str; 4] = ["=~", "!~", "!=", "="];

/// The query goes beyond what can be read for certain.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected {expected} at `{rest}`; the source's labels are added to every selector, \
     so a query is taken only when all of its selectors are certain"
)]
pub(crate) struct NotCertain {
    expected: &'static str,
    rest: String,
}

/// One matcher, `label="value"`; none if the label cannot be one of Prometheus.
pub(crate) fn matcher(label: &str, value: &str) -> Option<String> {
    let starts = |c: char| c.is_ascii_alphabetic() || c == '_';
    let good = label.starts_with(starts)
        && label.chars().all(|c| starts(c) || c.is_ascii_digit())
        // The name of the metric would be fixed.
        && label != "__name__";
    let escaped = value
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n");
    good.then(|| format!("{label}=\"{escaped}\""))
}

/// The query with the matchers in each of its selectors.
pub(crate) fn with_matchers(query: &str, matchers: &str) -> Result<String, NotCertain> {
    let mut reader = Reader {
        text: query,
        at: 0,
        depth: 0,
        selectors: Vec::new(),
    };
    reader.expression()?;
    if reader.peek().is_some() {
        return reader.fail("an operator or the end");
    }
    let mut out = String::new();
    let mut done = 0;
    for selector in reader.selectors {
        let at = match selector {
            Selector::Name { end } => end,
            Selector::Braces { open } => open + 1,
        };
        out.push_str(&query[done..at]);
        match selector {
            Selector::Name { .. } => out.extend(["{", matchers, "}"]),
            Selector::Braces { .. } => out.extend([matchers, ","]),
        }
        done = at;
    }
    out.push_str(&query[done..]);
    Ok(out)
}

#[derive(Clone, Copy)]
enum Selector {
    /// A name alone, and where it ends.
    Name { end: usize },
    /// Where the brace opens.
    Braces { open: usize },
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
    selectors: Vec<Selector>,
}

type Read = Result<(), NotCertain>;

impl<'a> Reader<'a> {
    fn expression(&mut self) -> Read {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return self.fail("less nesting");
        }
        loop {
            while self.eat("+") || self.eat("-") {}
            self.operand()?;
            self.after_operand()?;
            if !self.operator()? {
                break;
            }
        }
        self.depth -= 1;
        Ok(())
    }

    fn operand(&mut self) -> Read {
        match self.peek() {
            Some('(') => {
                self.eat("(");
                self.expression()?;
                self.expect(")", "`)`")
            }
            Some('{') => self.braces(),
            Some('"' | '\'' | '`') => self.string(),
            Some('0'..='9' | '.') => self.number(),
            Some(c) if starts_word(c) => self.named(),
            _ => self.fail("a selector, a function or a number"),
        }
    }

    /// A metric, a function, an aggregation, or a number in words.
    fn named(&mut self) -> Read {
        let before = self.at;
        let word = self.word();
        let lower = word.to_ascii_lowercase();
        if lower == "inf" || lower == "nan" {
            return Ok(());
        }
        if AGGREGATIONS.contains(&lower.as_str()) {
            let grouped = self.grouping()?;
            self.arguments()?;
            return if grouped {
                Ok(())
            } else {
                self.grouping().map(drop)
            };
        }
        if KEYWORDS.contains(&lower.as_str()) {
            self.at = before;
            return self.fail("a metric that is not named like a keyword");
        }
        let end = self.at;
        match self.peek() {
            Some('(') if FUNCTIONS.contains(&word) => self.arguments(),
            Some('(') => {
                self.at = before;
                self.fail("a known function")
            }
            Some('{') => self.braces(),
            _ => {
                self.selectors.push(Selector::Name { end });
                Ok(())
            }
        }
    }

    fn arguments(&mut self) -> Read {
        self.expect("(", "`(`")?;
        if self.eat(")") {
            return Ok(());
        }
        loop {
            self.expression()?;
            if self.eat(")") {
                return Ok(());
            }
            self.expect(",", "`,` or `)`")?;
        }
    }

    /// `by (..)` or `without (..)`, if it is there.
    fn grouping(&mut self) -> Result<bool, NotCertain> {
        let there = self.eat_word("by") || self.eat_word("without");
        if there {
            self.label_list()?;
        }
        Ok(there)
    }

    fn label_list(&mut self) -> Read {
        self.expect("(", "`(` and labels")?;
        loop {
            if self.eat(")") {
                return Ok(());
            }
            self.label()?;
            if !self.eat(",") {
                return self.expect(")", "`,` or `)`");
            }
        }
    }

    fn label(&mut self) -> Read {
        match self.peek() {
            Some('"' | '\'' | '`') => self.string(),
            Some(c) if starts_word(c) => {
                self.word();
                Ok(())
            }
            _ => self.fail("a label"),
        }
    }

    fn braces(&mut self) -> Read {
        self.peek();
        self.selectors.push(Selector::Braces { open: self.at });
        self.expect("{", "`{`")?;
        loop {
            if self.eat("}") {
                return Ok(());
            }
            self.label()?;
            if MATCHERS.iter().any(|matcher| self.eat(matcher)) {
                self.string()?;
            }
            if !self.eat(",") {
                return self.expect("}", "`,` or `}`");
            }
        }
    }

    /// A window, an offset, an instant.
    fn after_operand(&mut self) -> Read {
        loop {
            if self.eat("[") {
                let inside = |c: char| c.is_ascii_alphanumeric() || ".: \t\r\n".contains(c);
                self.skip(inside);
                self.expect("]", "a duration and `]`")?;
            } else if self.eat_word("offset") {
                let _ = self.eat("-") || self.eat("+");
                self.number()?;
            } else if self.eat("@") {
                if self.eat_word("start") || self.eat_word("end") {
                    self.expect("(", "`()`")?;
                    self.expect(")", "`()`")?;
                } else {
                    let _ = self.eat("-") || self.eat("+");
                    self.number()?;
                }
            } else {
                return Ok(());
            }
        }
    }

    fn operator(&mut self) -> Result<bool, NotCertain> {
        let words = ["and", "or", "unless", "atan2"];
        let there = OPERATORS.iter().any(|operator| self.eat(operator))
            || words.iter().any(|word| self.eat_word(word));
        if !there {
            return Ok(false);
        }
        self.eat_word("bool");
        if self.eat_word("on") || self.eat_word("ignoring") {
            self.label_list()?;
            let groups = self.eat_word("group_left") || self.eat_word("group_right");
            if groups && self.peek() == Some('(') {
                self.label_list()?;
            }
        }
        Ok(true)
    }

    fn string(&mut self) -> Read {
        let before = self.at;
        let Some(quote @ ('"' | '\'' | '`')) = self.peek() else {
            return self.fail("a quoted text");
        };
        let start = self.at + 1;
        let mut escaped = false;
        for (offset, c) in self.text[start..].char_indices() {
            match c {
                '\n' if quote != '`' => break,
                _ if escaped => escaped = false,
                '\\' if quote != '`' => escaped = true,
                c if c == quote => {
                    self.at = start + offset + 1;
                    return Ok(());
                }
                _ => {}
            }
        }
        self.at = before;
        self.fail("a text with a closing quote")
    }

    /// A number or a duration. One that Prometheus does not know is an error there; here it only
    /// matters where it ends.
    fn number(&mut self) -> Read {
        if !matches!(self.peek(), Some('0'..='9' | '.')) {
            return self.fail("a number");
        }
        let start = self.at;
        let inside = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '_';
        self.skip(inside);
        let (number, rest) = (&self.text[start..self.at], &self.text[self.at..]);
        let mantissa = number.strip_suffix(['e', 'E']).unwrap_or_default();
        let has_exponent = !mantissa.is_empty()
            && mantissa.chars().all(|c| c.is_ascii_digit() || c == '.')
            && rest.starts_with(['+', '-'])
            && rest[1..].starts_with(|c: char| c.is_ascii_digit());
        if has_exponent {
            self.at += 1;
            self.skip(inside);
        }
        Ok(())
    }

    /// The word that begins here.
    fn word(&mut self) -> &'a str {
        let start = self.at;
        self.skip(|c| starts_word(c) || c.is_ascii_digit());
        &self.text[start..self.at]
    }

    fn eat_word(&mut self, wanted: &str) -> bool {
        if !self.peek().is_some_and(starts_word) {
            return false;
        }
        let before = self.at;
        let there = self.word().eq_ignore_ascii_case(wanted);
        if !there {
            self.at = before;
        }
        there
    }

    fn eat(&mut self, wanted: &str) -> bool {
        self.peek();
        let there = self.text[self.at..].starts_with(wanted);
        if there {
            self.at += wanted.len();
        }
        there
    }

    fn expect(&mut self, wanted: &str, expected: &'static str) -> Read {
        if self.eat(wanted) {
            Ok(())
        } else {
            self.fail(expected)
        }
    }

    /// The next character that is no space.
    fn peek(&mut self) -> Option<char> {
        self.skip(|c| " \t\r\n".contains(c));
        self.text[self.at..].chars().next()
    }

    fn skip(&mut self, inside: impl Fn(char) -> bool) {
        let rest = &self.text[self.at..];
        self.at += rest.find(|c| !inside(c)).unwrap_or(rest.len());
    }

    fn fail<T>(&self, expected: &'static str) -> Result<T, NotCertain> {
        const SHOWN: usize = 30;
        Err(NotCertain {
            expected,
            rest: self.text[self.at..].chars().take(SHOWN).collect(),
        })
    }
}

fn starts_word(c: char) -> bool {
    c.is_ascii_alphabetic() || c == '_' || c == ':'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_selector_gets_the_matchers() {
        for (query, wanted) in [
            ("up", "up{T}"),
            ("up{}", "up{T,}"),
            ("up {job=\"a\"}", "up {T,job=\"a\"}"),
            ("{__name__=~\".+\",}", "{T,__name__=~\".+\",}"),
            ("{\"a.b\", 'c.d'!='x'}", "{T,\"a.b\", 'c.d'!='x'}"),
            ("rate(a:b[5m])", "rate(a:b{T}[5m])"),
            (
                "sum by (x, y) (a) / sum(b) without(z)",
                "sum by (x, y) (a{T}) / sum(b{T}) without(z)",
            ),
            ("SUM(a)", "SUM(a{T})"),
            (
                "a * on(x) group_left (y) b and ignoring() c > bool -1e-5",
                "a{T} * on(x) group_left (y) b{T} and ignoring() c{T} > bool -1e-5",
            ),
            (
                "max_over_time(rate(a[1m])[1h:5m] offset -3d) @ end()",
                "max_over_time(rate(a{T}[1m])[1h:5m] offset -3d) @ end()",
            ),
            (
                "a @ 1609746000.5 offset 1w",
                "a{T} @ 1609746000.5 offset 1w",
            ),
            ("a{x=\"}\"} + b", "a{T,x=\"}\"} + b{T}"),
            (
                "a{x=\"\\\"} or b{\"} unless c",
                "a{T,x=\"\\\"} or b{\"} unless c{T}",
            ),
            ("a{x=`\\`} or b", "a{T,x=`\\`} or b{T}"),
            (
                "label_replace(a, 'x', \"$1\", `b`, '(.*)')",
                "label_replace(a{T}, 'x', \"$1\", `b`, '(.*)')",
            ),
            (
                "vector(1) - NaN + time() + .5 + 0x1F",
                "vector(1) - NaN + time() + .5 + 0x1F",
            ),
            ("topk(3,a)\n>\t+Inf", "topk(3,a{T})\n>\t+Inf"),
            ("{a=\"1\"}==-{b!~\"2\"}", "{T,a=\"1\"}==-{T,b!~\"2\"}"),
            ("rate_total", "rate_total{T}"),
            ("((a))", "((a{T}))"),
        ] {
            assert_eq!(with_matchers(query, "T").as_deref(), Ok(wanted), "{query}");
        }
    }

    #[test]
    fn what_is_not_certain_is_refused() {
        for query in [
            "",
            "a b",
            "a # b",
            "a{x=\"\n\"}",
            "a{x=\"b}",
            "a{x=\"b\" or y=\"c\"}",
            "a{x=b}",
            "a{,}",
            "by",
            "sum",
            "on",
            "a + on",
            "a + bool",
            "START",
            "info(a)",
            "newest_function(a)",
            "Rate(a[5m])",
            "a:b(c)",
            "0x1e-a b",
            "1e-a b",
            "a[5m",
            "a[5m + b]",
            "a[{b}]",
            "a offset b",
            "a @ b",
            "a * on(x) group_left (b{y=\"z\"})",
            "a * on(x) group_left (b)",
            "sum by (a) by (b)",
            "f(a",
            "rate(a[5m]))",
            "a = b",
            "a =~ \"b\"",
            "ä",
            "a;b",
            "a\u{a0}+ b",
            "with (x = y) a",
            &"(".repeat(5000),
            &format!("{}a{}", "(".repeat(100), ")".repeat(100)),
        ] {
            let read = with_matchers(query, "T");
            assert!(read.is_err(), "{query}: {read:?}");
        }
    }

    #[test]
    fn matchers_are_escaped() {
        let escaped = matcher("team", "a\"b\\c\nd");
        assert_eq!(escaped.as_deref(), Some("team=\"a\\\"b\\\\c\\nd\""));
        for label in ["", "1a", "a-b", "a.b", "a/b", "a\"", "__name__"] {
            assert_eq!(matcher(label, "x"), None, "{label}");
        }
    }
}
