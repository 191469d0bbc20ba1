//! Looks at a component before anything of it is compiled or run.

use crate::contract::{self, Version};
use crate::text::clean;
use crate::wasi;
use crate::workbench::Import;
use serde::Deserialize;
use wasmparser::{Encoding, Parser, Payload};
use wavegate_model::limits::ResourceClass;
use wavegate_model::plugin::PluginKind;
use wavegate_ports::plugins::PluginRejected;

/// Names of imports and exports that are looked at; a plugin has a handful.
const NAMES_MAX: usize = 1000;

/// The custom section in which a component says its class.
const MANIFEST: &str = "wavegate:manifest";
/// Bytes of that section; it has one short field.
const MANIFEST_BYTES_MAX: usize = 4096;

/// What a plugin can reach by an import.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grant {
    /// Nothing: it names types.
    Types,
    /// Its own log.
    Log,
    /// Evidence by slot, which policy and source have to grant.
    Evidence,
    /// Nothing: a part of WASI in which nothing happens.
    Inert,
}

/// What a component's outermost layer says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Inspected {
    imports: Vec<String>,
    exports: Vec<String>,
    manifest: Option<Vec<u8>>,
}

/// What a component says about itself besides its contract, in a custom section of this name.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    #[serde(default)]
    class: ResourceClass,
}

fn word(kind: PluginKind) -> &'static str {
    match kind {
        PluginKind::Strategy => "strategy",
        PluginKind::Gate => "gate",
    }
}

/// Reads the names of imports and exports.
pub(crate) fn inspect(reference: &str, bytes: &[u8]) -> Result<Inspected, PluginRejected> {
    let reject = |detail: String| PluginRejected::NotAComponent {
        reference: reference.to_owned(),
        detail,
    };
    if !bytes.starts_with(b"\0asm") {
        return Err(reject(
            "it is not a WebAssembly binary; build one with `wavegate plugin build`".into(),
        ));
    }
    let damaged = |error: wasmparser::BinaryReaderError| reject(clean(&error.to_string()));
    let mut found = Inspected {
        imports: Vec::new(),
        exports: Vec::new(),
        manifest: None,
    };
    let mut depth = 0u32;
    for payload in Parser::new(0).parse_all(bytes) {
        match payload.map_err(damaged)? {
            Payload::Version {
                encoding: Encoding::Module,
                ..
            } if depth == 0 => {
                let how =
                    "it is a core module; make a component of it with `wavegate plugin build`";
                return Err(reject(how.into()));
            }
            Payload::Version { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentImportSection(section) if depth == 1 => {
                for import in section {
                    found
                        .imports
                        .push(import.map_err(damaged)?.name.name.to_owned());
                }
            }
            Payload::ComponentExportSection(section) if depth == 1 => {
                for export in section {
                    found
                        .exports
                        .push(export.map_err(damaged)?.name.name.to_owned());
                }
            }
            Payload::CustomSection(section) if depth == 1 && section.name() == MANIFEST => {
                if section.data().len() > MANIFEST_BYTES_MAX || found.manifest.is_some() {
                    return Err(reject(format!(
                        "it takes one section `{MANIFEST}` of at most {MANIFEST_BYTES_MAX} bytes"
                    )));
                }
                found.manifest = Some(section.data().to_vec());
            }
            _ => {}
        }
        if found.imports.len() + found.exports.len() > NAMES_MAX {
            return Err(reject(format!(
                "it has more than {NAMES_MAX} imports and exports"
            )));
        }
    }
    Ok(found)
}

impl Inspected {
    /// Checks version, world and imports, in this order: a plugin for another contract should not
    /// be told that its imports are wrong. Returns the version. Exports that are not ours are
    /// ignored, because some toolchains leave their own behind.
    pub(crate) fn check(
        &self,
        reference: &str,
        kind: PluginKind,
    ) -> Result<String, PluginRejected> {
        let reference = reference.to_owned();
        if let Some(found) = self.unknown_version() {
            let known = contract::KNOWN.to_owned();
            return Err(PluginRejected::WrongVersion {
                reference,
                found: clean(&found),
                known,
            });
        }
        let Some(version) = self.exported(kind) else {
            let wanted = format!("`{}/{}`", contract::PACKAGE, word(kind));
            return Err(PluginRejected::WrongWorld {
                reference,
                wanted,
                found: self.exports_for_people(),
            });
        };
        // An import is granted as its own version has it, which nearly always is the component's.
        let is_granted = |interface: &str, version: &str| {
            Version::of(version).is_some_and(|known| known.granted(kind).contains(&interface))
        };
        let not_granted = self.imports.iter().find(|import| match split(import) {
            Some((interface, version)) => !is_granted(interface, version),
            None => !wasi::is_inert(import),
        });
        if let Some(import) = not_granted {
            return Err(PluginRejected::NotGranted {
                reference,
                import: clean(import),
                kind: word(kind),
            });
        }
        Ok(version.to_owned())
    }

    /// Its imports, with what comes of each.
    pub(crate) fn granted(&self) -> Vec<Import> {
        let grant = |name: &str| match split(name) {
            Some(("types", _)) => Grant::Types,
            Some(("log", _)) => Grant::Log,
            Some(_) => Grant::Evidence,
            None => Grant::Inert,
        };
        let imports = self.imports.iter().map(|name| Import {
            name: clean(name),
            grant: grant(name),
        });
        imports.collect()
    }

    /// Its exports; those that are not ours are ignored.
    pub(crate) fn exports(&self) -> &[String] {
        &self.exports
    }

    /// What it says that it needs; the least if it says nothing.
    pub(crate) fn class(&self, reference: &str) -> Result<ResourceClass, PluginRejected> {
        let Some(manifest) = &self.manifest else {
            return Ok(ResourceClass::default());
        };
        // A list would do for the record otherwise.
        let object: Result<serde_json::Map<String, serde_json::Value>, _> =
            serde_json::from_slice(manifest);
        let read =
            object.and_then(|object| Manifest::deserialize(serde_json::Value::Object(object)));
        let read = read.map_err(|error| PluginRejected::NotAComponent {
            reference: reference.to_owned(),
            detail: clean(&format!("its section `{MANIFEST}` cannot be read: {error}")),
        })?;
        Ok(read.class)
    }

    /// The kind of plugin that it is; a strategy, if it is both.
    pub(crate) fn kind(&self) -> Option<PluginKind> {
        [PluginKind::Strategy, PluginKind::Gate]
            .into_iter()
            .find(|kind| self.exported(*kind).is_some())
    }

    fn exported(&self, kind: PluginKind) -> Option<&str> {
        let mut ours = self.exports.iter().filter_map(|export| split(export));
        ours.find(|(interface, _)| *interface == word(kind))
            .map(|(_, version)| version)
    }

    fn unknown_version(&self) -> Option<String> {
        let names = self.exports.iter().chain(&self.imports);
        let mut versions = names
            .filter_map(|name| split(name))
            .map(|(_, version)| version);
        versions
            .find(|version| Version::of(version).is_none())
            .map(|version| match version {
                "" => "without a version".to_owned(),
                version => version.to_owned(),
            })
    }

    fn exports_for_people(&self) -> String {
        if self.exports.is_empty() {
            return "it exports nothing".into();
        }
        let shown: Vec<String> = self
            .exports
            .iter()
            .take(5)
            .map(|name| format!("`{}`", clean(name)))
            .collect();
        let more = self.exports.len() - shown.len();
        let more = if more > 0 {
            format!(" and {more} more")
        } else {
            String::new()
        };
        format!("it exports {}{more}", shown.join(", "))
    }
}

/// Interface and version of a name in the contract's package.
fn split(name: &str) -> Option<(&str, &str)> {
    let rest = name.strip_prefix(contract::PACKAGE)?.strip_prefix('/')?;
    Some(rest.split_once('@').unwrap_or((rest, "")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(imports: &[&str], exports: &[&str]) -> Inspected {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Inspected {
            imports: owned(imports),
            exports: owned(exports),
            manifest: None,
        }
    }

    #[test]
    fn only_what_a_kind_is_granted_may_be_imported() {
        let log = "wavegate:plugin/log@0.1.0";
        let metrics = "wavegate:plugin/metrics@0.1.0";
        let strategy = "wavegate:plugin/strategy@0.1.0";
        let gate = "wavegate:plugin/gate@0.1.3";
        assert_eq!(
            named(&[log], &["init", strategy]).check("x", PluginKind::Strategy),
            Ok("0.1.0".into())
        );
        assert_eq!(
            named(&[log, metrics], &[gate]).check("x", PluginKind::Gate),
            Ok("0.1.3".into())
        );
        let evidence = "wavegate:plugin/evidence@0.2.0";
        let newer = named(&[log, evidence], &["wavegate:plugin/gate@0.2.0"]);
        assert_eq!(newer.check("x", PluginKind::Gate), Ok("0.2.0".into()));
        let invented = named(&["wavegate:plugin/evidence@0.1.0"], &[gate]);
        assert!(invented.check("x", PluginKind::Gate).is_err());
        let printing = "wasi:cli/stdout@0.2.3";
        let prints = named(&[log, printing], &[strategy]).check("x", PluginKind::Strategy);
        assert_eq!(prints, Ok("0.1.0".into()));
        for import in [
            metrics,
            "wasi:sockets/tcp@0.2.3",
            "wasi:http/outgoing-handler@0.2.0",
            "init",
            "wavegate:pluginx/log@0.1.0",
        ] {
            let rejected = named(&[log, import], &[strategy]).check("x", PluginKind::Strategy);
            assert!(
                matches!(rejected, Err(PluginRejected::NotGranted { import: named, .. }) if named == import)
            );
        }
    }

    #[test]
    fn the_version_is_judged_before_the_world() {
        let newer = named(
            &["wavegate:plugin/more@0.9.0"],
            &["wavegate:plugin/strategy@0.9.0"],
        );
        let rejected = newer.check("x", PluginKind::Gate);
        assert!(
            matches!(rejected, Err(PluginRejected::WrongVersion { found, .. }) if found == "0.9.0")
        );
        let none = named(&[], &["wavegate:plugin/strategy"]).check("x", PluginKind::Strategy);
        assert!(matches!(none, Err(PluginRejected::WrongVersion { .. })));
    }

    #[test]
    fn a_gate_is_not_a_strategy() {
        let gate = named(&[], &["wavegate:plugin/gate@0.1.0"]);
        assert_eq!(gate.kind(), Some(PluginKind::Gate));
        assert!(matches!(
            gate.check("x", PluginKind::Strategy),
            Err(PluginRejected::WrongWorld { .. })
        ));
    }

    #[test]
    fn a_manifest_says_the_class_and_nothing_else() {
        let class = |manifest: Option<&str>| {
            let mut plugin = named(&[], &[]);
            plugin.manifest = manifest.map(|text| text.as_bytes().to_vec());
            plugin.class("x").ok()
        };
        assert_eq!(class(None), Some(ResourceClass::Small));
        assert_eq!(class(Some("{}")), Some(ResourceClass::Small));
        assert_eq!(
            class(Some(r#"{"class":"large"}"#)),
            Some(ResourceClass::Large)
        );
        for wrong in [
            "",
            "[]",
            r#"{"class":"huge"}"#,
            r#"{"class":"small","fuel":1}"#,
        ] {
            assert_eq!(class(Some(wrong)), None, "{wrong}");
        }
    }

    #[test]
    fn other_bytes_are_refused_with_the_way_out() {
        for (bytes, hint) in [
            (&b"(module)"[..], "not a WebAssembly"),
            (b"\0asm\x01\0\0\0", "core module"),
        ] {
            let Err(PluginRejected::NotAComponent { detail, .. }) = inspect("x", bytes) else {
                panic!("{bytes:?}")
            };
            assert!(detail.contains(hint), "{detail}");
        }
        assert!(inspect("x", b"\0asm\x0d\0\x01\0\xff").is_err());
    }
}
