//! A strategy that does what its configuration says: loop, allocate, recurse, trap or flood the log.

use serde::Deserialize;
use wavegate_sdk::{About, Failure, Outcome, Release, SiteSummary, SiteView, Stage, Strategy};

/// The strategy.
pub struct Plugin;

/// The configuration.
#[derive(Deserialize)]
pub struct Config {
    bad: String,
}

impl Strategy for Plugin {
    type Config = Config;
    type State = ();

    fn describe() -> About {
        About {
            name: "bad".to_owned(),
            version: "0.1.0".to_owned(),
            state_version: 1,
            config_schema: "{}".to_owned(),
            text: "Misbehaves.".to_owned(),
        }
    }

    fn outline(_: &SiteSummary, _: &Release, _: &Config) -> Result<Vec<Stage>, Failure> {
        Ok(Vec::new())
    }

    fn decide(_: &SiteView, config: &Config, (): ()) -> Result<Outcome<()>, Failure> {
        match config.bad.as_str() {
            "loop" => {
                let mut count = 0_u64;
                loop {
                    count = std::hint::black_box(count.wrapping_add(1));
                }
            }
            "allocate" => {
                let mut kept = Vec::new();
                loop {
                    kept.push(vec![1_u8; 1 << 20]);
                }
            }
            "recurse" => Ok(Outcome::done("all", deep(1).to_string(), ())),
            "log" => loop {
                wavegate_sdk::info!("{}", "x".repeat(1000));
            },
            _ => panic!("the author made a mistake"),
        }
    }
}

fn deep(depth: u64) -> u64 {
    match std::hint::black_box(depth) {
        0 => 0,
        _ => deep(depth + 1) + 1,
    }
}

wavegate_sdk::export_strategy!(Plugin);
