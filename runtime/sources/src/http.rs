//! An HTTP endpoint, of which a gate may see some paths.

use crate::client::{Ask, Client};
use crate::set::BadSource;
use crate::{Fault, Source, what_is};
use wavegate_model::evidence::EvidenceScope;
use wavegate_model::source::HttpSource as HttpSpec;
use wavegate_model::{Evidence, Query};
use wavegate_ports::BoxFuture;

/// An HTTP endpoint: answers `GET` to the paths that its owner lists.
///
/// The owner's pattern covers the path and the query string; one that ends in `*` stands for all
/// that begin so. A path that a server could read in another way than it was compared (with `..`,
/// empty or encoded parts) is refused. An answer is given as it is, whatever its status: a
/// redirect is an answer, too, and is not followed.
pub struct HttpSource {
    client: Client,
    paths: Vec<String>,
    body_bytes_max: usize,
}

impl HttpSource {
    /// Checks the description; asks nobody.
    pub(crate) fn new(spec: &HttpSpec) -> Result<Self, BadSource> {
        Ok(Self {
            client: Client::new(&spec.endpoint)?,
            paths: spec.paths.clone(),
            body_bytes_max: usize::try_from(spec.body_bytes_max).unwrap_or(usize::MAX),
        })
    }

    fn check(&self, path: &str) -> Result<(), Fault> {
        if let Some(problem) = problem(path) {
            return Err(Fault::Refused(format!("the path `{path}` {problem}")));
        }
        let listed = |pattern: &String| match pattern.strip_suffix('*') {
            Some(start) => path.starts_with(start),
            None => path == pattern,
        };
        if self.paths.iter().any(listed) {
            Ok(())
        } else {
            Err(Fault::Refused(format!(
                "its owner does not allow the path `{path}`"
            )))
        }
    }
}

/// Why a path cannot be compared with a pattern for certain.
fn problem(path: &str) -> Option<&'static str> {
    if !path.starts_with('/') {
        return Some("does not begin with `/`");
    }
    if !path.chars().all(|c| c.is_ascii_graphic()) || path.contains(['\\', '#', '"', '<', '>']) {
        return Some("has characters that a path cannot have");
    }
    let name = path.split('?').next().unwrap_or_default();
    let encoded = name.to_ascii_lowercase();
    if ["%2e", "%2f", "%5c", "%25", "%00"]
        .iter()
        .any(|part| encoded.contains(part))
    {
        return Some("hides a dot, a slash or a percent sign");
    }
    // Parameters of a part (`..;x`) are cut off by some servers before they compare.
    let parts = || name.split('/').map(|part| part.split(';').next());
    if parts().any(|part| matches!(part, Some("." | ".."))) {
        return Some("has `.` or `..` as a part");
    }
    if name.contains("//") {
        return Some("has an empty part");
    }
    None
}

impl Source for HttpSource {
    fn kind(&self) -> &'static str {
        "http"
    }

    fn check(&self) -> BoxFuture<'_, Result<(), Fault>> {
        Box::pin(async move {
            // Which paths there are, only the gate and its server know: what is allowed as a
            // whole word is asked for, and otherwise a connection has to do.
            let Some(path) = self.paths.iter().find(|path| !path.ends_with('*')) else {
                return self.client.reach().await;
            };
            let ask = Ask::Get(path.clone());
            match self.client.ask(ask, self.body_bytes_max).await?.status {
                status @ (401 | 403) => Err(Fault::Unavailable(format!(
                    "it refuses the credentials, with status {status}"
                ))),
                _ => Ok(()),
            }
        })
    }

    fn fetch<'a>(
        &'a self,
        query: &'a Query,
        _scope: &'a EvidenceScope,
    ) -> BoxFuture<'a, Result<Evidence, Fault>> {
        Box::pin(async move {
            let Query::HttpGet { path, .. } = query else {
                return Err(Fault::WrongKind(what_is(query)));
            };
            self.check(path)?;
            let ask = Ask::Get(path.clone());
            let reply = self.client.ask(ask, self.body_bytes_max).await?;
            Ok(Evidence::Http {
                status: u32::from(reply.status),
                content_type: reply.content_type,
                body: reply.body,
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_can_be_read_in_two_ways_is_refused() {
        for path in [
            "",
            "health",
            "http://elsewhere/",
            "/a/../b",
            "/a/..",
            "/./a",
            "/a/..;/b",
            "/a/%2e%2e/b",
            "/a/%2E./b",
            "/a%2fb",
            "/a%5Cb",
            "/a%252e",
            "/a\\b",
            "//elsewhere/a",
            "/a//b",
            "/a#b",
            "/a b",
            "/a\r\nHost: b",
            "/ä",
        ] {
            assert!(problem(path).is_some(), "{path}");
        }
        for path in ["/", "/a", "/a/", "/a.b/..c/d..", "/a?b=../c//d", "/a%20b"] {
            assert_eq!(problem(path), None, "{path}");
        }
    }
}
