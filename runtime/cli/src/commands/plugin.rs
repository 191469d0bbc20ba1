//! `plugin swap`: another component takes a part of a rollout that goes on; and what one would
//! have answered in its place.

use crate::args::{Steer, SwapPlugin};
use crate::commands::steer::steer;
use crate::exit::{Exit, Failure, Result};
use crate::host::{StateDir, plugin_host};
use crate::output::{self, Format};
use crate::prepare::colour;
use crate::swap_text::{self, Purpose};
use std::io::Read as _;
use std::path::PathBuf;
use std::sync::Arc;
use wavegate_conductor::swap::{self, Obstacle};
use wavegate_conductor::{Story, read_story};
use wavegate_documents::{Configuration, Diagnostics};
use wavegate_engine::swap::{Memory, Part, Swap};
use wavegate_engine::{State, Verb};
use wavegate_foresight::{Other, Remembers, WhatIf, what_if};
use wavegate_journal_sqlite::SqliteJournal;
use wavegate_model::policy::PluginRef;
use wavegate_ports::plugins::{LoadedPlugin, Plugins};

/// Recorded calls that a dry run asks again: each takes some milliseconds, and what a rollout
/// was asked last says most about what it will be asked next.
const CALLS_MAX: usize = 1000;
/// Bytes of a configuration that are read; documents refuse larger files, too.
const CONFIG_BYTES_MAX: u64 = 4 << 20;

pub(crate) async fn swap(args: SwapPlugin, dir: &StateDir, format: Format) -> Result<Exit> {
    let reason = args.reason.clone().unwrap_or_default();
    if reason.trim().is_empty() && !args.dry_run {
        return Err(Failure::usage("a reason is needed")
            .hint("say why with --reason; it is kept in the history"));
    }
    let found = Candidate::find(&args.rollout, &args.part, args.config.as_deref(), dir).await;
    let found = found.map_err(nothing_was_changed)?;
    vouched(args.digest.as_deref(), &found.loaded)?;
    if format != Format::Json {
        output::say(&swap_text::announcement(&found.state, &found.swap));
    }
    if args.dry_run {
        let answers = found.ask_again().await?;
        swap_text::tell(&found.state, &found.swap, &answers, Purpose::Swap, format);
        return Ok(Exit::Done);
    }
    let steering = Steer {
        rollout: found.story.rollout.to_string(),
        reason,
        dry_run: false,
    };
    let verb = Verb::Swap(Box::new(found.swap));
    steer("swap", verb, steering, dir, format).await
}

/// Of a command that would have changed something, and did not.
fn nothing_was_changed(failure: Failure) -> Failure {
    let error = anyhow::anyhow!("{:#}; nothing was changed", failure.error);
    Failure { error, ..failure }
}

/// Shows what another component would have answered in a recorded rollout.
pub(crate) async fn instead(
    rollout: &str,
    part: &str,
    config: Option<&std::path::Path>,
    dir: &StateDir,
    format: Format,
) -> Result<Exit> {
    let found = Candidate::find(rollout, part, config, dir).await?;
    if format != Format::Json {
        output::say(&swap_text::announcement(&found.state, &found.swap));
    }
    let answers = found.ask_again().await?;
    swap_text::tell(&found.state, &found.swap, &answers, Purpose::Replay, format);
    Ok(Exit::Done)
}

/// A component that might take a part of a recorded rollout.
struct Candidate {
    journal: SqliteJournal,
    story: Story,
    state: State,
    plugins: Arc<dyn Plugins>,
    swap: Swap,
    loaded: LoadedPlugin,
}

impl Candidate {
    async fn find(
        rollout: &str,
        part: &str,
        config: Option<&std::path::Path>,
        dir: &StateDir,
    ) -> Result<Self> {
        let (part, reference) = named(part)?;
        let config = config.map(read).transpose()?;
        // Reading first, so that a wrong folder is not made into a journal.
        let journal = dir.read_journal()?;
        let rollout = dir.find(&journal, rollout).await?;
        let story = read_story(&journal, &rollout).await?;
        let state = story
            .state()
            .ok_or_else(|| anyhow::anyhow!("the journal of rollout `{rollout}` has no start"))?;
        let plugins: Arc<dyn Plugins> = plugin_host(dir)?;
        let base = std::env::current_dir()?;
        let json = config.as_ref().map(|config| config.json().to_owned());
        let prepared = swap::prepare(&*plugins, &state.spec, part, reference, &base, json).await;
        let (swap, loaded) = prepared.map_err(|obstacle| refused(&obstacle, config.as_ref()))?;
        Ok(Self {
            journal,
            story,
            state,
            plugins,
            swap,
            loaded,
        })
    }

    /// What it would have answered: its own state goes from call to call, unless it reads that of
    /// the component before.
    async fn ask_again(&self) -> Result<WhatIf> {
        let (state, swap) = (&self.state, &self.swap);
        let policy = &state.spec.policy;
        let limits = match &swap.part {
            Part::Strategy => policy.strategy.limits,
            Part::Gate(name) => {
                let gate = policy.gates.iter().find(|gate| gate.name == *name);
                gate.map_or_else(Default::default, |gate| gate.limits)
            }
        };
        let other = Other {
            digest: swap.to.digest.clone(),
            config: swap.to.config.clone(),
            limits,
            remembers: match wavegate_engine::swap::memory(state, &swap.part, &swap.to) {
                Memory::Kept => Remembers::AsRecorded,
                Memory::Dropped => Remembers::Itself,
            },
        };
        let (plugins, story) = (&self.plugins, &self.story);
        Ok(what_if(&self.journal, plugins, story, &swap.part, other, CALLS_MAX).await?)
    }
}

/// `strategy=REF` or `gate/NAME=REF`. A reference with a `/`, or that ends in `.wasm`, is a file;
/// any other is the name of a shipped plugin.
pub(crate) fn named(text: &str) -> Result<(Part, PluginRef)> {
    let wrong = || {
        Failure::usage(format!("`{text}` does not name a plugin and its part"))
            .hint("write strategy=REF or gate/NAME=REF, where REF is a shipped plugin or a file")
    };
    let (part, reference) = text.split_once('=').ok_or_else(wrong)?;
    let part = match part.split_once('/') {
        None if part == "strategy" => Part::Strategy,
        Some(("gate", name)) if !name.is_empty() => Part::Gate(name.into()),
        _ => return Err(wrong()),
    };
    let is_file = reference.contains('/') || reference.ends_with(".wasm");
    match reference {
        "" => Err(wrong()),
        file if is_file => Ok((part, PluginRef::File(file.to_owned()))),
        name => Ok((part, PluginRef::Shipped(name.to_owned()))),
    }
}

pub(super) fn read(path: &std::path::Path) -> Result<Configuration> {
    let mut bytes = Vec::new();
    let named = if path == std::path::Path::new("-") {
        std::io::stdin()
            .take(CONFIG_BYTES_MAX)
            .read_to_end(&mut bytes)?;
        PathBuf::from("<standard input>")
    } else {
        let file = std::fs::File::open(path)
            .map_err(|error| Failure::usage(format!("cannot read {}: {error}", path.display())))?;
        file.take(CONFIG_BYTES_MAX).read_to_end(&mut bytes)?;
        path.to_owned()
    };
    let text = String::from_utf8(bytes)
        .map_err(|_| Failure::usage(format!("{} is not UTF-8", named.display())))?;
    Configuration::read(named, text).map_err(|problems| {
        told(&problems);
        Failure::usage("the configuration cannot be read")
    })
}

fn told(problems: &Diagnostics) {
    output::say(problems.render(colour()).trim_end());
}

/// The digest that somebody vouched for is that of the component.
fn vouched(wanted: Option<&str>, loaded: &LoadedPlugin) -> Result<()> {
    let Some(wanted) = wanted else {
        return Ok(());
    };
    let digest = wavegate_model::Digest::parse(wanted)
        .map_err(|error| Failure::usage(format!("`{wanted}`: {error}")))?;
    if digest == loaded.digest {
        return Ok(());
    }
    let found = &loaded.digest;
    let wrong = anyhow::anyhow!("the component is {found}, not {digest}; nothing was changed");
    Err(Failure::new(Exit::Refused, wrong)
        .hint("find out which one is meant before it decides about clusters"))
}

pub(crate) fn refused(obstacle: &Obstacle, config: Option<&Configuration>) -> Failure {
    let exit = match obstacle {
        Obstacle::NoGate { .. } => Exit::Usage,
        Obstacle::NotGranted { .. } => Exit::Refused,
        Obstacle::Rejected(_)
        | Obstacle::Config { .. }
        | Obstacle::Silent { .. }
        | Obstacle::TooLarge { .. }
        | Obstacle::Unbound { .. }
        | Obstacle::WrongKind { .. } => Exit::Plugin,
    };
    let hint = match obstacle {
        Obstacle::Config { problems, .. } => match config {
            Some(config) => {
                told(&config.problems(problems));
                None
            }
            None => Some(
                "it is that of the plugin before; give one of its own with --config".to_owned(),
            ),
        },
        Obstacle::NotGranted { source_name, .. } => Some(format!(
            "the owner of the `Source` document `{source_name}` would have to list it under `grants` \
             before the rollout starts"
        )),
        Obstacle::TooLarge { class, .. } => Some(format!(
            "a policy that means to take it would have to say `class: {class}` from the start"
        )),
        _ => None,
    };
    let failure = Failure::new(exit, anyhow::anyhow!("{obstacle}"));
    match hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_swapped_is_named_as_a_part_and_a_reference() {
        let gate = |name: &str| Part::Gate(name.into());
        let shipped = |name: &str| PluginRef::Shipped(name.to_owned());
        let file = |name: &str| PluginRef::File(name.to_owned());
        for (text, wanted) in [
            ("strategy=rolling", (Part::Strategy, shipped("rolling"))),
            (
                "gate/probe=threshold",
                (gate("probe"), shipped("threshold")),
            ),
            ("gate/probe=./mine", (gate("probe"), file("./mine"))),
            ("gate/a=b.wasm", (gate("a"), file("b.wasm"))),
            (
                "strategy=/x/a=b.wasm",
                (Part::Strategy, file("/x/a=b.wasm")),
            ),
        ] {
            let found = named(text);
            assert!(found.is_ok_and(|found| found == wanted), "{text}");
        }
        for text in ["", "strategy", "strategy=", "gate=a", "gate/=a", "wave/a=b"] {
            assert!(named(text).is_err(), "{text}");
        }
    }
}
