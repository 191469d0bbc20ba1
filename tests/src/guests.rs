//! Builds the plugins under `tests/guests/`: bad ones, and simple ones that always do the same.
//!
//! A guest is a few functions in the text format. Everything else comes from
//! `tests/guests/base/<world>.wat`; a function of the same name replaces the one there. The first
//! lines of a guest may say:
//! `;; world: strategy|gate`, `;; contract: 0.2.0` (default: 0.1.0), `;; pages: 64`
//! (memory at the start), and any number of `;; import: <interface>` and `;; export: <interface>`
//! (that `base/others.wit` has).

use std::path::{Path, PathBuf};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// The folder with the guests, found from the folder of the crate whose tests run.
pub fn folder() -> PathBuf {
    let mut roots = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    roots
        .find(|root| root.join("tests/guests/base").is_dir())
        .expect("tests/guests is in the tree")
        .join("tests/guests")
}

/// The names of all guests, sorted.
pub fn names() -> Vec<String> {
    let files = std::fs::read_dir(folder()).expect("the folder can be read");
    let names = files.filter_map(|file| {
        let path = file.expect("the folder can be read").path();
        let is_guest = path.extension().is_some_and(|extension| extension == "wat");
        path.file_stem()
            .filter(|_| is_guest)
            .map(|stem| stem.to_string_lossy().into_owned())
    });
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

/// The text of a guest's module.
pub fn module(name: &str) -> String {
    let guest = read(&folder().join(format!("{name}.wat")));
    let world = header(&guest, "world").expect("a guest names its world");
    let base = read(&folder().join(format!("base/{world}.wat")));
    let contract = header(&guest, "contract").unwrap_or("0.1.0");
    assemble(name, &base, &guest).replace("@0.1.0", &format!("@{contract}"))
}

/// Builds a guest as a component.
pub fn build(name: &str) -> Vec<u8> {
    let guest = read(&folder().join(format!("{name}.wat")));
    let world = header(&guest, "world").expect("a guest names its world");
    let contract = header(&guest, "contract").unwrap_or("0.1.0");
    let text = module(name);
    let mut module = wat::parse_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));

    let mut resolve = Resolve::default();
    let plugin = contract_text(contract);
    resolve
        .push_str("plugin.wit", &plugin)
        .expect("the contract can be read");
    resolve
        .push_str("others.wit", &read(&folder().join("base/others.wit")))
        .expect("other interfaces can be read");
    let mut guest_world = String::from("package wavegate:guest;\nworld guest {\n");
    guest_world += &format!("  include wavegate:plugin/{world}-plugin@{contract};\n");
    for direction in ["import", "export"] {
        for interface in headers(&guest, direction) {
            guest_world += &format!("  {direction} {interface};\n");
        }
    }
    guest_world += "}\n";
    let package = resolve
        .push_str("guest.wit", &guest_world)
        .expect("the world can be read");
    let world = resolve
        .select_world(&[package], Some("guest"))
        .expect("the world is there");
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)
        .expect("the module can say its world");
    let encoder = ComponentEncoder::default().validate(true).module(&module);
    let component = encoder.and_then(|mut encoder| encoder.encode());
    component.unwrap_or_else(|error| panic!("{name}: {error:#}"))
}

/// Builds a guest into a folder, for a policy that names it by path.
pub fn build_into(folder: &Path, name: &str) -> PathBuf {
    let path = folder.join(format!("{name}.wasm"));
    std::fs::write(&path, build(name)).expect("the folder can be written");
    path
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The contract of a version: a released one, or the present one under that name.
fn contract_text(version: &str) -> String {
    let wit = folder().join("../../wit");
    let minor = version.rsplit_once('.').map_or(version, |(minor, _)| minor);
    let released = wit.join(format!("released/{minor}.0"));
    let from = if released.is_dir() { released } else { wit };
    // The file with the package's name comes first.
    let files = ["types", "host", "strategy", "gate", "worlds"];
    let texts = files.map(|file| read(&from.join(format!("{file}.wit"))));
    let text = texts.join("\n");
    let named = text
        .find("package wavegate:plugin@")
        .expect("a package has a name");
    let end = named + text[named..].find(';').expect("a name has an end");
    format!(
        "{}package wavegate:plugin@{version}{}",
        &text[..named],
        &text[end..]
    )
}

/// The value of a line such as `;; world: gate` at the top of a guest.
fn header<'a>(guest: &'a str, key: &str) -> Option<&'a str> {
    headers(guest, key).next()
}

/// The values of all such lines.
fn headers<'a>(guest: &'a str, key: &str) -> impl Iterator<Item = &'a str> {
    let comments = guest.lines().map_while(|line| line.strip_prefix(";; "));
    comments.filter_map(move |line| line.strip_prefix(key)?.strip_prefix(": "))
}

/// Puts a guest into its base.
fn assemble(name: &str, base: &str, guest: &str) -> String {
    let (imports, functions) = match guest.split_once(";;@imports\n") {
        Some((_, rest)) => rest
            .split_once(";;@functions\n")
            .expect("functions follow imports"),
        None => ("", guest),
    };
    let mut text = String::new();
    let mut replaced = false;
    for line in base.lines() {
        let line = line.trim_end();
        match line.trim_start() {
            ";;@imports" => text += imports,
            ";;@guest" => text += functions,
            ";;@end" => replaced = false,
            mark if mark.starts_with(";;@part ") => {
                let part = &mark[";;@part ".len()..];
                replaced = functions.contains(&format!("(func ${part} "));
            }
            _ if replaced => {}
            _ => {
                text += line;
                text.push('\n');
            }
        }
    }
    let pages = header(guest, "pages").unwrap_or("2");
    text.replace("@PAGES@", pages)
        .replace("@NAME_LEN@", &name.len().to_string())
        .replace("@NAME@", name)
}
