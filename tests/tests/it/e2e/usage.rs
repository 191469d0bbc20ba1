//! Documents that are wrong, identifiers that nobody knows, output for people and for machines.

use wavegate_tests::fleet::Fleet;

const PLAIN: &str = "    plugin: {shipped: rolling}";

#[test]
fn a_bad_document_is_told_with_its_place_and_nothing_is_written() {
    let fleet = Fleet::quickstart();
    let good = fleet.read("policy.yaml");
    // Shape, reference, and what only the driver understands.
    let cases = [
        (
            "policy.yaml",
            "siteSoak: 2s",
            "siteSoak: soon",
            "policy.yaml:9:17",
        ),
        (
            "rollout.yaml",
            "policy: careful",
            "policy: carefull",
            "rollout.yaml:4:31",
        ),
        (
            "fleet.yaml",
            "dir: clusters/us-1",
            "folder: clusters/us-1",
            "fleet.yaml:17:",
        ),
        (
            "releases.yaml",
            "timeout: 10s",
            "timeout: never",
            "releases.yaml:21:",
        ),
    ];
    for (file, from, to, place) in cases {
        let before = fleet.read(file);
        fleet.replace(file, from, to);
        for arguments in [
            ["validate", "demo"],
            ["plan", "demo"],
            ["run", "demo"],
            ["quickstart", "demo"],
            ["down", "demo"],
        ] {
            let done = fleet.wavegate(&arguments).expect(2);
            assert!(done.err.contains(place), "{arguments:?}: {}", done.err);
            assert!(done.err.contains("nothing was touched"), "{}", done.err);
            assert_eq!(done.out, "");
            assert!(!fleet.state().exists(), "{arguments:?} wrote a state");
            assert!(!fleet.documents().join("clusters").exists());
        }
        fleet.write(file, &before);
    }
    assert_eq!(fleet.read("policy.yaml"), good);
    fleet.wavegate(&["validate", "demo"]).expect(0);
    fleet.wavegate(&["run", "demo", "--dry-run"]).expect(0);
    assert!(!fleet.state().join("journal.db").exists());
}

#[test]
fn wrong_usage_is_told_with_a_hint() {
    let fleet = Fleet::quickstart();
    let none = fleet.wavegate(&["status"]).expect(2);
    assert!(
        none.err.contains("hint: start a rollout first"),
        "{}",
        none.err
    );
    assert!(!fleet.state().exists());
    let missing = fleet.wavegate(&["validate", "nowhere.yaml"]).expect(2);
    assert!(missing.err.contains("nowhere.yaml"), "{}", missing.err);
    let full = fleet.wavegate(&["init", "demo"]).expect(2);
    assert!(full.err.contains("not an empty folder"), "{}", full.err);
    // A quickstart neither mixes its documents with other files nor removes those.
    std::fs::create_dir(fleet.folder().join("mine")).expect("it can be made");
    let mine = fleet.folder().join("mine/thesis.txt");
    std::fs::write(&mine, "years of work").expect("it can be written");
    fleet.wavegate(&["quickstart", "mine"]).expect(2);
    assert!(mine.exists());
    let unknown = fleet.wavegate(&["run", "demo", "--rollout", "shop-3"]);
    assert!(unknown.expect(2).err.contains("they have: shop-2"));
    fleet.wavegate(&["fly"]).expect(2);
    let filter = fleet.wavegate(&["status", "--log", "a=b=c"]).expect(2);
    assert!(filter.err.contains("log filter"), "{}", filter.err);
}

#[test]
fn output_is_data_for_machines_and_talk_for_people() {
    let fleet = Fleet::small(PLAIN);
    fleet.up();
    let run = fleet
        .wavegate(&["run", "demo", "--format", "json"])
        .expect(0);
    let lines = run.json();
    assert!(lines.len() > 20, "{}", run.out);
    assert_eq!(lines.last().expect("a report")["outcome"], "done");
    assert!(!run.err.lines().any(|line| line.starts_with('{')));

    for arguments in [
        vec!["validate", "demo"],
        vec!["plan", "demo"],
        vec!["run", "demo", "--dry-run"],
        vec!["status"],
        vec!["status", "last"],
        vec!["explain", "last"],
        vec!["history", "last"],
        vec!["history", "last", "--all"],
        vec!["init", "other"],
        vec!["down", "demo", "--dry-run"],
        vec!["down", "demo"],
    ] {
        let mut with_format = arguments.clone();
        with_format.extend(["--format", "json"]);
        let done = fleet.wavegate(&with_format).expect(0);
        assert!(!done.json().is_empty(), "{arguments:?} said nothing");
    }
    let refused = fleet.wavegate(&["pause", "last", "--reason", "x", "--format", "json"]);
    assert_eq!(refused.expect(12).json()[0]["result"], "refused");

    let unknown = fleet.wavegate(&["status", "shop-9"]).expect(2);
    assert!(
        unknown.err.contains("there is no rollout `shop-9`"),
        "{}",
        unknown.err
    );
    assert!(
        unknown.err.contains("hint: the newest are: shop-2-"),
        "{}",
        unknown.err
    );

    // No colour where nobody looks, unless it is asked for.
    let escape = '\u{1b}';
    let status = fleet.wavegate(&["status"]).expect(0);
    assert!(!status.out.contains(escape), "{:?}", status.out);
    let always = fleet.wavegate(&["status", "--color", "always"]).expect(0);
    assert!(always.out.contains(escape), "{:?}", always.out);
    let never = fleet.wavegate(&["status", "shop-9", "--color", "never"]);
    assert!(!never.expect(2).err.contains(escape));
    let mut command = fleet.command(&["status", "--color", "auto"]);
    command.env("NO_COLOR", "1").env("CLICOLOR_FORCE", "0");
    let plain = command.output().expect("it runs");
    assert!(!String::from_utf8_lossy(&plain.stdout).contains(escape));
}

#[test]
fn help_completions_and_manual_are_complete() {
    let fleet = Fleet::empty();
    let help = fleet.wavegate(&["--help"]).expect(0).out;
    let commands: Vec<&str> = help
        .lines()
        .skip_while(|line| !line.starts_with("Commands:"))
        .skip(1)
        .take_while(|line| line.starts_with("  "))
        .filter(|line| !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|command| *command != "help")
        .collect();
    assert!(commands.len() >= 16, "{commands:?}");
    assert!(!commands.contains(&"demo-shop"), "it is not for people");
    let completions = fleet.wavegate(&["completions", "bash"]).expect(0).out;
    for command in commands {
        assert!(completions.contains(command), "no completion of {command}");
        let manual = fleet.wavegate(&["man", command]).expect(0).out;
        assert!(manual.contains(".SH SYNOPSIS"), "{manual}");
        assert!(manual.contains("state"), "{manual}");
        let text = fleet.wavegate(&[command, "--help"]).expect(0).out;
        for flag in flags(&text) {
            let (name, about) = flag;
            let common = ["--help", "--version"].contains(&name.as_str());
            assert!(
                common || about.contains("[env: "),
                "{command} {name} has no variable: {about}"
            );
        }
    }
    fleet.wavegate(&["man"]).expect(0);
    fleet.wavegate(&["man", "fly"]).expect(2);
    fleet.wavegate(&["--version"]).expect(0);
}

/// Flags with their texts.
fn flags(help: &str) -> Vec<(String, String)> {
    let mut flags: Vec<(String, String)> = Vec::new();
    for line in help.lines() {
        let flag = line
            .split_whitespace()
            .take(2)
            .find(|word| word.starts_with("--"));
        match (flag, flags.last_mut()) {
            (Some(flag), _) if line.trim_start().starts_with('-') => {
                flags.push((flag.to_owned(), line.to_owned()));
            }
            (_, Some((_, text))) => text.push_str(line),
            (_, None) => {}
        }
    }
    flags
}

#[test]
fn a_stage_that_its_nodes_cannot_carry_is_told_before_the_start() {
    let stage = |traffic: &str| {
        format!(
            "    plugin: {{shipped: canary}}\n    config: {{stages: [{{nodes: 34%, traffic: {traffic}}}]}}"
        )
    };
    // Two of three nodes are new; one may be down, so one node carries half of the traffic.
    for (traffic, says) in [("20%", true), ("60%", false)] {
        let fleet = Fleet::small(&stage(traffic));
        let documents = fleet.read("fleet.yaml").replace("nodes: 2", "nodes: 3");
        fleet.write("fleet.yaml", &documents);
        for command in ["validate", "plan"] {
            let done = fleet.wavegate(&[command, "demo"]).expect(0);
            let told = "site eu-1 would hold: the plugin's answer is not acceptable: it sends 80% \
                        of the traffic to 1 baseline nodes of cluster `eu-1`, which can carry 50%";
            assert_eq!(done.err.contains(told), says, "{traffic}: {}", done.err);
            assert_eq!(done.err.matches("would hold").count(), usize::from(says));
        }
        fleet.assert_nothing_is_left();
    }
}

#[test]
fn results_that_are_lost_are_told() {
    let fleet = Fleet::quickstart();
    for arguments in [
        &["schema", "any"][..],
        &["validate", "demo", "--format", "json"],
        &["simulate", "demo", "--runs", "2"],
        &["completions", "bash"],
        &["man", "run"],
    ] {
        let full = std::fs::File::create("/dev/full").expect("it is a device");
        let command = fleet.command(arguments).stdout(full).output();
        let done = command.expect("it can be run");
        let told = String::from_utf8_lossy(&done.stderr).into_owned();
        assert_eq!(done.status.code(), Some(1), "{arguments:?}: {told}");
        let says = "cannot write the results: No space left";
        assert!(told.contains(says), "{arguments:?}: {told}");
    }
}
