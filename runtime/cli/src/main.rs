//! The `wavegate` binary: the command line, and the only place that names concrete adapters.
//!
//! **Owns:** commands, output, exit codes, and which adapter stands behind which port.
//!
//! **Does not own:** any decision about a rollout (that is `engine`), nor how one is run (that is
//! `conductor`).
//!
//! **Start at** [`dispatch`]; each command is a function in `commands`.

mod args;
mod author;
mod busy;
mod clock;
mod commands;
mod crash;
mod demo;
mod exit;
mod follow;
mod host;
mod leftovers;
mod membership;
mod output;
mod plan_text;
mod preflight;
mod prepare;
mod rehearse;
mod report;
mod requests;
mod shipped;
mod simulated;
mod swap_text;
mod target;
mod toolbox;
mod verdicts;
mod words;

use args::{Cli, Command, Plugin};
use clap::Parser as _;
use commands::{
    down, init, look, man, plan, plugin, plugin_bench, plugin_call, plugin_import, plugin_look,
    plugin_test, quickstart, replay, run, simulate, steer, undo,
};
use exit::{Exit, Failure, Result};
use std::process::ExitCode;
use tracing_subscriber::EnvFilter;
use wavegate_engine::Verb;

fn main() -> ExitCode {
    // Helper processes come first: their arguments are not for people.
    let mut arguments = std::env::args().skip(1);
    match arguments.next().as_deref() {
        Some(host::SUPERVISOR) => return wavegate_driver_local::supervisor_main(arguments),
        Some(host::COMPILER) => return wavegate_plugin_host::compiler_main(arguments),
        Some(host::FRONT_DOOR) => return wavegate_driver_local::front_door::main(arguments),
        _ => {}
    }
    let cli = Cli::parse();
    cli.global.color.apply();
    let done = start(cli).and_then(|exit| match output::lost() {
        None => Ok(exit),
        Some(error) => Err(anyhow::anyhow!("cannot write the results: {error}").into()),
    });
    match done {
        Ok(exit) => exit.into(),
        Err(failure) => {
            failure.tell();
            failure.exit.into()
        }
    }
}

fn start(cli: Cli) -> Result<Exit> {
    let filter = EnvFilter::try_new(&cli.global.log).map_err(|error| {
        Failure::usage(format!(
            "the log filter `{}` is not valid: {error}",
            cli.global.log
        ))
    })?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(prepare::colour() == wavegate_documents::Colour::Always)
        .init();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let done = runtime.block_on(dispatch(cli));
    // Tasks that still wait for something outside must not keep the process.
    runtime.shutdown_background();
    done
}

async fn dispatch(cli: Cli) -> Result<Exit> {
    let format = cli.global.format;
    let state = host::StateDir::of(&cli.global)?;
    match cli.command {
        Command::Quickstart(args) => quickstart::quickstart(args, &state, format).await,
        Command::Down(args) => down::down(args, format).await,
        Command::Init(args) => init::init(&args, format),
        Command::Validate(args) => plan::validate(args, &state, format).await,
        Command::Plan(args) => plan::plan(args, &state, format).await,
        Command::Simulate(args) => simulate::simulate(args, &state, format).await,
        Command::Run(args) => run::run(args, &state, format).await,
        Command::Resume(args) => run::resume(args, &state, format).await,
        Command::Status(args) => look::status(args, &state, format).await,
        Command::Explain(args) => look::explain_one(args, &state, format).await,
        Command::History(args) => look::history(args, &state, format).await,
        Command::Pause(args) => steer::steer("pause", Verb::Pause, args, &state, format).await,
        Command::Continue(args) => {
            steer::steer("continue", Verb::Continue, args, &state, format).await
        }
        Command::Approve(args) => steer::approve(args, &state, format).await,
        Command::Abort(args) => steer::steer("abort", Verb::Abort, args, &state, format).await,
        Command::Rollback(args) => {
            steer::steer("rollback", Verb::Rollback, args, &state, format).await
        }
        Command::Close(args) => steer::steer("close", Verb::Close, args, &state, format).await,
        Command::Promote(args) => {
            let verb = Verb::Promote(args.site.as_deref().map(Into::into));
            steer::steer("promote", verb, args.steer, &state, format).await
        }
        Command::Retry(args) => {
            let verb = Verb::Retry(args.site.as_deref().map(Into::into));
            steer::steer("retry", verb, args.steer, &state, format).await
        }
        Command::Skip(args) => {
            let verb = Verb::Skip(args.site.as_str().into());
            steer::steer("skip", verb, args.steer, &state, format).await
        }
        Command::OverrideGate(args) => steer::override_gate(args, &state, format).await,
        Command::Undo(args) => undo::undo(args, &state, format).await,
        Command::Replay(args) => replay::replay(args, &state, format).await,
        Command::Plugin(Plugin::New(args)) => author::new(&args, format),
        Command::Plugin(Plugin::Build(args)) => author::build(&args, format),
        Command::Plugin(Plugin::Swap(args)) => plugin::swap(args, &state, format).await,
        Command::Plugin(Plugin::Test(args)) => plugin_test::test(&args, &state, format),
        Command::Plugin(Plugin::Inspect(args)) => plugin_look::inspect(&args, &state, format),
        Command::Plugin(Plugin::Bench(args)) => plugin_bench::bench(&args, format),
        Command::Plugin(Plugin::List) => plugin_look::list(&state, format),
        Command::Plugin(Plugin::Call(args)) => plugin_call::call(args, &state, format).await,
        Command::Plugin(Plugin::Import(args)) => plugin_import::import(args, &state, format).await,
        Command::Schema(args) => man::schema(&args, format),
        Command::Completions { shell } => Ok(man::completions(shell)),
        Command::Man { command } => man::man(command.as_deref()),
        Command::DemoShop(args) => {
            demo::serve(args).await?;
            Ok(Exit::Done)
        }
    }
}
