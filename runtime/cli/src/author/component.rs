//! Makes a component of what a compiler wrote.

use super::language::Language;
use super::project::Project;
use anyhow::{Context as _, Result};
use wit_component::{ComponentEncoder, StringEncoding};
use wit_parser::Resolve;

/// Answers of WASI preview 1 for toolchains that ask; see the file.
const PREVIEW1: &str = include_str!("../../../../sdk/preview1.wat");

/// The section in which a component says which resource class it needs.
const SECTION: &str = "wavegate:manifest";

/// Makes a component of a core module.
pub(crate) fn encode(project: &Project, mut module: Vec<u8>) -> Result<Vec<u8>> {
    if project.manifest.language != Language::Rust {
        describe(project, &mut module)?;
    }
    let preview1 = wat::parse_str(PREVIEW1).context("failed to read the answers of preview 1")?;
    ComponentEncoder::default()
        .validate(true)
        .module(&module)
        .and_then(|encoder| encoder.adapter("wasi_snapshot_preview1", &preview1))
        .and_then(|mut encoder| encoder.encode())
        .context("failed to make a component of the module")
}

/// Writes the contract into a module that does not say which one it has.
fn describe(project: &Project, module: &mut Vec<u8>) -> Result<()> {
    let wit = project.wit();
    let mut resolve = Resolve::default();
    let (package, _) = resolve
        .push_dir(&wit)
        .with_context(|| format!("failed to read the contract in {}", wit.display()))?;
    let world = resolve
        .select_world(&[package], Some(project.manifest.kind.world()))
        .context("the contract has no world for plugins of this kind")?;
    wit_component::embed_component_metadata(module, &resolve, world, StringEncoding::UTF8)
}

/// Adds what the component says about itself beside its code.
pub(crate) fn add_manifest(component: &mut Vec<u8>, language: Language) {
    let Some(class) = language.class() else {
        return;
    };
    let payload = format!(r#"{{"class":"{class}"}}"#);
    let mut body = Vec::new();
    leb128(&mut body, SECTION.len());
    body.extend(SECTION.as_bytes());
    body.extend(payload.as_bytes());
    component.push(0);
    leb128(component, body.len());
    component.extend(body);
}

fn leb128(to: &mut Vec<u8>, mut value: usize) {
    loop {
        let low = (value & 0x7f) as u8;
        value >>= 7;
        if value == 0 {
            to.push(low);
            return;
        }
        to.push(low | 0x80);
    }
}

/// The version of the contract in a folder, for the words of a build.
pub(crate) fn contract(project: &Project) -> Result<String> {
    let types = project.wit().join("types.wit");
    let text = std::fs::read_to_string(&types)
        .with_context(|| format!("failed to read {}", types.display()))?;
    let version = text
        .lines()
        .find_map(|line| line.strip_prefix("package wavegate:plugin@"))
        .and_then(|line| line.strip_suffix(';'));
    Ok(version.context("the contract says no version")?.to_owned())
}
