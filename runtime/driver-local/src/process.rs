//! Processes by pid and start time, as `/proc` shows them.

use rustix::process::{Pid, Signal};
use serde::{Deserialize, Serialize};
use std::sync::OnceLock;

/// A process that is told apart from a later one with the same pid.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ProcessMark {
    pub(crate) pid: u32,
    /// Clock ticks from boot to its start.
    start_ticks: u64,
    /// Which boot; pids and ticks begin again with each.
    boot: String,
}

/// Fields of `/proc/<pid>/stat`.
struct Stat {
    state: u8,
    session: i32,
    start_ticks: u64,
}

fn boot() -> &'static str {
    static BOOT: OnceLock<String> = OnceLock::new();
    BOOT.get_or_init(|| {
        let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        id.trim().to_owned()
    })
}

fn stat(pid: u32) -> Option<Stat> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is a name in parentheses that may itself have spaces and parentheses.
    let rest = &text[text.rfind(')')? + 1..];
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    Some(Stat {
        state: *fields.first()?.as_bytes().first()?,
        session: fields.get(3)?.parse().ok()?,
        start_ticks: fields.get(19)?.parse().ok()?,
    })
}

impl Stat {
    /// A zombie has ended, only its parent has not looked yet.
    fn is_alive(&self) -> bool {
        !matches!(self.state, b'Z' | b'X' | b'x')
    }
}

impl ProcessMark {
    /// The process that has this pid now. None if it does not exist or is a zombie.
    pub(crate) fn of(pid: u32) -> Option<Self> {
        let stat = stat(pid).filter(Stat::is_alive)?;
        Some(Self {
            pid,
            start_ticks: stat.start_ticks,
            boot: boot().to_owned(),
        })
    }

    pub(crate) fn is_alive(&self) -> bool {
        Self::of(self.pid).as_ref() == Some(self)
    }

    /// Sends a signal, unless the process is gone.
    pub(crate) fn signal(&self, signal: Signal) {
        if self.is_alive()
            && let Some(pid) = raw_pid(self.pid)
        {
            // The only other outcome is that it just ended, which is what callers check anyway.
            let _ = rustix::process::kill_process(pid, signal);
        }
    }

    /// Living processes of the session that this process leads or led, without itself.
    /// A pid is not given out again while a session of that number exists, so a session whose
    /// leader's pid now belongs to another process has no members left.
    pub(crate) fn session_members(&self) -> Vec<u32> {
        if self.boot != boot()
            || stat(self.pid).is_some_and(|now| now.start_ticks != self.start_ticks)
        {
            return Vec::new();
        }
        let Ok(entries) = std::fs::read_dir("/proc") else {
            return Vec::new();
        };
        let pids = entries
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        let session = i32::try_from(self.pid).unwrap_or(i32::MAX);
        pids.filter(|pid| *pid != self.pid)
            .filter(|pid| {
                stat(*pid).is_some_and(|found| found.is_alive() && found.session == session)
            })
            .collect()
    }
}

pub(crate) fn raw_pid(pid: u32) -> Option<Pid> {
    i32::try_from(pid).ok().and_then(Pid::from_raw)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_tells_a_process_from_its_successor() {
        let own = ProcessMark::of(std::process::id()).unwrap();
        assert!(own.is_alive());
        assert!(
            !ProcessMark {
                start_ticks: own.start_ticks + 1,
                ..own.clone()
            }
            .is_alive()
        );
        assert!(
            !ProcessMark {
                boot: "another".to_owned(),
                ..own
            }
            .is_alive()
        );
    }

    #[test]
    fn a_zombie_is_not_alive() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while ProcessMark::of(child.id()).is_some() {
            assert!(std::time::Instant::now() < deadline, "it should have ended");
            std::thread::yield_now();
        }
        assert_eq!(stat(child.id()).map(|stat| stat.state), Some(b'Z'));
        child.wait().unwrap();
    }
}
