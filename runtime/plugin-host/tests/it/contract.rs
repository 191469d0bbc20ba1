//! Released contracts stay as they are, the present one only adds to them, and plugins of both
//! run beside each other.

use crate::ask::{block_on, setup, unavailable};
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use wavegate_model::evidence::{ProbeSummary, Requests, Series};
use wavegate_model::limits::EVIDENCE_QUERIES_MAX;
use wavegate_model::plugin::{PluginKind, Proposal, Verdict};
use wavegate_model::policy::PluginRef;
use wavegate_model::{DurationMs, Evidence, Query, Unavailable};
use wavegate_ports::plugins::{Answer, CallEnd, Plugins};
use wit_parser::{
    Function, InterfaceId, Resolve, Type, TypeDefKind, TypeId, WorldId, WorldItem, WorldKey,
};

/// Every released contract and the digest of its files, in the order of their names.
const RELEASED: [(&str, &str); 1] = [(
    "0.1.0",
    "32b8e979c3ca26102c9b73d711158d9285057442c4eff8394c83f714b2362da5",
)];

fn wit() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../wit")
}

fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(folder).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let files = paths.filter(|path| path.extension().is_some_and(|e| e == "wit"));
    files
        .map(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, std::fs::read(path).unwrap())
        })
        .collect()
}

#[test]
fn released_contracts_are_frozen() {
    let released = wit().join("released");
    let folders: BTreeSet<String> = std::fs::read_dir(&released)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    let known: BTreeSet<String> = RELEASED.map(|(version, _)| version.to_owned()).into();
    assert_eq!(folders, known, "every released contract is frozen here");
    for (version, digest) in RELEASED {
        let mut hasher = Sha256::new();
        for (name, text) in files(&released.join(version)) {
            hasher.update(format!("{name} {}\n", text.len()));
            hasher.update(&text);
        }
        let found: String = hasher
            .finalize()
            .iter()
            .map(|b| format!("{b:02x}"))
            .collect();
        assert_eq!(
            found, digest,
            "contract {version} was released and cannot change any more"
        );
    }
}

#[test]
fn the_present_contract_only_adds_to_the_last_release() {
    let (last, _) = RELEASED[RELEASED.len() - 1];
    let old = read(&wit().join("released").join(last));
    let new = read(&wit());
    assert_eq!(problems(&old, &new), Vec::<String>::new());
}

#[test]
fn a_change_that_breaks_plugins_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let last = wit().join("released").join(RELEASED[RELEASED.len() - 1].0);
    let old = read(&last);
    for (file, from, to, about) in [
        (
            "types.wit",
            "    retryable: bool,\n",
            "    retryable: bool,\n    since: u32,\n",
            "failure",
        ),
        (
            "types.wit",
            "    fail,\n",
            "    fail,\n    skip,\n",
            "verdict",
        ),
        ("strategy.wit", "    done,\n", "", "decide"),
        (
            "gate.wit",
            "  describe: func",
            "  more: func();\n  describe: func",
            "more",
        ),
        ("gate.wit", "config: string, state", "state", "evaluate"),
        ("host.wit", "  get: func", "  fetch: func", "get"),
        ("worlds.wit", "  import probes;\n", "", "probes"),
    ] {
        for (name, text) in files(&last) {
            let mut text = String::from_utf8(text).unwrap();
            if name == file {
                assert!(text.contains(from), "{file} has no {from:?}");
                text = text.replace(from, to);
            }
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let Ok(new) = try_read(folder.path()) else {
            panic!("{file} without {from:?} cannot be read")
        };
        let found = problems(&old, &new);
        assert!(
            found.iter().any(|problem| problem.contains(about)),
            "{from:?}: {found:?}"
        );
    }
}

#[test]
fn plugins_of_both_contracts_run_beside_each_other() {
    let setup = setup();
    let old = setup.load("plain-strategy", PluginKind::Strategy).unwrap();
    let new = setup.load("strategy-0-2", PluginKind::Strategy).unwrap();
    assert_eq!(
        (old.contract.as_str(), new.contract.as_str()),
        ("0.1.0", "0.2.0")
    );
    for _ in 0..2 {
        let answers = [&old, &new].map(|plugin| setup.outcome(&plugin.digest, b""));
        assert!(matches!(answers[0].proposal, Proposal::Go(_)));
        assert_eq!(answers[0], answers[1]);
    }
    // Kinds and grants are the same in every contract.
    assert!(setup.load("ask-gate", PluginKind::Strategy).is_err());
    assert_eq!(
        setup.load("pass-gate", PluginKind::Gate).unwrap().contract,
        "0.1.0"
    );
}

/// Components that were built once for contract 0.1, each by the tools of its time.
#[test]
fn old_components_run_for_ever() {
    let setup = setup();
    let old = crate::guests::folder().join("old");
    let mut loaded = 0;
    for file in std::fs::read_dir(old).unwrap() {
        let name = file.unwrap().file_name().to_string_lossy().into_owned();
        // Beside them is a page about them.
        if !name.ends_with(".wasm") {
            continue;
        }
        let kind = match name.contains("-strategy-") {
            true => PluginKind::Strategy,
            false => PluginKind::Gate,
        };
        let reference = PluginRef::File(name.clone());
        let folder = crate::guests::folder().join("old");
        let plugin = block_on(setup.host.load(&reference, kind, &folder));
        let plugin = plugin.unwrap_or_else(|why| panic!("{name}: {why}"));
        assert!(
            plugin.contract.starts_with("0.1."),
            "{name}: {}",
            plugin.contract
        );
        loaded += 1;
    }
    assert!(loaded >= 2, "{loaded}");
}

#[test]
fn questions_of_every_kind_take_one_round() {
    let setup = setup();
    let gate = setup.gate("ask-gate");
    let CallEnd::NeedsEvidence(asked) = setup.evaluate(&gate, Vec::new()).end else {
        panic!("it asks for evidence")
    };
    let probe = Query::Probe {
        slot: "probes".into(),
        cluster: "eu-1".into(),
        cohort: "new".into(),
        window: DurationMs(1000),
    };
    let metric = Query::Instant {
        slot: "probes".into(),
        query: "up".into(),
    };
    assert_eq!(asked, [probe.clone(), metric.clone()]);
    let summary = |failed| {
        let checks = Requests {
            total: 10,
            failed,
            ..Requests::default()
        };
        Evidence::Probe(ProbeSummary {
            checks,
            traffic: Requests::default(),
        })
    };
    let one = Series {
        labels: Vec::new(),
        samples: vec![(1.0, 1.0)],
    };
    for (failed, series, verdict) in [
        (0, vec![one.clone()], Verdict::Pass),
        (0, Vec::new(), Verdict::Hold),
        (1, vec![one], Verdict::Fail),
    ] {
        let evidence = vec![
            (probe.clone(), summary(failed)),
            (metric.clone(), Evidence::Series(series)),
        ];
        let report = setup.evaluate(&gate, evidence);
        let CallEnd::Answered(Answer::Evaluate(evaluation)) = &report.end else {
            panic!("{:?}", report.end)
        };
        assert_eq!(evaluation.verdict, verdict);
    }
    // An answer that cannot be one ends the call, as it does for single questions.
    let mixed = vec![(probe, summary(0)), (metric, summary(0))];
    assert!(matches!(
        unavailable(&setup.evaluate(&gate, mixed)),
        Unavailable::NonDeterministic { .. }
    ));
}

#[test]
fn asking_for_everything_at_once_has_the_limits_of_asking_one_by_one() {
    let setup = setup();
    let flood = setup.gate("ask-flood-gate");
    assert_eq!(
        unavailable(&setup.evaluate(&flood, Vec::new())),
        &Unavailable::TooManyQueries {
            limit: EVIDENCE_QUERIES_MAX
        }
    );
    let sly = setup.gate("ask-ungranted-gate");
    assert_eq!(
        unavailable(&setup.evaluate(&sly, Vec::new())),
        &Unavailable::NotGranted {
            slot: "secrets".into()
        }
    );
}

struct Contract {
    resolve: Resolve,
    interfaces: BTreeMap<String, InterfaceId>,
    worlds: BTreeMap<String, WorldId>,
}

fn read(folder: &Path) -> Contract {
    try_read(folder).unwrap()
}

fn try_read(folder: &Path) -> Result<Contract, String> {
    let mut resolve = Resolve::default();
    let (package, _) = resolve
        .push_dir(folder)
        .map_err(|error| format!("{error:#}"))?;
    let package = &resolve.packages[package];
    let interfaces = package
        .interfaces
        .iter()
        .map(|(name, id)| (name.clone(), *id));
    let worlds = package.worlds.iter().map(|(name, id)| (name.clone(), *id));
    let (interfaces, worlds) = (interfaces.collect(), worlds.collect());
    Ok(Contract {
        resolve,
        interfaces,
        worlds,
    })
}

/// What a plugin that was built against the old contract would miss in the new one.
fn problems(old: &Contract, new: &Contract) -> Vec<String> {
    let mut found = Vec::new();
    for (name, id) in &old.interfaces {
        let Some(other) = new.interfaces.get(name) else {
            found.push(format!("interface {name} is gone"));
            continue;
        };
        let (before, now) = (shape(&old.resolve, *id), shape(&new.resolve, *other));
        let changed = before
            .iter()
            .filter(|(item, shape)| now.get(*item) != Some(shape));
        found.extend(changed.map(|(item, _)| format!("{name}/{item} is not what it was")));
        // Plugins export these two, so the host may ask for nothing more.
        if ["strategy", "gate"].contains(&name.as_str()) {
            let more = now.keys().filter(|item| !before.contains_key(*item));
            found.extend(more.map(|item| format!("{name}/{item} is not in what plugins export")));
        }
    }
    for (name, id) in &old.worlds {
        let Some(other) = new.worlds.get(name) else {
            found.push(format!("world {name} is gone"));
            continue;
        };
        let (old_world, new_world) = (&old.resolve.worlds[*id], &new.resolve.worlds[*other]);
        let missing = names(&old.resolve, &old_world.imports)
            .into_iter()
            .filter(|import| !names(&new.resolve, &new_world.imports).contains(import));
        found.extend(missing.map(|import| format!("world {name} imports {import} no more")));
        if names(&old.resolve, &old_world.exports) != names(&new.resolve, &new_world.exports) {
            found.push(format!("world {name} exports something else"));
        }
    }
    found
}

fn names<'a>(
    resolve: &Resolve,
    items: impl IntoIterator<Item = (&'a WorldKey, &'a WorldItem)>,
) -> BTreeSet<String> {
    let name = |key: &WorldKey| match key {
        WorldKey::Name(name) => name.clone(),
        WorldKey::Interface(id) => resolve.interfaces[*id].name.clone().unwrap_or_default(),
    };
    items.into_iter().map(|(key, _)| name(key)).collect()
}

/// Types and functions of an interface, written out to the last field.
fn shape(resolve: &Resolve, id: InterfaceId) -> BTreeMap<String, String> {
    let interface = &resolve.interfaces[id];
    let types = interface
        .types
        .iter()
        .map(|(name, id)| (name.clone(), defined(resolve, *id)));
    let functions = interface
        .functions
        .iter()
        .map(|(name, function)| (name.clone(), signature(resolve, function)));
    types.chain(functions).collect()
}

fn signature(resolve: &Resolve, function: &Function) -> String {
    let params = function.params.iter();
    let params = params.map(|param| format!("{}: {}", param.name, written(resolve, &param.ty)));
    let result = function.result.as_ref().map(|ty| written(resolve, ty));
    format!("({}) -> {result:?}", params.collect::<Vec<_>>().join(", "))
}

fn written(resolve: &Resolve, ty: &Type) -> String {
    match ty {
        Type::Id(id) => defined(resolve, *id),
        other => format!("{other:?}"),
    }
}

fn defined(resolve: &Resolve, id: TypeId) -> String {
    let inner = |ty: &Type| written(resolve, ty);
    let maybe = |ty: &Option<Type>| ty.as_ref().map(inner).unwrap_or_default();
    match &resolve.types[id].kind {
        TypeDefKind::Record(record) => {
            let fields = record.fields.iter();
            let fields = fields.map(|field| format!("{}: {}", field.name, inner(&field.ty)));
            format!("record {{{}}}", fields.collect::<Vec<_>>().join(", "))
        }
        TypeDefKind::Variant(variant) => {
            let cases = variant.cases.iter();
            let cases = cases.map(|case| format!("{}({})", case.name, maybe(&case.ty)));
            format!("variant {{{}}}", cases.collect::<Vec<_>>().join(", "))
        }
        TypeDefKind::Enum(cases) => {
            let cases: Vec<&str> = cases.cases.iter().map(|case| case.name.as_str()).collect();
            format!("enum {{{}}}", cases.join(", "))
        }
        TypeDefKind::Option(ty) => format!("option<{}>", inner(ty)),
        TypeDefKind::List(ty) => format!("list<{}>", inner(ty)),
        TypeDefKind::Result(result) => {
            format!("result<{}, {}>", maybe(&result.ok), maybe(&result.err))
        }
        TypeDefKind::Tuple(tuple) => {
            let types: Vec<String> = tuple.types.iter().map(inner).collect();
            format!("tuple<{}>", types.join(", "))
        }
        TypeDefKind::Type(ty) => inner(ty),
        other => panic!("the contract has no {other:?}"),
    }
}
