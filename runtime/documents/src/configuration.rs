//! A plugin's configuration in a file of its own, as a swap takes it.

use crate::diagnostic::{Code, Diagnostic, Diagnostics, Problems, clean};
use crate::fields::Cx;
use crate::kinds::ConfigSpot;
use crate::mapping::{PROBLEMS_MAX, mapped};
use crate::parse::parse;
use crate::source::SourceFile;
use crate::values;
use std::path::PathBuf;
use std::sync::Arc;
use wavegate_model::plugin::Problem;

/// A configuration and the places in it.
#[derive(Debug)]
pub struct Configuration {
    json: String,
    spot: ConfigSpot,
}

impl Configuration {
    /// Reads a text of one document that is what a policy has under `config`. JSON is YAML, too.
    pub fn read(path: PathBuf, text: String) -> Result<Self, Diagnostics> {
        let source = Arc::new(SourceFile::new(path, text));
        let (mut nodes, broken) = parse(&source);
        let problems = Problems::default();
        broken
            .into_iter()
            .for_each(|problem| problems.push(problem));
        let cx = Cx {
            source: &source,
            problems: &problems,
        };
        let whole = cx.range(0..0);
        if nodes.len() != 1 && !problems.has_errors() {
            let message = format!(
                "a configuration is one document, and here are {}",
                nodes.len()
            );
            problems.push(Diagnostic::error(Code::Syntax, message).at(whole.clone(), ""));
        }
        let json = nodes.first().and_then(|node| values::json_map(cx, node));
        match json {
            Some(json) if !problems.has_errors() => Ok(Self {
                json,
                spot: ConfigSpot {
                    place: whole,
                    node: nodes.pop(),
                    what: "config",
                },
            }),
            Some(_) | None => Err(problems.into_diagnostics()),
        }
    }

    /// As JSON with sorted keys, as a policy's is.
    pub fn json(&self) -> &str {
        &self.json
    }

    /// What a plugin finds wrong in it, at its place.
    pub fn problems(&self, problems: &[Problem]) -> Diagnostics {
        let found = problems.iter().take(PROBLEMS_MAX);
        let told = found.map(|p| mapped(&self.spot, &p.pointer, clean(&p.message)));
        Diagnostics::new(told.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::Colour;

    fn read(text: &str) -> Result<Configuration, Diagnostics> {
        Configuration::read(PathBuf::from("probe.yaml"), text.to_owned())
    }

    #[test]
    fn yaml_and_json_are_the_same_and_problems_have_their_place() {
        let yaml = read("window: 10s\nlimits:\n  - 3\n").unwrap();
        let json = read(r#"{"limits": [3], "window": "10s"}"#).unwrap();
        assert_eq!(yaml.json(), json.json());
        let problem = Problem {
            pointer: "/limits/0".to_owned(),
            message: "too small".to_owned(),
        };
        let told = yaml.problems(&[problem]).render(Colour::Never);
        assert!(told.contains("probe.yaml:3:5"), "{told}");
    }

    #[test]
    fn what_is_no_configuration_is_refused() {
        for (text, says) in [
            ("", "here are 0"),
            ("a: 1\n---\nb: 2\n", "here are 2"),
            ("- 1\n", "a map"),
            ("a: [1\n", "probe.yaml"),
            ("a: 1\na: 2\n", "a"),
        ] {
            let told = read(text).unwrap_err().render(Colour::Never);
            assert!(told.contains(says), "{text:?}: {told}");
        }
    }
}
