//! Components by digest on disk, and what was compiled from them on this host.

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest as _, Sha256};
use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use wavegate_model::Digest;
use wavegate_ports::plugins::PluginRejected;

/// Bytes of a component. The largest guests (Python, a whole JavaScript engine) have 20 MiB.
pub(crate) const COMPONENT_BYTES_MAX: u64 = 64 << 20;
/// Bytes of compiled code that are read back; it is about three times the component.
pub(crate) const COMPILED_BYTES_MAX: u64 = 512 << 20;
const KEY_BYTES: usize = 32;
const MAC_BYTES: usize = 32;

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

/// Compiled code that was verified. It stays behind its authentication code, because moving tens
/// of megabytes takes longer than anything else that is done with them.
pub(crate) struct Compiled {
    bytes: Vec<u8>,
}

impl Compiled {
    pub(crate) fn code(&self) -> &[u8] {
        &self.bytes[MAC_BYTES..]
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
        if matches!(read_bounded(&path, COMPONENT_BYTES_MAX), Ok(Some(there)) if there == bytes) {
            return Ok(());
        }
        write_whole(&path, &[bytes]).map_err(failed("write", &path))
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
            .join(format!("{}-{engine}.cwasm", digest.text().hex()))
    }

    /// Compiled code that this host wrote for this component and engine. Anything else counts as
    /// not there: code is never taken from elsewhere.
    pub(crate) fn compiled(&self, digest: &Digest, engine: &str) -> Option<Compiled> {
        let key = self.key.as_ref()?;
        let path = self.compiled_path(digest, engine);
        let bytes = read_bounded(&path, COMPILED_BYTES_MAX).ok().flatten()?;
        let (mac, code) = bytes.split_at_checked(MAC_BYTES)?;
        if mac_of(key, digest, engine, code).verify_slice(mac).is_err() {
            tracing::warn!(
                "{} was not written by this host and is compiled again",
                path.display()
            );
            return None;
        }
        Some(Compiled { bytes })
    }

    /// Keeps compiled code. It is a cache, so failing is not worth more than a line.
    pub(crate) fn keep_compiled(&self, digest: &Digest, engine: &str, code: &[u8]) {
        let Some(key) = self.key.as_ref() else { return };
        let path = self.compiled_path(digest, engine);
        let mac = mac_of(key, digest, engine, code).finalize().into_bytes();
        if let Err(error) = write_whole(&path, &[&mac, code]) {
            tracing::warn!(
                "failed to keep compiled code at {}: {error}",
                path.display()
            );
        }
    }
}

/// Says for which component and engine code was compiled, in a way that only this host can.
fn mac_of(key: &[u8; KEY_BYTES], digest: &Digest, engine: &str, code: &[u8]) -> HmacSha256 {
    // Any length of key will do, so this cannot fail.
    let mut mac =
        HmacSha256::new_from_slice(key).unwrap_or_else(|_| HmacSha256::new(&Default::default()));
    // Digests and engine names have fixed lengths, so the parts cannot run into each other.
    mac.update(digest.text().hex().as_bytes());
    mac.update(engine.as_bytes());
    for sum in sums(code) {
        mac.update(&sum);
    }
    mac
}

/// Digests of the parts of compiled code, on as many processors as there are: it is verified at
/// each load, and the largest has 40 MiB.
fn sums(code: &[u8]) -> Vec<[u8; 32]> {
    const PART: usize = 4 << 20;
    let parts: Vec<&[u8]> = code.chunks(PART).collect();
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let share = parts.len().div_ceil(threads.min(4)).max(1);
    let of = |parts: &[&[u8]]| -> Vec<[u8; 32]> {
        let sums = parts.iter().map(|part| Sha256::digest(part).into());
        sums.collect()
    };
    if parts.len() == 1 {
        return of(&parts);
    }
    std::thread::scope(|scope| {
        let running: Vec<_> = parts
            .chunks(share)
            .map(|parts| (parts, scope.spawn(move || of(parts))))
            .collect();
        // A thread that panicked is a reason to do its share again, here.
        let done = running
            .into_iter()
            .map(|(parts, thread)| thread.join().unwrap_or_else(|_| of(parts)));
        done.flatten().collect()
    })
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
    let ours = about.uid() == rustix::process::geteuid().as_raw();
    Ok(ours && about.mode() & 0o077 == 0 && !about.is_symlink())
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
    write_whole(path, &[&key]).map_err(failed("write", path))?;
    // Another process may have been faster; the file decides.
    Ok(read().unwrap_or(key))
}

/// Writes a file so that it is there as a whole or not at all, for its owner only.
fn write_whole(path: &Path, parts: &[&[u8]]) -> io::Result<()> {
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
            .mode(0o600)
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
            open(folder.path()).compiled(&one, "aa").unwrap().code(),
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
        std::fs::write(&kept, &bytes).unwrap();
        assert!(store.compiled(&one, "aa").is_none());
        std::fs::write(&kept, &bytes[..10]).unwrap();
        assert!(store.compiled(&one, "aa").is_none());
        store.keep_compiled(&one, "aa", b"code");
        std::fs::remove_file(folder.path().join("compiled.key")).unwrap();
        assert!(open(folder.path()).compiled(&one, "aa").is_none());
    }

    #[test]
    fn every_part_of_large_code_is_verified() {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path());
        let (one, code) = (digest_of(b"one"), vec![7; 9 << 20]);
        store.keep_compiled(&one, "aa", &code);
        assert_eq!(store.compiled(&one, "aa").unwrap().code(), code);
        let path = store.compiled_path(&one, "aa");
        let written = std::fs::read(&path).unwrap();
        for at in [MAC_BYTES, 5 << 20, written.len() - 1] {
            let mut changed = written.clone();
            changed[at] ^= 1;
            std::fs::write(&path, changed).unwrap();
            assert!(store.compiled(&one, "aa").is_none(), "{at}");
        }
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
