//! Loading: all files, all documents, and the names by which they refer to each other.

use crate::diagnostic::{Code, Diagnostic, Diagnostics, Problems, quoted};
use crate::fields::{Cx, Spot};
use crate::kinds::{
    self, Doc, FleetDoc, PolicyDoc, ReleaseDoc, RolloutDoc, SimulationDoc, SourceDoc,
};
use crate::node::{Node, Value};
use crate::parse;
use crate::source::{Place, SourceFile};
use crate::suggest;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use wavegate_model::source::SourceKind;

/// Bytes of a file: four times a fleet of 10,000 clusters.
const FILE_BYTES_MAX: u64 = 4 << 20;
/// Files of one load: a folder that somebody named by mistake stops here.
const FILES_MAX: usize = 1000;

/// All documents of a load, checked one by one and for what they refer to.
#[derive(Debug)]
pub struct Documents {
    pub(crate) fleets: BTreeMap<String, FleetDoc>,
    pub(crate) policies: BTreeMap<String, PolicyDoc>,
    pub(crate) releases: BTreeMap<String, ReleaseDoc>,
    pub(crate) rollouts: BTreeMap<String, RolloutDoc>,
    pub(crate) simulations: BTreeMap<String, SimulationDoc>,
    pub(crate) sources: BTreeMap<String, SourceDoc>,
    files: Vec<PathBuf>,
    paths: Vec<PathBuf>,
}

impl Documents {
    /// Reads files, and of folders all `.yaml` and `.yml` files in them, not below.
    ///
    /// All problems of all files are reported, as far as one does not hide another.
    pub fn load(paths: &[PathBuf]) -> Result<Self, Diagnostics> {
        Self::load_beside(paths, &[])
    }

    /// The same, where some sources are known from elsewhere and need not be among the documents.
    pub fn load_beside(
        paths: &[PathBuf],
        sources: &[wavegate_model::SourceSpec],
    ) -> Result<Self, Diagnostics> {
        let problems = Problems::default();
        let mut loader = Loader::new(&problems);
        let names = sources.iter().map(|source| source.name.to_string());
        loader.known_sources = names.collect();
        for path in files(paths, &problems) {
            loader.file(&path);
        }
        let mut documents = loader.finish();
        documents.paths = paths.to_vec();
        if problems.has_errors() {
            Err(problems.into_diagnostics())
        } else {
            Ok(documents)
        }
    }

    /// Names of the rollouts, sorted.
    pub fn rollouts(&self) -> impl Iterator<Item = &str> {
        self.rollouts.keys().map(String::as_str)
    }

    /// The files and folders that were named.
    pub fn paths(&self) -> &[PathBuf] {
        &self.paths
    }

    /// The files that were read.
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// A release by the name of its document, with the folder that its paths are meant against.
    pub fn release(&self, name: &str) -> Option<(wavegate_model::Release, PathBuf)> {
        let found = self.releases.get(name)?;
        Some((
            found.release.clone(),
            found.name.place.source.folder().to_path_buf(),
        ))
    }

    /// Names of the policies, sorted.
    pub fn policies(&self) -> impl Iterator<Item = &str> {
        self.policies.keys().map(String::as_str)
    }

    /// Names of the simulations, sorted.
    pub fn simulations(&self) -> impl Iterator<Item = &str> {
        self.simulations.keys().map(String::as_str)
    }

    /// A simulation by its name.
    pub fn simulation(&self, name: &str) -> Option<&wavegate_model::Simulation> {
        self.simulations.get(name).map(|found| &found.simulation)
    }

    /// How many documents there are, by kind.
    pub fn counts(&self) -> [(&'static str, usize); 6] {
        [
            ("Fleet", self.fleets.len()),
            ("Release", self.releases.len()),
            ("Rollout", self.rollouts.len()),
            ("RolloutPolicy", self.policies.len()),
            ("Simulation", self.simulations.len()),
            ("Source", self.sources.len()),
        ]
    }
}

/// The files that paths stand for, each once.
fn files(paths: &[PathBuf], problems: &Problems) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut seen = BTreeSet::new();
    if paths.is_empty() {
        problems.push(Diagnostic::error(Code::File, "no file was named"));
    }
    for path in paths {
        let found = if path.is_dir() {
            folder(path, problems)
        } else {
            vec![path.clone()]
        };
        for file in found {
            let identity = file.canonicalize().unwrap_or_else(|_| file.clone());
            if seen.insert(identity) {
                files.push(file);
            }
        }
    }
    if files.len() > FILES_MAX {
        let message = format!("{} files are more than {FILES_MAX}", files.len());
        problems.push(Diagnostic::error(Code::TooLarge, message));
        files.clear();
    }
    files
}

fn folder(path: &Path, problems: &Problems) -> Vec<PathBuf> {
    let entries = match std::fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) => {
            problems.push(unreadable(path, &error));
            return Vec::new();
        }
    };
    let is_yaml = |path: &PathBuf| {
        path.extension()
            .is_some_and(|end| end == "yaml" || end == "yml")
    };
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(is_yaml)
        .filter(|path| path.is_file())
        .collect();
    files.sort();
    if files.is_empty() {
        let message = format!(
            "the folder {} has no `.yaml` file",
            quoted(&path.display().to_string())
        );
        problems.push(Diagnostic::error(Code::File, message));
    }
    files
}

fn unreadable(path: &Path, error: &std::io::Error) -> Diagnostic {
    let reason = match error.kind() {
        std::io::ErrorKind::NotFound => "there is no such file".to_owned(),
        std::io::ErrorKind::PermissionDenied => "this user may not read it".to_owned(),
        _ => error.to_string(),
    };
    Diagnostic::error(
        Code::File,
        format!(
            "cannot read {}: {reason}",
            quoted(&path.display().to_string())
        ),
    )
}

fn read(path: &Path) -> Result<String, Box<Diagnostic>> {
    let named = || quoted(&path.display().to_string());
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(|error| Box::new(unreadable(path, &error)))?;
    let read = file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes);
    read.map_err(|error| Box::new(unreadable(path, &error)))?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        let message = format!("{} has more than {} MiB", named(), FILE_BYTES_MAX >> 20);
        let problem = Diagnostic::error(Code::TooLarge, message);
        return Err(Box::new(
            problem.hint("split it: documents may stand in many files"),
        ));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let good = String::from_utf8_lossy(&error.as_bytes()[..error.utf8_error().valid_up_to()])
            .into_owned();
        let source = Arc::new(SourceFile::new(path.to_path_buf(), good));
        let end = source.text.len();
        let problem = Diagnostic::error(Code::Syntax, format!("{} is not UTF-8", named()));
        Box::new(problem.at(Place::new(&source, end..end), "the next byte is not UTF-8"))
    })?;
    Ok(text
        .strip_prefix('\u{feff}')
        .map(str::to_owned)
        .unwrap_or(text))
}

struct Loader<'a> {
    problems: &'a Problems,
    documents: Documents,
    /// Kind and name of every document, also of those that have problems.
    declared: BTreeMap<(String, String), Place>,
    /// Names of sources that are known from elsewhere.
    known_sources: BTreeSet<String>,
    /// Whether a file could not be parsed: a name that is missing may stand in it.
    blind: bool,
}

impl<'a> Loader<'a> {
    fn new(problems: &'a Problems) -> Self {
        let documents = Documents {
            fleets: BTreeMap::new(),
            policies: BTreeMap::new(),
            releases: BTreeMap::new(),
            rollouts: BTreeMap::new(),
            simulations: BTreeMap::new(),
            sources: BTreeMap::new(),
            files: Vec::new(),
            paths: Vec::new(),
        };
        Self {
            problems,
            documents,
            declared: BTreeMap::new(),
            known_sources: BTreeSet::new(),
            blind: false,
        }
    }

    fn file(&mut self, path: &Path) {
        self.documents.files.push(path.to_path_buf());
        let text = match read(path) {
            Ok(text) => text,
            Err(problem) => return self.unparsed(*problem),
        };
        let source = Arc::new(SourceFile::new(path.to_path_buf(), text));
        let (nodes, unreadable) = parse::parse(&source);
        let readable = unreadable.is_empty();
        unreadable
            .into_iter()
            .for_each(|problem| self.unparsed(problem));
        if nodes.is_empty() && readable {
            let problem = Diagnostic::error(Code::Syntax, "the file has no document");
            let hint = format!(
                "a document begins with `apiVersion: {}`",
                kinds::API_VERSION
            );
            return self
                .problems
                .push(problem.at(Place::new(&source, 0..0), "").hint(hint));
        }
        for node in &nodes {
            self.document(&source, node);
        }
    }

    fn unparsed(&mut self, problem: Diagnostic) {
        self.blind = true;
        self.problems.push(problem);
    }

    fn document(&mut self, source: &Arc<SourceFile>, node: &Node) {
        let cx = Cx {
            source,
            problems: self.problems,
        };
        if !self.declare(cx, node) {
            return;
        }
        match kinds::read(cx, node) {
            Some(Doc::Fleet(doc)) => {
                drop(self.documents.fleets.insert(doc.name.value.clone(), doc))
            }
            Some(Doc::Policy(doc)) => {
                drop(self.documents.policies.insert(doc.name.value.clone(), *doc))
            }
            Some(Doc::Release(doc)) => {
                drop(self.documents.releases.insert(doc.name.value.clone(), doc))
            }
            Some(Doc::Rollout(doc)) => {
                drop(self.documents.rollouts.insert(doc.name.value.clone(), doc))
            }
            Some(Doc::Simulation(doc)) => drop(
                self.documents
                    .simulations
                    .insert(doc.name.value.clone(), *doc),
            ),
            Some(Doc::Source(doc)) => {
                drop(self.documents.sources.insert(doc.name.value.clone(), doc))
            }
            None => {}
        }
    }

    /// Remembers kind and name. False if there is such a document already.
    fn declare(&mut self, cx: Cx<'_>, node: &Node) -> bool {
        let text = |node: Option<&Node>| match node.map(|node| &node.value) {
            Some(Value::Text(text)) => Some(text.clone()),
            _ => None,
        };
        let name_node = node
            .get("metadata")
            .and_then(|metadata| metadata.get("name"));
        let (Some(kind), Some(name), Some(name_node)) =
            (text(node.get("kind")), text(name_node), name_node)
        else {
            return true;
        };
        let message = format!(
            "two documents of kind {} are called {}",
            quoted(&kind),
            quoted(&name)
        );
        let place = cx.place(name_node);
        match self.declared.insert((kind, name), place.clone()) {
            None => true,
            Some(first) => {
                let problem = Diagnostic::error(Code::Duplicate, message).at(place, "again");
                self.problems.push(problem.see(first, "first"));
                false
            }
        }
    }

    fn finish(self) -> Documents {
        for rollout in self.documents.rollouts.values() {
            self.check_rollout(rollout);
        }
        for policy in self.documents.policies.values() {
            self.check_slots(policy);
        }
        for simulation in self.documents.simulations.values() {
            self.check_answers("metrics", "a Prometheus", &simulation.metrics);
            self.check_answers("pages", "an HTTP", &simulation.pages);
        }
        self.documents
    }

    /// What a simulation answers for is there, and is asked such things: of any other source its
    /// answers would be ignored.
    fn check_answers(&self, field: &str, kind: &str, sources: &[Spot<String>]) {
        for name in sources {
            if !self.check_reference("Source", "source", name) {
                continue;
            }
            let Some(doc) = self.documents.sources.get(&name.value) else {
                continue;
            };
            let fits = match &doc.spec.kind {
                SourceKind::Prometheus(_) => field == "metrics",
                SourceKind::Http(_) => field == "pages",
                SourceKind::Probe => false,
            };
            if !fits {
                let message = format!("`{field}` say what {kind} source answers");
                let problem = Diagnostic::error(Code::Mismatch, message)
                    .at(name.place.clone(), "")
                    .see(doc.name.place.clone(), "it is of another kind");
                self.problems.push(problem);
            }
        }
    }

    fn check_rollout(&self, rollout: &RolloutDoc) {
        self.check_reference("RolloutPolicy", "policy", &rollout.policy);
        self.check_reference("Fleet", "fleet", &rollout.fleet);
        self.check_reference("Release", "release", &rollout.release);
        let Some(release) = self.documents.releases.get(&rollout.release.value) else {
            return;
        };
        if release.service.value != rollout.service.value {
            let message = format!(
                "the rollout is of the service `{}`, and its release of `{}`",
                rollout.service.value, release.service.value
            );
            let problem = Diagnostic::error(Code::Mismatch, message)
                .at(rollout.service.place.clone(), "the rollout's service")
                .see(release.service.place.clone(), "the release's service");
            self.problems.push(problem);
        }
    }

    fn check_reference(&self, kind: &str, word: &str, name: &Spot<String>) -> bool {
        let known = kind == "Source" && self.known_sources.contains(&name.value);
        if self.blind
            || known
            || self
                .declared
                .contains_key(&(kind.to_owned(), name.value.clone()))
        {
            return true;
        }
        let names = self
            .declared
            .keys()
            .filter(|(other, _)| other == kind)
            .map(|(_, name)| name.as_str());
        let hint = suggest::name_hint(&name.value, names);
        let hint = hint.unwrap_or_else(|| {
            format!("no document of kind `{kind}` was loaded; name its file too")
        });
        let message = format!("there is no {word} {}", quoted(&name.value));
        self.problems.push(
            Diagnostic::error(Code::Dangling, message)
                .at(name.place.clone(), "")
                .hint(hint),
        );
        false
    }

    /// Every slot is bound to a source that is there, and whose owner lets this policy use it.
    fn check_slots(&self, policy: &PolicyDoc) {
        for (gate, spots) in policy.policy.gates.iter().zip(&policy.gates) {
            for (slot, source) in &gate.slots {
                let place = spots.slots[slot].clone();
                let name = Spot {
                    value: source.as_str().to_owned(),
                    place,
                };
                if !self.check_reference("Source", "source", &name) {
                    continue;
                }
                let Some(doc) = self.documents.sources.get(source.as_str()) else {
                    continue;
                };
                if !doc.spec.policies.allows(&policy.policy.name) {
                    let message = format!(
                        "the policy `{}` may not use the source `{source}`",
                        policy.policy.name
                    );
                    let problem = Diagnostic::error(Code::Mismatch, message)
                        .at(name.place, "")
                        .see(
                            doc.name.place.clone(),
                            "its owner does not list the policy in `grants.policies`",
                        );
                    self.problems
                        .push(problem.hint("who owns the source has to grant it"));
                }
            }
        }
    }
}
