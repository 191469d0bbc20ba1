//! `Release`: what is rolled out.

use super::gate::ConfigSpot;
use crate::fields::{Cx, Fields, Spot, entries, spot};
use crate::node::Node;
use crate::shapes::fleet as shapes;
use crate::values;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use wavegate_model::release::Reversal;
use wavegate_model::{Digest, Release, ServiceName};

#[derive(Debug)]
pub(crate) struct ReleaseDoc {
    pub(crate) name: Spot<String>,
    pub(crate) service: Spot<ServiceName>,
    pub(crate) release: Release,
    pub(crate) artifacts: BTreeMap<String, ConfigSpot>,
}

impl ReleaseDoc {
    pub(super) fn read(cx: Cx<'_>, name: Option<Spot<String>>, spec: &Node) -> Option<Self> {
        let mut fields = Fields::open(cx, spec, &shapes::RELEASE)?;
        let service = fields.required("service", spot(values::name::<ServiceName>));
        let version = fields.required("version", values::text);
        let digest = fields.optional("digest", values::digest);
        let irreversible = fields.or("irreversible", false, values::boolean);
        let artifacts = fields.required("artifacts", artifacts);
        fields.finish()?;
        let (version, artifacts) = (version?, artifacts?);
        let json: BTreeMap<String, String> = artifacts
            .iter()
            .map(|(driver, (json, _))| (driver.clone(), json.clone()))
            .collect();
        let digest = digest?.unwrap_or_else(|| digest_of(&version, &artifacts));
        let reversal = if irreversible? {
            Reversal::Irreversible
        } else {
            Reversal::Possible
        };
        Some(Self {
            name: name?,
            service: service?,
            release: Release {
                version,
                digest,
                artifacts: json,
                reversal,
            },
            artifacts: artifacts
                .into_iter()
                .map(|(driver, (_, spot))| (driver, spot))
                .collect(),
        })
    }
}

/// The digest of a release that says none: of its version and artifacts as JSON with sorted keys.
fn digest_of(version: &str, artifacts: &BTreeMap<String, (String, ConfigSpot)>) -> Digest {
    let artifacts: BTreeMap<&str, &str> = artifacts
        .iter()
        .map(|(driver, (json, _))| (driver.as_str(), json.as_str()))
        .collect();
    let canonical = json!([version, artifacts.into_iter().collect::<Vec<_>>()]).to_string();
    Digest::from_sha256(&Sha256::digest(canonical.as_bytes()).into())
}

fn artifacts(cx: Cx<'_>, node: &Node) -> Option<BTreeMap<String, (String, ConfigSpot)>> {
    let mut out = BTreeMap::new();
    let listed = entries(cx, node, "a map with an artifact for each driver")?;
    if listed.is_empty() {
        return cx.bad_value(
            node,
            "a release has an artifact for at least one driver",
            None,
        );
    }
    let mut good = true;
    for (driver, key, block) in listed {
        let known = super::check_driver(cx, key, driver);
        match values::json_map(cx, block) {
            Some(json) if known => {
                let spot = ConfigSpot {
                    place: cx.place(key),
                    node: Some(block.clone()),
                    what: "artifact",
                };
                out.insert(driver.to_owned(), (json, spot));
            }
            _ => good = false,
        }
    }
    good.then_some(out)
}
