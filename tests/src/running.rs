//! Commands in the foreground of a test.

use crate::fleet::DEADLINE;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// How a command ended.
#[derive(Debug)]
pub struct Done {
    /// Exit code; none if a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Done {
    /// Itself, if it ended with this exit code.
    ///
    /// # Panics
    /// If it did not.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(
            self.code,
            Some(code),
            "stdout:\n{}\nstderr:\n{}",
            self.out,
            self.err
        );
        self
    }

    /// The lines of standard output as JSON.
    ///
    /// # Panics
    /// If one is not an object with a `version`.
    #[track_caller]
    pub fn json(&self) -> Vec<serde_json::Value> {
        json_lines(self.out.lines())
    }
}

#[track_caller]
fn json_lines<'a>(lines: impl Iterator<Item = &'a str>) -> Vec<serde_json::Value> {
    let parse = |line: &str| {
        let value: serde_json::Value =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"));
        assert!(value["version"].is_u64(), "no version in {line}");
        value
    };
    lines.map(parse).collect()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stream {
    Out,
    Err,
}

/// A command whose lines come while it runs. It is killed when it is dropped.
#[derive(Debug)]
pub struct Running {
    child: Child,
    lines: Receiver<(Stream, String)>,
    out: Vec<String>,
    err: Vec<String>,
}

impl Running {
    /// Starts a command; its standard streams must be pipes.
    pub fn start(mut command: Command) -> Self {
        let mut child = command.spawn().expect("the binary can be started");
        let (send, lines) = channel();
        let err_send = send.clone();
        let out = child.stdout.take().expect("it is a pipe");
        let err = child.stderr.take().expect("it is a pipe");
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                // A test that does not listen any more needs no lines.
                let _ = send.send((Stream::Out, line));
            }
        });
        std::thread::spawn(move || {
            for line in BufReader::new(err).lines().map_while(Result::ok) {
                let _ = err_send.send((Stream::Err, line));
            }
        });
        Self {
            child,
            lines,
            out: Vec::new(),
            err: Vec::new(),
        }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = i32::try_from(self.child.id()).ok();
        let pid = pid.and_then(rustix::process::Pid::from_raw);
        rustix::process::kill_process(pid.expect("a process has an id"), signal)
            .expect("it has not been waited for");
    }

    /// Waits for a line, on either stream, that contains this, and returns it.
    ///
    /// # Panics
    /// If it ends before, or the deadline passes.
    #[track_caller]
    pub fn line(&mut self, part: &str) -> String {
        self.line_with(&[part])
    }

    /// As [`Running::line`], for a line that contains all of these.
    ///
    /// # Panics
    /// If it ends before, or the deadline passes.
    #[track_caller]
    pub fn line_with(&mut self, parts: &[&str]) -> String {
        let has_all = |line: &str| parts.iter().all(|part| line.contains(part));
        let seen = self.out.iter().chain(&self.err);
        if let Some(line) = seen.into_iter().find(|line| has_all(line)) {
            return line.clone();
        }
        let deadline = Instant::now() + DEADLINE;
        loop {
            match self.lines.recv_timeout(left(deadline)) {
                Ok(line) => {
                    let text = self.keep(line);
                    if has_all(&text) {
                        return text;
                    }
                }
                Err(_) => panic!(
                    "no line with {parts:?}; stdout:\n{}\nstderr:\n{}",
                    self.out.join("\n"),
                    self.err.join("\n")
                ),
            }
        }
    }

    fn keep(&mut self, (stream, line): (Stream, String)) -> String {
        match stream {
            Stream::Out => self.out.push(line.clone()),
            Stream::Err => self.err.push(line.clone()),
        }
        line
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// If the deadline passes.
    #[track_caller]
    pub fn end(mut self) -> Done {
        let deadline = Instant::now() + DEADLINE;
        // Processes that it leaves behind have streams of their own, so these end with it.
        loop {
            match self.lines.recv_timeout(left(deadline)) {
                Ok(line) => {
                    self.keep(line);
                }
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!(
                    "it did not end; stdout:\n{}\nstderr:\n{}",
                    self.out.join("\n"),
                    self.err.join("\n")
                ),
            }
        }
        let status = self.child.wait().expect("it is our child");
        let text = |lines: &[String]| lines.iter().map(|line| format!("{line}\n")).collect();
        Done {
            code: status.code(),
            out: text(&self.out),
            err: text(&self.err),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It has ended, unless the test failed or wants it gone.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn left(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now())
}
