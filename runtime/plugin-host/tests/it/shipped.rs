//! The shipped plugins do their work in this host.

use crate::ask::{Setup, block_on, call, decide, setup_with};
use crate::components::SHIPPED;
use std::collections::BTreeMap;
use wavegate_model::plugin::{PluginKind, Proposal};
use wavegate_model::policy::PluginRef;
use wavegate_ports::plugins::{Answer, CallEnd, PluginCall, Plugins};

fn with_shipped() -> Setup {
    let shipped: BTreeMap<String, &'static [u8]> = SHIPPED
        .iter()
        .map(|(name, _, bytes)| ((*name).to_owned(), *bytes))
        .collect();
    setup_with(|options| options.shipped = shipped)
}

#[test]
fn each_says_what_it_is_under_its_own_name() {
    let setup = with_shipped();
    for (name, kind, _) in SHIPPED {
        let reference = PluginRef::Shipped(name.into());
        let loaded = block_on(setup.host.load(&reference, kind, setup.folder.path())).unwrap();
        assert_eq!(loaded.about.name, name);
        assert_eq!(loaded.about.kind, kind);
        assert_eq!(
            loaded.about.slots.is_empty(),
            kind == PluginKind::Strategy,
            "{name}"
        );
        assert!(!loaded.about.text.is_empty());
    }
}

#[test]
fn canary_decides() {
    let setup = with_shipped();
    let reference = PluginRef::Shipped("canary".into());
    let loaded = block_on(
        setup
            .host
            .load(&reference, PluginKind::Strategy, setup.folder.path()),
    )
    .unwrap();
    let config = r#"{"stages":[{"nodes":"25%"}]}"#.to_owned();
    assert_eq!(
        block_on(setup.host.validate_config(&loaded.digest, &config)),
        Ok(Vec::new())
    );
    let report = block_on(setup.host.call(PluginCall {
        config,
        ..call(&loaded.digest, decide(b""))
    }));
    let CallEnd::Answered(Answer::Decide(outcome)) = &report.end else {
        panic!("{:?}", report.end)
    };
    assert!(matches!(outcome.proposal, Proposal::Go(_)), "{outcome:?}");
}
