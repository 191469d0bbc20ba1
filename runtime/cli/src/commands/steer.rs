//! Steering: a request is put into the rollout's inbox, where the host that runs it takes it, or
//! the next host that resumes it.

use crate::args::{Approve, OverrideGate, Steer};
use crate::clock::SystemClock;
use crate::exit::{Exit, Failure, Result};
use crate::host::{StateDir, actor};
use crate::output::{self, Format, JSON_VERSION};
use std::time::{Duration, Instant};
use wavegate_conductor::read_story;
use wavegate_engine::input::{Approval, Request};
use wavegate_engine::{Engine, Fact, Input, Verb};
use wavegate_model::plugin::Subject;
use wavegate_ports::clock::Clock;
use wavegate_ports::journal::Journal;

/// How long a command waits to see what became of its request.
const ANSWER_WAIT: Duration = Duration::from_secs(5);
const LOOK_EVERY: Duration = Duration::from_millis(100);

#[derive(serde::Serialize)]
struct JsonSteer<'a> {
    version: u32,
    rollout: &'a str,
    verb: &'a str,
    /// `taken`, `refused`, `recorded` (nobody runs the rollout now) or `would-be-taken`.
    result: &'a str,
    why: Option<String>,
}

pub(crate) async fn approve(args: Approve, dir: &StateDir, format: Format) -> Result<Exit> {
    let what = match (args.wave, args.site) {
        (Some(wave), _) => Approval::Wave(wave.as_str().into()),
        (None, Some(site)) => Approval::Site(site.as_str().into()),
        (None, None) => Approval::All,
    };
    steer("approve", Verb::Approve(what), args.steer, dir, format).await
}

pub(crate) async fn override_gate(
    args: OverrideGate,
    dir: &StateDir,
    format: Format,
) -> Result<Exit> {
    let subject = match (&args.wave, &args.site) {
        (Some(wave), _) => Some(Subject::Wave(wave.as_str().into())),
        (None, Some(site)) => Some(Subject::Site(site.as_str().into())),
        (None, None) => None,
    };
    let verb = Verb::OverrideGate {
        gate: args.gate.as_str().into(),
        subject,
    };
    steer("override-gate", verb, args.steer, dir, format).await
}

/// Every steering command says why.
pub(crate) fn with_reason(reason: &str) -> Result<()> {
    if reason.trim().is_empty() {
        return Err(Failure::usage("a reason is needed")
            .hint("say why with --reason; it is kept in the history"));
    }
    Ok(())
}

pub(crate) async fn steer(
    name: &str,
    verb: Verb,
    args: Steer,
    dir: &StateDir,
    format: Format,
) -> Result<Exit> {
    with_reason(&args.reason)?;
    // Reading first, so that a wrong folder is not made into a journal.
    let rollout = dir.find(&dir.read_journal()?, &args.rollout).await?;
    let journal = dir.journal()?;
    let story = read_story(&*journal, &rollout).await?;
    let facts = story.facts.iter().map(|(at, fact)| (*at, fact));
    let mut engine = Engine::fold(facts)?;
    let request = Request {
        verb: verb.clone(),
        actor: actor(),
        reason: args.reason.clone(),
        inbox: None,
    };
    let would = engine.step(SystemClock.now(), &Input::Request(request));
    if let Some(why) = refusal(&would.facts) {
        tell(format, rollout.as_str(), name, "refused", Some(why.clone()));
        return Ok(Exit::Refused);
    }
    if args.dry_run {
        tell(format, rollout.as_str(), name, "would-be-taken", None);
        return Ok(Exit::Done);
    }
    let text = serde_json::to_string(&verb)?;
    let id = journal
        .put_inbox(&rollout, SystemClock.now(), actor(), args.reason, text)
        .await?;
    if dir.lock(&rollout, false).is_ok() {
        tell(
            format,
            rollout.as_str(),
            name,
            "recorded",
            Some(format!(
                "nobody runs the rollout now; it takes effect at `wavegate resume {rollout}`"
            )),
        );
        return Ok(Exit::Done);
    }
    let deadline = Instant::now() + ANSWER_WAIT;
    let mut story = story;
    loop {
        let more = journal.read(&rollout, story.last).await?;
        let known = story.facts.len();
        story.extend(&more)?;
        let new: Vec<Fact> = story.facts[known..]
            .iter()
            .map(|(_, fact)| fact.clone())
            .collect();
        if let Some(at) = new.iter().position(|fact| *fact == Fact::InboxTaken { id }) {
            let (result, why) = match refusal(&new[at..]) {
                Some(why) => ("refused", Some(why)),
                None => ("taken", None),
            };
            tell(format, rollout.as_str(), name, result, why);
            return Ok(if result == "taken" {
                Exit::Done
            } else {
                Exit::Refused
            });
        }
        if Instant::now() >= deadline {
            let why = "the host has not taken it yet; it is recorded and will be".to_owned();
            tell(format, rollout.as_str(), name, "recorded", Some(why));
            return Ok(Exit::Done);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

pub(crate) fn refusal(facts: &[Fact]) -> Option<String> {
    facts.iter().find_map(|fact| match fact {
        Fact::RequestRefused { why, .. } => Some(why.clone()),
        _ => None,
    })
}

pub(crate) fn tell(format: Format, rollout: &str, verb: &str, result: &str, why: Option<String>) {
    if format == Format::Json {
        output::json(&JsonSteer {
            version: JSON_VERSION,
            rollout,
            verb,
            result,
            why,
        });
    } else {
        let why = why.map_or_else(String::new, |why| format!(": {why}"));
        output::data(&format!(
            "{verb} {rollout}: {}{why}",
            result.replace('-', " ")
        ));
    }
}
