//! What it costs to run a journal again: the engine's part for each record, and what a component's
//! call costs, with all that is read for it, against the same call as a rollout makes it.
//!
//! The journal is that of a rollout over a thousand clusters. Three sides are interleaved: the
//! journal without its consultations, which is the engine's part; the whole journal; and the
//! recorded questions, asked one after another as a rollout does, on threads of the plugin host.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

mod thousand;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use thousand::CLUSTERS;
use wavegate_conductor::read_story;
use wavegate_conductor::record::CONSULTATION;
use wavegate_foresight::{Differs, Recorded, verify};
use wavegate_journal_sqlite::SqliteJournal;
use wavegate_model::limits::CallLimits;
use wavegate_model::{Digest, RolloutId, Timestamp};
use wavegate_plugin_host::OnThisThread;
use wavegate_ports::BoxFuture;
use wavegate_ports::journal::{Batch, InboxRow, Journal, JournalEntry, JournalError, StoredRecord};
use wavegate_ports::plugins::{PluginCall, Plugins};

const ROUNDS: usize = 5;

fn main() {
    // `cargo test --benches` starts this with nothing: then there is nothing to do.
    if std::env::args().nth(1).as_deref() != Some("--bench") {
        return;
    }
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let folder = tempfile::tempdir().expect("a folder");
    runtime.block_on(measure(folder.path()));
}

async fn measure(folder: &Path) {
    let (host, _) = thousand::run(folder).await;
    let plugins: Arc<dyn Plugins> = Arc::new(OnThisThread(Arc::clone(&host)));
    let journal = SqliteJournal::open_read_only(&folder.join("journal.db")).expect("a journal");
    let rollout = journal.rollouts().await.expect("rollouts")[0]
        .rollout
        .clone();
    let steps = Steps(journal);
    let calls = calls(&steps.0, &rollout).await;
    let (mut engine, mut call, mut alone) = (Vec::new(), Vec::new(), Vec::new());
    let mut records = 0;
    for _ in 0..ROUNDS {
        // Without the consultations nobody is recorded to have given the answers. The engine's
        // part must agree all the same.
        let unheard = |what: &Differs| matches!(what, Differs::Unheard { .. });
        let (read, of_steps) = timed(&steps, &plugins, &rollout, unheard).await;
        let (_, whole) = timed(&steps.0, &plugins, &rollout, |_| false).await;
        let started = Instant::now();
        for asked in calls.clone() {
            host.call(asked).await;
        }
        let count = calls.len() as f64;
        alone.push(micros(started.elapsed()) / count);
        call.push((micros(whole) - micros(of_steps)) / count);
        engine.push(read as f64 / of_steps.as_secs_f64());
        records = read;
    }
    let name = format!("replay --verify, {CLUSTERS} clusters");
    println!("{records} engine records, {} calls", calls.len());
    let (engine, call, alone) = (median(engine), median(call), median(alone));
    figure(
        &format!("{name}: engine records"),
        engine,
        "per second",
        "at least 20000",
    );
    figure(
        &format!("{name}: a call, with all that is read for it"),
        call,
        "µs",
        "",
    );
    figure(
        &format!("{name}: the same call in a rollout"),
        alone,
        "µs",
        "",
    );
    figure(
        &format!("{name}: a call over the same in a rollout"),
        call / alone,
        "times",
        "at most 1.5",
    );
}

/// How many records were read, and how long that took. No difference may be found but those that
/// are expected of this journal.
async fn timed(
    journal: &dyn Journal,
    plugins: &Arc<dyn Plugins>,
    rollout: &RolloutId,
    expected: impl Fn(&Differs) -> bool,
) -> (usize, Duration) {
    let started = Instant::now();
    let mut found = verify(journal, plugins, rollout).await.expect("a journal");
    let took = started.elapsed();
    found.differences.retain(|one| !expected(&one.what));
    assert!(found.differences.is_empty(), "{:?}", found.differences);
    (found.records, took)
}

/// The recorded questions, as they were asked.
async fn calls(journal: &SqliteJournal, rollout: &RolloutId) -> Vec<PluginCall> {
    let story = read_story(journal, rollout).await.expect("a story");
    let mut calls = Vec::new();
    for (at, record) in &story.consultations {
        let recorded = Recorded::read(journal, *at, record)
            .await
            .expect("it is there");
        calls.push(PluginCall {
            rollout: rollout.clone(),
            digest: recorded.component,
            config: recorded.config,
            limits: CallLimits::SMALL,
            question: recorded.question,
        });
    }
    calls
}

fn micros(took: Duration) -> f64 {
    took.as_secs_f64() * 1e6
}

fn figure(name: &str, median: f64, unit: &str, target: &str) {
    let figure = serde_json::json!({
        "name": name,
        "median": (median * 100.0).round() / 100.0,
        "unit": unit,
        "rounds": ROUNDS,
        "target": target,
    });
    println!("figure: {figure}");
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// A journal without what was recorded of plugins.
struct Steps(SqliteJournal);

impl Journal for Steps {
    fn open(&self, rollout: &RolloutId) -> BoxFuture<'_, Result<u64, JournalError>> {
        self.0.open(rollout)
    }

    fn append(&self, batch: Batch) -> BoxFuture<'_, Result<(), JournalError>> {
        self.0.append(batch)
    }

    fn read(
        &self,
        rollout: &RolloutId,
        after: u64,
    ) -> BoxFuture<'_, Result<Vec<StoredRecord>, JournalError>> {
        let all = self.0.read(rollout, after);
        Box::pin(async {
            let mut records = all.await?;
            records.retain(|stored| stored.record.kind != CONSULTATION);
            Ok(records)
        })
    }

    fn blob(&self, digest: &Digest) -> BoxFuture<'_, Result<Option<Vec<u8>>, JournalError>> {
        self.0.blob(digest)
    }

    fn rollouts(&self) -> BoxFuture<'_, Result<Vec<JournalEntry>, JournalError>> {
        self.0.rollouts()
    }

    fn put_inbox(
        &self,
        rollout: &RolloutId,
        at: Timestamp,
        actor: String,
        reason: String,
        request: String,
    ) -> BoxFuture<'_, Result<u64, JournalError>> {
        self.0.put_inbox(rollout, at, actor, reason, request)
    }

    fn inbox(
        &self,
        rollout: &RolloutId,
        after: u64,
    ) -> BoxFuture<'_, Result<Vec<InboxRow>, JournalError>> {
        self.0.inbox(rollout, after)
    }
}
