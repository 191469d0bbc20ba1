//! What is loaded, from where, and what is refused.

use crate::ask::{block_on, call, decide, release, setup, setup_with, summary, unavailable, view};
use crate::guests;
use wavegate_model::plugin::{PluginKind, PluginState, Problem, Proposal};
use wavegate_model::policy::PluginRef;
use wavegate_model::{Digest, RolloutId, Unavailable};
use wavegate_plugin_host::{CompiledCache, HostOptions, PluginHost};
use wavegate_ports::plugins::{Answer, CallEnd, PluginCall, PluginRejected, Plugins, Question};

#[test]
fn every_guest_can_be_built() {
    let names = guests::names();
    assert!(names.len() > 45, "{names:?}");
    for name in names {
        assert!(guests::build(&name).starts_with(b"\0asm\x0d"), "{name}");
    }
}

#[test]
fn a_plugin_says_what_it_is_and_works() {
    let setup = setup();
    let loaded = setup.load("plain-strategy", PluginKind::Strategy).unwrap();
    assert_eq!(loaded.contract, "0.1.0");
    assert_eq!(
        (loaded.about.name.as_str(), loaded.about.version.as_str()),
        ("plain-strategy", "1.0.0")
    );
    assert_eq!(loaded.about.state_version, 1);
    let outline = setup.call(
        &loaded.digest,
        Question::Outline {
            site: summary(),
            release: release(),
        },
    );
    let CallEnd::Answered(Answer::Outline(stages)) = outline.end else {
        panic!("{:?}", outline.end)
    };
    assert_eq!(stages[0].name, "step");
    let first = setup.decide(&loaded.digest, b"");
    let second = setup.decide(&loaded.digest, b"");
    assert_eq!(
        (&first.input, &first.output, first.fuel),
        (&second.input, &second.output, second.fuel)
    );
    assert!(first.fuel > 0);
    assert_eq!(
        setup.outcome(&loaded.digest, b"").state,
        PluginState(vec![1])
    );
    assert_eq!(setup.outcome(&loaded.digest, &[2]).proposal, Proposal::Done);
}

#[test]
fn a_plugin_for_something_else_is_refused_with_the_reason() {
    let setup = setup();
    let rejected = |guest, kind| setup.load(guest, kind).unwrap_err();
    let version = rejected("wrong-version", PluginKind::Strategy);
    assert_eq!(
        version.to_string(),
        "plugin wrong-version.wasm was built for contract 0.9.0; this host speaks 0.1.x and 0.2.x"
    );
    let import = rejected("undeclared-import", PluginKind::Strategy);
    assert_eq!(
        import.to_string(),
        "plugin undeclared-import.wasm imports `wasi:http/outgoing-handler@0.2.0`, which strategy plugins are not granted"
    );
    assert!(matches!(
        rejected("pass-gate", PluginKind::Strategy),
        PluginRejected::WrongWorld { .. }
    ));
    assert!(matches!(
        rejected("plain-strategy", PluginKind::Gate),
        PluginRejected::WrongWorld { .. }
    ));
    let text = setup.folder.path().join("text.wasm");
    std::fs::write(&text, "(component)").unwrap();
    let load = |path: &str| {
        block_on(setup.host.load(
            &PluginRef::File(path.into()),
            PluginKind::Gate,
            setup.folder.path(),
        ))
        .unwrap_err()
    };
    assert!(matches!(
        load("text.wasm"),
        PluginRejected::NotAComponent { .. }
    ));
    let huge = std::fs::File::create(setup.folder.path().join("huge.wasm")).unwrap();
    huge.set_len((64 << 20) + 1).unwrap();
    assert!(
        matches!(load("huge.wasm"), PluginRejected::NotAComponent { detail, .. } if detail.contains("64 MiB"))
    );
    assert!(matches!(
        load("missing.wasm"),
        PluginRejected::NotFound { .. }
    ));
    let shipped = PluginRef::Shipped("canary".into());
    let none = block_on(
        setup
            .host
            .load(&shipped, PluginKind::Gate, setup.folder.path()),
    )
    .unwrap_err();
    assert!(matches!(none, PluginRejected::NotFound { .. }));
}

#[test]
fn a_component_that_was_tampered_with_is_refused() {
    let setup = setup();
    let mut bytes = guests::build("plain-strategy");
    let middle = bytes.len() / 2;
    bytes.truncate(middle);
    std::fs::write(setup.folder.path().join("cut.wasm"), bytes).unwrap();
    let cut = block_on(setup.host.load(
        &PluginRef::File("cut.wasm".into()),
        PluginKind::Strategy,
        setup.folder.path(),
    ));
    assert!(
        matches!(cut, Err(PluginRejected::NotAComponent { .. })),
        "{cut:?}"
    );
}

#[test]
fn resume_loads_the_stored_bytes_and_nothing_else() {
    let setup = setup();
    let loaded = setup.load("plain-strategy", PluginKind::Strategy).unwrap();
    std::fs::remove_file(setup.folder.path().join("plain-strategy.wasm")).unwrap();
    let store = setup.folder.path().join("store");
    let again = || PluginHost::new(HostOptions::new(&store)).unwrap();
    let host = again();
    assert_eq!(
        block_on(host.load_stored(&loaded.digest, PluginKind::Strategy)).unwrap(),
        loaded
    );
    assert!(matches!(
        block_on(host.load_stored(&loaded.digest, PluginKind::Gate)),
        Err(PluginRejected::WrongWorld { .. })
    ));
    // A call needs no load before it.
    let report = block_on(again().call(call(&loaded.digest, decide(b""))));
    assert!(
        matches!(report.end, CallEnd::Answered(_)),
        "{:?}",
        report.end
    );
    let missing = Digest::from_sha256(&[9; 32]);
    let report = block_on(host.call(call(&missing, decide(b""))));
    assert!(matches!(
        unavailable(&report),
        Unavailable::NotLoaded { .. }
    ));

    let stored = store
        .join("components")
        .join(format!("{}.wasm", loaded.digest.text().hex()));
    std::fs::write(&stored, guests::build("early-done")).unwrap();
    for host in [host, again()] {
        let damaged = block_on(host.load_stored(&loaded.digest, PluginKind::Strategy));
        assert_eq!(
            damaged,
            Err(PluginRejected::Damaged {
                digest: loaded.digest.clone()
            })
        );
    }
}

#[test]
fn compiled_code_is_used_only_if_this_host_made_it() {
    let setup = setup();
    let digest = setup.strategy("plain-strategy");
    // A host maps what it has verified, so that whoever writes over it writes over its code. What
    // is looked at here is what the next host finds.
    let folder = setup.folder;
    drop(setup.host);
    let compiled = folder.path().join("store/compiled");
    let file = || {
        std::fs::read_dir(&compiled)
            .unwrap()
            .next()
            .unwrap()
            .unwrap()
            .path()
    };
    let made = std::fs::read(file()).unwrap();
    // Rubbish with the right name: deserialising it could do anything, so it must be compiled again.
    std::fs::write(file(), vec![0x41; made.len()]).unwrap();
    let host = PluginHost::new(HostOptions::new(folder.path().join("store"))).unwrap();
    block_on(host.load_stored(&digest, PluginKind::Strategy)).unwrap();
    let report = block_on(host.call(call(&digest, decide(b""))));
    assert!(
        matches!(report.end, CallEnd::Answered(_)),
        "{:?}",
        report.end
    );
    assert_ne!(std::fs::read(file()).unwrap(), vec![0x41; made.len()]);
    let off = setup_with(|options| options.compiled = CompiledCache::Off);
    off.strategy("plain-strategy");
    assert_eq!(
        std::fs::read_dir(off.folder.path().join("store/compiled"))
            .unwrap()
            .count(),
        0
    );
}

#[test]
fn a_configuration_is_checked_by_schema_and_then_by_the_plugin() {
    let setup = setup();
    let digest = setup.strategy("picky-strategy");
    let problems = |config| block_on(setup.host.validate_config(&digest, config)).unwrap();
    let schema = problems("[]");
    assert_eq!((schema.len(), schema[0].pointer.as_str()), (1, ""));
    let own = Problem {
        pointer: "/stages/0".into(),
        message: "there is no such stage".into(),
    };
    assert_eq!(problems("{}"), [own]);
    let good = setup.strategy("plain-strategy");
    assert_eq!(
        block_on(setup.host.validate_config(&good, "{}")),
        Ok(Vec::new())
    );
}

#[test]
fn a_question_for_the_other_kind_is_refused() {
    let setup = setup();
    let gate = setup.gate("pass-gate");
    assert!(matches!(
        unavailable(&setup.decide(&gate, b"")),
        Unavailable::NotLoaded { .. }
    ));
}

#[test]
fn many_rollouts_get_their_answers() {
    let setup = setup();
    let digest = setup.strategy("plain-strategy");
    let answered = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build()
        .unwrap()
        .block_on(async {
            let mut answered = 0;
            let asked = (0..500).map(|i| {
                let rollout = RolloutId::new(format!("r{}", i % 7));
                let question = Question::Decide {
                    view: view(),
                    state: PluginState::default(),
                };
                setup.host.call(PluginCall {
                    rollout,
                    ..call(&digest, question)
                })
            });
            for report in asked.collect::<Vec<_>>() {
                answered += u32::from(matches!(report.await.end, CallEnd::Answered(_)));
            }
            answered
        });
    assert_eq!(answered, 500);
    assert!(setup.host.host_key().starts_with("wasmtime 48."));
}

#[test]
fn a_later_version_of_the_same_contract_is_the_same_contract() {
    let setup = setup();
    let loaded = setup.load("newer-patch", PluginKind::Strategy).unwrap();
    assert_eq!(loaded.contract, "0.1.7");
    assert!(matches!(
        setup.outcome(&loaded.digest, b"").proposal,
        Proposal::Go(_)
    ));
}

#[test]
fn a_call_that_waits_too_long_is_told_so() {
    let setup = setup_with(|options| options.wait_max = std::time::Duration::ZERO);
    let digest = setup.strategy("endless-loop");
    let ends = block_on(async {
        let one = || setup.host.call(call(&digest, decide(b"")));
        let (a, b, c, d, e, f) = tokio::join!(one(), one(), one(), one(), one(), one());
        [a, b, c, d, e, f].map(|report| report.end)
    });
    let busy = |end: &&CallEnd| matches!(end, CallEnd::Unavailable(Unavailable::Busy { .. }));
    assert!(ends.iter().any(|end| busy(&end)), "{ends:?}");
}
