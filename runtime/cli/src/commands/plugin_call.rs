//! `plugin call`: asks a plugin what a rollout asked, with the evidence that it had.

use crate::args::CallPlugin;
use crate::commands::plugin_test::{component, title};
use crate::exit::{Exit, Failure, Result};
use crate::host::{StateDir, plugin_host};
use crate::output::{self, Format, STRONG, paint};
use crate::toolbox::run::{trouble, used};
use crate::toolbox::words;
use serde_json::{Map, Value, json};
use wavegate_conductor::read_story;
use wavegate_foresight::{Recorded, Said};
use wavegate_model::limits::CallLimits;
use wavegate_model::plugin::Subject;
use wavegate_plugin_host::{Tried, Workbench, on_bench};
use wavegate_ports::plugins::CallEnd;

pub(crate) async fn call(args: CallPlugin, dir: &StateDir, format: Format) -> Result<Exit> {
    let (rollout, number) = named(&args.from)?;
    let journal = dir.read_journal()?;
    let rollout = dir.find(&journal, rollout).await?;
    let story = read_story(&journal, &rollout).await?;
    let mine = story.consultations.iter();
    let found = mine
        .clone()
        .find(|(_, record)| record.consultation.0 == number);
    let Some((at, record)) = found else {
        let last = mine.map(|(_, record)| record.consultation.0).max();
        let hint = match last {
            Some(last) => {
                format!("it has questions up to {last}; `wavegate history --all` tells them")
            }
            None => "no question was answered in it yet".to_owned(),
        };
        return Err(
            Failure::usage(format!("rollout `{rollout}` has no question {number}")).hint(hint),
        );
    };
    let recorded = Recorded::read(&journal, *at, record).await?;
    let plugins = plugin_host(dir)?;
    let base = std::env::current_dir()?;
    let bench = match &args.plugin {
        Some(plugin) => {
            let (reference, _) = component(plugin)?;
            on_bench(|| plugins.workbench(&reference, None, &base))
        }
        None => on_bench(|| plugins.stored_workbench(&recorded.component)),
    };
    let bench = bench.map_err(|rejected| Failure::new(Exit::Plugin, rejected))?;
    let config = match &args.config {
        Some(path) => super::plugin::read(path)?.json().to_owned(),
        None => recorded.config.clone(),
    };
    let limits = limits(&story, &record.who).unwrap_or_else(|| bench.loaded().class.limits());
    let tried = on_bench(|| bench.ask(&recorded.question, &config, &limits));
    match format {
        Format::Json => tell_machines(&bench, &record.who, &recorded, &tried),
        Format::Auto | Format::Human => {
            tell_people(&bench, &record.who, &recorded, &tried, &limits)
        }
    }
    match tried.end {
        CallEnd::Answered(_) => Ok(Exit::Done),
        CallEnd::NeedsEvidence(_) | CallEnd::Unavailable(_) => Ok(Exit::Plugin),
    }
}

/// `ROLLOUT:NUMBER`.
fn named(text: &str) -> Result<(&str, u64)> {
    let named = text.rsplit_once(':').and_then(|(rollout, number)| {
        let number = number.parse().ok()?;
        (!rollout.is_empty()).then_some((rollout, number))
    });
    named.ok_or_else(|| {
        Failure::usage(format!("`{text}` does not name a question"))
            .hint("write ROLLOUT:NUMBER, as `explain` and `history --all` do")
    })
}

/// What the part may use in that rollout.
fn limits(story: &wavegate_conductor::Story, who: &str) -> Option<CallLimits> {
    let state = story.state()?;
    let policy = &state.spec.policy;
    match who.strip_prefix("gate ") {
        None => Some(policy.strategy.limits),
        Some(name) => {
            let gate = policy.gates.iter().find(|gate| gate.name.as_str() == name);
            gate.map(|gate| gate.limits)
        }
    }
}

fn subject(recorded: &Recorded) -> String {
    let (subject, phase) = recorded.subject();
    let subject = match subject {
        Subject::Site(site) => format!("site {site}"),
        Subject::Wave(wave) => format!("wave {wave}"),
    };
    match phase {
        Some(phase) => format!("{subject}, {phase}"),
        None => subject,
    }
}

fn then(said: &Said) -> Map<String, Value> {
    match said {
        Said::Answer(answer) => words::answer(answer),
        Said::Unavailable(why) => words::unavailable(why),
        Said::WouldAsk(queries) => words::would_ask(queries),
    }
}

fn now(tried: &Tried) -> Map<String, Value> {
    match &tried.end {
        CallEnd::Answered(answer) => words::answer(answer),
        CallEnd::Unavailable(why) => words::unavailable(why),
        CallEnd::NeedsEvidence(queries) => words::would_ask(queries),
    }
}

/// Whether the bytes are those that were recorded.
fn same(recorded: &Recorded, tried: &Tried) -> bool {
    match &recorded.output {
        Some(output) if matches!(recorded.said, Said::Answer(_)) => {
            // What the host adds to an evaluation is not the plugin's.
            *output == tried.output || then(&recorded.said) == now(tried)
        }
        _ => then(&recorded.said) == now(tried),
    }
}

fn tell_people(
    bench: &Workbench,
    who: &str,
    recorded: &Recorded,
    tried: &Tried,
    limits: &CallLimits,
) {
    output::data(&paint(STRONG, &title(bench)));
    let number = recorded.consultation.0;
    output::data(&format!(
        "  question {number}, to the {who} about {}",
        subject(recorded)
    ));
    let shown = |title: &str, answer: Map<String, Value>| {
        output::data(&paint(STRONG, title));
        let text = serde_json::to_string_pretty(&Value::Object(answer)).unwrap_or_default();
        for line in text.lines() {
            output::data(&format!("  {line}"));
        }
    };
    let same = same(recorded, tried);
    if !same {
        shown("recorded", then(&recorded.said));
    }
    shown(if same { "now, as recorded" } else { "now" }, now(tried));
    match &tried.end {
        CallEnd::Unavailable(why) => output::data(&trouble(why, tried, limits)),
        CallEnd::Answered(_) | CallEnd::NeedsEvidence(_) => {
            for (level, text) in &tried.log {
                output::data(&format!("  {level:<5} {text}"));
            }
            output::data(&format!("  {}", used(tried, limits)));
        }
    }
}

fn tell_machines(bench: &Workbench, who: &str, recorded: &Recorded, tried: &Tried) {
    let log = tried
        .log
        .iter()
        .map(|(level, text)| json!({"level": level, "text": text}));
    output::json(&json!({
        "version": output::JSON_VERSION,
        "plugin": bench.loaded().about.name,
        "digest": bench.loaded().digest.to_string(),
        "question": recorded.consultation.0,
        "who": who,
        "subject": subject(recorded),
        "recorded": Value::Object(then(&recorded.said)),
        "now": Value::Object(now(tried)),
        "same": same(recorded, tried),
        "fuel": tried.fuel,
        "memoryBytes": tried.memory_bytes,
        "micros": tried.micros,
        "log": log.collect::<Vec<_>>(),
        "frames": tried.frames,
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_named_by_rollout_and_number() {
        assert!(named("shop-1:12").is_ok_and(|found| found == ("shop-1", 12)));
        assert!(named("a:b:3").is_ok_and(|found| found == ("a:b", 3)));
        for wrong in ["", "shop", "shop:", ":3", "shop:x", "shop:-1"] {
            assert!(named(wrong).is_err(), "{wrong}");
        }
    }
}
