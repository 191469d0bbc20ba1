//! Small files that survive a crash, and locks that end with their process.

use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, Instant};

/// How long to wait for a lock that is only ever held for some milliseconds. Whoever holds it
/// longer is stopped (SIGSTOP) just there, or the disk is.
const LOCK_TIME_MAX: Duration = Duration::from_secs(5);

/// Replaces a file in one step; on disk when this returns.
pub(crate) fn write_json<T: Serialize>(path: &Path, value: &T) -> io::Result<()> {
    write(path, &serde_json::to_vec(value)?)
}

pub(crate) fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    // Writers of one path hold a common lock, so one temporary name is enough.
    let temporary = path.with_extension("new");
    let mut file = File::create(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    match path.parent() {
        Some(parent) => File::open(parent)?.sync_all(),
        None => Ok(()),
    }
}

/// Reads a file that may not be there.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Waits for the exclusive lock on a file. It ends when the returned file is dropped.
pub(crate) fn lock(path: &Path) -> io::Result<File> {
    let file = File::options()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(path)?;
    let started = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::Error(error)) => return Err(error),
            Err(TryLockError::WouldBlock) if started.elapsed() > LOCK_TIME_MAX => {
                let text = format!(
                    "{} is locked for more than {} s",
                    path.display(),
                    LOCK_TIME_MAX.as_secs()
                );
                return Err(io::Error::new(io::ErrorKind::TimedOut, text));
            }
            Err(TryLockError::WouldBlock) => std::thread::park_timeout(Duration::from_millis(2)),
        }
    }
}

/// Takes the lock if it is free.
pub(crate) fn try_lock(path: &Path) -> io::Result<Option<File>> {
    let file = File::options()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(path)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// The present instant. This driver lives in real time: its processes do.
pub(crate) fn now() -> wavegate_model::Timestamp {
    let since = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    wavegate_model::Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
