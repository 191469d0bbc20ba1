//! What was recorded is run again, by the binary, without the fleet: the same facts and answers come
//! out, and a journal that says otherwise is found out although its chain of hashes is whole.
//!
//! Every fleet of these tests is replayed when its test ends (`Fleet::assert_replays`), the killed
//! ones too.

use serde_json::Value;
use wavegate_journal_sqlite::SqliteJournal;
use wavegate_model::RolloutId;
use wavegate_ports::journal::{Batch, Blob, Journal as _, NewRecord, StoredRecord};
use wavegate_tests::crash_support::{assert_done, fleet, killed_at, policy};
use wavegate_tests::fleet::{Done, Fleet};

const RUN: [&str; 4] = ["run", "demo", "--format", "human"];

/// A rollout with a gate, killed once and gone on with; its fleet is down.
fn recorded() -> Fleet {
    let fleet = fleet(&policy("{nodes: 25%, wait: 100ms}"));
    fleet.up();
    killed_at(&fleet, &RUN, "turn:after-commit:30");
    fleet
        .wavegate(&["resume", "last", "--format", "human"])
        .expect(0);
    assert_done(&fleet);
    fleet.down();
    fleet
}

fn verify(fleet: &Fleet) -> Done {
    fleet.wavegate(&["replay", "last", "--verify", "--format", "json"])
}

fn only(done: &Done) -> Value {
    let lines = done.json();
    assert_eq!(lines.len(), 1, "{}", done.out);
    lines[0].clone()
}

/// Writes the journal anew. Of each record: whether it is kept, after it has been changed.
fn rewritten(fleet: &Fleet, mut keep: impl FnMut(&mut StoredRecord) -> bool) -> usize {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime can be made");
    let file = fleet.state().join("journal.db");
    runtime.block_on(async {
        let old = SqliteJournal::open_read_only(&file).expect("there is a journal");
        let rollout: RolloutId = old.rollouts().await.unwrap()[0].rollout.clone();
        let mut records = old.read(&rollout, 0).await.unwrap();
        let mut blobs: Vec<Blob> = Vec::new();
        for record in &records {
            for digest in digests(&record.record) {
                if let Some(bytes) = old.blob(&digest).await.unwrap() {
                    blobs.push(Blob { digest, bytes });
                }
            }
        }
        drop(old);
        for end in ["", "-wal", "-shm"] {
            let _ = std::fs::remove_file(fleet.state().join(format!("journal.db{end}")));
        }
        let mut changed = 0;
        records.retain_mut(|record| {
            let before = record.record.body.clone();
            let kept = keep(record);
            changed += usize::from(!kept || record.record.body != before);
            kept
        });
        let new = SqliteJournal::open(&file).expect("a journal can be made");
        let writer = new.open(&rollout).await.unwrap();
        let batch = Batch {
            rollout,
            writer,
            records: records.into_iter().map(|stored| stored.record).collect(),
            blobs,
        };
        new.append(batch).await.unwrap();
        changed
    })
}

/// Everything in a consultation that is the digest of a blob.
pub(crate) fn digests(record: &NewRecord) -> Vec<wavegate_model::Digest> {
    let body: Value = serde_json::from_slice(&record.body).expect("bodies are JSON");
    let one = [&body["input"], &body["output"]];
    let evidence = body["evidence"].as_array().into_iter().flatten();
    let texts = one.into_iter().chain(evidence.map(|pair| &pair[1]));
    let texts = texts.filter_map(Value::as_str);
    texts
        .filter_map(|text| wavegate_model::Digest::parse(text).ok())
        .collect()
}

/// Puts another text in the place of the first one of a kind of record.
fn replace_once(fleet: &Fleet, kind: &str, has: &str, from: &str, to: &str) -> usize {
    let mut done = false;
    rewritten(fleet, |stored| {
        let text = String::from_utf8(stored.record.body.clone()).expect("bodies are text");
        let fits = stored.record.kind == kind && text.contains(has) && text.contains(from);
        if fits && !std::mem::replace(&mut done, true) {
            stored.record.body = text.replace(from, to).into_bytes();
        }
        true
    })
}

#[test]
fn a_killed_rollout_leads_to_the_same_facts_and_answers_again() {
    let fleet = recorded();
    let told = only(&verify(&fleet).expect(0));
    assert_eq!(told["result"], "verified", "{told}");
    assert_eq!(
        told["hosts"], 2,
        "the one that was killed, and the next: {told}"
    );
    assert!(told["same_answers"].as_u64() > Some(10), "{told}");
    assert_eq!(told["same_fuel"], told["same_answers"], "{told}");
    assert_eq!(told["differences"].as_array().map(Vec::len), Some(0));
    let human = fleet
        .wavegate(&["replay", "--verify", "--format", "human"])
        .expect(0);
    assert!(human.out.contains(": verified"), "{}", human.out);
}

#[test]
fn an_answer_that_nobody_gave_is_found_out() {
    let fleet = recorded();
    // The verdict that was acted on is not the one that the gate gave.
    let changed = replace_once(
        &fleet,
        "step",
        "\"after-batch\"",
        "\"verdict\":\"hold\"",
        "\"verdict\":\"pass\"",
    );
    assert_eq!(changed, 1, "a gate held at least once");
    let told = only(&verify(&fleet).expect(12));
    let texts = told["differences"].to_string();
    assert!(
        texts.contains("is not the one that was recorded"),
        "{texts}"
    );
    std::fs::remove_file(fleet.state().join("journal.db")).expect("the journal is there");
}

#[test]
fn an_answer_of_which_there_is_no_record_is_found_out() {
    let fleet = recorded();
    let mut dropped = false;
    let changed = rewritten(&fleet, |stored| {
        let drop = stored.record.kind == "consultation" && !std::mem::replace(&mut dropped, true);
        !drop
    });
    assert_eq!(changed, 1);
    let told = only(&verify(&fleet).expect(12));
    let differences = told["differences"].as_array().expect("a list");
    assert_eq!(differences.len(), 1, "{told}");
    let text = differences[0]["text"].to_string();
    assert!(text.contains("none is recorded"), "{text}");
    std::fs::remove_file(fleet.state().join("journal.db")).expect("the journal is there");
}

#[test]
fn a_fact_that_does_not_follow_is_found_out() {
    let fleet = recorded();
    let changed = replace_once(
        &fleet,
        "step",
        "batch-passed",
        "{\"batch-passed\"",
        "{\"batch-settled\"",
    );
    assert_eq!(changed, 1);
    let done = verify(&fleet).expect(12);
    let told = only(&done);
    assert_eq!(told["result"], "differs", "{told}");
    let texts = told["differences"].to_string();
    assert!(texts.contains("the engine decides"), "{texts}");
    let human = fleet.wavegate(&["replay", "last", "--verify", "--format", "human"]);
    assert!(human.out.contains("it goes another way"), "{}", human.out);
    // Nor can another policy be compared with what this version would not have done.
    let other = by_policy(&fleet, "size: 1", "size: 1");
    assert_eq!(other["parting"]["how"], "version", "{other}");
    std::fs::remove_file(fleet.state().join("journal.db")).expect("the journal is there");
}

#[test]
fn another_plugin_is_asked_what_was_asked_then() {
    let fleet = recorded();
    let same = [
        "replay",
        "last",
        "--with",
        "strategy=canary",
        "--format",
        "json",
    ];
    let told = only(&fleet.wavegate(&same).expect(0));
    assert_eq!(
        (&told["verb"], &told["result"]),
        (&"replay".into(), &"same".into()),
        "{told}"
    );
    let other = fleet.folder().join("rolling.yaml");
    std::fs::write(&other, "{}\n").expect("the folder can be written");
    let other = other.display().to_string();
    let rolling = [
        "replay",
        "last",
        "--with",
        "strategy=rolling",
        "--config",
        &other,
    ];
    let told = fleet
        .wavegate(&[&rolling[..], &["--format", "human"]].concat())
        .expect(0);
    assert!(told.out.contains("differs"), "{}", told.out);
    assert!(!told.out.contains("would be refused"), "{}", told.out);
    for wrong in ["polcy=x", "policy=", "strategy="] {
        let told = fleet.wavegate(&["replay", "last", "--with", wrong]);
        let told = told.expect(2).err;
        assert!(told.contains("policy=FILE"), "{told}");
        assert!(!told.contains("nothing was changed"), "{told}");
    }
    let nothing = fleet.wavegate(&["replay", "last"]).expect(2);
    assert!(nothing.err.contains("--verify checks"), "{}", nothing.err);
}

/// The rollout by its policy with a text in place of another.
fn by_policy(fleet: &Fleet, from: &str, to: &str) -> Value {
    let policy = fleet.read("policy.yaml");
    assert!(policy.contains(from), "the policy has no `{from}`");
    let file = fleet.folder().join("other.yaml");
    std::fs::write(&file, policy.replacen(from, to, 1)).expect("the folder can be written");
    let with = format!("policy={}", file.display());
    let done = fleet.wavegate(&["replay", "last", "--with", &with, "--format", "json"]);
    only(&done.expect(0))
}

/// The name of a fact.
fn kind(fact: &Value) -> &str {
    let members = fact.as_object().and_then(|members| members.keys().next());
    members.map_or("none", String::as_str)
}

#[test]
fn another_policy_gets_what_was_recorded_until_the_histories_part() {
    let fleet = recorded();
    let same = by_policy(&fleet, "size: 1", "size: 1");
    assert_eq!(same["result"], "same", "{same}");
    assert_eq!(same["carried"], same["inputs"], "{same}");
    assert_eq!(same["asked_again"], 0, "{same}");
    assert_eq!(same["plan_now"], same["plan_recorded"], "{same}");

    // A gate that wants less is asked again, and says the same of a good release.
    let laxer = by_policy(&fleet, "minSuccess: 99%", "minSuccess: 90%");
    assert_eq!(laxer["result"], "same", "{laxer}");
    assert!(laxer["asked_again"].as_u64() > Some(5), "{laxer}");

    // A longer soak parts them where the site was done.
    let longer = by_policy(&fleet, "siteSoak: 200ms", "siteSoak: 1h");
    let parting = &longer["parting"];
    assert_eq!(parting["how"], "facts", "{longer}");
    assert_eq!(kind(&parting["recorded"][0]), "site-done", "{longer}");
    assert!(longer["waiting"].to_string().contains("soak"), "{longer}");
    assert!(parting["not_known"].as_u64() > Some(10), "{longer}");

    // A longer window of the gate needs counts that nobody asked for.
    let window = by_policy(&fleet, "window: 3s", "window: 4s");
    assert_eq!(window["parting"]["how"], "unknown", "{window}");
    let text = window["parting"]["text"].as_str().unwrap_or_default();
    assert!(
        text.contains("gate success") && text.contains("nobody asked for"),
        "{text}"
    );

    // Other waves make another plan, and another site starts.
    let waves = "    - name: first\n      clusters: {labels: {tier: canary}}";
    let turned = "    - name: first\n      clusters: {names: [us-1]}";
    let policy = fleet.read("policy.yaml");
    let rest = policy.replacen("{labels: {tier: main}}", "{names: [eu-1]}", 1);
    fleet.write("policy.yaml", &rest);
    let turned = by_policy(&fleet, waves, turned);
    // The fleet is taken down by its own documents.
    fleet.write("policy.yaml", &policy);
    assert_eq!(turned["result"], "parts", "{turned}");
    assert_ne!(turned["plan_now"], turned["plan_recorded"], "{turned}");
    let first = |side: &str| turned["parting"][side][0]["site-started"]["site"].clone();
    // Which of them is seen first is up to the machine.
    let (recorded, now) = (first("recorded"), first("now"));
    assert!(recorded == "eu-1" || now == "us-1", "{turned}");
}

#[test]
fn a_policy_that_cannot_be_one_of_the_recorded_fleet_is_refused() {
    let fleet = recorded();
    let policy = fleet
        .read("policy.yaml")
        .replacen("{tier: main}", "{tier: moon}", 1);
    let file = fleet.folder().join("other.yaml");
    std::fs::write(&file, policy).expect("the folder can be written");
    let with = format!("policy={}", file.display());
    let told = fleet
        .wavegate(&["replay", "last", "--with", &with])
        .expect(2);
    assert!(told.err.contains("matches no cluster"), "{}", told.err);
    let documents = fleet.documents().display().to_string();
    let with = format!("policy={documents}");
    let human = fleet.wavegate(&["replay", "last", "--with", &with, "--format", "human"]);
    let human = human.expect(0).out;
    assert!(
        human.contains("decides the same to the end of the record"),
        "{human}"
    );
}
