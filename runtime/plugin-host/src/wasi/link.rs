//! The functions of the inert WASI, by interface and name.

use crate::call::{CallData, Stream};
use wasmtime::component::{
    ComponentType, Lift, LinkerInstance, Lower, Resource, ResourceType, Val,
};
use wasmtime::{StoreContextMut, bail};

/// Bytes that an output stream says it takes at once: as much as a pipe.
const WRITE_BYTES: u64 = 64 << 10;
const STDOUT: u32 = 1;
const STDERR: u32 = 2;

struct InputStream;
struct OutputStream;
struct Pollable;
struct IoError;
struct Descriptor;
struct DirectoryEntries;
struct TerminalInput;
struct TerminalOutput;

/// `wasi:io/streams.stream-error`.
#[derive(ComponentType, Lift, Lower)]
#[component(variant)]
enum StreamError {
    #[component(name = "last-operation-failed")]
    Failed(Resource<IoError>),
    #[component(name = "closed")]
    Closed,
}

/// `wasi:clocks/wall-clock.datetime`.
#[derive(ComponentType, Lift, Lower)]
#[component(record)]
struct Datetime {
    seconds: u64,
    nanoseconds: u32,
}

impl From<u64> for Datetime {
    fn from(nanoseconds: u64) -> Self {
        let seconds = nanoseconds / 1_000_000_000;
        Self {
            seconds,
            nanoseconds: u32::try_from(nanoseconds % 1_000_000_000).unwrap_or(0),
        }
    }
}

type Store<'a> = StoreContextMut<'a, CallData>;
type Streamed<T> = wasmtime::Result<(Result<T, StreamError>,)>;

/// Defines a resource, if it is one of WASI.
pub(super) fn resource(
    instance: &mut LinkerInstance<'_, CallData>,
    name: &str,
) -> wasmtime::Result<()> {
    let kind = match name {
        "input-stream" => ResourceType::host::<InputStream>(),
        "output-stream" => ResourceType::host::<OutputStream>(),
        "pollable" => ResourceType::host::<Pollable>(),
        "error" => ResourceType::host::<IoError>(),
        "descriptor" => ResourceType::host::<Descriptor>(),
        "directory-entry-stream" => ResourceType::host::<DirectoryEntries>(),
        "terminal-input" => ResourceType::host::<TerminalInput>(),
        "terminal-output" => ResourceType::host::<TerminalOutput>(),
        _ => return Ok(()),
    };
    let is_wait = name == "pollable";
    instance.resource(name, kind, move |mut store, rep| {
        if is_wait {
            store.data_mut().inert.waits.remove(&rep);
        }
        Ok(())
    })
}

/// Defines a function of an interface. One that is not known stays undefined, which linking then
/// says by name.
pub(super) fn function(
    to: &mut LinkerInstance<'_, CallData>,
    interface: &str,
    name: &str,
) -> wasmtime::Result<()> {
    match interface.split_once('/').unwrap_or((interface, "")) {
        ("cli", interface) => cli(to, interface, name),
        ("clocks", interface) => clocks(to, interface, name),
        ("random", _) => random(to, name),
        ("filesystem", _) => filesystem(to, name),
        ("io", "poll") => poll(to, name),
        ("io", _) if name.starts_with("[method]input-stream.") => input(to, name),
        ("io", _) => output(to, name),
        _ => Ok(()),
    }
}

fn cli(to: &mut LinkerInstance<'_, CallData>, interface: &str, name: &str) -> wasmtime::Result<()> {
    match (interface, name) {
        (_, "get-environment") => {
            to.func_wrap(name, |_, (): ()| Ok((Vec::<(String, String)>::new(),)))
        }
        (_, "get-arguments") => to.func_wrap(name, |_, (): ()| Ok((Vec::<String>::new(),))),
        (_, "initial-cwd") => to.func_wrap(name, |_, (): ()| Ok((None::<String>,))),
        (_, "exit") => to.func_wrap(
            name,
            |_, (status,): (Result<(), ()>,)| -> wasmtime::Result<()> {
                bail!(
                    "the plugin ended itself by `exit({})`",
                    u8::from(status.is_err())
                )
            },
        ),
        (_, "exit-with-code") => to.func_wrap(name, |_, (code,): (u8,)| -> wasmtime::Result<()> {
            bail!("the plugin ended itself by `exit({code})`")
        }),
        (_, "get-stdin") => {
            to.func_wrap(name, |_, (): ()| Ok((Resource::<InputStream>::new_own(0),)))
        }
        (_, "get-stdout") => to.func_wrap(name, |_, (): ()| {
            Ok((Resource::<OutputStream>::new_own(STDOUT),))
        }),
        (_, "get-stderr") => to.func_wrap(name, |_, (): ()| {
            Ok((Resource::<OutputStream>::new_own(STDERR),))
        }),
        ("terminal-stdin", _) => {
            to.func_wrap(name, |_, (): ()| Ok((None::<Resource<TerminalInput>>,)))
        }
        ("terminal-stdout" | "terminal-stderr", _) => {
            to.func_wrap(name, |_, (): ()| Ok((None::<Resource<TerminalOutput>>,)))
        }
        _ => Ok(()),
    }
}

fn clocks(
    to: &mut LinkerInstance<'_, CallData>,
    interface: &str,
    name: &str,
) -> wasmtime::Result<()> {
    match (interface, name) {
        ("monotonic-clock", "now") => to.func_wrap(name, |mut store: Store<'_>, (): ()| {
            Ok((store.data_mut().inert.look_at_clock(),))
        }),
        ("monotonic-clock", "resolution") => to.func_wrap(name, |_, (): ()| Ok((1_u64,))),
        (_, "subscribe-instant") => to.func_wrap(name, |mut store: Store<'_>, (until,): (u64,)| {
            Ok((pollable(&mut store, until),))
        }),
        (_, "subscribe-duration") => to.func_wrap(name, |mut store: Store<'_>, (time,): (u64,)| {
            let until = store.data().inert.now.saturating_add(time);
            Ok((pollable(&mut store, until),))
        }),
        ("wall-clock", "now") => to.func_wrap(name, |mut store: Store<'_>, (): ()| {
            Ok((Datetime::from(store.data_mut().inert.look_at_clock()),))
        }),
        ("wall-clock", "resolution") => to.func_wrap(name, |_, (): ()| Ok((Datetime::from(1),))),
        _ => Ok(()),
    }
}

fn random(to: &mut LinkerInstance<'_, CallData>, name: &str) -> wasmtime::Result<()> {
    match name {
        "get-random-u64" | "get-insecure-random-u64" => to
            .func_wrap(name, |mut store: Store<'_>, (): ()| {
                Ok((store.data_mut().inert.random_u64(),))
            }),
        "get-random-bytes" | "get-insecure-random-bytes" => {
            to.func_wrap(name, |mut store: Store<'_>, (count,): (u64,)| {
                Ok((store.data_mut().inert.random_bytes(count)?,))
            })
        }
        "insecure-seed" => to.func_wrap(name, |mut store: Store<'_>, (): ()| {
            let inert = &mut store.data_mut().inert;
            Ok(((inert.random_u64(), inert.random_u64()),))
        }),
        _ => Ok(()),
    }
}

fn filesystem(to: &mut LinkerInstance<'_, CallData>, name: &str) -> wasmtime::Result<()> {
    match name {
        "get-directories" => to.func_wrap(name, |_, (): ()| {
            Ok((Vec::<(Resource<Descriptor>, String)>::new(),))
        }),
        "filesystem-error-code" => to.func_new(name, |_, _, _, results| {
            if let [result] = results {
                *result = Val::Option(None);
            }
            Ok(())
        }),
        // There is no descriptor, so these cannot be called without inventing one.
        _ => to.func_new(name, |_, _, _, _| bail!("plugins have no files")),
    }
}

fn pollable(store: &mut Store<'_>, until: u64) -> Resource<Pollable> {
    Resource::new_own(store.data_mut().inert.wait(until))
}

fn poll(to: &mut LinkerInstance<'_, CallData>, name: &str) -> wasmtime::Result<()> {
    match name {
        "[method]pollable.ready" => {
            to.func_wrap(name, |store: Store<'_>, (wait,): (Resource<Pollable>,)| {
                Ok((store.data().inert.is_over(wait.rep()),))
            })
        }
        "[method]pollable.block" => to.func_wrap(
            name,
            |mut store: Store<'_>, (wait,): (Resource<Pollable>,)| {
                store.data_mut().inert.sleep(&[wait.rep()]);
                Ok(())
            },
        ),
        "poll" => to.func_wrap(
            name,
            |mut store: Store<'_>, (waits,): (Vec<Resource<Pollable>>,)| {
                let waits: Vec<u32> = waits.iter().map(Resource::rep).collect();
                if waits.is_empty() {
                    bail!("the plugin waits for nothing at all");
                }
                let inert = &mut store.data_mut().inert;
                if !waits.iter().any(|wait| inert.is_over(*wait)) {
                    inert.sleep(&waits);
                }
                let over = (0_u32..).zip(&waits);
                let over = over.filter(|(_, wait)| inert.is_over(**wait));
                Ok((over.map(|(place, _)| place).collect::<Vec<u32>>(),))
            },
        ),
        _ => Ok(()),
    }
}

/// Standard input is at its end.
fn input(to: &mut LinkerInstance<'_, CallData>, name: &str) -> wasmtime::Result<()> {
    match name.rsplit('.').next() {
        Some("read" | "blocking-read") => to.func_wrap(
            name,
            |_, _: (Resource<InputStream>, u64)| -> Streamed<Vec<u8>> {
                Ok((Err(StreamError::Closed),))
            },
        ),
        Some("skip" | "blocking-skip") => to.func_wrap(
            name,
            |_, _: (Resource<InputStream>, u64)| -> Streamed<u64> {
                Ok((Err(StreamError::Closed),))
            },
        ),
        Some("subscribe") => to
            .func_wrap(name, |mut store: Store<'_>, _: (Resource<InputStream>,)| {
                Ok((pollable(&mut store, 0),))
            }),
        _ => Ok(()),
    }
}

/// What is printed goes to the plugin's log.
fn output(to: &mut LinkerInstance<'_, CallData>, name: &str) -> wasmtime::Result<()> {
    match name {
        "[method]error.to-debug-string" => {
            to.func_wrap(name, |_, _: (Resource<IoError>,)| Ok((String::new(),)))
        }
        "[method]output-stream.check-write" => to
            .func_wrap(name, |_, _: (Resource<OutputStream>,)| -> Streamed<u64> {
                Ok((Ok(WRITE_BYTES),))
            }),
        "[method]output-stream.write" | "[method]output-stream.blocking-write-and-flush" => to
            .func_wrap(
                name,
                |mut store: Store<'_>, (to, bytes): (Resource<OutputStream>, Vec<u8>)| {
                    let stream = if to.rep() == STDERR {
                        Stream::Errors
                    } else {
                        Stream::Output
                    };
                    store.data_mut().log.print(stream, &bytes);
                    Ok((Ok::<(), StreamError>(()),))
                },
            ),
        "[method]output-stream.flush" | "[method]output-stream.blocking-flush" => to
            .func_wrap(name, |_, _: (Resource<OutputStream>,)| -> Streamed<()> {
                Ok((Ok(()),))
            }),
        "[method]output-stream.subscribe" => to.func_wrap(
            name,
            |mut store: Store<'_>, _: (Resource<OutputStream>,)| Ok((pollable(&mut store, 0),)),
        ),
        "[method]output-stream.write-zeroes"
        | "[method]output-stream.blocking-write-zeroes-and-flush" => to.func_wrap(
            name,
            |_, _: (Resource<OutputStream>, u64)| -> Streamed<()> {
                Ok((Err(StreamError::Closed),))
            },
        ),
        "[method]output-stream.splice" | "[method]output-stream.blocking-splice" => to.func_wrap(
            name,
            |_, _: (Resource<OutputStream>, Resource<InputStream>, u64)| -> Streamed<u64> {
                Ok((Err(StreamError::Closed),))
            },
        ),
        _ => Ok(()),
    }
}
