//! The same against a real Prometheus, which scrapes itself.

use crate::servers::{endpoint, fixture, instant, open, prometheus, range, scope_at};
use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use wavegate_model::source::{Auth, PrometheusSource, SecretRef, SourceKind, Tls};
use wavegate_model::{Evidence, Query, SourceName};
use wavegate_ports::sources::{SourceError, Sources};

/// Far more than a start takes on a busy machine.
const DEADLINE: Duration = Duration::from_secs(120);
const PASSWORD: &str = "s3cr3t-password";

/// A server on a port of its own, with its data in a folder that stays.
struct Prometheus<'a> {
    folder: &'a Path,
    port: u16,
    process: Child,
}

impl Drop for Prometheus<'_> {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to stop.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl<'a> Prometheus<'a> {
    fn start(folder: &'a Path, port: u16, web: &str) -> Self {
        let config = format!(
            "global: {{scrape_interval: 500ms, scrape_timeout: 500ms}}\n\
             scrape_configs: [{{job_name: own, static_configs: [{{targets: ['127.0.0.1:{port}']}}]{}}}]\n",
            if web.is_empty() { "" } else { CLIENT }
        );
        let config = config
            .replace("AUTHORITY", &fixture("authority.pem"))
            .replace("CERTIFICATE", &fixture("client.pem"))
            .replace("KEY", &fixture("client.key"))
            .replace("PASSWORD", PASSWORD);
        std::fs::write(folder.join("prometheus.yml"), config).unwrap();
        std::fs::write(folder.join("web.yml"), web).unwrap();
        let log = std::fs::File::create(folder.join("log")).unwrap();
        let process = Command::new("prometheus")
            .current_dir(folder)
            .args(["--config.file=prometheus.yml", "--storage.tsdb.path=data"])
            .arg("--web.config.file=web.yml")
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("Debian's package `prometheus` is installed; `cargo xtask test` does it");
        Self {
            folder,
            port,
            process,
        }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    fn spec(&self) -> PrometheusSource {
        prometheus(endpoint(format!("http://127.0.0.1:{}", self.port)))
    }

    /// Asks until it answers with a sample.
    async fn sample(&mut self, spec: &PrometheusSource, query: &str) -> f64 {
        let mut tick = tokio::time::interval(Duration::from_millis(100));
        let mut last = None;
        let answered = tokio::time::timeout(DEADLINE, async {
            loop {
                tick.tick().await;
                let ended = self.process.try_wait().unwrap();
                assert_eq!(ended, None, "it ended: {}", self.log());
                match ask(spec, instant(query)).await {
                    Ok(Evidence::Series(list)) if !list.is_empty() => {
                        return list[0].samples[0].1;
                    }
                    other => last = Some(other),
                }
            }
        })
        .await;
        answered.unwrap_or_else(|_| panic!("no sample: {last:?}: {}", self.log()))
    }
}

const CLIENT: &str = ", scheme: https, \
    tls_config: {ca_file: 'AUTHORITY', cert_file: 'CERTIFICATE', key_file: 'KEY'}, \
    basic_auth: {username: gate, password: 'PASSWORD'}";

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

async fn ask(spec: &PrometheusSource, query: Query) -> Result<Evidence, SourceError> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let now = u64::try_from(now.as_millis()).unwrap();
    let set = open(SourceKind::Prometheus(spec.clone())).unwrap();
    let scope = scope_at(now, now - 60_000);
    set.fetch(&SourceName::from("s"), &query, &scope).await
}

async fn count(spec: &PrometheusSource, query: &str) -> usize {
    match ask(spec, instant(query)).await {
        Ok(Evidence::Series(list)) => list.len(),
        other => panic!("{query}: {other:?}"),
    }
}

#[tokio::test]
async fn a_real_prometheus_answers_and_goes_away_and_answers_again() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let mut server = Prometheus::start(folder.path(), port, "");
    let mut spec = server.spec();
    assert_eq!(server.sample(&spec, "up{job=\"own\"}").await, 1.0);

    let Evidence::Series(list) = ask(&spec, instant("up")).await.unwrap() else {
        panic!("no series");
    };
    let names: Vec<_> = list[0]
        .labels
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    assert_eq!(names, ["__name__", "instance", "job"]);

    let Evidence::Series(list) = ask(&spec, range("up", 30_000, 250)).await.unwrap() else {
        panic!("no series");
    };
    let samples = &list[0].samples;
    assert!(samples.is_sorted_by(|(a, _), (b, _)| *b - *a == 250.0));
    assert!(samples.iter().all(|(_, value)| [0.0, 1.0].contains(value)));

    assert_eq!(count(&spec, "vector(1) / 0").await, 0);
    assert_eq!(count(&spec, "vector(1) > 2").await, 0);
    assert_eq!(count(&spec, "1").await, 1);
    let wrong = ask(&spec, instant("up{")).await;
    assert!(
        matches!(wrong, Err(SourceError::Refused { .. })),
        "{wrong:?}"
    );
    let many = ask(&spec, instant("{job=\"own\"}")).await;
    assert!(matches!(many, Err(SourceError::Refused { .. })), "{many:?}");

    owners_labels(&mut spec).await;
    spec.labels.clear();

    drop(server);
    let gone = ask(&spec, instant("up")).await;
    assert!(
        matches!(gone, Err(SourceError::Unavailable { .. })),
        "{gone:?}"
    );
    let mut server = Prometheus::start(folder.path(), port, "");
    assert_eq!(server.sample(&spec, "up{job=\"own\"}").await, 1.0);
}

/// The server reads a query with the owner's labels as it was meant.
async fn owners_labels(spec: &mut PrometheusSource) {
    let queries = [
        "up",
        "up{}",
        "up {instance!=\"x\",}",
        "{__name__=\"up\"}",
        "sum by (job) (up) / on (job) group_left () sum(up) by (job)",
        "max_over_time(up[1m:10ms] @ end() offset 1ms)",
        "up and on (job) (up > bool -1e-5)",
        "label_replace(up, 'x', \"$1\", `job`, '(.*)')",
        "topk(1, up) or up{job=\"nobody\"} unless up == NaN",
    ];
    for query in queries {
        spec.labels = BTreeMap::from([("job".to_owned(), "own".to_owned())]);
        assert_eq!(count(spec, query).await, 1, "{query}");
    }
    for query in queries {
        spec.labels = BTreeMap::from([("job".to_owned(), "other \"\\\n".to_owned())]);
        assert_eq!(count(spec, query).await, 0, "{query}");
    }
    assert_eq!(count(spec, "up{job=\"own\"}").await, 0);
}

#[tokio::test]
async fn a_real_prometheus_lets_in_who_proves_it() {
    let folder = tempfile::tempdir().unwrap();
    let web = format!(
        "tls_server_config: {{cert_file: '{}', key_file: '{}', client_ca_file: '{}', \
         client_auth_type: RequireAndVerifyClientCert}}\n\
         basic_auth_users: {{gate: '$2b$04$abcdefghijklmnopqrstuu2zWLgmO7dnRH9X49UEpIMVV5e9BUBWu'}}\n",
        fixture("server.pem"),
        fixture("server.key"),
        fixture("authority.pem"),
    );
    let port = free_port();
    let mut server = Prometheus::start(folder.path(), port, &web);
    let secret = folder.path().join("password");
    std::fs::write(&secret, PASSWORD).unwrap();
    let password = SecretRef::File(secret.to_str().unwrap().to_owned());
    let mut spec = prometheus(endpoint(format!("https://127.0.0.1:{port}")));
    spec.endpoint.auth = Auth::Basic {
        username: "gate".to_owned(),
        password,
    };
    spec.endpoint.tls = Some(Tls {
        ca: Some(fixture("authority.pem")),
        identity: Some((fixture("client.pem"), fixture("client.key"))),
    });
    assert_eq!(server.sample(&spec, "up").await, 1.0);

    std::fs::write(&secret, "wrong-password").unwrap();
    let stranger = ask(&spec, instant("up")).await;
    let Err(SourceError::Unavailable { detail, .. }) = stranger else {
        panic!("{stranger:?}");
    };
    assert!(detail.contains("status 401"), "{detail}");
}
