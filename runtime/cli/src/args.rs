//! The command line.

use crate::output::{Color, Format};
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

/// Rolls a software release over many clusters: in waves, in batches, through gates.
///
/// Strategies and gates are sandboxed WebAssembly components.
#[derive(Debug, Parser)]
#[command(
    name = "wavegate",
    version,
    max_term_width = 100,
    after_long_help = crate::exit::help()
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Flags of every command.
#[derive(Clone, Debug, Args)]
pub(crate) struct Global {
    /// Folder of the journal, the plugin store and the locks.
    #[arg(
        long,
        global = true,
        env = "WAVEGATE_STATE",
        default_value = ".wavegate",
        value_name = "DIR"
    )]
    pub(crate) state: PathBuf,
    /// How results are written.
    #[arg(
        long,
        global = true,
        env = "WAVEGATE_FORMAT",
        default_value = "auto",
        value_enum
    )]
    pub(crate) format: Format,
    /// Whether colours are used; NO_COLOR is respected.
    #[arg(
        long,
        global = true,
        env = "WAVEGATE_COLOR",
        default_value = "auto",
        value_enum
    )]
    pub(crate) color: Color,
    /// What is logged to standard error, as in `wavegate=debug`.
    #[arg(
        long,
        global = true,
        env = "WAVEGATE_LOG",
        default_value = "warn",
        value_name = "FILTER"
    )]
    pub(crate) log: String,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Sets up a working fleet of real processes here and rolls it from 1.0 to 2.0.
    Quickstart(Quickstart),
    /// Stops what a quickstart, or a fleet of documents, left running here.
    Down(Down),
    /// Writes the documents of the quickstart as files to edit.
    Init(Init),
    /// Checks documents: their shape, their references, the plugins and their configuration.
    Validate(Files),
    /// Shows waves, sites, stages, gates and limits of rollouts; touches nothing.
    Plan(Files),
    /// Plays a rollout through over simulated fleets, again and again, with the real engine and the
    /// real plugins: how long it takes, which bad releases it catches, and what they do until then.
    Simulate(Simulate),
    /// Runs the rollouts of documents until they end.
    Run(Run),
    /// Goes on with a rollout that a host has left.
    Resume(Resume),
    /// Shows where rollouts are.
    Status(Status),
    /// Says why a rollout is where it is, and what would move it on.
    Explain(One),
    /// Tells a rollout from its first fact.
    History(History),
    /// Starts nothing new in a rollout.
    Pause(Steer),
    /// Ends a pause or a hold.
    Continue(Steer),
    /// Approves what waits for a person.
    Approve(Approve),
    /// Ends a rollout where it stands.
    Abort(Steer),
    /// Restores the baseline of everything that was touched.
    Rollback(Steer),
    /// Ends a rollout although touched clusters are unreachable.
    Close(Steer),
    /// Waits for no timed wait any more: neither a strategy's nor a soak's. Gates still have to
    /// pass, limits and approvals stay.
    Promote(Promote),
    /// Tries again: a site that failed, went back or could not go back, and whatever backs off.
    Retry(Retry),
    /// Leaves out a site that is untouched or at its baseline, or gives up one that does not
    /// answer.
    Skip(Skip),
    /// Gives a person's verdict in place of a gate's, for the evidence that is there now.
    OverrideGate(OverrideGate),
    /// Restores the baselines after a rollout has ended.
    Undo(Undo),
    /// Runs recorded rollouts again; it needs neither a cluster nor a source.
    ///
    /// With `--verify` every recorded input goes through the engine and every recorded question,
    /// with its evidence, to the component that answered it; facts and answers must come out as
    /// they were recorded. Exit code 12 if something goes another way or the journal is
    /// damaged, 1 if a later version wrote it or it cannot be read, 20 if a component is missing.
    /// With `--with` another plugin or another policy gets what was recorded; over a folder of
    /// journals a gate is scored: which bad rollouts it would have caught, and how often it would
    /// have cried wolf. Exit code 12 if a journal in it cannot be read, 2 if no rollout has the
    /// gate.
    Replay(Replay),
    /// Works with plugins.
    #[command(subcommand)]
    Plugin(Plugin),
    /// Writes the JSON Schema of a kind of document, for editors; lists the kinds if none is named.
    Schema(Schema),
    /// Writes completions for a shell.
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
    /// Writes the manual page, or that of a command.
    Man {
        /// Which command, as in `pause` or `"plugin swap"`.
        command: Option<String>,
    },
    #[command(hide = true)]
    DemoShop(crate::demo::DemoShop),
}

#[derive(Debug, Args)]
pub(crate) struct Quickstart {
    /// Folder for documents, clusters and journal; documents that are there are used.
    #[arg(default_value = ".wavegate/quickstart", value_name = "DIR")]
    pub(crate) dir: PathBuf,
    /// Rolls out a release that fails real traffic after some seconds while its health stays green.
    #[arg(long, env = "WAVEGATE_QUICKSTART_BAD")]
    pub(crate) bad: bool,
    /// Leaves everything running.
    #[arg(long, env = "WAVEGATE_QUICKSTART_KEEP")]
    pub(crate) keep: bool,
    /// Only sets the fleet up on 1.0 and leaves it.
    #[arg(long, env = "WAVEGATE_QUICKSTART_FLEET_ONLY")]
    pub(crate) fleet_only: bool,
    /// Sends no requests of its own through the front doors.
    #[arg(long, env = "WAVEGATE_QUICKSTART_NO_VISITORS")]
    pub(crate) no_visitors: bool,
    /// First port of the front doors.
    #[arg(long, env = "WAVEGATE_QUICKSTART_PORT", default_value_t = 18081)]
    pub(crate) port: u16,
}

#[derive(Debug, Args)]
pub(crate) struct Down {
    /// Folder of a quickstart, or documents with fleets.
    #[arg(default_value = ".wavegate/quickstart", value_name = "DIR|FILE")]
    pub(crate) paths: Vec<PathBuf>,
    /// Only says what would be stopped.
    #[arg(long, env = "WAVEGATE_DRY_RUN")]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Init {
    /// A folder that does not exist or is empty.
    pub(crate) dir: PathBuf,
    /// First port of the front doors.
    #[arg(long, env = "WAVEGATE_QUICKSTART_PORT", default_value_t = 18081)]
    pub(crate) port: u16,
}

#[derive(Debug, Args)]
pub(crate) struct Files {
    /// Documents, or folders of documents.
    #[arg(required = true, value_name = "FILE|DIR")]
    pub(crate) files: Vec<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Simulate {
    /// Documents, or folders of documents.
    #[arg(required = true, value_name = "FILE|DIR")]
    pub(crate) files: Vec<PathBuf>,
    /// Which rollout of the documents, if they have several.
    #[arg(long, env = "WAVEGATE_ROLLOUT", value_name = "NAME")]
    pub(crate) rollout: Option<String>,
    /// Which simulation of the documents, if they have several.
    #[arg(long, env = "WAVEGATE_SIMULATION", value_name = "NAME")]
    pub(crate) simulation: Option<String>,
    /// How often.
    #[arg(long, env = "WAVEGATE_RUNS", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) runs: u32,
    /// What everything is drawn from: the same seed, documents, plugins and version give the same
    /// figures.
    #[arg(long, env = "WAVEGATE_SEED", default_value_t = 1)]
    pub(crate) seed: u64,
    /// Compares with another rollout of the documents, with the rollout of other documents, or with
    /// another plugin in a part of the policy.
    #[arg(
        long,
        env = "WAVEGATE_COMPARE",
        value_name = "NAME|FILE|DIR|strategy=REF|gate/NAME=REF"
    )]
    pub(crate) compare: Option<String>,
    /// Configuration of the other plugin, as YAML or JSON; that of the plugin before if none is
    /// given.
    #[arg(
        long,
        env = "WAVEGATE_CONFIG",
        value_name = "FILE|-",
        requires = "compare"
    )]
    pub(crate) config: Option<PathBuf>,
    /// Writes the report as one page, with plots, that needs no network.
    #[arg(long, env = "WAVEGATE_HTML", value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    /// Threads; as many as there are processors if none is said.
    #[arg(long, env = "WAVEGATE_THREADS", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) threads: Option<u16>,
}

#[derive(Debug, Args)]
pub(crate) struct Schema {
    /// Kind of document, or `any` for one schema of all.
    pub(crate) kind: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Run {
    /// Documents, or folders of documents.
    #[arg(required = true, value_name = "FILE|DIR")]
    pub(crate) files: Vec<PathBuf>,
    /// Runs only this rollout of the documents; may be given several times.
    #[arg(long, env = "WAVEGATE_ROLLOUT", value_name = "NAME")]
    pub(crate) rollout: Vec<String>,
    #[command(flatten)]
    pub(crate) manner: Manner,
    /// Checks everything, shows the plan and touches nothing.
    #[arg(long, env = "WAVEGATE_DRY_RUN")]
    pub(crate) dry_run: bool,
    /// Starts although clusters or sources do not answer; what needs them holds until they do.
    #[arg(long, env = "WAVEGATE_SKIP_PREFLIGHT")]
    pub(crate) skip_preflight: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Resume {
    /// Id of the rollout, or the beginning of one.
    pub(crate) rollout: String,
    /// Takes the rollout over from a host that does not answer; that host is refused from then on.
    #[arg(long, env = "WAVEGATE_TAKE_OVER")]
    pub(crate) take_over: bool,
    #[command(flatten)]
    pub(crate) manner: Manner,
}

#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Manner {
    /// Ends when only a person can move the rollout on (exit code 10), or when it waits without
    /// a time limit for clusters that do not answer (30).
    #[arg(long, env = "WAVEGATE_EXIT_ON_HOLD")]
    pub(crate) exit_on_hold: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Status {
    /// Id of a rollout, or the beginning of one; all if none is given.
    pub(crate) rollout: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct One {
    /// Id of the rollout, or the beginning of one.
    pub(crate) rollout: String,
}

#[derive(Debug, Args)]
pub(crate) struct History {
    /// Id of the rollout, or the beginning of one.
    pub(crate) rollout: String,
    /// Also tells passing checks that repeat, and what only machines need.
    #[arg(long, env = "WAVEGATE_HISTORY_ALL")]
    pub(crate) all: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Steer {
    /// Id of the rollout, or the beginning of one.
    pub(crate) rollout: String,
    /// Why; it is kept in the history.
    #[arg(long, env = "WAVEGATE_REASON")]
    pub(crate) reason: String,
    /// Only says whether the request would be taken.
    #[arg(long, env = "WAVEGATE_DRY_RUN")]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Plugin {
    /// Writes a project for a plugin: code, configuration, tests, and all that it is built with.
    ///
    /// It begins as a worked example that builds and runs as it is. The SDK and the contract are
    /// copied into it.
    New(NewPlugin),
    /// Builds a project into a component, with the tools of its language.
    ///
    /// Where a tool is missing it says which command installs it.
    Build(BuildPlugin),
    /// Lets another component take the part of the strategy or of a gate in a rollout that goes on.
    ///
    /// It passes the checks of a start. Questions to the component before are void, and so are the
    /// verdicts of a gate; its state is dropped unless the new one declares the same name and
    /// state version. Nothing else of the rollout changes.
    Swap(SwapPlugin),
    /// Tries a plugin: what every plugin has to keep, and the author's own cases.
    ///
    /// Cases say what the plugin is asked and what has to come of it, as YAML or JSON; a project
    /// keeps them in `cases/`.
    Test(TestPlugin),
    /// Shows what a plugin is, what it may reach, and the schema of its configuration.
    Inspect(OnePlugin),
    /// Measures what a call costs, and how much of each limit it leaves.
    Bench(BenchPlugin),
    /// Lists the plugins that are shipped with the host, and those in its store.
    List,
    /// Asks a plugin again what a rollout asked it, with the evidence of then, and shows its log
    /// and, if it fails, where.
    Call(CallPlugin),
    /// Writes cases for a gate from what a Prometheus recorded in a past window.
    ///
    /// A policy's gate is asked as if it were then; what it asks for is fetched as of then, and is
    /// written down with the question. What should have been said is for a person to add:
    /// `plugin test --cases` plays the file.
    Import(ImportCases),
}

#[derive(Debug, Args)]
pub(crate) struct ImportCases {
    /// Documents, or folders of documents, with a rollout and the sources of its gates.
    #[arg(required = true, value_name = "FILE|DIR")]
    pub(crate) files: Vec<PathBuf>,
    /// Which gate of the policy.
    #[arg(long, env = "WAVEGATE_GATE", value_name = "NAME")]
    pub(crate) gate: String,
    /// The first instant, as in 2026-01-31T12:00:00Z.
    #[arg(long, env = "WAVEGATE_FROM", value_name = "TIME")]
    pub(crate) from: String,
    /// The last instant; the first, if none is given.
    #[arg(long, env = "WAVEGATE_TO", value_name = "TIME")]
    pub(crate) to: Option<String>,
    /// From one instant to the next.
    #[arg(
        long,
        env = "WAVEGATE_EVERY",
        value_name = "TIME",
        default_value = "1m"
    )]
    pub(crate) every: String,
    /// How long before each instant the evidence starts: when the batch that is judged served.
    #[arg(
        long,
        env = "WAVEGATE_SETTLED",
        value_name = "TIME",
        default_value = "5m"
    )]
    pub(crate) settled: String,
    /// Which rollout of the documents, if they have several.
    #[arg(long, env = "WAVEGATE_ROLLOUT", value_name = "NAME")]
    pub(crate) rollout: Option<String>,
    /// Which site is judged; the first of the plan, if none is named.
    #[arg(long, env = "WAVEGATE_SITE", value_name = "NAME")]
    pub(crate) site: Option<String>,
    /// The `Release` document of what ran before; only gates that ask about it need it.
    #[arg(long, env = "WAVEGATE_BASELINE", value_name = "NAME")]
    pub(crate) baseline: Option<String>,
    /// Where the cases go; standard output, if none is named.
    #[arg(long, env = "WAVEGATE_OUT", value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Writes the file of --out anew if it is there already, with all that was filled in.
    #[arg(long, env = "WAVEGATE_FORCE")]
    pub(crate) force: bool,
}

#[derive(Debug, Args)]
pub(crate) struct OnePlugin {
    /// A component, the folder of a project, or the name of a shipped plugin.
    #[arg(value_name = "FILE|DIR|NAME")]
    pub(crate) plugin: String,
}

#[derive(Debug, Args)]
pub(crate) struct TestPlugin {
    /// A component, the folder of a project, or the name of a shipped plugin.
    #[arg(value_name = "FILE|DIR|NAME")]
    pub(crate) plugin: String,
    /// Cases, or folders of cases; `cases` beside the component if none are named.
    #[arg(long, env = "WAVEGATE_PLUGIN_CASES", value_name = "FILE|DIR")]
    pub(crate) cases: Vec<PathBuf>,
    /// Only the cases.
    #[arg(long, env = "WAVEGATE_NO_CONFORMANCE")]
    pub(crate) no_conformance: bool,
}

#[derive(Debug, Args)]
pub(crate) struct BenchPlugin {
    /// A component, the folder of a project, or the name of a shipped plugin.
    #[arg(value_name = "FILE|DIR|NAME")]
    pub(crate) plugin: String,
    /// Cases whose questions are asked; `cases` beside the component if none are named, and a
    /// question that fits every plugin if there are none.
    #[arg(long, env = "WAVEGATE_PLUGIN_CASES", value_name = "FILE|DIR")]
    pub(crate) cases: Vec<PathBuf>,
    /// How many calls; fewer, if they take longer than twenty seconds.
    #[arg(long, env = "WAVEGATE_CALLS", default_value_t = 500)]
    pub(crate) calls: usize,
}

#[derive(Debug, Args)]
pub(crate) struct CallPlugin {
    /// The question: the rollout's id or the beginning of one, and the question's number.
    #[arg(long, env = "WAVEGATE_FROM", value_name = "ROLLOUT:NUMBER")]
    pub(crate) from: String,
    /// Another component, a folder with one, or a shipped plugin; the recorded one if none is
    /// named.
    #[arg(value_name = "FILE|DIR|NAME")]
    pub(crate) plugin: Option<String>,
    /// Another configuration, as YAML or JSON; the recorded one if none is given.
    #[arg(long, env = "WAVEGATE_CONFIG", value_name = "FILE|-")]
    pub(crate) config: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct NewPlugin {
    /// Name of the plugin: small letters, digits and dashes.
    pub(crate) name: String,
    /// The language.
    #[arg(long, env = "WAVEGATE_LANG", value_enum)]
    pub(crate) lang: crate::author::Language,
    /// What the plugin is.
    #[arg(long, env = "WAVEGATE_KIND", value_enum)]
    pub(crate) kind: crate::author::Kind,
    /// The folder to write; that of the name, here, if none is given.
    #[arg(long, env = "WAVEGATE_PROJECT_DIR")]
    pub(crate) dir: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct BuildPlugin {
    /// Folder of the project.
    pub(crate) dir: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct SwapPlugin {
    /// Id of the rollout, or the beginning of one.
    pub(crate) rollout: String,
    /// The part and the component: a file, if it has a `/` or ends in `.wasm`, or a shipped plugin.
    #[arg(value_name = "strategy=REF|gate/NAME=REF")]
    pub(crate) part: String,
    /// The component must have this digest.
    #[arg(long, env = "WAVEGATE_DIGEST", value_name = "sha256:…")]
    pub(crate) digest: Option<String>,
    /// Its configuration, as YAML or JSON; that of the component before if none is given.
    #[arg(long, env = "WAVEGATE_CONFIG", value_name = "FILE|-")]
    pub(crate) config: Option<PathBuf>,
    /// Why; it is kept in the history. Only a dry run needs none.
    #[arg(long, env = "WAVEGATE_REASON")]
    pub(crate) reason: Option<String>,
    /// Changes nothing: asks the component what this rollout has asked the one before, with the
    /// evidence that was recorded, and shows where it answers otherwise.
    #[arg(long, env = "WAVEGATE_DRY_RUN")]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Approve {
    #[command(flatten)]
    pub(crate) steer: Steer,
    /// Approves the start of this wave only.
    #[arg(long, env = "WAVEGATE_WAVE", conflicts_with = "site")]
    pub(crate) wave: Option<String>,
    /// Approves the stage of this site only.
    #[arg(long, env = "WAVEGATE_SITE")]
    pub(crate) site: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Promote {
    #[command(flatten)]
    pub(crate) steer: Steer,
    /// Only the waits of this site.
    #[arg(long, env = "WAVEGATE_SITE")]
    pub(crate) site: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Retry {
    #[command(flatten)]
    pub(crate) steer: Steer,
    /// Only this site; whatever has failed or backs off if none is given.
    pub(crate) site: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Skip {
    #[command(flatten)]
    pub(crate) steer: Steer,
    /// Which site.
    pub(crate) site: String,
}

#[derive(Debug, Args)]
pub(crate) struct OverrideGate {
    #[command(flatten)]
    pub(crate) steer: Steer,
    /// Which gate of the policy.
    pub(crate) gate: String,
    /// Only about this wave.
    #[arg(long, env = "WAVEGATE_WAVE", conflicts_with = "site")]
    pub(crate) wave: Option<String>,
    /// Only about this site.
    #[arg(long, env = "WAVEGATE_SITE")]
    pub(crate) site: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Replay {
    /// Id of the rollout, or the beginning of one; all of the journal, if none is named. With a `/`
    /// it is a folder of journals, over which a gate is scored.
    #[arg(value_name = "ROLLOUT|FOLDER")]
    pub(crate) rollout: Option<String>,
    /// Checks that it leads to the same facts and answers, byte for byte, and says where not.
    #[arg(long, env = "WAVEGATE_VERIFY")]
    pub(crate) verify: bool,
    /// Shows what another component would have answered to the recorded questions: `strategy=REF`
    /// or `gate/NAME=REF`, where REF is a file, if it has a `/` or ends in `.wasm`, or a shipped
    /// plugin. With `policy=FILE|DIR` it shows where another policy would have decided otherwise.
    #[arg(long, env = "WAVEGATE_WITH", value_name = "PART=REF")]
    pub(crate) with: Vec<String>,
    /// Its configuration, as YAML or JSON; that of the component before if none is given.
    #[arg(
        long,
        env = "WAVEGATE_CONFIG",
        value_name = "FILE|-",
        requires = "with"
    )]
    pub(crate) config: Option<PathBuf>,
    /// Which rollouts of a folder were good and which were bad, where their end does not say it:
    /// YAML or JSON with the lists `good` and `bad` of ids.
    #[arg(long, env = "WAVEGATE_LABELS", value_name = "FILE", requires = "with")]
    pub(crate) labels: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Undo {
    /// Id of the rollout, or the beginning of one.
    pub(crate) rollout: String,
    /// Why; it is kept in the history.
    #[arg(long, env = "WAVEGATE_REASON")]
    pub(crate) reason: String,
    /// Only says whether it would be undone.
    #[arg(long, env = "WAVEGATE_DRY_RUN")]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) manner: Manner,
}
