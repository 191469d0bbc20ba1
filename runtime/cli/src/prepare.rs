//! From documents to a rollout that can start: plugins are loaded and pinned, their
//! configuration and grants are checked, paths are made absolute.

use crate::clock::SystemClock;
use crate::exit::{Exit, Failure, Result};
use crate::host::{Host, LOCAL, actor};
use crate::output;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use wavegate_conductor::swap::tag;
use wavegate_documents::{Colour, Diagnostics, Documents, Location, ResolvedRollout, Severity};
use wavegate_driver_local::artifact::{Artifact, Connection};
use wavegate_engine::{Capabilities, Origin, Pins, Spec};
use wavegate_model::plugin::{PluginKind, ReleaseId, SiteSummary, Stage};
use wavegate_model::policy::{GateUse, PluginRef};
use wavegate_model::source::{Auth, SecretRef, SourceKind};
use wavegate_model::{
    Cluster, ClusterName, GateName, RolloutId, SourceName, SourceSpec, Unavailable,
};
use wavegate_ports::clock::Clock as _;
use wavegate_ports::plugins::{Answer, CallEnd, LoadedPlugin, PluginCall, Plugins, Question};

/// A rollout that can start.
pub(crate) struct Prepared {
    pub(crate) spec: Spec,
    pub(crate) resolved: ResolvedRollout,
    pub(crate) strategy: LoadedPlugin,
    pub(crate) gates: BTreeMap<GateName, LoadedPlugin>,
}

impl Prepared {
    /// The cluster of a name. They are sorted by it.
    pub(crate) fn cluster(&self, name: &ClusterName) -> Option<&Cluster> {
        cluster(&self.spec.clusters, name)
    }
}

fn cluster<'a>(clusters: &'a [Cluster], name: &ClusterName) -> Option<&'a Cluster> {
    let found = clusters.binary_search_by(|cluster| cluster.name.cmp(name));
    found.ok().map(|at| &clusters[at])
}

/// Reads documents and tells all that is wrong with them.
pub(crate) fn load(files: &[PathBuf]) -> Result<Documents> {
    let documents = Documents::load(files).map_err(invalid)?;
    let problems = documents.check();
    if problems.has_errors() {
        return Err(invalid(problems));
    }
    for name in documents.rollouts() {
        let resolved = documents.resolve(name).map_err(invalid)?;
        local_blocks(&documents, &resolved)?;
    }
    Ok(documents)
}

/// What documents say to the driver of this machine is read by the driver, and told at its place.
fn local_blocks(documents: &Documents, resolved: &ResolvedRollout) -> Result<()> {
    let mut problems = Diagnostics::default();
    let clusters = resolved.clusters.iter();
    for cluster in clusters.filter(|cluster| cluster.driver == LOCAL) {
        if let Err(error) = Connection::of(cluster) {
            let place = Location::Connection(resolved.fleet.clone(), cluster.name.clone());
            let problem = documents.problem_at(&place, error.to_string(), None);
            problems = problems.and(problem.into());
        }
    }
    if resolved.clusters.iter().any(|c| c.driver == LOCAL)
        && let Err(error) = Artifact::of(&resolved.release)
    {
        let place = Location::Artifact(resolved.release_name.clone(), LOCAL.to_owned());
        let problem = documents.problem_at(&place, error.to_string(), None);
        problems = problems.and(problem.into());
    }
    if problems.is_empty() {
        Ok(())
    } else {
        Err(invalid(problems))
    }
}

/// A folder of the release that is not there is told before a node misses it.
fn release_folder(documents: &Documents, resolved: &ResolvedRollout) -> Result<()> {
    if !resolved.clusters.iter().any(|c| c.driver == LOCAL) {
        return Ok(());
    }
    match Artifact::of(&resolved.release).map(|artifact| artifact.folder) {
        Ok(Some(folder)) if !folder.is_dir() => {
            let place = Location::Artifact(resolved.release_name.clone(), LOCAL.to_owned());
            let message = format!("the folder {} is not there", folder.display());
            let hint = "`folder` is relative to the document".to_owned();
            let problem = documents.problem_at(&place, message, Some(hint));
            Err(invalid(problem.into()))
        }
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Diagnostics are told as they are, then the command fails with exit code 2.
pub(crate) fn invalid(problems: Diagnostics) -> Failure {
    output::say(problems.render(colour()).trim_end());
    let errors = problems
        .iter()
        .filter(|problem| problem.severity == Severity::Error)
        .count();
    let plural = if errors == 1 { "problem" } else { "problems" };
    Failure::usage(format!(
        "the documents have {errors} {plural}; nothing was touched"
    ))
}

pub(crate) fn colour() -> Colour {
    let choice = anstream::AutoStream::choice(&std::io::stderr());
    if choice == anstream::ColorChoice::Never {
        Colour::Never
    } else {
        Colour::Always
    }
}

/// Tells what is worth a warning in a rollout's documents.
pub(crate) fn warn(prepared: &Prepared) {
    let warnings = prepared.resolved.warnings.render(colour());
    if !warnings.trim().is_empty() {
        output::say(warnings.trim_end());
    }
}

/// Names of the rollouts to take: those that were named, or all.
pub(crate) fn names(documents: &Documents, wanted: &[String]) -> Result<Vec<String>> {
    let all: Vec<String> = documents.rollouts().map(str::to_owned).collect();
    if all.is_empty() {
        return Err(Failure::usage("the documents have no `Rollout`")
            .hint("name the file that has one, too"));
    }
    if wanted.is_empty() {
        return Ok(all);
    }
    match wanted.iter().find(|name| !all.contains(name)) {
        Some(missing) => Err(
            Failure::usage(format!("the documents have no rollout `{missing}`"))
                .hint(format!("they have: {}", all.join(", "))),
        ),
        None => Ok(wanted.to_vec()),
    }
}

/// Makes a rollout ready to start.
pub(crate) async fn prepare(host: &Host, documents: &Documents, name: &str) -> Result<Prepared> {
    let mut resolved = documents.resolve(name).map_err(invalid)?;
    make_absolute(&mut resolved)?;
    release_folder(documents, &resolved)?;
    let (strategy, gates) = plugins(host, documents, &mut resolved).await?;
    let policy = &resolved.policy;
    let windows = wavegate_documents::windows::expand(&policy.windows, SystemClock.now());
    let windows = windows
        .map_err(|why| Failure::usage(format!("the windows of policy `{}`: {why}", policy.name)))?;
    let wave_windows = wavegate_documents::windows::expand_waves(policy, SystemClock.now());
    let wave_windows = wave_windows
        .map_err(|why| Failure::usage(format!("the windows of policy `{}`: {why}", policy.name)))?;
    let spec = Spec {
        rollout: new_id(name)?,
        service: resolved.service.clone(),
        release: resolved.release.clone(),
        policy: resolved.policy.clone(),
        plan: resolved.plan.clone(),
        clusters: resolved.clusters.clone(),
        sources: resolved.sources.clone(),
        windows,
        started_by: actor(),
        wave_windows,
        origin: origin(documents, name),
        capabilities: capabilities(host, &resolved)?,
        pins: pins(&strategy, &gates),
    };
    let prepared = Prepared {
        spec,
        resolved,
        strategy,
        gates,
    };
    stages_exist(host, documents, &prepared).await?;
    Ok(prepared)
}

/// The plugins of a policy, loaded and checked. Limits are those of their classes from then on.
pub(crate) async fn plugins(
    host: &Host,
    documents: &Documents,
    resolved: &mut ResolvedRollout,
) -> Result<(LoadedPlugin, BTreeMap<GateName, LoadedPlugin>)> {
    let base = resolved.folders.policy.clone();
    let policy = &resolved.policy;

    let strategy = plugin(
        host,
        documents,
        &Location::StrategyPlugin(policy.name.clone()),
        &policy.strategy.plugin,
        PluginKind::Strategy,
        &base,
    )
    .await?;
    config(
        host,
        documents,
        &Location::StrategyConfig(policy.name.clone()),
        &strategy,
        &policy.strategy.config,
    )
    .await?;
    let mut gates = BTreeMap::new();
    for gate in &policy.gates {
        let loaded = plugin(
            host,
            documents,
            &Location::GatePlugin(policy.name.clone(), gate.name.clone()),
            &gate.plugin,
            PluginKind::Gate,
            &base,
        )
        .await?;
        config(
            host,
            documents,
            &Location::GateConfig(policy.name.clone(), gate.name.clone()),
            &loaded,
            &gate.config,
        )
        .await?;
        slots(documents, resolved, gate, &loaded)?;
        gates.insert(gate.name.clone(), loaded);
    }
    classed(resolved, &strategy, &gates);
    Ok((strategy, gates))
}

/// What a rollout is bound to from its start.
pub(crate) fn pins(strategy: &LoadedPlugin, gates: &BTreeMap<GateName, LoadedPlugin>) -> Pins {
    Pins {
        strategy: strategy.digest.clone(),
        strategy_name: strategy.about.name.clone(),
        gates: gates
            .iter()
            .map(|(name, plugin)| (name.clone(), plugin.digest.clone()))
            .collect(),
        strategy_state: Some(tag(&strategy.about)),
        gate_states: gates
            .iter()
            .map(|(name, plugin)| (name.clone(), tag(&plugin.about)))
            .collect(),
    }
}

/// What a call may use is decided by the class: the policy's, or else the component's. The policy
/// has tightened its own class already.
fn classed(
    resolved: &mut ResolvedRollout,
    strategy: &LoadedPlugin,
    gates: &BTreeMap<GateName, LoadedPlugin>,
) {
    let used = &mut resolved.policy.strategy;
    let class = *used.class.get_or_insert(strategy.class);
    used.limits = used.limits.tightened(class.limits());
    for used in &mut resolved.policy.gates {
        let says = gates.get(&used.name).map(|gate| gate.class);
        let class = *used.class.get_or_insert(says.unwrap_or_default());
        used.limits = used.limits.tightened(class.limits());
    }
}

/// An approval of a stage that the strategy never goes through would approve nothing, and nobody
/// would be told.
async fn stages_exist(host: &Host, documents: &Documents, prepared: &Prepared) -> Result<()> {
    let mut problems = Diagnostics::default();
    for (at, approval) in prepared.spec.policy.approvals.iter().enumerate() {
        let mut known: Vec<String> = Vec::new();
        for wave in &prepared.spec.plan.waves {
            let concerned = approval.waves.is_empty() || approval.waves.contains(&wave.name);
            let site = wave.sites.first().filter(|_| concerned);
            let Some(site) = site else { continue };
            for stage in outline(host, prepared, site).await? {
                if !known.contains(&stage.name) {
                    known.push(stage.name);
                }
            }
        }
        if known.contains(&approval.stage) {
            continue;
        }
        let place = Location::StageApproval(prepared.spec.policy.name.clone(), at);
        let name = &prepared.spec.pins.strategy_name;
        let message = format!("the strategy {name} has no stage `{}`", approval.stage);
        let hint = format!("it has: {}", known.join(", "));
        let problem = documents.problem_at(&place, message, Some(hint));
        problems = problems.and(problem.into());
    }
    if problems.is_empty() {
        Ok(())
    } else {
        Err(invalid(problems))
    }
}

/// The files that were read; none if one of them has a path that cannot be written down.
fn origin(documents: &Documents, name: &str) -> Option<Origin> {
    let absolute = |path: &PathBuf| Some(std::path::absolute(path).ok()?.to_str()?.to_owned());
    let files: Option<Vec<String>> = documents.paths().iter().map(absolute).collect();
    Some(Origin {
        files: files?,
        rollout: name.to_owned(),
    })
}

fn new_id(name: &str) -> Result<RolloutId> {
    let mut random = [0_u8; 3];
    getrandom::fill(&mut random)
        .map_err(|error| anyhow::anyhow!("failed to get randomness: {error}"))?;
    let [a, b, c] = random;
    Ok(RolloutId::new(format!("{name}-{a:02x}{b:02x}{c:02x}")))
}

async fn plugin(
    host: &Host,
    documents: &Documents,
    location: &Location,
    reference: &PluginRef,
    kind: PluginKind,
    base: &Path,
) -> Result<LoadedPlugin> {
    let loaded = host.plugins.load(reference, kind, base).await;
    loaded.map_err(|error| {
        let problem =
            documents.problem_at(location, format!("{:#}", anyhow::Error::new(error)), None);
        let told = Diagnostics::from(problem);
        output::say(told.render(colour()).trim_end());
        let refused = anyhow::anyhow!("a plugin was rejected; nothing was touched");
        Failure::new(Exit::Plugin, refused)
    })
}

async fn config(
    host: &Host,
    documents: &Documents,
    location: &Location,
    plugin: &LoadedPlugin,
    config: &str,
) -> Result<()> {
    let checked = host.plugins.validate_config(&plugin.digest, config).await;
    let problems = checked.map_err(|why: Unavailable| {
        let context = format!(
            "failed to check the configuration of plugin {}",
            plugin.about.name
        );
        Failure::new(Exit::Plugin, anyhow::Error::new(why).context(context))
    })?;
    if problems.is_empty() {
        Ok(())
    } else {
        Err(invalid(documents.map_plugin_problems(location, &problems)))
    }
}

/// Every slot that a gate declares is bound, to a source whose owner allows it.
fn slots(
    documents: &Documents,
    resolved: &ResolvedRollout,
    gate: &GateUse,
    plugin: &LoadedPlugin,
) -> Result<()> {
    for slot in &plugin.about.slots {
        let place = Location::GateSlot(
            resolved.policy.name.clone(),
            gate.name.clone(),
            slot.name.clone(),
        );
        if !gate.slots.contains_key(&slot.name) {
            let message = format!(
                "gate `{}` needs a source for its slot `{}` ({})",
                gate.name, slot.name, slot.text
            );
            let hint = format!(
                "bind it: `slots: {{{}: NAME}}`, where NAME is a `Source` of kind {}",
                slot.name, slot.kind
            );
            return Err(invalid(Diagnostics::from(documents.problem_at(
                &place,
                message,
                Some(hint),
            ))));
        }
    }
    // A gate can ask every slot that is bound, also one that it does not declare.
    gate.slots
        .values()
        .try_for_each(|source| granted(resolved, source, plugin))
}

/// The owner of a source lists the policy and the component.
fn granted(resolved: &ResolvedRollout, source: &SourceName, plugin: &LoadedPlugin) -> Result<()> {
    if let Some(spec) = resolved.sources.iter().find(|spec| spec.name == *source) {
        let policy = spec.policies.allows(&resolved.policy.name);
        if !policy || !spec.plugins.allows(&plugin.digest) {
            let what = if policy {
                format!("the component {}", plugin.digest)
            } else {
                format!("the policy `{}`", resolved.policy.name)
            };
            let refused = anyhow::anyhow!("source `{source}` is not granted to {what}");
            let hint = format!(
                "the owner of the `Source` document `{source}` would have to list it under `grants`"
            );
            return Err(Failure::new(Exit::Refused, refused).hint(hint));
        }
    }
    Ok(())
}

fn capabilities(host: &Host, resolved: &ResolvedRollout) -> Result<Capabilities> {
    let mut all = Capabilities {
        splits_traffic: true,
        surges: true,
    };
    for cluster in &resolved.clusters {
        let Some(driver) = host.driver(&cluster.driver) else {
            let message = format!(
                "cluster `{}` needs the driver `{}`, which this host does not have",
                cluster.name, cluster.driver
            );
            return Err(Failure::usage(message).hint("this host has: local"));
        };
        let can = driver.capabilities();
        all.splits_traffic &= can.splits_traffic;
        all.surges &= can.surges;
    }
    // Clusters without a front door are served by nodes alone.
    let doors = resolved
        .plan
        .waves
        .iter()
        .flat_map(|wave| &wave.sites)
        .all(|site| {
            site.clusters.iter().any(|planned| {
                cluster(&resolved.clusters, &planned.name)
                    .is_some_and(|cluster| cluster.connection.contains("\"frontDoor\""))
            })
        });
    all.splits_traffic &= doors;
    Ok(all)
}

/// Paths of a document are meant against its folder; what is journaled is absolute, so that a
/// resume from anywhere means the same.
pub(crate) fn make_absolute(resolved: &mut ResolvedRollout) -> Result<()> {
    for cluster in &mut resolved.clusters {
        connection_absolute(cluster, &resolved.folders.fleet)?;
    }
    for source in &mut resolved.sources {
        if let Some(folder) = resolved.folders.sources.get(&source.name) {
            source_absolute(source, folder)?;
        }
    }
    release_absolute(&mut resolved.release, &resolved.folders.release)
}

/// Folders of a cluster are named against the folder of its fleet's document.
pub(crate) fn connection_absolute(cluster: &mut Cluster, folder: &Path) -> Result<()> {
    let mut connection: serde_json::Value = serde_json::from_str(&cluster.connection)?;
    for key in ["dir", "frontDoorDir"] {
        if let Some(value) = connection.get_mut(key)
            && let Some(path) = value.as_str()
        {
            *value = absolute(folder, path)?.into();
        }
    }
    cluster.connection = connection.to_string();
    Ok(())
}

/// Credentials and certificates are named against the folder of their source's document.
pub(crate) fn source_absolute(source: &mut SourceSpec, folder: &Path) -> Result<()> {
    let endpoint = match &mut source.kind {
        SourceKind::Probe => return Ok(()),
        SourceKind::Prometheus(prometheus) => &mut prometheus.endpoint,
        SourceKind::Http(http) => &mut http.endpoint,
    };
    let secret = match &mut endpoint.auth {
        Auth::None => None,
        Auth::Bearer(secret)
        | Auth::Basic {
            password: secret, ..
        } => Some(secret),
    };
    let mut files = Vec::new();
    if let Some(SecretRef::File(path)) = secret {
        files.push(path);
    }
    if let Some(tls) = &mut endpoint.tls {
        files.extend(&mut tls.ca);
        files.extend(
            tls.identity
                .iter_mut()
                .flat_map(|pair| [&mut pair.0, &mut pair.1]),
        );
    }
    for path in files {
        *path = absolute(folder, path)?;
    }
    Ok(())
}

/// A program that is named by a relative path with a folder in it is in the document's folder.
pub(crate) fn release_absolute(release: &mut wavegate_model::Release, folder: &Path) -> Result<()> {
    for artifact in release.artifacts.values_mut() {
        let mut value: serde_json::Value = serde_json::from_str(artifact)?;
        if let Some(program) = value.pointer_mut("/command/0")
            && let Some(text) = program.as_str()
            && (text.starts_with("./") || text.starts_with("../"))
        {
            *program = absolute(folder, text)?.into();
        }
        if let Some(path) = value.pointer_mut("/folder")
            && let Some(text) = path.as_str()
        {
            *path = absolute(folder, text)?.into();
        }
        *artifact = value.to_string();
    }
    Ok(())
}

fn absolute(base: &Path, path: &str) -> Result<String> {
    let joined = std::path::absolute(base.join(path))?;
    joined
        .to_str()
        .map(str::to_owned)
        .ok_or_else(|| Failure::usage(format!("the path {} is not Unicode", joined.display())))
}

/// The stages that the strategy means to go through in the first site of each wave.
pub(crate) async fn outline(
    host: &Host,
    prepared: &Prepared,
    site: &wavegate_model::PlannedSite,
) -> Result<Vec<Stage>> {
    let nodes = |name: &ClusterName| prepared.cluster(name).map_or(0, |found| found.nodes);
    let clusters = site
        .clusters
        .iter()
        .map(|c| (c.name.clone(), c.role.clone(), nodes(&c.name)));
    let release = &prepared.spec.release;
    let call = PluginCall {
        rollout: prepared.spec.rollout.clone(),
        digest: prepared.spec.pins.strategy.clone(),
        config: prepared.spec.policy.strategy.config.clone(),
        limits: prepared.spec.policy.strategy.limits,
        question: Question::Outline {
            site: SiteSummary {
                site: site.name.clone(),
                clusters: clusters.collect(),
            },
            release: ReleaseId {
                version: release.version.clone(),
                digest: release.digest.clone(),
            },
        },
    };
    match host.plugins.call(call).await.end {
        CallEnd::Answered(Answer::Outline(stages)) => Ok(stages),
        CallEnd::Unavailable(why) => Err(Failure::new(Exit::Plugin, why)),
        CallEnd::Answered(_) | CallEnd::NeedsEvidence(_) => Err(Failure::new(
            Exit::Plugin,
            anyhow::anyhow!("the strategy answered another question than was asked"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wavegate_model::source::{Endpoint, Grant, HttpSource, Tls};
    use wavegate_model::{DurationMs, SourceName};

    #[test]
    fn files_of_a_source_are_in_its_documents_folder() {
        let secret = SecretRef::File("/run/token".to_owned());
        let endpoint = Endpoint {
            address: "https://a".to_owned(),
            timeout: DurationMs::secs(1),
            auth: Auth::Bearer(secret.clone()),
            tls: Some(Tls {
                ca: Some("tls/ca.pem".to_owned()),
                identity: Some(("own.pem".to_owned(), "own.key".to_owned())),
            }),
        };
        let mut source = SourceSpec {
            name: SourceName::from("s"),
            kind: SourceKind::Http(HttpSource {
                endpoint,
                paths: Vec::new(),
                body_bytes_max: 1,
            }),
            policies: Grant::Any,
            plugins: Grant::Any,
        };
        source_absolute(&mut source, Path::new("/docs")).unwrap();
        let SourceKind::Http(http) = source.kind else {
            panic!("another kind");
        };
        assert_eq!(http.endpoint.auth, Auth::Bearer(secret));
        let own = ["/docs/own.pem", "/docs/own.key"].map(str::to_owned);
        let tls = http.endpoint.tls.unwrap();
        assert_eq!(tls.ca.as_deref(), Some("/docs/tls/ca.pem"));
        assert_eq!(tls.identity, Some(own.into()));
    }

    /// The names in back quotes of a message, as in "unknown field `x`, expected one of `a`, `b`".
    fn quoted(message: &str) -> std::collections::BTreeSet<String> {
        let (_, expected) = message
            .split_once("expected")
            .expect("it says what it expects");
        let names = expected.split('`').skip(1).step_by(2);
        names.map(str::to_owned).collect()
    }

    fn names(schema: &serde_json::Value) -> std::collections::BTreeSet<String> {
        let properties = schema["properties"].as_object().expect("a map");
        properties.keys().cloned().collect()
    }

    /// The driver reads its blocks by itself, so the schema could know other fields than it.
    #[test]
    fn the_schema_has_the_fields_that_the_driver_reads() {
        let fleet = wavegate_documents::schema("Fleet").expect("there is one");
        let clusters = &fleet["properties"]["spec"]["properties"]["clusters"];
        let connection = &clusters["items"]["properties"]["local"];
        let cluster = Cluster {
            name: ClusterName::from("a"),
            labels: wavegate_model::Labels::new(),
            nodes: 1,
            driver: LOCAL.to_owned(),
            connection: r#"{"dir": "a", "unheard": 1}"#.to_owned(),
        };
        let said = Connection::of(&cluster).unwrap_err().to_string();
        assert_eq!(quoted(&said), names(connection), "{said}");

        let release = wavegate_documents::schema("Release").expect("there is one");
        let artifact = release
            .pointer("/properties/spec/properties/artifacts/properties/local")
            .expect("the driver's block");
        for (part, at) in [
            ("", ""),
            ("health", "/properties/health"),
            ("drain", "/properties/drain"),
        ] {
            let mut block = serde_json::json!({"command": ["a"]});
            if part.is_empty() {
                block["unheard"] = 1.into();
            } else {
                block[part] = serde_json::json!({"unheard": 1});
            }
            let release = wavegate_model::Release {
                version: "1".to_owned(),
                digest: wavegate_model::Digest::from_sha256(&[0; 32]),
                artifacts: BTreeMap::from([(LOCAL.to_owned(), block.to_string())]),
                reversal: wavegate_model::release::Reversal::Possible,
            };
            let said = Artifact::of(&release).unwrap_err().to_string();
            let schema = artifact.pointer(at).expect("a part of the block");
            assert_eq!(quoted(&said), names(schema), "{said}");
        }
    }
}
