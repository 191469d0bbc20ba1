//! What documents say to this driver: the connection of a cluster and the artifact of a release.

use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;
use wavegate_model::{Cluster, DurationMs, Release};

/// Where a cluster is.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Connection {
    /// Folder of the cluster; a relative one is below the driver's base.
    pub dir: PathBuf,
    /// Where the site's front door takes requests. Without it, traffic cannot be split.
    #[serde(default)]
    pub front_door: Option<SocketAddr>,
    /// Folder of the front door, if it is not in the folder of the site's first cluster.
    #[serde(default)]
    pub front_door_dir: Option<PathBuf>,
    /// Set up without traffic, as the idle cluster of a pair.
    #[serde(default)]
    pub standby: bool,
    /// Where the site's front door gives its metrics, if it does.
    #[serde(default)]
    pub front_door_metrics: Option<SocketAddr>,
}

/// How to run a release: a command template and how to tell that it serves.
///
/// In the command, in values of the environment and in files, `{port}`, `{node}`, `{cluster}`,
/// `{dir}` (the node's own folder), `{folder}` and `{version}` are filled in; other braces stay as
/// they are.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Artifact {
    /// Program and arguments.
    pub command: Vec<String>,
    /// Environment, besides the little that every process needs.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Folder of the release, absolute: what it serves or is made of. The driver only looks
    /// whether it is there.
    #[serde(default)]
    pub folder: Option<PathBuf>,
    /// Files that are written into the node's own folder before it starts, by path.
    #[serde(default)]
    pub files: BTreeMap<String, String>,
    /// How to ask whether it serves.
    #[serde(default)]
    pub health: Health,
    /// How to ask it to end.
    #[serde(default)]
    pub drain: Drain,
}

/// A health check: a GET that must be answered with a status of 200 to 299.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Health {
    /// Path, with its leading slash.
    pub path: String,
    /// How long an answer may take; a duration such as `1s`.
    #[serde(rename = "timeout", deserialize_with = "duration")]
    pub timeout_ms: u32,
    /// How long a node may take to come up before it counts as failed.
    #[serde(rename = "start", deserialize_with = "duration")]
    pub start_ms: u32,
}

impl Default for Health {
    fn default() -> Self {
        // One second is far more than a health check takes on one machine, and half a minute
        // more than a service takes that warms up a cache.
        Self {
            path: "/healthz".to_owned(),
            timeout_ms: 1000,
            start_ms: 30_000,
        }
    }
}

/// How a node is asked to end.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Drain {
    /// Signal that makes it finish its requests and end.
    pub signal: DrainSignal,
    /// How long it may take; also how long the front door waits for requests in flight.
    #[serde(rename = "timeout", deserialize_with = "duration")]
    pub timeout_ms: u32,
}

impl Default for Drain {
    fn default() -> Self {
        // What most services need to finish their requests, and people still wait for.
        Self {
            signal: DrainSignal::Term,
            timeout_ms: 5000,
        }
    }
}

/// Signals that a service may use to drain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum DrainSignal {
    /// SIGTERM.
    #[serde(rename = "SIGTERM")]
    Term,
    /// SIGINT.
    #[serde(rename = "SIGINT")]
    Int,
    /// SIGQUIT.
    #[serde(rename = "SIGQUIT")]
    Quit,
    /// SIGHUP.
    #[serde(rename = "SIGHUP")]
    Hup,
    /// SIGUSR1.
    #[serde(rename = "SIGUSR1")]
    Usr1,
    /// SIGUSR2.
    #[serde(rename = "SIGUSR2")]
    Usr2,
}

/// Files of one node: a configuration and what it includes. Each is in every record of the release.
const FILES_MAX: usize = 32;
/// Bytes of all of them: a hundred pages of configuration. More belongs into the folder.
const FILE_BYTES_MAX: usize = 256 << 10;

/// A document says something to this driver that it cannot use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadDocument {
    /// The connection of a cluster.
    #[error("the `local` connection of cluster `{cluster}` is not valid: {detail}")]
    Connection {
        /// Which cluster.
        cluster: String,
        /// What is wrong.
        detail: String,
    },
    /// The release has nothing for this driver.
    #[error("release `{0}` has no artifact for the driver `local`")]
    NoArtifact(String),
    /// The artifact.
    #[error("the `local` artifact of release `{version}` is not valid: {detail}")]
    Artifact {
        /// Which release.
        version: String,
        /// What is wrong.
        detail: String,
    },
}

/// Reads a block of a document. By way of a value, because a place in the JSON that it became
/// says nothing to whoever wrote the document.
fn read<T: DeserializeOwned>(json: &str) -> Result<T, String> {
    let value: serde_json::Value = serde_json::from_str(json).map_err(|e| e.to_string())?;
    serde_json::from_value(value).map_err(|e| e.to_string())
}

/// A duration as documents write it, in milliseconds.
fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    let text = String::deserialize(deserializer)?;
    let duration = DurationMs::parse(&text).map_err(D::Error::custom)?;
    if duration == DurationMs::ZERO || duration > DurationMs::MAX {
        return Err(D::Error::custom(format!(
            "`{text}` must be more than nothing, and at most {}",
            DurationMs::MAX
        )));
    }
    Ok(duration.as_u32())
}

impl Connection {
    /// Reads the connection of a cluster.
    pub fn of(cluster: &Cluster) -> Result<Self, BadDocument> {
        let bad = |detail: String| BadDocument::Connection {
            cluster: cluster.name.to_string(),
            detail,
        };
        let connection: Self = read(&cluster.connection).map_err(bad)?;
        if connection.dir.as_os_str().is_empty() {
            return Err(bad("`dir` is empty".to_owned()));
        }
        for (field, address) in [
            ("frontDoor", connection.front_door),
            ("frontDoorMetrics", connection.front_door_metrics),
        ] {
            if let Some(open) = address.filter(|address| !address.ip().is_loopback()) {
                return Err(bad(format!(
                    "`{field}` must be a loopback address, not {open}"
                )));
            }
        }
        match (connection.front_door, connection.front_door_metrics) {
            (None, Some(_)) => Err(bad("`frontDoorMetrics` needs a `frontDoor`".to_owned())),
            (door, metrics) if door.is_some() && door == metrics => Err(bad(
                "`frontDoorMetrics` needs an address of its own".to_owned(),
            )),
            (Some(_) | None, _) => Ok(connection),
        }
    }

    /// The folder of the cluster, below `base` if it is relative.
    pub fn folder(&self, base: &Path) -> PathBuf {
        base.join(&self.dir)
    }
}

impl Artifact {
    /// Reads the artifact of a release.
    pub fn of(release: &Release) -> Result<Self, BadDocument> {
        let json = release.artifacts.get(crate::NAME);
        let json = json.ok_or_else(|| BadDocument::NoArtifact(release.version.clone()))?;
        let bad = |detail: String| BadDocument::Artifact {
            version: release.version.clone(),
            detail,
        };
        let artifact: Self = read(json).map_err(bad)?;
        if artifact.command.first().is_none_or(String::is_empty) {
            return Err(bad("`command` names no program".to_owned()));
        }
        if !artifact.health.path.starts_with('/') {
            return Err(bad(format!(
                "`health.path` must start with `/`, not be `{}`",
                artifact.health.path
            )));
        }
        if let Some(path) = artifact.files.keys().find(|path| !is_below(path)) {
            return Err(bad(format!(
                "`files` has `{path}`, which is no path below the node's folder"
            )));
        }
        let bytes: usize = artifact.files.values().map(String::len).sum();
        if artifact.files.len() > FILES_MAX || bytes > FILE_BYTES_MAX {
            return Err(bad(format!(
                "`files` has {} files of {bytes} bytes together; {FILES_MAX} and {FILE_BYTES_MAX} are the limits (hint: `folder` may hold any number)",
                artifact.files.len()
            )));
        }
        Ok(artifact)
    }

    /// How long a node may take to finish its requests.
    pub fn drain_time(&self) -> Duration {
        Duration::from_millis(u64::from(self.drain.timeout_ms))
    }
}

/// Whether a path stays below the folder that it is taken against.
fn is_below(path: &str) -> bool {
    let mut parts = Path::new(path).components();
    !path.is_empty()
        && !path.ends_with('/')
        && parts.all(|part| matches!(part, Component::Normal(_)))
}

/// What is filled into a template.
#[derive(Clone, Debug)]
pub(crate) struct Placeholders<'a> {
    pub(crate) port: u16,
    pub(crate) node: &'a str,
    pub(crate) cluster: &'a str,
    pub(crate) dir: &'a str,
    /// Of the release; stays as it is written if the release has none.
    pub(crate) folder: &'a str,
    pub(crate) version: &'a str,
}

impl Placeholders<'_> {
    /// Fills a template in one pass, so that a value with braces is not filled again.
    pub(crate) fn fill(&self, template: &str) -> String {
        let port = self.port.to_string();
        let known = [
            ("{port}", port.as_str()),
            ("{node}", self.node),
            ("{cluster}", self.cluster),
            ("{dir}", self.dir),
            ("{folder}", self.folder),
            ("{version}", self.version),
        ];
        let mut filled = String::with_capacity(template.len());
        let mut rest = template;
        while let Some(brace) = rest.find('{') {
            filled.push_str(&rest[..brace]);
            rest = &rest[brace..];
            let (name, value) = known
                .iter()
                .find(|(name, _)| rest.starts_with(name))
                .unwrap_or(&("{", "{"));
            filled.push_str(value);
            rest = &rest[name.len()..];
        }
        filled.push_str(rest);
        filled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_filled_once() {
        let values = Placeholders {
            port: 8080,
            node: "{port}",
            cluster: "c",
            dir: "/d",
            folder: "/f",
            version: "1",
        };
        assert_eq!(
            values.fill("--port={port} {node} {\"a\":1} {dir}/{version} {cluster} {folder} {x"),
            "--port=8080 {port} {\"a\":1} /d/1 c /f {x"
        );
    }

    #[test]
    fn bad_documents_are_named() {
        let cluster = |connection: &str| Cluster {
            name: "c".into(),
            labels: BTreeMap::new(),
            nodes: 1,
            driver: crate::NAME.to_owned(),
            connection: connection.to_owned(),
        };
        for good in [
            r#"{"dir":"x","frontDoor":"127.0.0.1:80"}"#,
            r#"{"dir":"x","frontDoor":"127.0.0.1:80","frontDoorMetrics":"[::1]:80"}"#,
        ] {
            assert!(Connection::of(&cluster(good)).is_ok(), "{good}");
        }
        for bad in [
            "",
            "{}",
            r#"{"dir":""}"#,
            r#"{"dir":"x","frontDoor":"0.0.0.0:80"}"#,
            r#"{"dir":"x","y":1}"#,
            r#"{"dir":"x","frontDoorMetrics":"127.0.0.1:80"}"#,
            r#"{"dir":"x","frontDoor":"127.0.0.1:80","frontDoorMetrics":"127.0.0.1:80"}"#,
            r#"{"dir":"x","frontDoor":"127.0.0.1:80","frontDoorMetrics":"10.0.0.1:81"}"#,
        ] {
            assert!(Connection::of(&cluster(bad)).is_err(), "{bad}");
        }
    }

    fn release(block: &str) -> Release {
        Release {
            version: "1".to_owned(),
            digest: wavegate_model::Digest::from_sha256(&[0; 32]),
            reversal: wavegate_model::release::Reversal::Possible,
            artifacts: BTreeMap::from([(crate::NAME.to_owned(), block.to_owned())]),
        }
    }

    #[test]
    fn files_stay_in_the_folder_of_their_node_and_are_few() {
        let files = |files: &str| {
            let block = format!(r#"{{"command":["x"],"files":{files}}}"#);
            Artifact::of(&release(&block)).map_err(|error| error.to_string())
        };
        let good = files(r#"{"nginx.conf":"listen {port};","conf.d/a.conf":""}"#);
        assert_eq!(good.map(|artifact| artifact.files.len()), Ok(2));
        for bad in ["", "/etc/passwd", "../a", "a/../../b", "./a", "a/"] {
            let refused = files(&format!(r#"{{"{bad}":""}}"#)).expect_err(bad);
            assert!(refused.contains(&format!("`{bad}`")), "{refused}");
        }
        let many: BTreeMap<String, &str> = (0..=FILES_MAX).map(|n| (n.to_string(), "")).collect();
        let many = serde_json::to_string(&many).expect("it is JSON");
        assert!(files(&many).is_err());
        let large = format!(r#"{{"a":"{}"}}"#, "x".repeat(FILE_BYTES_MAX + 1));
        let refused = files(&large).expect_err("it is too large");
        assert!(refused.contains("hint: `folder`"), "{refused}");
    }

    #[test]
    fn durations_read_as_in_every_document() {
        let good = r#"{"command":["x"],"health":{"timeout":"1500ms","start":"1m"},"drain":{"timeout":"2s"}}"#;
        let artifact = Artifact::of(&release(good)).expect("it is valid");
        assert_eq!(artifact.health.timeout_ms, 1500);
        assert_eq!(artifact.health.start_ms, 60_000);
        assert_eq!(artifact.drain_time(), Duration::from_secs(2));
        for bad in ["0s", "soon", "41d", "5"] {
            let block = good.replace("2s", bad);
            let error = Artifact::of(&release(&block)).expect_err(bad).to_string();
            assert!(error.contains(bad), "{error}");
        }
    }
}
