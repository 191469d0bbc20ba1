//! What a disk may hold after a loss of power, from the log of `disk.c`.
//!
//! What was synced is there. Of what was not, any part may be: a write may be missing while a
//! later one is there, a write may be torn between sectors, and a name may be missing or come
//! back until its folder was synced.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// A change of a file, or a finished sync of a file or (with no name) of the folder.
#[derive(Debug)]
pub(crate) struct Op {
    pub(crate) kind: Kind,
    pub(crate) name: String,
    offset: usize,
    pub(crate) data: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Write,
    Truncate,
    Unlink,
    Sync,
}

pub(crate) fn parse(mut log: &[u8]) -> Vec<Op> {
    fn take<'a>(log: &mut &'a [u8], length: usize) -> &'a [u8] {
        let (taken, rest) = log.split_at(length);
        *log = rest;
        taken
    }
    fn number(log: &mut &[u8]) -> usize {
        let bytes = take(log, 8).try_into().expect("eight bytes");
        usize::try_from(u64::from_ne_bytes(bytes)).expect("it fits")
    }
    let mut ops = Vec::new();
    while !log.is_empty() {
        let kind = match take(&mut log, 1) {
            b"w" => Kind::Write,
            b"t" => Kind::Truncate,
            b"u" => Kind::Unlink,
            b"s" => Kind::Sync,
            other => panic!("unknown kind {other:?}"),
        };
        let length = number(&mut log);
        let name = String::from_utf8(take(&mut log, length).to_vec()).expect("text");
        let offset = number(&mut log);
        let length = number(&mut log);
        ops.push(Op {
            kind,
            name,
            offset,
            data: take(&mut log, length).to_vec(),
        });
    }
    ops
}

/// What becomes of what was not synced.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fate {
    Lost,
    Kept,
    /// Each part by itself, from this seed.
    Chance(u64),
}

impl Fate {
    /// Decides about one part, with one of `cases` outcomes: 0 is lost, the last is kept.
    fn of(&mut self, cases: u64) -> u64 {
        match self {
            Fate::Lost => 0,
            Fate::Kept => cases - 1,
            Fate::Chance(state) => {
                // xorshift64
                *state ^= *state << 13;
                *state ^= *state >> 7;
                *state ^= *state << 17;
                *state % cases
            }
        }
    }
}

#[derive(Default)]
struct File<'a> {
    synced: Vec<u8>,
    pending: Vec<&'a Op>,
    is_named: bool,
    is_unlinked: bool,
}

/// The disk while the log is read.
#[derive(Default)]
pub(crate) struct Disk<'a> {
    files: BTreeMap<&'a str, File<'a>>,
}

const SECTOR: usize = 512;

impl<'a> Disk<'a> {
    pub(crate) fn follow(&mut self, op: &'a Op) {
        match op.kind {
            Kind::Sync if op.name.is_empty() => {
                self.files.retain(|_, file| !file.is_unlinked);
                self.files
                    .values_mut()
                    .for_each(|file| file.is_named = true);
            }
            Kind::Sync => {
                if let Some(file) = self.files.get_mut(op.name.as_str()) {
                    for op in file.pending.drain(..) {
                        carry_out(op, op.data.len(), &mut file.synced);
                    }
                }
            }
            Kind::Unlink => {
                if let Some(file) = self.files.get_mut(op.name.as_str()) {
                    file.is_unlinked = true;
                }
            }
            Kind::Write | Kind::Truncate => {
                let file = self.files.entry(&op.name).or_default();
                if file.is_unlinked {
                    *file = File::default();
                }
                file.pending.push(op);
            }
        }
    }

    /// Writes what the disk holds after a loss of power now into an empty folder.
    pub(crate) fn lose_power(&self, fate: &mut Fate, folder: &Path) {
        for (name, file) in &self.files {
            let path = folder.join(name);
            let is_there = match (file.is_named, file.is_unlinked) {
                (true, false) => true,
                (false, true) => false,
                (false, false) => fate.of(2) == 1,
                (true, true) => fate.of(2) == 0,
            };
            if !is_there {
                continue;
            }
            let mut bytes = file.synced.clone();
            for op in &file.pending {
                let sectors = op.data.len().div_ceil(SECTOR);
                // Lost, torn, or whole.
                match fate.of(3) {
                    0 => {}
                    1 => {
                        let some = usize::try_from(fate.of(sectors as u64 + 1)).expect("it fits");
                        carry_out(op, (some * SECTOR).min(op.data.len()), &mut bytes);
                    }
                    _ => carry_out(op, op.data.len(), &mut bytes),
                }
            }
            fs::write(path, bytes).expect("writes");
        }
    }
}

fn carry_out(op: &Op, length: usize, bytes: &mut Vec<u8>) {
    match op.kind {
        Kind::Write => {
            let end = op.offset + length;
            if bytes.len() < end {
                bytes.resize(end, 0);
            }
            bytes[op.offset..end].copy_from_slice(&op.data[..length]);
        }
        Kind::Truncate => bytes.resize(op.offset, 0),
        Kind::Unlink | Kind::Sync => {}
    }
}
