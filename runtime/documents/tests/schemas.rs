//! The JSON Schemas say what the parser says. They are made from the same table of fields; what
//! the table says of values is held against the parser here, by documents with one thing changed.

use jsonschema::Validator;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use wavegate_documents::{Code, Documents, kinds, schema, schema_of_all};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn validator() -> Validator {
    jsonschema::options()
        .with_draft(jsonschema::Draft::Draft7)
        .build(&schema_of_all())
        .expect("the schema is one")
}

/// The documents of a file, as an editor sees them.
fn documents(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    // The quickstart's documents have marks that `init` fills in.
    let text = text.replace("@PORT", "1808").replace('@', "");
    read(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// By YAML 1.2, as editors read it: `yes` is a text.
fn read(text: &str) -> Result<Vec<Value>, serde_saphyr::Error> {
    let options = serde_saphyr::options! { strict_booleans: true };
    serde_saphyr::from_multiple_with_options(text, options)
}

fn yaml_files(folder: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root().join(folder)).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|end| end == "yaml"));
    files.sort();
    assert!(!files.is_empty(), "no document in {folder}");
    files
}

fn problems(validator: &Validator, document: &Value) -> Vec<String> {
    validator
        .iter_errors(document)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect()
}

#[test]
fn the_committed_schemas_are_what_the_parser_reads() {
    let folder = root().join("schemas");
    let bless = std::env::var_os("WAVEGATE_BLESS").is_some();
    let all = kinds().map(|(kind, _)| (kind, schema(kind).unwrap()));
    let mut named = BTreeSet::new();
    for (name, schema) in all.chain([("any", schema_of_all())]) {
        let said = format!("{}\n", serde_json::to_string_pretty(&schema).unwrap());
        let path = folder.join(format!("{name}.json"));
        named.insert(path.clone());
        if bless {
            std::fs::write(&path, &said).unwrap();
        }
        let committed = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            committed == said,
            "{} is not up to date (hint: `cargo xtask bless`)",
            path.display()
        );
        jsonschema::meta::validate(&schema).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        assert!(named.contains(&path), "{} is of no kind", path.display());
    }
}

#[test]
fn good_documents_fit_their_schemas() {
    let any = validator();
    let mut seen = BTreeSet::new();
    for folder in [
        "../../tests/documents/good",
        "../../tests/documents/warn",
        "../cli/quickstart",
    ] {
        for path in yaml_files(folder) {
            for document in documents(&path) {
                let kind = document["kind"].as_str().unwrap().to_owned();
                let own = jsonschema::validator_for(&schema(&kind).unwrap()).unwrap();
                for validator in [&any, &own] {
                    let found = problems(validator, &document);
                    assert!(found.is_empty(), "{}: {found:#?}", path.display());
                }
                seen.insert(kind);
            }
        }
    }
    assert_eq!(seen.len(), kinds().count(), "{seen:?}");
}

#[test]
fn what_has_the_wrong_shape_is_refused_by_the_schema_too() {
    let shape = [
        "unknown-field",
        "wrong-type",
        "missing-field",
        "not-built",
        "unknown-kind",
    ];
    let validator = validator();
    let mut refused = 0;
    for path in yaml_files("../../tests/documents/bad") {
        let Err(said) = Documents::load(std::slice::from_ref(&path)) else {
            continue;
        };
        let codes: BTreeSet<&str> = said.iter().map(|problem| problem.code.as_str()).collect();
        if !codes.iter().any(|code| shape.contains(code)) || codes.contains("syntax") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        // Some have repeated or odd keys, which no JSON has.
        let Ok(documents) = read(&text) else {
            continue;
        };
        refused += 1;
        let found = documents
            .iter()
            .filter(|document| !validator.is_valid(document));
        assert!(found.count() > 0, "{} fits: {said}", path.display());
    }
    assert!(refused >= 15, "only {refused} documents of a wrong shape");
}

/// Places in a document, as keys from its top.
fn places(value: &Value, at: &mut Vec<String>, out: &mut Vec<Vec<String>>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                at.push(key.clone());
                out.push(at.clone());
                places(value, at, out);
                at.pop();
            }
        }
        Value::Array(items) => {
            for (index, value) in items.iter().enumerate() {
                at.push(index.to_string());
                out.push(at.clone());
                places(value, at, out);
                at.pop();
            }
        }
        _ => {}
    }
}

fn at<'v>(value: &'v mut Value, place: &[String]) -> &'v mut Value {
    place.iter().fold(value, |value, key| match value {
        Value::Array(items) => &mut items[key.parse::<usize>().unwrap()],
        value => &mut value[key.as_str()],
    })
}

/// Whether the parser finds a problem that a schema can find, and whether it finds any.
fn parser(folder: &Path, document: &Value) -> (bool, bool, String) {
    let path = folder.join("one.yaml");
    std::fs::write(&path, document.to_string()).unwrap();
    match Documents::load(&[path]) {
        Ok(_) => (false, false, String::new()),
        Err(problems) => {
            let of_shape = |code: Code| {
                matches!(
                    code,
                    Code::UnknownField
                        | Code::WrongType
                        | Code::MissingField
                        | Code::NotBuilt
                        | Code::UnknownKind
                )
            };
            // What a document refers to is not in its file, and no schema knows it.
            let mut own = problems.iter().filter(|problem| {
                let driver = problem.message.starts_with("there is no driver");
                problem.code != Code::Dangling || driver
            });
            let any = own.next().is_some();
            let shape = problems.iter().any(|problem| of_shape(problem.code));
            (shape, any, problems.to_string())
        }
    }
}

/// One of everything at every place of every document: what the parser accepts, the schema
/// accepts, and what the parser finds to be of a wrong shape, the schema refuses.
#[test]
fn the_schema_and_the_parser_agree_about_every_field() {
    let palette = [
        json!(null),
        json!(true),
        json!(0),
        json!(3),
        json!(-1),
        json!(1.5),
        json!("word"),
        json!("30s"),
        json!("0s"),
        json!("25%"),
        json!("0%"),
        json!("101%"),
        json!("64KiB"),
        json!("Not A Name"),
        json!("any"),
        json!("none"),
        json!("hold"),
        json!(""),
        json!([]),
        json!(["word"]),
        json!([1]),
        json!({}),
        json!({"word": "word"}),
    ];
    let validator = validator();
    let folder = tempfile::tempdir().unwrap();
    let mut wrong = Vec::new();
    let mut tried = 0;
    for file in ["good/demo.yaml", "warn/minimal.yaml"] {
        for document in documents(&root().join("../../tests/documents").join(file)) {
            let mut all = Vec::new();
            places(&document, &mut Vec::new(), &mut all);
            // What a plugin is told is the plugin's own business, and so is a driver's block.
            let own =
                |place: &Vec<String>| !place.iter().any(|key| key == "config" || key == "local");
            for place in all.iter().filter(|place| own(place)) {
                let mut changed = palette.to_vec();
                changed.push(Value::String("unknown".into()));
                for value in changed {
                    let mut document = document.clone();
                    *at(&mut document, place) = value.clone();
                    compare(&validator, folder.path(), &document, &mut wrong, || {
                        format!("{} = {value}", place.join("/"))
                    });
                    tried += 1;
                }
                let mut without = document.clone();
                let (key, parent) = place.split_last().unwrap();
                if let Value::Object(map) = at(&mut without, parent) {
                    map.remove(key);
                    compare(&validator, folder.path(), &without, &mut wrong, || {
                        format!("{} removed", place.join("/"))
                    });
                }
                let mut more = document.clone();
                if let Value::Object(map) = at(&mut more, place) {
                    map.insert("unheardOf".into(), json!("word"));
                    compare(&validator, folder.path(), &more, &mut wrong, || {
                        format!("{}/unheardOf added", place.join("/"))
                    });
                }
            }
        }
    }
    assert!(tried > 3000, "only {tried} documents");
    assert!(wrong.is_empty(), "{}\n{}", wrong.len(), wrong.join("\n"));
}

fn compare(
    validator: &Validator,
    folder: &Path,
    document: &Value,
    wrong: &mut Vec<String>,
    what: impl Fn() -> String,
) {
    let (of_shape, any, said) = parser(folder, document);
    let found = problems(validator, document);
    if !any && !found.is_empty() {
        wrong.push(format!("only the schema refuses {}: {found:?}", what()));
    }
    if of_shape && found.is_empty() {
        wrong.push(format!("only the parser refuses {}: {said}", what()));
    }
}

/// Every map of a schema, with the place of a document at which it stands.
fn maps<'s>(schema: &'s Value, at: &str, out: &mut Vec<(String, &'s Map<String, Value>)>) {
    if let Some(Value::Object(properties)) = schema.get("properties") {
        out.push((at.to_owned(), properties));
        for (name, below) in properties {
            maps(below, &format!("{at}/{name}"), out);
        }
    }
    if let Some(items) = schema.get("items") {
        maps(items, &format!("{at}/0"), out);
    }
    for kind in schema
        .get("anyOf")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        maps(kind, at, out);
    }
}

/// A default that is written out changes nothing.
#[test]
fn the_defaults_of_the_schema_are_those_of_the_parser() {
    let text = std::fs::read_to_string(root().join("../../tests/documents/warn/minimal.yaml"));
    let mut minimal = read(&text.unwrap()).unwrap();
    let server = json!({"address": "http://127.0.0.1:9090"});
    let source = |name: &str, spec: Value| {
        json!({
            "apiVersion": "wavegate.dev/v1alpha1", "kind": "Source",
            "metadata": {"name": name}, "spec": spec,
        })
    };
    minimal.push(source("a", json!({"prometheus": server, "grants": {}})));
    let mut web = server.clone();
    web["paths"] = json!(["/"]);
    minimal.push(source("b", json!({"http": web, "grants": {}})));
    let gate =
        |name: &str| json!({"name": name, "plugin": {"shipped": "probe"}, "phases": ["soak"]});
    for document in &mut minimal {
        if document["kind"] == "RolloutPolicy" {
            let mut second = gate("second");
            second["slots"] = json!({"a": "a", "b": "b"});
            document["spec"]["gates"] = json!([gate("first"), second]);
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let resolve = |documents: &[Value]| {
        let path = folder.path().join("all.yaml");
        let texts: Vec<String> = documents.iter().map(Value::to_string).collect();
        std::fs::write(&path, texts.join("\n---\n")).unwrap();
        let loaded = Documents::load(&[path]).unwrap_or_else(|problems| panic!("{problems}"));
        let resolved = loaded.resolve("shop").unwrap();
        let sources = format!("{:?}", resolved.sources);
        (
            serde_json::to_value(&resolved.policy).unwrap(),
            serde_json::to_value(&resolved.plan).unwrap(),
            serde_json::to_value(&resolved.release).unwrap(),
            sources,
        )
    };
    let before = resolve(&minimal);
    let mut written = BTreeSet::new();
    for (index, document) in minimal.iter().enumerate() {
        let kind = document["kind"].as_str().unwrap();
        let schema = schema(kind).unwrap();
        let mut all = Vec::new();
        maps(&schema, "", &mut all);
        for (at, properties) in all {
            // Blocks of drivers have their defaults in the driver.
            if at.contains("/local") {
                continue;
            }
            for (name, property) in properties {
                let Some(default) = property.get("default") else {
                    continue;
                };
                let mut changed = minimal.clone();
                let place = format!("{at}/{name}");
                let there = changed[index].pointer(&place).is_some();
                if there || !write(&mut changed[index], &place, default) {
                    continue;
                }
                assert_eq!(resolve(&changed), before, "{kind}{place} = {default}");
                written.insert(place);
            }
        }
    }
    assert!(written.len() >= 30, "only {written:?}");
}

/// Puts a value at a place, with maps on the way there. False if the way leads over something
/// that would be more than a default.
fn write(document: &mut Value, place: &str, value: &Value) -> bool {
    let keys: Vec<&str> = place.trim_start_matches('/').split('/').collect();
    let (last, way) = keys.split_last().unwrap();
    let made = [
        "batch",
        "timeLimits",
        "failure",
        "rollback",
        "membership",
        "limits",
        "budget",
        "grants",
    ];
    let mut now = document;
    for key in way {
        now = match now {
            Value::Array(items) => &mut items[key.parse::<usize>().unwrap()],
            Value::Object(map) if map.contains_key(*key) || made.contains(key) => {
                map.entry(*key).or_insert_with(|| json!({}))
            }
            _ => return false,
        };
    }
    now[*last] = value.clone();
    true
}

/// The page for people names every field that a schema names.
#[test]
fn the_page_about_documents_names_every_field() {
    let page = std::fs::read_to_string(root().join("../docs/documents.md")).unwrap();
    for (kind, _) in kinds() {
        let schema = schema(kind).unwrap();
        let mut all = Vec::new();
        maps(&schema, "", &mut all);
        for (at, properties) in all {
            for name in properties.keys() {
                let named = |c: char| !c.is_ascii_alphanumeric();
                assert!(
                    page.split(named).any(|word| word == name),
                    "{kind}{at}/{name} is not in documents.md"
                );
            }
        }
    }
}
