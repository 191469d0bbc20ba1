//! Sources that are servers: what they are asked, what is made of their answers, and what is not.

use crate::server::{Say, Server, json};
use crate::{NOW, digest, probes_driver, slot, spec};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use wavegate_model::evidence::{EvidenceScope, Series};
use wavegate_model::source::{Auth, Endpoint, HttpSource, PrometheusSource, SecretRef, Tls};
use wavegate_model::source::{SourceKind, SourceSpec};
use wavegate_model::{DurationMs, Evidence, Query, RolloutId, SourceName, Timestamp};
use wavegate_ports::sources::{SourceError, Sources};
use wavegate_sources::{BadSource, OpenError, SourceSet};

const EMPTY: &str = r#"{"status":"success","data":{"resultType":"vector","result":[]}}"#;
const TOKEN: &str = "s3cr3t-token";

pub(crate) fn endpoint(address: impl Into<String>) -> Endpoint {
    Endpoint {
        address: address.into(),
        // Long enough for a busy machine; only the test of the time-out waits for it.
        timeout: DurationMs::secs(30),
        auth: Auth::None,
        tls: None,
    }
}

fn plain(server: &Server) -> Endpoint {
    endpoint(format!("http://{}/base/", server.address))
}

pub(crate) fn prometheus(endpoint: Endpoint) -> PrometheusSource {
    PrometheusSource {
        endpoint,
        labels: BTreeMap::new(),
        range_max: DurationMs::secs(3600),
        series_max: 3,
    }
}

fn http(endpoint: Endpoint, paths: &[&str]) -> HttpSource {
    HttpSource {
        endpoint,
        paths: paths.iter().map(|&path| path.to_owned()).collect(),
        body_bytes_max: 100,
    }
}

pub(crate) fn open(kind: SourceKind) -> Result<SourceSet, OpenError> {
    let spec: SourceSpec = spec("s", kind);
    SourceSet::open([spec], &probes_driver(), &RolloutId::from("r"))
}

pub(crate) fn scope_at(now: u64, start: u64) -> EvidenceScope {
    EvidenceScope {
        now: Timestamp(now),
        start: Timestamp(start),
        release: digest(9),
        baselines: BTreeMap::new(),
        fresh_for: None,
    }
}

pub(crate) fn instant(query: &str) -> Query {
    Query::Instant {
        slot: slot(),
        query: query.to_owned(),
    }
}

pub(crate) fn range(query: &str, window: u64, step: u64) -> Query {
    Query::Range {
        slot: slot(),
        query: query.to_owned(),
        window: DurationMs(window),
        step: DurationMs(step),
    }
}

fn get(path: &str) -> Query {
    Query::HttpGet {
        slot: slot(),
        path: path.to_owned(),
    }
}

async fn ask(set: &SourceSet, query: Query) -> Result<Evidence, SourceError> {
    let scope = scope_at(NOW, NOW - 30_000);
    set.fetch(&SourceName::from("s"), &query, &scope).await
}

async fn ask_prometheus(spec: &PrometheusSource, query: Query) -> Result<Evidence, SourceError> {
    ask(&open(SourceKind::Prometheus(spec.clone())).unwrap(), query).await
}

#[track_caller]
fn assert_refused(answer: Result<Evidence, SourceError>, says: &str) {
    match answer {
        Err(SourceError::Refused { detail, .. }) => assert!(detail.contains(says), "{detail}"),
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn assert_unavailable(answer: Result<Evidence, SourceError>, says: &str) {
    match answer {
        Err(SourceError::Unavailable { detail, .. }) => assert!(detail.contains(says), "{detail}"),
        other => panic!("{other:?}"),
    }
}

fn series(labels: &[(&str, &str)], samples: &[(f64, f64)]) -> Series {
    let own = |&(name, value): &(&str, &str)| (name.to_owned(), value.to_owned());
    Series {
        labels: labels.iter().map(own).collect(),
        samples: samples.to_vec(),
    }
}

#[tokio::test]
async fn prometheus_is_asked_through_its_api() {
    let server = Server::start(|_| json(EMPTY)).await;
    let spec = prometheus(plain(&server));
    let empty = Ok(Evidence::Series(vec![]));
    assert_eq!(ask_prometheus(&spec, instant("a + b")).await, empty);
    assert_eq!(ask_prometheus(&spec, range("c", 20_000, 500)).await, empty);
    assert_eq!(
        ask_prometheus(&spec, range("c", 60_000, 10_000)).await,
        empty
    );
    let seen = server.seen();
    let lines: Vec<_> = seen.iter().map(|seen| seen.line.as_str()).collect();
    let (one, many) = ("POST /base/api/v1/query", "POST /base/api/v1/query_range");
    assert_eq!(lines, [one, many, many]);
    let limits = "limit=4&timeout=30000ms&lookback_delta=30000ms";
    assert_eq!(
        seen[0].body,
        format!("query=a%20%2B%20b&{limits}&time=1000.000")
    );
    assert_eq!(
        seen[1].body,
        format!("query=c&{limits}&start=980.000&end=1000.000&step=0.500")
    );
    // The window is cut off where the evidence starts.
    assert_eq!(
        seen[2].body,
        format!("query=c&{limits}&start=970.000&end=1000.000&step=10.000")
    );
}

#[tokio::test]
async fn results_become_series_of_finite_samples() {
    let server = Server::start(|seen| {
        let result = if seen.body.contains("scalar") {
            r#""scalar","result":[1000.25,"-2.5e3"]"#
        } else if seen.body.contains("vector") {
            r#""vector","result":[
                {"metric":{"z":"1","__name__":"up","a":"2"},"value":[1000,"0.5"]},
                {"metric":{"b":"1"},"value":[1000,"NaN"]}]"#
        } else {
            r#""matrix","result":[
                {"metric":{},"values":[[990,"1"],[991.5,"+Inf"],[992,"-Inf"],[993,"NaN"],[994,"4"]]},
                {"metric":{"b":"1"},"values":[[990,"NaN"]]}]"#
        };
        let more = r#""infos":["x"],"warnings":["PromQL warning: y"]"#;
        json(&format!(
            r#"{{"status":"success","data":{{"resultType":{result}}},{more}}}"#
        ))
    })
    .await;
    let spec = prometheus(plain(&server));
    for (query, wanted) in [
        (instant("scalar"), series(&[], &[(1_000_250.0, -2500.0)])),
        (
            instant("vector"),
            series(
                &[("__name__", "up"), ("a", "2"), ("z", "1")],
                &[(1_000_000.0, 0.5)],
            ),
        ),
        (
            range("matrix", 10_000, 1000),
            series(&[], &[(990_000.0, 1.0), (994_000.0, 4.0)]),
        ),
    ] {
        let answer = ask_prometheus(&spec, query).await;
        assert_eq!(answer, Ok(Evidence::Series(vec![wanted])));
    }
}

#[tokio::test]
async fn errors_of_prometheus_tell_whom_to_blame() {
    let server = Server::start(|seen| {
        let case = seen.body.split('&').next().unwrap();
        let error = |status, kind: &str, message: &str| {
            let body = format!(r#"{{"status":"error","errorType":"{kind}","error":"{message}"}}"#);
            Say::Text(status, "application/json", body)
        };
        let data = |data: &str| json(&format!(r#"{{"status":"success","data":{{{data}}}}}"#));
        let one = r#"{"metric":{},"value":[1,"1"]}"#;
        match case.trim_start_matches("query=") {
            "parse" => error(400, "bad_data", "parse error: no"),
            "execution" => error(422, "execution", "many-to-many"),
            "timeout" => error(503, "timeout", "query timed out"),
            "error200" => error(200, "internal", "odd"),
            "denied" => Say::Text(401, "text/plain", "Unauthorized".to_owned()),
            "denied_in_json" => Say::Text(403, "application/json", r#"{"status":"no"}"#.to_owned()),
            "proxy" => Say::Text(502, "text/html", "<html>".to_owned()),
            "redirect" => Say::Redirect("http://127.0.0.1:1/".to_owned()),
            "no_data" => json(r#"{"status":"success"}"#),
            "partial" => json(&EMPTY.replace("]}}", r#"]},"warnings":["a store is gone"]}"#)),
            "text" => data(r#""resultType":"string","result":[1,"x"]"#),
            "histogram" => data(
                r#""resultType":"vector","result":[{"metric":{},"histogram":[1,{"count":"1"}]}]"#,
            ),
            "no_number" => {
                data(r#""resultType":"vector","result":[{"metric":{},"value":[1,"many"]}]"#)
            }
            "no_vector" => data(r#""resultType":"vector","result":[1]"#),
            "many" => {
                let many = [one; 4].join(",");
                data(&format!(r#""resultType":"vector","result":[{many}]"#))
            }
            "enough" => {
                let many = [one; 3].join(",");
                data(&format!(r#""resultType":"vector","result":[{many}]"#))
            }
            "long" => data(&format!(r#""x":"{}""#, "x".repeat(9 << 20))),
            "deep" => json(&"[".repeat(100_000)),
            other => panic!("{other}"),
        }
    })
    .await;
    let spec = prometheus(plain(&server));
    for (query, says) in [
        ("parse", "parse error: no"),
        ("text", "its result is a string"),
        ("histogram", "native histograms"),
        ("many", "more than 3 series"),
    ] {
        assert_refused(ask_prometheus(&spec, instant(query)).await, says);
    }
    for (query, says) in [
        ("execution", "execution: many-to-many"),
        ("timeout", "timeout: query timed out"),
        ("error200", "internal: odd"),
        ("denied", "status 401, without"),
        ("denied_in_json", "status 403: not let in"),
        ("proxy", "status 502, without"),
        ("redirect", "status 302, without"),
        ("no_data", "status 200, without"),
        ("partial", "not a whole answer: a store is gone"),
        ("no_number", "not a number"),
        ("no_vector", "its vector cannot be read"),
        ("long", "more than 8388608 bytes"),
        ("deep", "status 200, without"),
    ] {
        assert_unavailable(ask_prometheus(&spec, instant(query)).await, says);
    }
    let enough = ask_prometheus(&spec, instant("enough")).await.unwrap();
    assert!(matches!(enough, Evidence::Series(list) if list.len() == 3));
}

#[tokio::test]
async fn the_owners_bounds_of_a_query_are_kept() {
    let server = Server::start(|_| json(EMPTY)).await;
    let mut spec = prometheus(plain(&server));
    for (query, says) in [
        (range("a", 3_600_001, 60_000), "its owner allows 3600000 ms"),
        (range("a", 60_000, 0), "more than 11000 steps"),
        (range("a", 3_600_000, 1), "more than 11000 steps"),
    ] {
        assert_refused(ask_prometheus(&spec, query).await, says);
    }
    let answer = ask_prometheus(&spec, get("/a")).await;
    assert!(matches!(answer, Err(SourceError::WrongKind { .. })));
    spec.labels = BTreeMap::from([("tenant".to_owned(), "a\"b".to_owned())]);
    let hidden = ask_prometheus(&spec, instant("a # }")).await;
    assert_refused(hidden, "an operator or the end at `# }`");
    assert!(server.seen().is_empty());
    ask_prometheus(&spec, instant("sum(a{tenant=\"c\"})"))
        .await
        .unwrap();
    let wanted = "query=sum%28a%7Btenant%3D%22a%5C%22b%22%2Ctenant%3D%22c%22%7D%29&";
    let asked = server.seen().remove(0).body;
    assert!(asked.starts_with(wanted), "{asked}");
}

#[test]
fn what_could_not_be_carried_out_is_not_opened() {
    let wrong = |kind| match open(kind).err().unwrap() {
        OpenError::BadSource { why, .. } => why,
        other => panic!("{other}"),
    };
    let mut spec = prometheus(endpoint("http://a"));
    spec.labels = BTreeMap::from([("example.com/team".to_owned(), "x".to_owned())]);
    assert_eq!(
        wrong(SourceKind::Prometheus(spec)),
        BadSource::Label("example.com/team".to_owned())
    );
    let address = "http://a:b".to_owned();
    assert_eq!(
        wrong(SourceKind::Http(http(endpoint(address.clone()), &[]))),
        BadSource::Address(address)
    );
    let mut unused = endpoint("http://a");
    unused.tls = Some(Tls::default());
    assert_eq!(
        wrong(SourceKind::Http(http(unused, &[]))),
        BadSource::TlsWithoutHttps("http://a".to_owned())
    );
}

#[tokio::test]
async fn http_gives_the_allowed_paths_and_follows_nothing() {
    let server = Server::start(|seen| match seen.line.as_str() {
        "GET /base/health" => Say::Text(200, "text/plain", "fine".to_owned()),
        "GET /base/v1/a?b=c" => Say::Text(503, "application/json", "{}".to_owned()),
        "GET /base/v1/moved" => Say::Redirect("/base/health".to_owned()),
        "GET /base/v1/long" => Say::Text(200, "text/plain", "x".repeat(101)),
        "GET /base/v1/exact" => Say::Text(200, "text/plain", "x".repeat(100)),
        other => panic!("{other}"),
    })
    .await;
    let spec = http(plain(&server), &["/health", "/v1/*"]);
    let set = open(SourceKind::Http(spec)).unwrap();
    let answer = |status, content_type: &str, body: &str| {
        Ok(Evidence::Http {
            status,
            content_type: content_type.to_owned(),
            body: body.as_bytes().to_vec(),
        })
    };
    for (path, wanted) in [
        ("/health", answer(200, "text/plain", "fine")),
        ("/v1/a?b=c", answer(503, "application/json", "{}")),
        ("/v1/moved", answer(302, "", "")),
        ("/v1/exact", answer(200, "text/plain", &"x".repeat(100))),
    ] {
        assert_eq!(ask(&set, get(path)).await, wanted, "{path}");
    }
    assert_unavailable(ask(&set, get("/v1/long")).await, "more than 100 bytes");
    assert_eq!(server.seen().len(), 5);
    for path in ["/health/", "/health?x", "/v1", "/v2/a", "/"] {
        assert_refused(ask(&set, get(path)).await, "does not allow the path");
    }
    assert_refused(ask(&set, get("/v1/../admin")).await, "has `.` or `..`");
    let metric = ask(&set, instant("up")).await;
    assert!(matches!(metric, Err(SourceError::WrongKind { .. })));
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn names_of_this_machine_are_only_what_the_owner_wrote() {
    let server = Server::start(|_| json("{}")).await;
    let port = server.address.port();
    // The resolver reads it as 127.0.0.1, and so could any name be.
    let other = http(endpoint(format!("http://0x7f.1:{port}")), &["/a"]);
    let set = open(SourceKind::Http(other)).unwrap();
    assert_refused(ask(&set, get("/a")).await, "its name resolves to 127.0.0.1");
    assert!(server.seen().is_empty());
    let own = http(endpoint(format!("http://localhost:{port}")), &["/a"]);
    let set = open(SourceKind::Http(own)).unwrap();
    ask(&set, get("/a")).await.unwrap();
}

#[tokio::test]
async fn a_silent_server_is_left_at_its_time() {
    let server = Server::start(|_| Say::Silence).await;
    let mut spec = prometheus(plain(&server));
    spec.endpoint.timeout = DurationMs(50);
    assert_unavailable(ask_prometheus(&spec, instant("up")).await, "within 50 ms");
}

#[tokio::test]
async fn credentials_are_sent_and_never_told() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, format!("{TOKEN}\n")).unwrap();
    let secret = SecretRef::File(file.to_str().unwrap().to_owned());
    // Some servers repeat what they got.
    let server = Server::start(|seen| match &seen.authorization {
        Some(sent) if seen.body.starts_with("query=echo") => {
            let body = format!(r#"{{"status":"error","errorType":"bad_data","error":"{sent}"}}"#);
            Say::Text(400, "application/json", body)
        }
        _ => json(EMPTY),
    })
    .await;
    let sent = || server.seen().remove(0).authorization.unwrap();
    let mut spec = prometheus(plain(&server));

    spec.endpoint.auth = Auth::Bearer(secret.clone());
    ask_prometheus(&spec, instant("up")).await.unwrap();
    assert_eq!(sent(), format!("Bearer {TOKEN}"));
    assert_unavailable(
        ask_prometheus(&spec, instant("echo")).await,
        "its answer repeats the credential",
    );
    assert_eq!(sent(), format!("Bearer {TOKEN}"));
    // The next request takes a rotated one.
    std::fs::write(&file, "an0ther").unwrap();
    ask_prometheus(&spec, instant("up")).await.unwrap();
    assert_eq!(sent(), "Bearer an0ther");

    spec.endpoint.auth = Auth::Basic {
        username: "gate".to_owned(),
        password: secret,
    };
    ask_prometheus(&spec, instant("up")).await.unwrap();
    assert_eq!(sent(), "Basic Z2F0ZTphbjB0aGVy");
    assert_unavailable(
        ask_prometheus(&spec, instant("echo")).await,
        "its answer repeats the credential",
    );
    server.seen();

    // `PATH` is the one variable that every process has.
    spec.endpoint.auth = Auth::Bearer(SecretRef::Env("PATH".to_owned()));
    ask_prometheus(&spec, instant("up")).await.unwrap();
    assert_eq!(sent(), format!("Bearer {}", std::env::var("PATH").unwrap()));

    std::fs::write(&file, "bro\nken").unwrap();
    let missing = folder.path().join("missing").to_str().unwrap().to_owned();
    for (secret, says) in [
        (
            SecretRef::Env("WAVEGATE_TEST_UNSET".to_owned()),
            "is not set",
        ),
        (SecretRef::File(missing), "entity not found"),
        (
            SecretRef::File(file.to_str().unwrap().to_owned()),
            "characters that no header can hold",
        ),
    ] {
        spec.endpoint.auth = Auth::Bearer(secret);
        assert_unavailable(ask_prometheus(&spec, instant("up")).await, says);
    }
    assert!(server.seen().is_empty());
}

pub(crate) fn fixture(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/all/tls");
    folder.join(name).to_str().unwrap().to_owned()
}

/// The server of the fixtures; it wants a certificate of the client.
fn mutual() -> ServerConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    let authority = CertificateDer::from_pem_file(fixture("authority.pem")).unwrap();
    roots.add(authority).unwrap();
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
    let chain = CertificateDer::from_pem_file(fixture("server.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(fixture("server.key")).unwrap();
    ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier.build().unwrap())
        .with_single_cert(vec![chain], key)
        .unwrap()
}

#[tokio::test]
async fn both_ends_of_a_protected_connection_prove_who_they_are() {
    let server = Server::protected(mutual(), |_| json(EMPTY)).await;
    let port = server.address.port();
    let identity = || Some((fixture("client.pem"), fixture("client.key")));
    let asked = async |host: &str, ca: Option<&str>, identity| {
        let mut spec = prometheus(endpoint(format!("https://{host}:{port}")));
        let ca = ca.map(fixture);
        spec.endpoint.tls = Some(Tls { ca, identity });
        ask_prometheus(&spec, instant("up")).await
    };
    let authority = Some("authority.pem");
    for host in ["localhost", "127.0.0.1"] {
        asked(host, authority, identity()).await.unwrap();
    }
    assert_eq!(server.seen().len(), 2);
    let stranger = asked("localhost", Some("stranger.pem"), identity()).await;
    assert_unavailable(stranger, "invalid peer certificate");
    // Nobody else's certificate will do for another name.
    let name = asked("a.localhost", authority, identity()).await;
    assert!(
        matches!(name, Err(SourceError::Unavailable { .. })),
        "{name:?}"
    );
    let nobody = asked("localhost", authority, None).await;
    assert!(
        matches!(nobody, Err(SourceError::Unavailable { .. })),
        "{nobody:?}"
    );
    let pair = |certificate: &str, key: &str| Some((fixture(certificate), fixture(key)));
    for (ca, identity, says) in [
        ("client.key", identity(), "holds no certificate"),
        ("missing.pem", identity(), "cannot read the file"),
        (
            "authority.pem",
            pair("client.pem", "client.pem"),
            "holds no private key",
        ),
        (
            "authority.pem",
            pair("client.pem", "server.key"),
            "the certificate and its key cannot be used",
        ),
    ] {
        assert_unavailable(asked("localhost", Some(ca), identity).await, says);
    }
    assert!(server.seen().is_empty());
}
