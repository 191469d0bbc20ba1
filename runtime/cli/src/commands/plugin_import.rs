//! `plugin import`: cases for a gate from what a Prometheus recorded.

use crate::args::ImportCases;
use crate::clock::utc;
use crate::commands::simulate::one_of;
use crate::exit::{Exit, Failure, Result};
use crate::host::{Host, StateDir};
use crate::output::{self, Format, JSON_VERSION};
use crate::prepare::{self, Prepared};
use crate::target::{Existing, Target};
use crate::toolbox::words;
use crate::words::{plural, verdict_word};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use wavegate_conductor::consult::scope;
use wavegate_conductor::evidence::{Asking, rounds};
use wavegate_documents::Documents;
use wavegate_model::plugin::{
    Evaluation, GateCall, GateCluster, Phase, PluginState, ReleaseId, Subject,
};
use wavegate_model::policy::GateUse;
use wavegate_model::source::SourceKind;
use wavegate_model::{
    Digest, DurationMs, Evidence, PlannedSite, Query, SourceSpec, Timestamp, Unavailable,
};
use wavegate_ports::plugins::{PluginCall, Question};
use wavegate_ports::sources::Sources;
use wavegate_sources::SourceSet;

/// Instants of one import: a day, minute by minute.
const CASES_MAX: u64 = 1440;
/// Clusters that a gate sees as untouched, as in a rollout.
const UNTOUCHED_MAX: usize = 64;

/// What came of an import, as JSON.
#[derive(serde::Serialize)]
struct JsonImported<'a> {
    version: u32,
    gate: &'a str,
    file: Option<String>,
    /// Cases that were written.
    cases: usize,
    /// Answers that they hold.
    answers: usize,
    /// Instants of which nothing could be had.
    left_out: Vec<JsonLeftOut>,
}

#[derive(serde::Serialize)]
struct JsonLeftOut {
    at: String,
    why: String,
}

pub(crate) async fn import(args: ImportCases, dir: &StateDir, format: Format) -> Result<Exit> {
    let instants = instants(&args)?;
    let settled = duration("--settled", &args.settled)?;
    let out = target(&args)?;
    let documents = prepare::load(&args.files)?;
    let name = one_of("rollout", documents.rollouts(), args.rollout.as_deref())?;
    let name = name.ok_or_else(|| {
        Failure::usage("the documents have no `Rollout`").hint("name the file that has one, too")
    })?;
    let host = Host::without_journal(dir)?;
    let prepared = prepare::prepare(&host, &documents, &name).await?;
    let importer = Importer {
        gate: gate(&prepared, &args.gate)?,
        site: site(&prepared, args.site.as_deref())?,
        baseline: baseline(&documents, &prepared, args.baseline.as_deref())?,
        sources: Arc::new(host.sources(&prepared.spec)?),
        host: &host,
        prepared: &prepared,
        settled,
    };
    let (mut cases, mut left_out) = (Vec::new(), Vec::new());
    for at in instants {
        match importer.case(at).await {
            Ok(case) => cases.push(case),
            Err(why) => left_out.push(JsonLeftOut {
                at: utc(at),
                why: why.to_string(),
            }),
        }
    }
    for one in &left_out {
        output::say(&format!("{} is left out: {}", one.at, one.why));
    }
    if cases.is_empty() {
        let none = anyhow::anyhow!("no instant of the window can be told; nothing was written");
        return Err(Failure::new(Exit::Unreachable, none));
    }
    let text = importer.text(&cases);
    match out {
        Some(target) => {
            target.write(&text)?;
            tell(&args, &cases, left_out, format);
        }
        None => output::data(text.trim_end()),
    }
    Ok(Exit::Done)
}

/// Where the cases go. In a file that is there already somebody may have filled in what should
/// have come of them.
fn target(args: &ImportCases) -> Result<Option<Target>> {
    let existing = if args.force {
        Existing::Replace
    } else {
        Existing::Keep
    };
    let check = |path: &PathBuf| Target::check("--out", path, existing, &args.files);
    args.out.as_ref().map(check).transpose()
}

fn tell(args: &ImportCases, cases: &[Case], left_out: Vec<JsonLeftOut>, format: Format) {
    let file = args.out.as_ref().map(|path| path.display().to_string());
    if format == Format::Json {
        output::json(&JsonImported {
            version: JSON_VERSION,
            gate: &args.gate,
            file,
            cases: cases.len(),
            answers: cases.iter().map(|case| case.evidence.len()).sum(),
            left_out,
        });
        return;
    }
    let file = file.unwrap_or_default();
    output::data(&format!(
        "wrote {} to {file}; say what should have come of each under `expect`, then:",
        plural(cases.len(), "case")
    ));
    output::data(&format!("wavegate plugin test PLUGIN --cases {file}"));
}

fn instants(args: &ImportCases) -> Result<Vec<Timestamp>> {
    let from = instant("--from", &args.from)?;
    let to = args.to.as_deref().map(|text| instant("--to", text));
    let to = to.transpose()?.unwrap_or(from);
    let every = duration("--every", &args.every)?;
    if to < from {
        return Err(Failure::usage("--to is before --from"));
    }
    if every.0 == 0 {
        return Err(Failure::usage("--every has to be longer than 0"));
    }
    if to.since(from).0 / every.0 >= CASES_MAX {
        return Err(
            Failure::usage(format!("these are more than {CASES_MAX} instants"))
                .hint("take a shorter window, or a longer --every"),
        );
    }
    let count = to.since(from).0 / every.0;
    let instants = (0..=count).map(|n| from.plus(DurationMs(n * every.0)));
    Ok(instants.collect())
}

fn instant(flag: &str, text: &str) -> Result<Timestamp> {
    let wrong = |why: String| {
        Failure::usage(format!("{flag} {text}: {why}"))
            .hint("write an instant with its time zone, as in 2026-01-31T12:00:00Z")
    };
    let read: jiff::Timestamp = text.parse().map_err(|error| wrong(format!("{error}")))?;
    let ms = u64::try_from(read.as_millisecond());
    ms.map(Timestamp)
        .map_err(|_| wrong("it is before 1970".to_owned()))
}

fn duration(flag: &str, text: &str) -> Result<DurationMs> {
    DurationMs::parse(text).map_err(|error| Failure::usage(format!("{flag} {text}: {error}")))
}

fn gate<'a>(prepared: &'a Prepared, name: &str) -> Result<&'a GateUse> {
    let gates = &prepared.spec.policy.gates;
    let found = gates.iter().find(|gate| gate.name.as_str() == name);
    let gate = found.ok_or_else(|| {
        let known: Vec<&str> = gates.iter().map(|gate| gate.name.as_str()).collect();
        Failure::usage(format!("the policy has no gate `{name}`"))
            .hint(format!("it has: {}", known.join(", ")))
    })?;
    let tells_past = |source: &&SourceSpec| matches!(source.kind, SourceKind::Prometheus(_));
    let bound = |source: &&SourceSpec| gate.slots.values().any(|name| *name == source.name);
    let mut sources = prepared.spec.sources.iter().filter(bound);
    match sources.find(|source| !tells_past(source)) {
        None => Ok(gate),
        Some(source) => Err(Failure::usage(format!(
            "gate `{name}` asks source `{}`, and only a Prometheus can tell what was",
            source.name
        ))
        .hint("what such a gate was asked in a rollout is in its journal: see `replay`")),
    }
}

fn site<'a>(prepared: &'a Prepared, name: Option<&str>) -> Result<&'a PlannedSite> {
    let mut sites = prepared.spec.plan.waves.iter().flat_map(|wave| &wave.sites);
    let found = match name {
        None => sites.next(),
        Some(name) => sites.find(|site| site.name.as_str() == name),
    };
    found.ok_or_else(|| {
        Failure::usage(format!(
            "the plan has no site `{}`",
            name.unwrap_or_default()
        ))
        .hint("`wavegate plan` shows the sites")
    })
}

/// What ran before; without a name something that no series is about.
fn baseline(documents: &Documents, prepared: &Prepared, name: Option<&str>) -> Result<Digest> {
    let Some(name) = name else {
        return Ok(Digest::from_sha256(&[0x11; 32]));
    };
    let (mut release, folder) = documents
        .release(name)
        .ok_or_else(|| Failure::usage(format!("the documents have no release `{name}`")))?;
    prepare::release_absolute(&mut release, &folder)?;
    if release.digest == prepared.spec.release.digest {
        return Err(Failure::usage(format!(
            "`{name}` is the release that the rollout brings"
        )));
    }
    Ok(release.digest)
}

/// What a gate answers.
type Said = std::result::Result<Evaluation, Unavailable>;

/// A question with what it got.
struct Case {
    call: GateCall,
    evidence: Vec<(Query, Evidence)>,
    /// What the gate says today.
    says: Said,
}

struct Importer<'a> {
    gate: &'a GateUse,
    site: &'a PlannedSite,
    baseline: Digest,
    sources: Arc<SourceSet>,
    host: &'a Host,
    prepared: &'a Prepared,
    settled: DurationMs,
}

impl Importer<'_> {
    /// What the gate asks at an instant, with what the source had then.
    async fn case(&self, at: Timestamp) -> std::result::Result<Case, Unavailable> {
        let spec = &self.prepared.spec;
        let call = self.call(at);
        let question = PluginCall {
            rollout: spec.rollout.clone(),
            digest: spec.pins.gates[&self.gate.name].clone(),
            config: self.gate.config.clone(),
            limits: self.gate.limits,
            question: Question::Evaluate {
                call: call.clone(),
                state: PluginState::default(),
                evidence: Vec::new(),
                slots: self.gate.slots.keys().cloned().collect(),
            },
        };
        let asking = Asking {
            plugins: self.host.plugins.clone(),
            sources: Arc::clone(&self.sources) as Arc<dyn Sources>,
            slots: self.gate.slots.clone(),
            scope: scope(&call, self.gate.fresh_for),
        };
        let mut blobs = Vec::new();
        let (_, recorded, says) = rounds(asking, question, &mut blobs).await;
        if let Err(why @ (Unavailable::Source { .. } | Unavailable::NotGranted { .. })) = says {
            return Err(why);
        }
        let bytes: BTreeMap<_, _> = blobs
            .into_iter()
            .map(|blob| (blob.digest, blob.bytes))
            .collect();
        let evidence = recorded.into_iter().filter_map(|(query, digest)| {
            let evidence = serde_json::from_slice(bytes.get(&digest)?).ok()?;
            Some((query, evidence))
        });
        Ok(Case {
            call,
            evidence: evidence.collect(),
            says,
        })
    }

    /// The site in the middle of its update: half of its nodes are new.
    fn call(&self, at: Timestamp) -> GateCall {
        let spec = &self.prepared.spec;
        let updated = self.site.clusters.iter().filter_map(|planned| {
            let nodes = self.prepared.cluster(&planned.name)?.nodes;
            Some(GateCluster {
                name: planned.name.clone(),
                role: planned.role.clone(),
                baseline: self.baseline.clone(),
                new_ready: nodes.div_ceil(2),
                baseline_ready: nodes / 2,
            })
        });
        let sites = spec.plan.waves.iter().flat_map(|wave| &wave.sites);
        let others = sites.filter(|site| site.name != self.site.name);
        let untouched = others
            .flat_map(|site| &site.clusters)
            .filter_map(|planned| {
                Some(GateCluster {
                    name: planned.name.clone(),
                    role: planned.role.clone(),
                    baseline: self.baseline.clone(),
                    new_ready: 0,
                    baseline_ready: self.prepared.cluster(&planned.name)?.nodes,
                })
            });
        GateCall {
            now: at,
            subject: Subject::Site(self.site.name.clone()),
            phase: Phase::AfterBatch,
            attempt: 0,
            evidence_start: Timestamp(at.0.saturating_sub(self.settled.0)),
            release: ReleaseId {
                version: spec.release.version.clone(),
                digest: spec.release.digest.clone(),
            },
            updated: updated.collect(),
            untouched: untouched.take(UNTOUCHED_MAX).collect(),
        }
    }

    /// The file: YAML in which every value is JSON.
    fn text(&self, cases: &[Case]) -> String {
        let gate = &self.gate.name;
        let slots: Vec<&str> = self.gate.slots.keys().map(|slot| slot.as_str()).collect();
        let mut text = format!(
            "# What gate {gate} of policy {} asks about site {}, and what its source had.\n\
             # Say under each `expect` what should have come of it, as in {{verdict: fail}}.\n\
             defaults:\n  config: {}\n  slots: {}\ncases:\n",
            self.prepared.spec.policy.name,
            self.site.name,
            self.gate.config,
            json!(slots),
        );
        for case in cases {
            let name = json!(format!("{gate} at {}", utc(case.call.now)));
            // Writing to a string cannot fail.
            let _ = writeln!(text, "- name: {name}");
            let _ = writeln!(text, "  evaluate: {}", words::asked(&case.call));
            let _ = writeln!(text, "  evidence:");
            for (query, evidence) in &case.evidence {
                let entry = words::answered_entry(query, evidence);
                let _ = writeln!(text, "  - {entry}");
            }
            if case.evidence.is_empty() {
                let _ = writeln!(text, "    []");
            }
            let _ = writeln!(text, "  # it says: {}", says(&case.says));
            let _ = writeln!(text, "  expect: {{}}");
        }
        text
    }
}

/// On one line, without anything that would end a comment.
fn says(said: &Said) -> String {
    let text = match said {
        Ok(evaluation) => {
            let reason = Value::String(evaluation.reason.clone());
            format!("{}, {reason}", verdict_word(evaluation.verdict))
        }
        Err(why) => format!("nothing, {}", Value::String(why.to_string())),
    };
    text.chars().filter(|c| !c.is_control()).collect()
}
