//! The allocator of a guest: first an arena inside the memory that an instance begins with, then
//! the standard one.
//!
//! Every call gets a new instance, so the first allocation of the standard allocator would grow
//! the memory each time, and the host would have to undo it: two system calls, as dear as the
//! rest of a small call. The arena costs nothing until its pages are touched.

use core::alloc::{GlobalAlloc, Layout};
use core::cell::{Cell, UnsafeCell};
use std::alloc::System;

/// A call of the shipped plugins with a view of some ten clusters needs less than half of this;
/// larger calls go on with the standard allocator.
const ARENA_BYTES: usize = 128 << 10;

struct Arena {
    bytes: UnsafeCell<[u8; ARENA_BYTES]>,
    used: Cell<usize>,
}

#[expect(unsafe_code, reason = "a guest has one thread")]
// SAFETY: the contract has no threads, so nothing is ever accessed twice at once.
unsafe impl Sync for Arena {}

#[cfg(target_arch = "wasm32")]
#[global_allocator]
static ARENA: Arena = Arena::new();

impl Arena {
    const fn new() -> Self {
        Self {
            bytes: UnsafeCell::new([0; ARENA_BYTES]),
            used: Cell::new(0),
        }
    }

    fn start(&self) -> usize {
        self.bytes.get() as usize
    }

    /// Whether a pointer came from the arena; gives its offset.
    fn offset(&self, pointer: *mut u8) -> Option<usize> {
        let offset = (pointer as usize).wrapping_sub(self.start());
        (offset < ARENA_BYTES).then_some(offset)
    }
}

#[expect(unsafe_code, reason = "an allocator hands out raw memory")]
// SAFETY: blocks of the arena are aligned, lie inside it and never overlap, because `used` only
// falls when the last block is freed; all other blocks are those of the standard allocator.
unsafe impl GlobalAlloc for Arena {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let start = self.start();
        let aligned = (start + self.used.get()).next_multiple_of(layout.align()) - start;
        match aligned.checked_add(layout.size()) {
            Some(end) if end <= ARENA_BYTES => {
                self.used.set(end);
                (start + aligned) as *mut u8
            }
            // SAFETY: passed on as it came.
            _ => unsafe { System.alloc(layout) },
        }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        match self.offset(pointer) {
            Some(offset) if offset + layout.size() == self.used.get() => self.used.set(offset),
            // Not the last block: it is given back with the instance.
            Some(_) => {}
            // SAFETY: not from the arena, so from the standard allocator.
            None => unsafe { System.dealloc(pointer, layout) },
        }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let Some(offset) = self.offset(pointer) else {
            // SAFETY: not from the arena, so from the standard allocator.
            return unsafe { System.realloc(pointer, layout, size) };
        };
        if offset + layout.size() == self.used.get() && offset + size <= ARENA_BYTES {
            self.used.set(offset + size);
            return pointer;
        }
        if size <= layout.size() {
            return pointer;
        }
        // SAFETY: the alignment was valid and the caller vouches for the size; the new block is
        // larger than the old one and does not overlap it.
        unsafe {
            let new = self.alloc(Layout::from_size_align_unchecked(size, layout.align()));
            if !new.is_null() {
                core::ptr::copy_nonoverlapping(pointer, new, layout.size());
            }
            new
        }
    }
}

#[cfg(test)]
#[expect(unsafe_code, reason = "an allocator is tested by its raw interface")]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_aligned_keep_their_bytes_and_go_on_beyond_the_arena() {
        let arena = Box::new(Arena::new());
        let layout = |size| Layout::from_size_align(size, 16).expect("a valid layout");
        // SAFETY: every block is used within its size and freed with the layout it has.
        unsafe {
            let first = arena.alloc(layout(10));
            let second = arena.alloc(layout(100));
            assert!(arena.offset(first).is_some() && arena.offset(second).is_some());
            assert_eq!((first as usize % 16, second as usize % 16), (0, 0));
            second.write_bytes(7, 100);
            first.write_bytes(3, 10);
            assert_eq!(
                arena.realloc(second, layout(100), 200),
                second,
                "the last block grows in place"
            );
            let moved = arena.realloc(first, layout(10), 64);
            assert_ne!(moved, first, "any other block moves");
            assert_eq!((*moved, *moved.add(9), *second.add(99)), (3, 3, 7));
            let large = arena.realloc(moved, layout(64), ARENA_BYTES);
            assert!(
                arena.offset(large).is_none(),
                "what does not fit comes from the system"
            );
            assert_eq!(*large.add(9), 3);
            let larger = arena.realloc(large, layout(ARENA_BYTES), 2 * ARENA_BYTES);
            arena.dealloc(larger, layout(2 * ARENA_BYTES));
            let used = arena.used.get();
            let last = arena.alloc(layout(32));
            arena.dealloc(last, layout(32));
            assert_eq!(
                arena.used.get(),
                used.next_multiple_of(16),
                "the last block is given back"
            );
        }
    }
}
