//! Components that nobody means well with: refused with words, or loaded and contained.

use crate::{guests, plugins, scene, words};
use std::time::Duration;
use wavegate_fuzz::bounds::Bounds;
use wavegate_model::Unavailable;
use wavegate_model::plugin::{About, PluginKind};
use wavegate_model::policy::PluginRef;
use wavegate_ports::plugins::{CallEnd, LoadedPlugin, PluginCall, Plugins, Question};

/// The compiler takes memory for each function, and inputs are small. Compiled code is not
/// counted: the system gives it, not the allocator.
const BOUNDS: Bounds = Bounds {
    bytes: 512 << 20,
    time: Duration::from_secs(20),
};

/// Loads the bytes as a strategy and as a gate; what loads is asked something.
///
/// # Panics
/// If the host does something else than to refuse, to hold or to answer.
pub fn check(data: &[u8]) {
    plugins::with(|host| {
        host.file(data);
        let file = PluginRef::File("input.wasm".to_owned());
        BOUNDS.hold(|| {
            for kind in [PluginKind::Strategy, PluginKind::Gate] {
                let load = host.host.load(&file, kind, host.folder.path());
                match plugins::block_on(load) {
                    Err(rejected) => words::shown("a refusal", &rejected.to_string()),
                    Ok(loaded) => asked(&host.host, kind, &loaded),
                }
            }
        });
    });
}

/// All guests of the tests, good and bad.
pub fn seeds() -> Vec<Vec<u8>> {
    let names = guests::names();
    names.iter().map(|name| guests::build(name)).collect()
}

fn asked(host: &dyn Plugins, kind: PluginKind, loaded: &LoadedPlugin) {
    described(&loaded.about);
    let valid = plugins::block_on(host.validate_config(&loaded.digest, "{}"));
    match valid {
        Ok(problems) => {
            for problem in problems {
                words::safe("a problem", &problem.message);
            }
        }
        Err(why) => words::shown("a validation that failed", &why.to_string()),
    }
    let questions = match kind {
        PluginKind::Strategy => vec![scene::outline(), scene::decide(Vec::new())],
        PluginKind::Gate => vec![scene::evaluate(Vec::new())],
    };
    for question in questions {
        contained(host, loaded, question);
    }
}

fn described(about: &About) {
    words::shown("a name", &about.name);
    words::safe("a version", &about.version);
    words::safe("a description", &about.text);
}

fn contained(host: &dyn Plugins, loaded: &LoadedPlugin, question: Question) {
    let call = || PluginCall {
        rollout: "fuzz".into(),
        digest: loaded.digest.clone(),
        config: "{}".to_owned(),
        limits: plugins::limits(),
        question: question.clone(),
    };
    let report = plugins::block_on(host.call(call()));
    if let CallEnd::Unavailable(why) = &report.end {
        words::shown("a call that failed", &why.to_string());
    }
    for (_, line) in &report.log {
        words::safe("a line of a log", line);
    }
    // The same question gets the same answer, whatever the guest does.
    let again = plugins::block_on(host.call(call()));
    // Time is the machine's, and on a busy one it may be over first.
    let late = |end: &CallEnd| {
        matches!(
            end,
            CallEnd::Unavailable(Unavailable::TimedOut { .. } | Unavailable::Busy { .. })
        )
    };
    if !late(&report.end) && !late(&again.end) {
        assert_eq!((&report.end, report.fuel), (&again.end, again.fuel));
    }
}
