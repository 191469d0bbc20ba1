//! A load generator at the front doors: `wrk`, which counts answers by release and status.

use crate::fleet::Fleet;
use crate::running::Running;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::Instant;

/// `wrk` at one front door, at some hundred requests a second at most.
#[derive(Debug)]
pub struct Load {
    running: Running,
    started: Instant,
}

/// What a load generator saw.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answers {
    /// Answers by the first digits of the release's digest (`none` if no node answered) and by
    /// status.
    pub counts: BTreeMap<(String, u16), u64>,
    /// Connections that failed, and requests without an answer in time.
    pub errors: u64,
    /// How long it ran.
    pub seconds: f64,
}

impl Answers {
    /// All answers.
    pub fn total(&self) -> u64 {
        self.counts.values().sum()
    }

    /// Answers that were not good, and requests without any.
    pub fn lost(&self) -> u64 {
        let bad = self
            .counts
            .iter()
            .filter(|((_, status), _)| !(200..300).contains(status));
        bad.map(|(_, count)| count).sum::<u64>() + self.errors
    }

    /// Answers of a release, by the first digits of its digest.
    pub fn of(&self, release: &str) -> u64 {
        let of = self.counts.iter().filter(|((name, _), _)| name == release);
        of.map(|(_, count)| count).sum()
    }

    /// Both together.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        for (key, count) in other.counts {
            *self.counts.entry(key).or_default() += count;
        }
        self.errors += other.errors;
        self.seconds = self.seconds.max(other.seconds);
        self
    }
}

/// Counts answers, and waits a little before each request: the machine is busy with the fleet.
const WRK_SCRIPT: &str = r#"
counts = {}
local paths = {@PATHS@}
local turn = 0
function request()
  turn = turn % #paths + 1
  return wrk.format("GET", paths[turn])
end
local threads = {}
function setup(thread) table.insert(threads, thread) end
function delay() return 20 end
function response(status, headers, body)
  local key = (headers["x-wavegate-release"] or "none") .. " " .. status
  counts[key] = (counts[key] or 0) + 1
end
function done(summary, latency, requests)
  for _, thread in ipairs(threads) do
    for key, count in pairs(thread:get("counts")) do print("answers " .. key .. " " .. count) end
  end
  local e = summary.errors
  print("errors " .. (e.connect + e.read + e.write + e.timeout))
end
"#;

impl Load {
    /// Starts it, with a script in the fleet's folder.
    ///
    /// # Panics
    /// If `wrk` is not installed.
    pub fn start(fleet: &Fleet, door: SocketAddr) -> Self {
        Self::with(fleet, door, 4)
    }

    /// Starts it on these paths, which each connection asks for in turn.
    ///
    /// # Panics
    /// If `wrk` is not installed.
    pub fn on_paths(fleet: &Fleet, door: SocketAddr, paths: &[&str]) -> Self {
        Self::launch(fleet, door, 4, paths)
    }

    /// Starts it with so many connections; each sends at most fifty requests a second.
    ///
    /// # Panics
    /// If `wrk` is not installed.
    pub fn with(fleet: &Fleet, door: SocketAddr, connections: u32) -> Self {
        Self::launch(fleet, door, connections, &["/"])
    }

    fn launch(fleet: &Fleet, door: SocketAddr, connections: u32, paths: &[&str]) -> Self {
        // Each its own: one that is just being written is no script.
        let script = fleet.folder().join(format!("count-{}.lua", door.port()));
        let paths: Vec<String> = paths.iter().map(|path| format!("{path:?}")).collect();
        let text = WRK_SCRIPT.replace("@PATHS@", &paths.join(", "));
        std::fs::write(&script, text).expect("the folder can be written");
        let mut command = Command::new("wrk");
        command
            // It is told to stop long before this ends.
            .args(["-t1", "-d600s", "--timeout", "20s"])
            .arg(format!("-c{connections}"))
            .arg("-s")
            .arg(&script)
            .arg(format!("http://{door}/"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let version = Command::new("wrk").arg("-v").output();
        assert!(
            version.is_ok(),
            "the load generator wrk is missing: install the package `wrk`"
        );
        let started = Instant::now();
        let running = Running::start(command);
        Self { running, started }
    }

    /// One at each of the front doors.
    pub fn everywhere(fleet: &Fleet) -> Vec<Self> {
        let doors = fleet.doors();
        doors.map(|door| Self::start(fleet, door)).into()
    }

    /// Stops it, and says what it saw.
    #[track_caller]
    pub fn stop(self) -> Answers {
        self.running.signal(rustix::process::Signal::INT);
        let seconds = self.started.elapsed().as_secs_f64();
        let done = self.running.end().expect(0);
        let mut answers = Answers {
            seconds,
            ..Answers::default()
        };
        let mut told = false;
        for line in done.out.lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            let number = |word: &str| word.parse::<u64>().expect("wrk's script prints numbers");
            match words.as_slice() {
                ["answers", release, status, count] => {
                    let status = status.parse().expect("a status is a number");
                    let key = ((*release).to_owned(), status);
                    answers.counts.insert(key, number(count));
                }
                ["errors", count] => {
                    answers.errors = number(count);
                    told = true;
                }
                _ => {}
            }
        }
        assert!(told, "wrk told nothing:\n{}\n{}", done.out, done.err);
        answers
    }
}
