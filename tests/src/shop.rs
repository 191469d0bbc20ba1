//! Releases of the shop that a test can make fail at a chosen moment, in a chosen cluster.

use crate::fleet::{Fleet, binary};
use std::path::PathBuf;

/// What a release does wrong in a cluster for as long as the test wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Its nodes start and do not serve yet.
    Late,
    /// Its nodes end as soon as they start.
    Refuses,
    /// Its nodes answer real requests with errors, and health checks well.
    Bad,
}

impl Trouble {
    fn name(self) -> &'static str {
        match self {
            Self::Late => "late",
            Self::Refuses => "refuses",
            Self::Bad => "bad",
        }
    }

    fn file(self, fleet: &Fleet, version: &str, cluster: &str) -> PathBuf {
        let name = format!("{}-{version}-{cluster}", self.name());
        fleet.folder().join(name)
    }

    /// It begins.
    ///
    /// # Panics
    /// If the fleet's folder cannot be written.
    pub fn begin(self, fleet: &Fleet, version: &str, cluster: &str) {
        std::fs::write(self.file(fleet, version, cluster), "").expect("a file can be made");
    }

    /// It is over.
    ///
    /// # Panics
    /// If it did not begin.
    pub fn end(self, fleet: &Fleet, version: &str, cluster: &str) {
        std::fs::remove_file(self.file(fleet, version, cluster)).expect("it has begun");
    }
}

/// Nodes heed files in the fleet's folder; a start may take as long as the test wants.
const RELEASE: &str = r#"apiVersion: wavegate.dev/v1alpha1
kind: Release
metadata: {name: shop-@VERSION@}
spec:
  service: shop
  version: "@VERSION@"
  artifacts:
    local:
      command:
        - /bin/sh
        - -c
        - 'test ! -e @FOLDER@/refuses-{version}-{cluster} || exit 1;
          while test -e @FOLDER@/late-{version}-{cluster}; do sleep 0.1; done;
          exec @WAVEGATE@ demo-shop --port {port} --release {version}
          --fail-while @FOLDER@/bad-{version}-{cluster}'
      health: {path: /healthz, timeout: 2s, start: 10m}
      drain: {signal: SIGTERM, timeout: 5s}
"#;

/// Writes the releases 1.0 and 2.0 of a fleet so that they can have [`Trouble`].
pub fn write_releases(fleet: &Fleet) {
    let release = |version: &str| {
        RELEASE
            .replace("@VERSION@", version)
            .replace("@FOLDER@", &fleet.folder().display().to_string())
            .replace("@WAVEGATE@", &binary().display().to_string())
    };
    let all = format!("{}---\n{}", release("1.0"), release("2.0"));
    fleet.write("releases.yaml", &all);
}
