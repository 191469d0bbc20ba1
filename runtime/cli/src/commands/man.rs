//! `man`, `completions` and `schema`: what the program says of itself.

use crate::args::{Cli, Schema};
use crate::exit::{Exit, Failure, Result};
use crate::output::{self, Format, JSON_VERSION, STRONG, paint};
use clap::{Arg, Command, CommandFactory as _};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// The schema of documents of all kinds, by this name.
const ANY: &str = "any";

/// Writes the completions for a shell.
pub(crate) fn completions(shell: clap_complete::Shell) -> Exit {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "wavegate", &mut text);
    output::bytes(&text);
    Exit::Done
}

/// Writes the manual page of the program, or of a command.
pub(crate) fn man(name: Option<&str>) -> Result<Exit> {
    let mut program = Cli::command();
    // Flags of every command are copied into the commands when they are built.
    program.build();
    let page = match name {
        None => program.clone(),
        Some(name) => {
            let mut names = name.split_whitespace();
            let found = names.try_fold(&program, |command, name| command.find_subcommand(name));
            let found = found.cloned();
            let found = found.ok_or_else(|| {
                Failure::usage(format!("there is no command `{name}`"))
                    .hint("`wavegate --help` lists them")
            })?;
            let joined = name.split_whitespace().collect::<Vec<_>>().join("-");
            found.display_name(format!("wavegate-{joined}"))
        }
    };
    let variables = variables(with_subcommands(&page).into_iter());
    let mut text = Vec::new();
    clap_mangen::Man::new(page).render(&mut text)?;
    text.extend(environment(&variables).into_bytes());
    text.extend(exit_status().into_bytes());
    output::bytes(&text);
    Ok(Exit::Done)
}

/// A command with all that are below it.
fn with_subcommands(command: &Command) -> Vec<&Command> {
    let below = command.get_subcommands().flat_map(with_subcommands);
    std::iter::once(command).chain(below).collect()
}

/// Variables with the flags that they stand for and what these do.
fn variables<'a>(
    commands: impl Iterator<Item = &'a Command>,
) -> BTreeMap<String, (String, String)> {
    let mut found = BTreeMap::new();
    for command in commands.filter(|command| !command.is_hide_set()) {
        for argument in command.get_arguments() {
            let Some(variable) = argument.get_env() else {
                continue;
            };
            let variable = variable.to_string_lossy().into_owned();
            found
                .entry(variable)
                .or_insert_with(|| (flag(argument), about(argument)));
        }
    }
    found
}

fn flag(argument: &Arg) -> String {
    argument
        .get_long()
        .map_or_else(|| argument.get_id().to_string(), |long| format!("--{long}"))
}

fn about(argument: &Arg) -> String {
    let help = argument.get_help().map(ToString::to_string);
    help.unwrap_or_default()
}

fn environment(variables: &BTreeMap<String, (String, String)>) -> String {
    let mut out = String::from(
        ".SH ENVIRONMENT\nA flag that is given is stronger than its variable. For flags without a value, `true` sets them.\n",
    );
    for (variable, (flag, about)) in variables {
        entry(&mut out, variable, &format!("{flag}: {about}"));
    }
    entry(
        &mut out,
        "NO_COLOR",
        "no colours, unless --color says otherwise",
    );
    out
}

fn exit_status() -> String {
    let mut out = String::from(".SH EXIT STATUS\n");
    for (exit, meaning) in Exit::MEANINGS {
        entry(&mut out, &(*exit as u8).to_string(), meaning);
    }
    out
}

fn entry(out: &mut String, term: &str, text: &str) {
    // Writing to a string cannot fail.
    let _ = writeln!(out, ".TP\n\\fB{}\\fR\n{}", escaped(term), escaped(text));
}

/// Text that the formatter of manual pages takes as it is.
fn escaped(text: &str) -> String {
    let text = text
        .replace('\\', "\\e")
        .replace('-', "\\-")
        .replace('\'', "\\(aq");
    if text.starts_with('.') {
        format!("\\&{text}")
    } else {
        text
    }
}

/// Lists the kinds of document, or writes the JSON Schema of one.
pub(crate) fn schema(args: &Schema, format: Format) -> Result<Exit> {
    let kinds = || wavegate_documents::kinds();
    let schema = match args.kind.as_deref() {
        None => {
            list_kinds(format);
            return Ok(Exit::Done);
        }
        Some(ANY) => wavegate_documents::schema_of_all(),
        Some(kind) => wavegate_documents::schema(kind).ok_or_else(|| {
            let known: Vec<&str> = kinds().map(|(name, _)| name).collect();
            Failure::usage(format!("there is no kind of document `{kind}`"))
                .hint(format!("there are {} and {ANY}", known.join(", ")))
        })?,
    };
    output::data(&serde_json::to_string_pretty(&schema)?);
    Ok(Exit::Done)
}

fn list_kinds(format: Format) {
    if format == Format::Json {
        let kinds: BTreeMap<&str, &str> = wavegate_documents::kinds().collect();
        output::json(&serde_json::json!({"version": JSON_VERSION, "kinds": kinds}));
        return;
    }
    for (name, about) in wavegate_documents::kinds() {
        output::data(&format!(
            "{} {about}",
            paint(STRONG, &format!("{name:<14}"))
        ));
    }
    let any = "Documents of all kinds, for files that mix them.";
    output::data(&format!("{} {any}", paint(STRONG, &format!("{ANY:<14}"))));
}
