//! Health checks over HTTP, and what is remembered of them.

use crate::artifact::Health;
use http_body_util::Empty;
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use wavegate_model::evidence::Requests;
use wavegate_model::{Digest, Timestamp};

/// Checks that are remembered for each (cluster, service): half an hour of five nodes that are
/// looked at twice a second.
const CHECKS_MAX: usize = 20_000;

/// One health check.
#[derive(Clone, Debug)]
pub(crate) struct Check {
    pub(crate) at: Timestamp,
    pub(crate) release: Digest,
    pub(crate) outcome: Outcome,
    pub(crate) latency_ms: f64,
}

/// How a check went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Green,
    Red,
}

pub(crate) fn address(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

/// Asks a node whether it serves.
pub(crate) async fn check(port: u16, health: &Health, release: &Digest) -> Check {
    let at = crate::files::now();
    let started = Instant::now();
    let limit = Duration::from_millis(u64::from(health.timeout_ms));
    let answered = tokio::time::timeout(limit, get(address(port), &health.path)).await;
    let outcome = match answered {
        Ok(Some(status)) if status.is_success() => Outcome::Green,
        Ok(_) | Err(_) => Outcome::Red,
    };
    Check {
        at,
        release: release.clone(),
        outcome,
        latency_ms: started.elapsed().as_secs_f64() * 1000.0,
    }
}

/// The status of the answer, none if there is no answer.
async fn get(address: SocketAddr, path: &str) -> Option<hyper::StatusCode> {
    let stream = TcpStream::connect(address).await.ok()?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .ok()?;
    let request = hyper::Request::get(path)
        .header(hyper::header::HOST, address.to_string())
        .header(hyper::header::CONNECTION, "close")
        .header(
            hyper::header::USER_AGENT,
            concat!("wavegate/", env!("CARGO_PKG_VERSION")),
        )
        .body(Empty::<Bytes>::new())
        .ok()?;
    // Driven on the side: the connection ends with the answer, and must not win a race against it.
    let connection = tokio::spawn(connection);
    let answer = sender.send_request(request).await;
    connection.abort();
    Some(answer.ok()?.status())
}

/// The latest checks of a cluster.
#[derive(Debug, Default)]
pub(crate) struct Ring {
    checks: VecDeque<Check>,
}

impl Ring {
    pub(crate) fn push(&mut self, check: Check) {
        if self.checks.len() == CHECKS_MAX {
            self.checks.pop_front();
        }
        self.checks.push_back(check);
    }

    /// Sums up the checks of a release since an instant.
    pub(crate) fn summary(&self, release: &Digest, since: Timestamp) -> Requests {
        let checks = || {
            self.checks
                .iter()
                .filter(|check| check.at >= since && check.release == *release)
        };
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let mut latencies: Vec<f64> = checks().map(|check| check.latency_ms).collect();
        latencies.sort_by(f64::total_cmp);
        // The smallest value that so many percent of all do not exceed.
        let quantile = |percent: usize| {
            let rank = (latencies.len() * percent).div_ceil(100).max(1);
            latencies.get(rank - 1).copied()
        };
        Requests {
            total: count(latencies.len()),
            failed: count(
                checks()
                    .filter(|check| check.outcome == Outcome::Red)
                    .count(),
            ),
            p50_ms: quantile(50),
            p95_ms: quantile(95),
            p99_ms: quantile(99),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_release_and_the_window_count() {
        let (new, old) = (Digest::from_sha256(&[1; 32]), Digest::from_sha256(&[2; 32]));
        let mut ring = Ring::default();
        assert_eq!(ring.summary(&new, Timestamp(0)), Requests::default());
        for ms in 1..=100_u32 {
            let outcome = if ms == 100 {
                Outcome::Red
            } else {
                Outcome::Green
            };
            let at = Timestamp(u64::from(ms));
            ring.push(Check {
                at,
                release: new.clone(),
                outcome,
                latency_ms: f64::from(ms),
            });
            ring.push(Check {
                at,
                release: old.clone(),
                outcome: Outcome::Red,
                latency_ms: 0.0,
            });
        }
        let all = ring.summary(&new, Timestamp(0));
        assert_eq!((all.total, all.failed), (100, 1));
        assert_eq!(
            (all.p50_ms, all.p95_ms, all.p99_ms),
            (Some(50.0), Some(95.0), Some(99.0))
        );
        assert_eq!(ring.summary(&new, Timestamp(91)).total, 10);
    }
}
