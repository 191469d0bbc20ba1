//! One call: a new store, everything that a guest can reach in it, and how it ended.

use crate::engine::EPOCH;
use crate::evidence::EvidenceBook;
use crate::meter::{HANDLES_MAX, Meter};
use crate::stop::{Stop, classify, frames};
use crate::text::clean;
use crate::wasi::Inert;
use std::time::Instant;
use wasmtime::{Engine, Store};
use wavegate_model::limits::CallLimits;
use wavegate_model::{Digest, Timestamp};

/// Lines that are kept of a call's log: more than anybody reads for one call.
const LOG_LINES_MAX: usize = 500;

/// What a guest can reach.
pub(crate) struct CallData {
    pub(crate) meter: Meter,
    pub(crate) log: GuestLog,
    pub(crate) book: EvidenceBook,
    pub(crate) inert: Inert,
}

/// What a guest prints to, where its toolchain has such a thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stream {
    Output,
    Errors,
}

impl Stream {
    /// What is printed to the stream of errors is what a runtime says before it gives up.
    fn level(self) -> &'static str {
        match self {
            Self::Output => "info",
            Self::Errors => "error",
        }
    }
}

/// What a guest wrote to its log, or printed.
pub(crate) struct GuestLog {
    lines: Vec<(String, String)>,
    /// What was printed since the last end of a line.
    begun: [Vec<u8>; 2],
    bytes_left: u64,
    dropped: u64,
}

impl GuestLog {
    fn new(bytes: u64) -> Self {
        Self {
            lines: Vec::new(),
            begun: [Vec::new(), Vec::new()],
            bytes_left: bytes,
            dropped: 0,
        }
    }

    pub(crate) fn write(&mut self, level: &str, message: &str) {
        // What was written counts, not what is kept, so that a flood ends early.
        let size = message.len() as u64;
        if size > self.bytes_left || self.lines.len() == LOG_LINES_MAX {
            self.bytes_left = 0;
            self.dropped += 1;
            return;
        }
        self.bytes_left -= size;
        self.lines.push((level.to_owned(), clean(message)));
    }

    /// Takes what was printed; each line of it is one in the log.
    pub(crate) fn print(&mut self, stream: Stream, bytes: &[u8]) {
        let mut lines = bytes.split(|byte| *byte == b'\n').peekable();
        while let Some(part) = lines.next() {
            let begun = &mut self.begun[stream as usize];
            // A line without end is cut like a text that is too long.
            if (begun.len() as u64) < self.bytes_left {
                begun.extend_from_slice(part);
            }
            if lines.peek().is_some() {
                self.end_line(stream);
            }
        }
    }

    fn end_line(&mut self, stream: Stream) {
        let line = std::mem::take(&mut self.begun[stream as usize]);
        let text = String::from_utf8_lossy(&line);
        if !text.trim().is_empty() {
            self.write(stream.level(), &text);
        }
    }

    /// The last error in the log, or else its last line.
    pub(crate) fn last_words(&self) -> Option<&str> {
        let error = self.lines.iter().rev().find(|(level, _)| level == "error");
        error.or(self.lines.last()).map(|(_, text)| text.as_str())
    }

    /// Ends the lines that were begun.
    fn end_lines(&mut self) {
        self.end_line(Stream::Output);
        self.end_line(Stream::Errors);
    }

    fn finish(mut self) -> Vec<(String, String)> {
        if self.dropped > 0 {
            self.lines.push((
                "warn".into(),
                format!("{} more messages were dropped", self.dropped),
            ));
        }
        self.lines
    }
}

/// What came of a call.
pub(crate) struct Ran<T> {
    pub(crate) result: Result<T, Stop>,
    pub(crate) fuel: u64,
    pub(crate) memory_bytes: u64,
    pub(crate) log: Vec<(String, String)>,
    /// Where the guest was when it ended, if it did not come to its end.
    pub(crate) frames: Vec<String>,
    pub(crate) micros: u64,
}

/// What a call brings along.
pub(crate) struct Given {
    /// Answers to what a gate asks.
    pub(crate) book: EvidenceBook,
    /// What it finds where its toolchain expects an operating system.
    pub(crate) inert: Inert,
}

impl Given {
    /// For calls in which nothing can be asked, at no particular instant.
    pub(crate) fn nothing(component: &Digest) -> Self {
        Self {
            book: EvidenceBook::default(),
            inert: Inert::new(component, Timestamp(0)),
        }
    }
}

/// Makes a store with all limits of a call in force. Instantiation counts too: a start function
/// is the guest's code like any other.
pub(crate) fn store(
    engine: &Engine,
    limits: &CallLimits,
    given: Given,
) -> wasmtime::Result<Store<CallData>> {
    let data = CallData {
        meter: Meter::new(limits.memory_bytes),
        log: GuestLog::new(limits.log_bytes),
        book: given.book,
        inert: given.inert,
    };
    let mut store = Store::new(engine, data);
    store.limiter(|data| &mut data.meter);
    store.set_fuel(limits.fuel)?;
    store.epoch_deadline_trap();
    store.set_epoch_deadline(epochs(limits));
    store.set_hostcall_fuel(usize::try_from(limits.result_bytes).unwrap_or(usize::MAX));
    store.set_max_component_handles(HANDLES_MAX);
    Ok(store)
}

/// Gives a store that is kept the limits of a new call, and what that call brings along.
pub(crate) fn renew(
    store: &mut Store<CallData>,
    limits: &CallLimits,
    given: Given,
) -> wasmtime::Result<()> {
    store.set_fuel(limits.fuel)?;
    store.set_epoch_deadline(epochs(limits));
    let data = store.data_mut();
    (data.book, data.inert) = (given.book, given.inert);
    data.log = GuestLog::new(limits.log_bytes);
    Ok(())
}

/// One more than the time has, because the present epoch has begun already.
fn epochs(limits: &CallLimits) -> u64 {
    let whole = limits.time.0.div_ceil(EPOCH.as_millis() as u64);
    whole.saturating_add(1)
}

/// Runs `guest` in a new store, which is gone afterwards, however it ended.
pub(crate) fn run<T>(
    engine: &Engine,
    limits: &CallLimits,
    given: Given,
    guest: impl FnOnce(&mut Store<CallData>) -> wasmtime::Result<T>,
) -> Ran<T> {
    let started = Instant::now();
    let mut store = match store(engine, limits, given) {
        Ok(store) => store,
        Err(error) => return not_run(&error),
    };
    let result = guest(&mut store);
    store.data_mut().log.end_lines();
    let frames = result.as_ref().err().map(frames).unwrap_or_default();
    let result = result.map_err(|error| classify(&error, store.data(), limits));
    // Nothing is left when the fuel ran out, and nothing else can be wrong with reading it.
    let fuel = limits.fuel.saturating_sub(store.get_fuel().unwrap_or(0));
    let data = store.into_data();
    let result = match result {
        Ok(_) if !data.book.is_used_up() => Err(data.book.asked_for_less()),
        result => result,
    };
    Ran {
        result,
        fuel,
        memory_bytes: data.meter.memory_bytes(),
        log: data.log.finish(),
        frames,
        micros: u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX),
    }
}

fn not_run<T>(error: &wasmtime::Error) -> Ran<T> {
    let why = wavegate_model::Unavailable::NotLoaded {
        message: clean(&format!("{error:#}")),
    };
    Ran {
        result: Err(Stop::Unavailable(why)),
        fuel: 0,
        memory_bytes: 0,
        log: Vec::new(),
        frames: Vec::new(),
        micros: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_becomes_lines() {
        let mut log = GuestLog::new(1000);
        log.print(Stream::Output, b"one\ntw");
        log.print(Stream::Errors, b"Traceback\n\n");
        log.print(Stream::Output, b"o\nthree");
        log.end_lines();
        let lines = log.finish();
        let lines: Vec<_> = lines
            .iter()
            .map(|(l, t)| (l.as_str(), t.as_str()))
            .collect();
        let expected = [
            ("info", "one"),
            ("error", "Traceback"),
            ("info", "two"),
            ("info", "three"),
        ];
        assert_eq!(lines, expected);
        let mut flood = GuestLog::new(1000);
        for _ in 0..1000 {
            flood.print(Stream::Output, &[b'x'; 1000]);
        }
        assert!(flood.begun[0].len() < 2000);
    }

    #[test]
    fn a_log_is_bounded_and_says_what_was_dropped() {
        let mut log = GuestLog::new(10);
        log.write("info", "12345");
        log.write("error", "123456");
        log.write("info", "1");
        assert_eq!(log.last_words(), Some("12345"));
        let lines = log.finish();
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[1].1, "2 more messages were dropped");
    }
}
