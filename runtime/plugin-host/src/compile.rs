//! Compiling: here, or in a process of its own, with limits of its own.
//!
//! Compiling takes time and memory out of proportion to a component's size, and how much is the
//! component's choice: a guest has limits only once it runs. So what is large is compiled where
//! it can be stopped, by the host's own program, which this process starts once more.

use crate::engine;
use crate::store::{COMPILED_BYTES_MAX, COMPONENT_BYTES_MAX, Compiled};
use crate::text::clean;
use hmac::{Hmac, KeyInit, Mac};
use rustix::process::{Resource, Rlimit, setrlimit};
use sha2::{Digest as _, Sha256};
use std::hash::{Hash, Hasher};
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::mpsc;
use std::time::Duration;
use wasmtime::Engine;
use wasmtime::component::Component;

/// Components up to this size are compiled where they are: that takes a tenth of a second and
/// some 20 MiB.
const COMPILED_HERE_MAX: usize = 1 << 20;
/// Memory of the process that compiles: five times what the largest known guest takes.
const MEMORY_MAX: u64 = 2 << 30;
/// Seconds of processor time: several times what the largest known guest takes.
const SECONDS_MAX: u64 = 60;
/// How long it may take by the clock, on a machine that has other things to do.
const TIME_MAX: Duration = Duration::from_secs(120);
/// Bytes of the key under which the answer is sealed, so that nothing is run that came from
/// elsewhere or was cut short.
const SEAL_BYTES: usize = 32;

/// The program that compiles in a process of its own.
#[derive(Clone, Debug)]
pub struct Compiler {
    /// The host's own executable.
    pub program: PathBuf,
    /// What makes it compile; it hands the rest of its arguments to [`compiler_main`].
    pub args: Vec<String>,
    /// How long it may take.
    pub time: Duration,
}

impl Compiler {
    /// A program with the default limit of time.
    pub fn new(program: impl Into<PathBuf>, args: Vec<String>) -> Self {
        Self {
            program: program.into(),
            args,
            time: TIME_MAX,
        }
    }
}

/// Why there is no compiled code.
#[derive(Debug)]
pub(crate) enum NotCompiled {
    /// No engine takes it.
    Invalid(String),
    /// This engine does not take it; another may.
    Refused(String),
}

/// Compiles a component for an engine.
pub(crate) fn compile(
    compiler: Option<&Compiler>,
    engine: &Engine,
    bytes: &[u8],
) -> Result<Component, NotCompiled> {
    match compiler {
        Some(compiler) if bytes.len() > COMPILED_HERE_MAX => {
            let code = apart(compiler, engine, bytes)?;
            deserialize(engine, &code).map_err(|error| refused(&error))
        }
        Some(_) | None => Component::from_binary(engine, bytes).map_err(|error| not_taken(&error)),
    }
}

fn refused(error: &wasmtime::Error) -> NotCompiled {
    NotCompiled::Refused(clean(&format!("{error:#}")))
}

/// What is not valid is so for every engine; what is too large may fit the next one.
fn not_taken(error: &wasmtime::Error) -> NotCompiled {
    match error.downcast_ref::<wasmparser::BinaryReaderError>() {
        Some(_) => NotCompiled::Invalid(clean(&format!("{error:#}"))),
        None => refused(error),
    }
}

/// Names wasmtime's version, settings and processor, all of which compiled code depends on.
pub(crate) fn engine_key(engine: &Engine) -> String {
    struct Sha(Sha256);
    impl Hasher for Sha {
        fn write(&mut self, bytes: &[u8]) {
            self.0.update(bytes);
        }
        fn finish(&self) -> u64 {
            let sum = self.0.clone().finalize();
            sum.iter()
                .take(8)
                .fold(0, |key, byte| key << 8 | u64::from(*byte))
        }
    }
    let mut hasher = Sha(Sha256::new());
    engine.precompile_compatibility_hash().hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

#[expect(
    unsafe_code,
    reason = "compiled code is taken from memory, and only after its code was verified to be ours"
)]
fn deserialize(engine: &Engine, verified: &[u8]) -> wasmtime::Result<Component> {
    // SAFETY: the bytes came from `Engine::precompile_component` of this wasmtime on this host:
    // `apart` has checked their HMAC under a key that only its question had, and they cannot
    // change any more, because they are in memory.
    unsafe { Component::deserialize(engine, verified) }
}

#[expect(
    unsafe_code,
    reason = "compiled code is mapped, and only after its code was verified to be ours"
)]
pub(crate) fn map(engine: &Engine, verified: &Compiled) -> wasmtime::Result<Component> {
    // SAFETY: the file came from `Component::serialize` of this wasmtime on this host: the store
    // has checked its HMAC under a key that never leaves the host, and it is mapped by way of the
    // descriptor that it was verified through. It does not change any more: it is read-only, in a
    // folder of its owner's alone, and the store puts other files in its place, but never writes
    // to one that is there.
    unsafe { Component::deserialize_file(engine, verified.path()) }
}

const DONE: u8 = b'c';
const INVALID: u8 = b'i';
const REFUSED: u8 = b'r';

fn seal(key: &[u8; SEAL_BYTES], code: &[u8]) -> Hmac<Sha256> {
    // Any length of key will do, so this cannot fail.
    let mut mac = Hmac::<Sha256>::new_from_slice(key)
        .unwrap_or_else(|_| Hmac::<Sha256>::new(&Default::default()));
    mac.update(code);
    mac
}

/// Compiles in a process of its own.
fn apart(compiler: &Compiler, engine: &Engine, bytes: &[u8]) -> Result<Vec<u8>, NotCompiled> {
    let failed = |what: String| NotCompiled::Refused(format!("it cannot be compiled: {what}"));
    let mut key = [0; SEAL_BYTES];
    getrandom::fill(&mut key).map_err(|error| failed(error.to_string()))?;
    let started = Command::new(&compiler.program)
        .args(&compiler.args)
        .arg(engine_key(engine))
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let mut child = started.map_err(|error| {
        failed(format!(
            "{} does not start: {error}",
            compiler.program.display()
        ))
    })?;
    let answer = talk(&mut child, compiler.time, &key, bytes);
    // It has answered, or is not wanted any more; it may have ended by itself.
    let _ = child.kill();
    let status = child.wait().map_err(|error| failed(error.to_string()))?;
    let answer = answer.map_err(failed)?;
    match answer.split_first() {
        Some((&DONE, rest)) => {
            let (mac, code) = rest.split_at_checked(SEAL_BYTES).unwrap_or((&[], rest));
            seal(&key, code)
                .verify_slice(mac)
                .map_err(|_| failed("the answer of the compiling process is damaged".into()))?;
            Ok(code.to_vec())
        }
        Some((&INVALID, why)) => Err(NotCompiled::Invalid(clean(&String::from_utf8_lossy(why)))),
        Some((&REFUSED, why)) => Err(NotCompiled::Refused(clean(&String::from_utf8_lossy(why)))),
        _ => Err(failed(format!(
            "the process that compiles it ended with {status}; it may use {} MiB of memory and \
             {SECONDS_MAX} s of processor time",
            MEMORY_MAX >> 20
        ))),
    }
}

fn talk(
    child: &mut Child,
    time: Duration,
    key: &[u8; SEAL_BYTES],
    bytes: &[u8],
) -> Result<Vec<u8>, String> {
    let (Some(mut input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
        return Err("the process that compiles it has no pipes".into());
    };
    let (answered, answer) = mpsc::channel();
    // The thread ends when the process does, which is not later than this function's caller.
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let read = output.take(COMPILED_BYTES_MAX).read_to_end(&mut bytes);
        // Nobody may be waiting any more.
        let _ = answered.send(read.map(|_| bytes));
    });
    // A process that does not read is ended by its own limits, or by the clock below: all that
    // it has to read fits its memory, and it reads before it does anything else.
    let (key, bytes) = (*key, bytes.to_vec());
    std::thread::spawn(move || {
        // If it ends early, its answer says why.
        let _ = input.write_all(&key).and_then(|()| input.write_all(&bytes));
    });
    match answer.recv_timeout(time) {
        Ok(read) => read.map_err(|error| error.to_string()),
        Err(_) => Err(format!("it took longer than {} s", time.as_secs_f64())),
    }
}

/// The process that compiles: reads a key and a component from standard input, and answers with
/// sealed code, or why there is none.
pub fn compiler_main(mut arguments: impl Iterator<Item = String>) -> ExitCode {
    let wanted = arguments.next().unwrap_or_default();
    let limited = limit(Resource::Data, MEMORY_MAX).and(limit(Resource::Cpu, SECONDS_MAX));
    let answer = limited.and_then(|()| {
        let mut key = [0; SEAL_BYTES];
        io::stdin().read_exact(&mut key)?;
        let mut bytes = Vec::new();
        io::stdin()
            .take(COMPONENT_BYTES_MAX)
            .read_to_end(&mut bytes)?;
        Ok(answer(&wanted, &key, &bytes))
    });
    let written = answer.and_then(|answer| io::stdout().write_all(&answer));
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn limit(resource: Resource, most: u64) -> io::Result<()> {
    let limit = Rlimit {
        current: Some(most),
        maximum: Some(most),
    };
    setrlimit(resource, limit).map_err(io::Error::from)
}

fn answer(wanted: &str, key: &[u8; SEAL_BYTES], bytes: &[u8]) -> Vec<u8> {
    let words = |tag: u8, why: &str| [&[tag], why.as_bytes()].concat();
    let engine = match engine::like(wanted) {
        Ok(engine) => engine,
        Err(why) => return words(REFUSED, &why),
    };
    match engine.precompile_component(bytes) {
        Ok(code) => {
            let mac = seal(key, &code).finalize().into_bytes();
            [&[DONE], &mac[..], &code].concat()
        }
        Err(error) => match not_taken(&error) {
            NotCompiled::Invalid(why) => words(INVALID, &why),
            NotCompiled::Refused(why) => words(REFUSED, &why),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    const CANARY: &[u8] = include_bytes!("../../../plugins/components/canary.wasm");

    fn engine() -> Engine {
        engine::runtimes().unwrap().remove(0).engine
    }

    fn with(program: &str, args: &[&str], time: Duration) -> Result<Vec<u8>, NotCompiled> {
        let compiler = Compiler {
            program: program.into(),
            args: args.iter().map(|arg| (*arg).to_owned()).collect(),
            time,
        };
        apart(&compiler, &engine(), CANARY)
    }

    #[test]
    fn what_is_compiled_apart_is_what_this_engine_takes() {
        let (engine, key) = (engine(), [7; SEAL_BYTES]);
        let answered = answer(&engine_key(&engine), &key, CANARY);
        let (mac, code) = answered[1..].split_at(SEAL_BYTES);
        assert_eq!(answered[0], DONE);
        assert!(seal(&key, code).verify_slice(mac).is_ok());
        assert!(deserialize(&engine, code).is_ok());
        assert_eq!(
            answer(&engine_key(&engine), &key, b"\0asm\x0d\0\x01\0\xff")[0],
            INVALID
        );
        assert_eq!(answer("another engine", &key, CANARY)[0], REFUSED);
    }

    #[test]
    fn a_process_that_does_not_answer_is_ended() {
        let begun = Instant::now();
        let failed = with("/bin/sleep", &["1000"], Duration::from_millis(300));
        let Err(NotCompiled::Refused(why)) = failed else {
            panic!("{failed:?}")
        };
        // `sleep` may also dislike its second argument and end by itself.
        assert!(why.contains("cannot be compiled"), "{why}");
        assert!(begun.elapsed() < Duration::from_secs(60));
        let hangs = with("/bin/sh", &["-c", "sleep 1000"], Duration::from_millis(300));
        let Err(NotCompiled::Refused(why)) = hangs else {
            panic!("{hangs:?}")
        };
        assert!(why.contains("longer than 0.3 s"), "{why}");
    }

    #[test]
    fn nothing_is_run_that_this_process_did_not_ask_for() {
        for (program, script) in [
            // What comes back is as long as code may be, and is not sealed.
            ("/bin/sh", "printf c; head -c 100000 /dev/zero"),
            ("/bin/sh", "printf c; cat"),
            ("/bin/sh", "printf c"),
            ("/bin/sh", "exit 3"),
        ] {
            let failed = with(program, &["-c", script], Duration::from_secs(20));
            assert!(matches!(failed, Err(NotCompiled::Refused(_))), "{script}");
        }
        let missing = with("/nowhere/wavegate", &[], Duration::from_secs(1));
        let Err(NotCompiled::Refused(why)) = missing else {
            panic!("{missing:?}")
        };
        assert!(why.contains("does not start"), "{why}");
    }
}
