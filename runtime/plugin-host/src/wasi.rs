//! An inert WASI 0.2: what toolchains make their guests import, whether these need it or not.
//!
//! Nothing of it reaches the world. There is no environment, no argument, no file, no input; the
//! clock stands at the instant of the call; random numbers come from the component's digest, so
//! that equal calls get equal ones. What a guest prints goes to its log. Sockets and HTTP are not
//! here, so a component that imports them is refused.
//!
//! Only what a component imports is linked for it.

mod link;

use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, Linker};
use wavegate_model::{Digest, Timestamp};

use crate::call::CallData;
use crate::stop::Stop;

/// Bytes of randomness in one call: runtimes seed a hash map or a generator with a few dozen.
const RANDOM_BYTES_MAX: u64 = 64 << 10;

/// The interfaces of WASI that are linked, without package version.
const INTERFACES: &[&str] = &[
    "cli/environment",
    "cli/exit",
    "cli/stdin",
    "cli/stdout",
    "cli/stderr",
    "cli/terminal-input",
    "cli/terminal-output",
    "cli/terminal-stdin",
    "cli/terminal-stdout",
    "cli/terminal-stderr",
    "clocks/monotonic-clock",
    "clocks/wall-clock",
    "filesystem/preopens",
    "filesystem/types",
    "io/error",
    "io/poll",
    "io/streams",
    "random/insecure",
    "random/insecure-seed",
    "random/random",
];

/// The interface in the name of an import, if it is one of those that are linked.
fn interface(import: &str) -> Option<&'static str> {
    let (name, version) = import.strip_prefix("wasi:")?.split_once('@')?;
    let patch = version.strip_prefix("0.2.")?;
    let released = !patch.is_empty() && patch.bytes().all(|b| b.is_ascii_digit());
    INTERFACES
        .iter()
        .copied()
        .find(|known| released && *known == name)
}

/// Whether plugins of every kind may import this, because nothing comes of it.
pub(crate) fn is_inert(import: &str) -> bool {
    interface(import).is_some()
}

/// The linker with what the component imports of WASI, or as it was if that is nothing.
pub(crate) fn linked(
    base: &Linker<CallData>,
    component: &Component,
) -> wasmtime::Result<Linker<CallData>> {
    let mut linker = base.clone();
    let engine = component.engine().clone();
    for (name, import) in component.component_type().imports(&engine) {
        let (Some(interface), ComponentItem::ComponentInstance(imported)) =
            (interface(name), &import.ty)
        else {
            continue;
        };
        let mut instance = linker.instance(name)?;
        for (item, export) in imported.exports(&engine) {
            match &export.ty {
                ComponentItem::ComponentFunc(_) => link::function(&mut instance, interface, item)?,
                ComponentItem::Resource(_) => link::resource(&mut instance, item)?,
                _ => {}
            }
        }
    }
    Ok(linker)
}

/// What an inert world has to remember during a call.
pub(crate) struct Inert {
    component: Digest,
    /// Made of the component's digest by the first draw, which hardly any call makes.
    seed: Option<[u8; 32]>,
    drawn: u64,
    /// Nanoseconds since the Unix epoch, which is also where the monotonic clock begins.
    now: u64,
    /// Instants that somebody waits for, by handle.
    waits: BTreeMap<u32, u64>,
    next_wait: u32,
}

impl Inert {
    /// A world for one call of a component at an instant.
    pub(crate) fn new(component: &Digest, at: Timestamp) -> Self {
        Self {
            component: component.clone(),
            seed: None,
            drawn: 0,
            now: at.0.saturating_mul(1_000_000),
            waits: BTreeMap::new(),
            next_wait: 0,
        }
    }

    /// The clock stands, but for one nanosecond at each look: some runtimes spin until it moves.
    fn look_at_clock(&mut self) -> u64 {
        self.now = self.now.saturating_add(1);
        self.now
    }

    /// Starts a wait until an instant, and says under which number.
    fn wait(&mut self, until: u64) -> u32 {
        self.next_wait = self.next_wait.wrapping_add(1);
        self.waits.insert(self.next_wait, until);
        self.next_wait
    }

    fn is_over(&self, wait: u32) -> bool {
        self.waits.get(&wait).is_none_or(|until| *until <= self.now)
    }

    /// Sleeping takes no time: the clock is put forward to the first of these waits.
    fn sleep(&mut self, waits: &[u32]) {
        let until = waits.iter().filter_map(|wait| self.waits.get(wait)).min();
        self.now = self.now.max(until.copied().unwrap_or(0));
    }

    fn random(&mut self) -> [u8; 32] {
        let made = || Sha256::digest(self.component.text().as_str().as_bytes()).into();
        let seed: [u8; 32] = *self.seed.get_or_insert_with(made);
        let mut block = Sha256::new_with_prefix(seed);
        block.update(self.drawn.to_le_bytes());
        self.drawn += 1;
        block.finalize().into()
    }

    fn random_u64(&mut self) -> u64 {
        let [a, b, c, d, e, f, g, h, ..] = self.random();
        u64::from_le_bytes([a, b, c, d, e, f, g, h])
    }

    fn random_bytes(&mut self, count: u64) -> Result<Vec<u8>, Stop> {
        let limit = || Stop::limit("bytes of randomness at once", RANDOM_BYTES_MAX);
        let count = usize::try_from(count.min(RANDOM_BYTES_MAX + 1)).map_err(|_| limit())?;
        if count as u64 > RANDOM_BYTES_MAX {
            return Err(limit());
        }
        let mut bytes = Vec::with_capacity(count + 31);
        while bytes.len() < count {
            bytes.extend_from_slice(&self.random());
        }
        bytes.truncate(count);
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn world(component: &[u8]) -> Inert {
        let at = Timestamp(1_800_000_000_000);
        Inert::new(&crate::store::digest_of(component), at)
    }

    #[test]
    fn only_what_is_inert_is_known_and_only_of_wasi_0_2() {
        assert!(is_inert("wasi:cli/stderr@0.2.0"));
        assert!(is_inert("wasi:random/insecure-seed@0.2.12"));
        for import in [
            "wasi:sockets/tcp@0.2.0",
            "wasi:sockets/instance-network@0.2.0",
            "wasi:http/outgoing-handler@0.2.0",
            "wasi:cli/stderr",
            "wasi:cli/stderr@0.3.0",
            "wasi:cli/stderr@0.2.0-rc-2023-11-10",
            "wasi:cli/run@0.2.0",
            "wavegate:cli/stderr@0.2.0",
        ] {
            assert!(!is_inert(import), "{import}");
        }
    }

    #[test]
    fn randomness_is_that_of_the_component() {
        let (mut one, mut again, mut other) = (world(b"one"), world(b"one"), world(b"other"));
        let first = one.random_bytes(100).unwrap();
        assert_eq!(first.len(), 100);
        assert_eq!(first, again.random_bytes(100).unwrap());
        assert_ne!(first, other.random_bytes(100).unwrap());
        assert_ne!(one.random_u64(), one.random_u64());
        assert!(one.random_bytes(RANDOM_BYTES_MAX).is_ok());
        assert!(one.random_bytes(u64::MAX).is_err());
    }

    #[test]
    fn the_clock_stands_and_sleeping_takes_no_time() {
        let mut world = world(b"one");
        let begun = world.look_at_clock();
        assert_eq!(world.look_at_clock(), begun + 1);
        let (long, short) = (world.wait(begun + 5_000), world.wait(begun + 1_000));
        assert!(!world.is_over(long) && !world.is_over(short));
        world.sleep(&[long, short]);
        assert!(world.is_over(short) && !world.is_over(long));
        world.sleep(&[long]);
        assert!(world.is_over(long));
    }
}
