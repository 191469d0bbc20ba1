//! The file: where it is, its settings, its tables, and the rules that it enforces itself.

use crate::error::{StoreError, storage};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};
use std::fs::{DirBuilder, File, OpenOptions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;
use wavegate_ports::journal::JournalError;

/// Version of the tables. A file with a later one is refused.
pub const FORMAT: u32 = 1;

/// Marks the file as a journal, so that another program's database is never taken for one.
const APPLICATION: i64 = 0x5747_4a31; // "WGJ1"

/// How long one process waits for another's transaction. A transaction is at most a group of
/// some megabytes, which takes well under a second on a slow disk; ten leave room for a
/// checkpoint and a machine under load, and end before a person thinks that it hangs.
const BUSY: Duration = Duration::from_secs(10);

/// Statements that are kept prepared per connection; there are fewer than this many.
const STATEMENTS: usize = 32;

/// What a connection may do.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Access {
    /// Next to a connection that writes, in the same process.
    Shared,
    /// The file belongs to another process.
    ReadOnly,
}

/// The tables, with the rules that keep them append-only for everyone, this program included.
///
/// `INSERT OR REPLACE` deletes without asking the triggers for deletion; that is why the
/// insertion has a rule too.
const TABLES: &str = "
CREATE TABLE writers (
    rollout TEXT PRIMARY KEY,
    writer  INTEGER NOT NULL CHECK (writer >= 1)
) STRICT, WITHOUT ROWID;

CREATE TABLE records (
    rollout   TEXT    NOT NULL REFERENCES writers (rollout),
    seq       INTEGER NOT NULL CHECK (seq >= 1),
    at_ms     INTEGER NOT NULL CHECK (at_ms >= 0),
    kind      TEXT    NOT NULL,
    version   INTEGER NOT NULL CHECK (version >= 0),
    body      BLOB    NOT NULL,
    prev_hash BLOB    NOT NULL CHECK (length(prev_hash) = 32),
    hash      BLOB    NOT NULL CHECK (length(hash) = 32),
    PRIMARY KEY (rollout, seq)
) STRICT;

CREATE TABLE blobs (
    digest TEXT PRIMARY KEY,
    bytes  BLOB NOT NULL
) STRICT;

CREATE TABLE inbox (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    rollout TEXT    NOT NULL REFERENCES writers (rollout),
    at_ms   INTEGER NOT NULL CHECK (at_ms >= 0),
    actor   TEXT    NOT NULL,
    reason  TEXT    NOT NULL,
    request TEXT    NOT NULL
) STRICT;
CREATE INDEX inbox_of_rollout ON inbox (rollout, id);

CREATE TRIGGER records_stay BEFORE UPDATE ON records
    BEGIN SELECT RAISE(ABORT, 'records are append-only'); END;
CREATE TRIGGER records_are_kept BEFORE DELETE ON records
    BEGIN SELECT RAISE(ABORT, 'records are append-only'); END;
CREATE TRIGGER records_follow BEFORE INSERT ON records
    WHEN NEW.seq IS NOT (SELECT ifnull(max(seq), 0) + 1 FROM records WHERE rollout = NEW.rollout)
    BEGIN SELECT RAISE(ABORT, 'records are append-only: this is not the next one'); END;

CREATE TRIGGER blobs_stay BEFORE UPDATE ON blobs
    BEGIN SELECT RAISE(ABORT, 'blobs are append-only'); END;
CREATE TRIGGER blobs_are_kept BEFORE DELETE ON blobs
    BEGIN SELECT RAISE(ABORT, 'blobs are append-only'); END;
CREATE TRIGGER blobs_are_stored_once BEFORE INSERT ON blobs
    WHEN EXISTS (SELECT 1 FROM blobs WHERE digest = NEW.digest)
    BEGIN SELECT RAISE(IGNORE); END;

CREATE TRIGGER inbox_stays BEFORE UPDATE ON inbox
    BEGIN SELECT RAISE(ABORT, 'the inbox is append-only'); END;
CREATE TRIGGER inbox_is_kept BEFORE DELETE ON inbox
    BEGIN SELECT RAISE(ABORT, 'the inbox is append-only'); END;
CREATE TRIGGER inbox_follows BEFORE INSERT ON inbox
    WHEN EXISTS (SELECT 1 FROM inbox WHERE id = NEW.id)
    BEGIN SELECT RAISE(ABORT, 'the inbox is append-only'); END;

CREATE TRIGGER writers_rise BEFORE UPDATE ON writers
    WHEN NEW.writer <= OLD.writer OR NEW.rollout <> OLD.rollout
    BEGIN SELECT RAISE(ABORT, 'a writer number only rises'); END;
CREATE TRIGGER writers_are_kept BEFORE DELETE ON writers
    BEGIN SELECT RAISE(ABORT, 'a writer number only rises'); END;
CREATE TRIGGER writers_are_opened_once BEFORE INSERT ON writers
    WHEN EXISTS (SELECT 1 FROM writers WHERE rollout = NEW.rollout)
    BEGIN SELECT RAISE(ABORT, 'a writer number only rises'); END;
";

/// Opens the file for writing; makes it and its folder if they are missing.
pub(crate) fn create_or_open(path: &Path) -> Result<Connection, JournalError> {
    let operation = "open";
    let folder = folder_of(path);
    make_folder(&folder).map_err(|cause| storage(operation, cause))?;
    // Two processes that turn a new file into a journal at once would find each other's half:
    // SQLite's own waiting does not cover the change to a write-ahead log.
    let lock = locked(&folder).map_err(|cause| storage(operation, cause))?;
    make_file(path).map_err(|cause| storage(operation, cause))?;
    let mut connection = plain(path, OpenFlags::SQLITE_OPEN_READ_WRITE)
        .map_err(|cause| storage(operation, cause))?;
    known_format(&connection, operation)?;
    set("journal_mode", "wal", &connection).map_err(|cause| storage(operation, cause))?;
    // Every commit waits for the disk. That is what makes it durable.
    set("synchronous", "full", &connection).map_err(|cause| storage(operation, cause))?;
    make_tables(&mut connection).map_err(|cause| storage(operation, cause))?;
    sync_folder(&lock, &folder).map_err(|cause| storage(operation, cause))?;
    Ok(connection)
}

/// Opens one more connection to a journal that exists.
pub(crate) fn reopen(path: &Path, access: Access) -> Result<Connection, JournalError> {
    let operation = "open";
    let connection = match access {
        Access::Shared => {
            let connection = plain(path, OpenFlags::SQLITE_OPEN_READ_WRITE)
                .map_err(|cause| storage(operation, cause))?;
            expect_journal(&connection, operation)?;
            connection
        }
        Access::ReadOnly => look(path, operation)?,
    };
    connection
        .pragma_update(None, "query_only", true)
        .map_err(|cause| storage(operation, cause))?;
    Ok(connection)
}

/// Opens the file to look at it.
///
/// To read beside a writer, SQLite needs files of its own in the folder. Where it cannot have them,
/// as in an archive on a medium that is read-only, there is no writer either, and the file is read
/// as one that does not change: if all of the journal is in it.
fn look(path: &Path, operation: &'static str) -> Result<Connection, JournalError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
    let beside = plain(path, flags).map_err(|cause| storage(operation, cause))?;
    // Opening reads nothing yet; the first question does.
    let refused = match first_look(&beside) {
        Ok(()) => {
            expect_journal(&beside, operation)?;
            return Ok(beside);
        }
        Err(cause) => cause,
    };
    if refused.sqlite_error_code() != Some(ErrorCode::CannotOpen) {
        return Err(storage(operation, StoreError::Sqlite(refused)));
    }
    let log = log_of(path);
    if std::fs::metadata(&log).is_ok_and(|log| log.len() > 0) {
        let source = refused;
        return Err(storage(operation, StoreError::LogUnread { log, source }));
    }
    drop(beside);
    let alone = plain(&unchanging(path), flags | OpenFlags::SQLITE_OPEN_URI)
        .map_err(|cause| storage(operation, cause))?;
    expect_journal(&alone, operation)?;
    Ok(alone)
}

fn first_look(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0).map(drop))
}

fn expect_journal(connection: &Connection, operation: &'static str) -> Result<(), JournalError> {
    match known_format(connection, operation)? {
        Some(_) => Ok(()),
        None => Err(storage(operation, StoreError::NotAJournal)),
    }
}

/// The write-ahead log beside the file.
fn log_of(path: &Path) -> PathBuf {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    log.into()
}

/// The address of a file that nobody changes. Bytes that mean something in an address are escaped.
fn unchanging(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut address = "file:".to_owned();
    for byte in absolute.as_os_str().as_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' => {
                address.push(char::from(*byte));
            }
            other => address.push_str(&format!("%{other:02X}")),
        }
    }
    address.push_str("?immutable=1");
    address.into()
}

fn plain(path: &Path, access: OpenFlags) -> Result<Connection, StoreError> {
    // Each connection belongs to one thread, so SQLite need not lock it.
    let connection = Connection::open_with_flags(path, access | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(BUSY)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "cell_size_check", true)?;
    Ok(connection)
}

/// The file's format; none if the file is new.
fn known_format(
    connection: &Connection,
    operation: &'static str,
) -> Result<Option<u32>, JournalError> {
    let number = |pragma| -> Result<i64, JournalError> {
        connection
            .pragma_query_value(None, pragma, |row| row.get(0))
            .map_err(|cause| storage(operation, cause))
    };
    match (number("application_id")?, number("user_version")?) {
        (APPLICATION, version) => match u32::try_from(version) {
            Ok(found) if found > FORMAT => Err(JournalError::TooNew {
                found,
                known: FORMAT,
            }),
            Ok(found @ 1..) => Ok(Some(found)),
            Ok(0) | Err(_) => Err(storage(operation, StoreError::NotAJournal)),
        },
        (0, 0) if tables(connection).map_err(|cause| storage(operation, cause))? == 0 => Ok(None),
        _ => Err(storage(operation, StoreError::NotAJournal)),
    }
}

fn tables(connection: &Connection) -> Result<i64, StoreError> {
    Ok(connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?)
}

/// All or nothing: a crash in between leaves a file that counts as new.
fn make_tables(connection: &mut Connection) -> Result<(), StoreError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    if tables(&transaction)? == 0 {
        transaction.execute_batch(TABLES)?;
        transaction.pragma_update(None, "application_id", APPLICATION)?;
        transaction.pragma_update(None, "user_version", FORMAT)?;
    }
    transaction.commit()?;
    Ok(())
}

/// Sets a pragma and asks what became of it: SQLite doesn't complain about one that it ignores.
fn set(
    pragma: &'static str,
    wanted: &'static str,
    connection: &Connection,
) -> Result<(), StoreError> {
    connection.pragma_update(None, pragma, wanted)?;
    let found = connection.pragma_query_value(None, pragma, |row| {
        Ok(match row.get_ref(0)? {
            rusqlite::types::ValueRef::Integer(2) => "full".to_owned(),
            other => other.as_str().unwrap_or("another level").to_owned(),
        })
    })?;
    if found == wanted {
        Ok(())
    } else {
        Err(StoreError::Setting {
            pragma,
            wanted,
            found,
        })
    }
}

fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_path_buf(),
        _ => PathBuf::from("."),
    }
}

fn make_folder(folder: &Path) -> Result<(), StoreError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(file("make the folder", folder))
}

/// Makes the file before SQLite does, for its mode; SQLite gives the same to its other files.
fn make_file(path: &Path) -> Result<(), StoreError> {
    OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)
        .map(drop)
        .map_err(file("make the file", path))
}

fn locked(folder: &Path) -> Result<File, StoreError> {
    let handle = File::open(folder).map_err(file("open the folder", folder))?;
    handle.lock().map_err(file("lock the folder", folder))?;
    Ok(handle)
}

/// Makes the names durable: of the file in its folder, and of the folder in the one above.
fn sync_folder(handle: &File, folder: &Path) -> Result<(), StoreError> {
    handle.sync_all().map_err(file("sync the folder", folder))?;
    match folder
        .canonicalize()
        .map_err(file("resolve the folder", folder))?
        .parent()
    {
        Some(above) => File::open(above)
            .and_then(|above| above.sync_all())
            .map_err(file("sync the folder", above)),
        None => Ok(()),
    }
}

fn file(operation: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> StoreError {
    let path = path.to_path_buf();
    move |source| StoreError::File {
        operation,
        path,
        source,
    }
}
