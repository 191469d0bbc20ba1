//! What may be asked, whatever the contract.

use crate::evidence::QUERY_BYTES_MAX;

/// Why a question cannot be asked, under the code `bad-query`.
pub(crate) struct BadQuery(pub(crate) String);

/// Checks a text that goes to a source. Line breaks and tabs are part of query languages; other
/// control characters are part of attacks.
pub(crate) fn text(what: &str, text: &str) -> Result<(), BadQuery> {
    if text.len() > QUERY_BYTES_MAX {
        return Err(BadQuery(format!(
            "the {what} has {} bytes; it may have {QUERY_BYTES_MAX}",
            text.len()
        )));
    }
    if text
        .chars()
        .any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t'))
    {
        return Err(BadQuery(format!("the {what} has control characters")));
    }
    Ok(())
}

/// Checks the step of a range.
pub(crate) fn step(ms: u32) -> Result<(), BadQuery> {
    if ms == 0 {
        return Err(BadQuery("step-ms is 0; it must be at least 1".into()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_to_a_source_is_bounded_text() {
        assert!(text("query", "sum(\n\trate(x[5m]))").is_ok());
        let escape = text("query", "up\x1b[2J").map_err(|refused| refused.0);
        assert_eq!(escape, Err("the query has control characters".into()));
        assert!(text("path", &"x".repeat(QUERY_BYTES_MAX)).is_ok());
        assert!(text("path", &"x".repeat(QUERY_BYTES_MAX + 1)).is_err());
        assert!(step(0).is_err() && step(1).is_ok());
    }
}
