//! Components by digest on disk, and what was compiled from them on this host.

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest as _, Sha256};
use std::fs::{DirBuilder, File, Metadata, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Read, Write};
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use wavegate_model::Digest;
use wavegate_ports::plugins::PluginRejected;

/// Bytes of a component. The largest guests (Python, a whole JavaScript engine) have 20 MiB.
pub(crate) const COMPONENT_BYTES_MAX: u64 = 64 << 20;
/// Bytes of compiled code that are read back; it is about three times the component.
pub(crate) const COMPILED_BYTES_MAX: u64 = 512 << 20;
const KEY_BYTES: usize = 32;
const MAC_BYTES: usize = 32;
/// Bytes of compiled code that have a digest of their own: enough parts for all processors, and
/// few enough that their digests are nothing.
const PART_BYTES: usize = 4 << 20;
/// Bytes that are read at once: they stay in a processor's cache until they are hashed.
const READ_BYTES: usize = 64 << 10;

type HmacSha256 = Hmac<Sha256>;

/// Whether compiled code is kept on disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CompiledCache {
    /// Under the store, with a code that only this host can make.
    #[default]
    Keep,
    /// Not at all: every process compiles again.
    Off,
}

pub(crate) struct ComponentStore {
    components: PathBuf,
    compiled: PathBuf,
    key: Option<[u8; KEY_BYTES]>,
}

/// Compiled code that was verified, in a file that is open.
pub(crate) struct Compiled {
    file: File,
}

impl Compiled {
    /// A path to the very file that was verified, whatever its own path leads to by now. Good for
    /// as long as this is kept.
    pub(crate) fn path(&self) -> PathBuf {
        let folder = if cfg!(target_os = "linux") {
            "/proc/self/fd"
        } else {
            "/dev/fd"
        };
        Path::new(folder).join(self.file.as_raw_fd().to_string())
    }
}

/// An operation on a path that failed.
fn failed(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> PluginRejected {
    let path = path.display().to_string();
    move |error| PluginRejected::Store {
        operation,
        path,
        detail: error.to_string(),
    }
}

/// The digest of a component.
pub fn digest_of(bytes: &[u8]) -> Digest {
    Digest::from_sha256(&Sha256::digest(bytes).into())
}

/// Reads a file of at most `limit` bytes; `None` if it is larger.
pub(crate) fn read_bounded(path: &Path, limit: u64) -> io::Result<Option<Vec<u8>>> {
    let file = File::open(path)?;
    let length = file.metadata()?.len();
    if length > limit {
        return Ok(None);
    }
    let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or(0));
    // It may grow while it is read.
    file.take(limit + 1).read_to_end(&mut bytes)?;
    Ok(if bytes.len() as u64 > limit {
        None
    } else {
        Some(bytes)
    })
}

/// Whether a file has exactly these bytes.
fn holds(path: &Path, bytes: &[u8]) -> io::Result<bool> {
    let mut file = File::open(path)?;
    if file.metadata()?.len() != bytes.len() as u64 {
        return Ok(false);
    }
    let mut buffer = [0; 16 << 10];
    for part in bytes.chunks(buffer.len()) {
        let there = &mut buffer[..part.len()];
        file.read_exact(there)?;
        if there != part {
            return Ok(false);
        }
    }
    // It may have grown.
    Ok(file.read(&mut buffer)? == 0)
}

impl ComponentStore {
    pub(crate) fn open(root: &Path, cache: CompiledCache) -> Result<Self, PluginRejected> {
        let (components, compiled) = (root.join("components"), root.join("compiled"));
        for folder in [&components, &compiled] {
            let mut builder = DirBuilder::new();
            builder
                .recursive(true)
                .mode(0o700)
                .create(folder)
                .map_err(failed("create", folder))?;
        }
        let key = match cache {
            CompiledCache::Keep => {
                private(&compiled).map_err(failed("make private", &compiled))?;
                Some(host_key(&root.join("compiled.key"))?)
            }
            CompiledCache::Off => None,
        };
        Ok(Self {
            components,
            compiled,
            key,
        })
    }

    fn component_path(&self, digest: &Digest) -> PathBuf {
        self.components
            .join(format!("{}.wasm", digest.text().hex()))
    }

    /// Keeps a component under its digest. What is there already stays, if it is whole.
    pub(crate) fn put(&self, digest: &Digest, bytes: &[u8]) -> Result<(), PluginRejected> {
        let path = self.component_path(digest);
        if matches!(holds(&path, bytes), Ok(true)) {
            return Ok(());
        }
        write_whole(&path, &[bytes], 0o600).map_err(failed("write", &path))
    }

    /// Reads a component and makes sure that it is the one that was asked for.
    pub(crate) fn get(&self, digest: &Digest) -> Result<Vec<u8>, PluginRejected> {
        let path = self.component_path(digest);
        match read_bounded(&path, COMPONENT_BYTES_MAX) {
            Ok(Some(bytes)) if digest_of(&bytes) == *digest => Ok(bytes),
            Ok(_) => Err(PluginRejected::Damaged {
                digest: digest.clone(),
            }),
            Err(error) if error.kind() == ErrorKind::NotFound => Err(PluginRejected::NotFound {
                reference: digest.to_string(),
                detail: format!("there is no {}", path.display()),
            }),
            Err(error) => Err(failed("read", &path)(error)),
        }
    }

    /// The components that are there, by digest.
    pub(crate) fn list(&self) -> Result<Vec<Digest>, PluginRejected> {
        let failed = || failed("list", &self.components);
        let mut found = Vec::new();
        for entry in std::fs::read_dir(&self.components).map_err(failed())? {
            let name = entry.map_err(failed())?.file_name();
            let hex = name.to_str().and_then(|name| name.strip_suffix(".wasm"));
            found.extend(hex.and_then(|hex| Digest::parse(&format!("sha256:{hex}")).ok()));
        }
        found.sort();
        Ok(found)
    }

    fn compiled_path(&self, digest: &Digest, engine: &str) -> PathBuf {
        self.compiled
            .join(format!("{}-{engine}.code", digest.text().hex()))
    }

    /// Compiled code that this host wrote for this component and engine. Anything else counts as
    /// not there: code is never taken from elsewhere.
    pub(crate) fn compiled(&self, digest: &Digest, engine: &str) -> Option<Compiled> {
        let key = self.key.as_ref()?;
        let path = self.compiled_path(digest, engine);
        let file = File::open(&path).ok()?;
        match is_vouched_for(&file, key, digest, engine) {
            Ok(true) => Some(Compiled { file }),
            Ok(false) | Err(_) => {
                tracing::warn!(
                    "{} was not written by this host and is compiled again",
                    path.display()
                );
                None
            }
        }
    }

    /// Keeps compiled code. It is a cache, so failing is not worth more than a line.
    pub(crate) fn keep_compiled(&self, digest: &Digest, engine: &str, code: &[u8]) {
        let Some(key) = self.key.as_ref() else { return };
        let path = self.compiled_path(digest, engine);
        let sums: Vec<_> = code.chunks(PART_BYTES).map(Sha256::digest).collect();
        let mac = mac_of(key, digest, engine, &sums).finalize().into_bytes();
        // It is mapped while plugins run, so nobody writes to it again, not even its owner.
        if let Err(error) = write_whole(&path, &[code, &mac], 0o400) {
            tracing::warn!(
                "failed to keep compiled code at {}: {error}",
                path.display()
            );
        }
    }
}

/// Says for which component and engine code was compiled, in a way that only this host can. The
/// code comes as the digests of its parts.
fn mac_of(
    key: &[u8; KEY_BYTES],
    digest: &Digest,
    engine: &str,
    sums: &[impl AsRef<[u8]>],
) -> HmacSha256 {
    // Any length of key will do, so this cannot fail.
    let mut mac =
        HmacSha256::new_from_slice(key).unwrap_or_else(|_| HmacSha256::new(&Default::default()));
    // Digests and engine names have fixed lengths, so the parts cannot run into each other.
    mac.update(digest.text().hex().as_bytes());
    mac.update(engine.as_bytes());
    for sum in sums {
        mac.update(sum.as_ref());
    }
    mac
}

/// Whether a file ends with the code that says that what comes before is ours.
fn is_vouched_for(
    file: &File,
    key: &[u8; KEY_BYTES],
    digest: &Digest,
    engine: &str,
) -> io::Result<bool> {
    let about = file.metadata()?;
    let length = about.len();
    let Some(code) = length.checked_sub(MAC_BYTES as u64) else {
        return Ok(false);
    };
    // Whoever else could write to it could do so after it was verified.
    if !is_ours_alone(&about) || length > COMPILED_BYTES_MAX {
        return Ok(false);
    }
    let mut mac = [0; MAC_BYTES];
    file.read_exact_at(&mut mac, code)?;
    let sums = sums(file, code)?;
    Ok(mac_of(key, digest, engine, &sums)
        .verify_slice(&mac)
        .is_ok())
}

/// Digests of the parts of a file, on as many processors as there are: it is verified at each
/// load, and the largest has 40 MiB. It goes through a buffer, because what is looked at where it
/// is mapped has to be mapped, page by page, and hardly any of it is ever run.
fn sums(file: &File, length: u64) -> io::Result<Vec<[u8; 32]>> {
    let parts: Vec<u64> = (0..length).step_by(PART_BYTES).collect();
    let of = |starts: &[u64]| -> io::Result<Vec<[u8; 32]>> {
        let mut buffer = vec![0; READ_BYTES];
        let part = |start: &u64| part_sum(file, *start..length, &mut buffer);
        starts.iter().map(part).collect()
    };
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let share = parts.len().div_ceil(threads.min(4)).max(1);
    if parts.len() <= 1 {
        return of(&parts);
    }
    std::thread::scope(|scope| {
        let running: Vec<_> = parts
            .chunks(share)
            .map(|parts| (parts, scope.spawn(move || of(parts))))
            .collect();
        let mut sums = Vec::with_capacity(parts.len());
        for (parts, thread) in running {
            // A thread that panicked is a reason to do its share again, here.
            sums.extend(thread.join().unwrap_or_else(|_| of(parts))?);
        }
        Ok(sums)
    })
}

/// The digest of the part that begins a range of a file.
fn part_sum(file: &File, range: Range<u64>, buffer: &mut [u8]) -> io::Result<[u8; 32]> {
    let end = range.end.min(range.start + PART_BYTES as u64);
    let mut hash = Sha256::new();
    let mut at = range.start;
    while at < end {
        let wanted = buffer
            .len()
            .min(usize::try_from(end - at).unwrap_or(usize::MAX));
        file.read_exact_at(&mut buffer[..wanted], at)?;
        hash.update(&buffer[..wanted]);
        at += wanted as u64;
    }
    Ok(hash.finalize().into())
}

/// Takes from others what they could do in a folder of ours.
fn private(folder: &Path) -> io::Result<()> {
    if is_private(folder)? {
        return Ok(());
    }
    tracing::warn!("{} was open to others and is private now", folder.display());
    std::fs::set_permissions(folder, Permissions::from_mode(0o700))
}

/// Whether nobody but its owner can read or write it, and the owner is whoever runs this.
fn is_private(path: &Path) -> io::Result<bool> {
    let about = std::fs::symlink_metadata(path)?;
    Ok(is_ours_alone(&about) && !about.is_symlink())
}

fn is_ours_alone(about: &Metadata) -> bool {
    let ours = about.uid() == rustix::process::geteuid().as_raw();
    ours && about.mode() & 0o077 == 0
}

/// The key of this host, made at the first use. One that is damaged, or that others could have
/// read, is replaced: what it vouched for is compiled again.
fn host_key(path: &Path) -> Result<[u8; KEY_BYTES], PluginRejected> {
    let known_to_others = matches!(is_private(path), Ok(false));
    if known_to_others {
        tracing::warn!(
            "{} was open to others; a new key is made, and plugins are compiled again",
            path.display()
        );
        std::fs::remove_file(path).map_err(failed("replace", path))?;
    }
    let read = || {
        read_bounded(path, KEY_BYTES as u64)
            .ok()
            .flatten()
            .and_then(|bytes| bytes.try_into().ok())
    };
    if let Some(key) = read() {
        return Ok(key);
    }
    let mut key = [0; KEY_BYTES];
    getrandom::fill(&mut key)
        .map_err(|error| failed("write", path)(io::Error::other(error.to_string())))?;
    write_whole(path, &[&key], 0o600).map_err(failed("write", path))?;
    // Another process may have been faster; the file decides.
    Ok(read().unwrap_or(key))
}

/// Writes a file so that it is there as a whole or not at all, for its owner only.
fn write_whole(path: &Path, parts: &[&[u8]], mode: u32) -> io::Result<()> {
    let folder = path
        .parent()
        .ok_or_else(|| io::Error::other("the path has no folder"))?;
    let mut random = [0; 8];
    getrandom::fill(&mut random).map_err(|error| io::Error::other(error.to_string()))?;
    let temporary = folder.join(format!(".{:016x}.tmp", u64::from_le_bytes(random)));
    let written = (|| {
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(&temporary)?;
        for part in parts {
            file.write_all(part)?;
        }
        file.sync_all()?;
        std::fs::rename(&temporary, path)?;
        File::open(folder)?.sync_all()
    })();
    if written.is_err() {
        // It may not have come into being; nothing more can be done about it.
        let _ = std::fs::remove_file(&temporary);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(folder: &Path) -> ComponentStore {
        ComponentStore::open(folder, CompiledCache::Keep).unwrap()
    }

    /// Compiled code as it is read by way of the path that it is mapped from.
    fn code(compiled: &Compiled) -> Vec<u8> {
        let mut bytes = std::fs::read(compiled.path()).unwrap();
        bytes.truncate(bytes.len() - MAC_BYTES);
        bytes
    }

    /// Puts a file of our own where there is one that nobody may write to.
    fn replace(path: &Path, bytes: &[u8]) {
        std::fs::remove_file(path).unwrap();
        write_whole(path, &[bytes], 0o600).unwrap();
    }

    #[test]
    fn a_component_comes_back_whole_or_as_damaged() {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path());
        let digest = digest_of(b"bytes");
        assert!(matches!(
            store.get(&digest),
            Err(PluginRejected::NotFound { .. })
        ));
        store.put(&digest, b"bytes").unwrap();
        assert_eq!(store.get(&digest).unwrap(), b"bytes");
        let path = store.component_path(&digest);
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert_eq!(
            std::fs::metadata(path.parent().unwrap())
                .unwrap()
                .permissions()
                .mode()
                & 0o777,
            0o700
        );
        std::fs::write(&path, b"other").unwrap();
        assert_eq!(
            store.get(&digest),
            Err(PluginRejected::Damaged {
                digest: digest.clone()
            })
        );
        store.put(&digest, b"bytes").unwrap();
        assert_eq!(store.get(&digest).unwrap(), b"bytes");
    }

    #[test]
    fn compiled_code_of_others_is_not_there() {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path());
        let (one, two) = (digest_of(b"one"), digest_of(b"two"));
        store.keep_compiled(&one, "aa", b"code");
        assert_eq!(
            code(&open(folder.path()).compiled(&one, "aa").unwrap()),
            b"code"
        );
        // Moved to another component or another engine, changed, cut short, or from another host.
        let kept = store.compiled_path(&one, "aa");
        std::fs::copy(&kept, store.compiled_path(&two, "aa")).unwrap();
        std::fs::copy(&kept, store.compiled_path(&one, "bb")).unwrap();
        assert!(store.compiled(&two, "aa").is_none());
        assert!(store.compiled(&one, "bb").is_none());
        let mut bytes = std::fs::read(&kept).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        replace(&kept, &bytes);
        assert!(store.compiled(&one, "aa").is_none());
        replace(&kept, &bytes[..10]);
        assert!(store.compiled(&one, "aa").is_none());
        store.keep_compiled(&one, "aa", b"code");
        std::fs::remove_file(folder.path().join("compiled.key")).unwrap();
        assert!(open(folder.path()).compiled(&one, "aa").is_none());
    }

    #[test]
    fn every_part_of_large_code_is_verified() {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path());
        let (one, large) = (digest_of(b"one"), vec![7; 9 << 20]);
        store.keep_compiled(&one, "aa", &large);
        assert_eq!(code(&store.compiled(&one, "aa").unwrap()), large);
        let path = store.compiled_path(&one, "aa");
        let written = std::fs::read(&path).unwrap();
        for at in [0, 5 << 20, (9 << 20) - 1, 9 << 20, written.len() - 1] {
            let mut changed = written.clone();
            changed[at] ^= 1;
            replace(&path, &changed);
            assert!(store.compiled(&one, "aa").is_none(), "{at}");
        }
    }

    #[test]
    fn compiled_code_that_others_could_change_is_not_there() {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path());
        let one = digest_of(b"one");
        store.keep_compiled(&one, "aa", b"code");
        let path = store.compiled_path(&one, "aa");
        let mode = |mode| std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        let written = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(written & 0o777, 0o400);
        mode(0o420);
        assert!(store.compiled(&one, "aa").is_none());
        mode(0o400);
        assert!(store.compiled(&one, "aa").is_some());
    }

    #[test]
    fn what_was_verified_is_what_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path());
        let one = digest_of(b"one");
        store.keep_compiled(&one, "aa", b"code");
        let verified = store.compiled(&one, "aa").unwrap();
        replace(&store.compiled_path(&one, "aa"), b"something else entirely");
        assert_eq!(code(&verified), b"code");
    }

    #[test]
    fn a_key_that_others_could_read_vouches_for_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let one = digest_of(b"one");
        open(folder.path()).keep_compiled(&one, "aa", b"code");
        let (key, compiled) = (
            folder.path().join("compiled.key"),
            folder.path().join("compiled"),
        );
        let before = std::fs::read(&key).unwrap();
        std::fs::set_permissions(&key, Permissions::from_mode(0o644)).unwrap();
        std::fs::set_permissions(&compiled, Permissions::from_mode(0o777)).unwrap();
        assert!(open(folder.path()).compiled(&one, "aa").is_none());
        assert_ne!(std::fs::read(&key).unwrap(), before);
        assert!(is_private(&key).unwrap() && is_private(&compiled).unwrap());
    }
}
