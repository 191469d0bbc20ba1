//! What one call may allocate, counted while it runs.

use crate::stop::Stop;
use wasmtime::ResourceLimiter;

/// Elements of all tables: function pointers of the largest guests are a few thousand.
pub(crate) const TABLE_ELEMENTS_MAX: usize = 20_000;
/// Core instances in a component; one of a toolchain has at most a dozen, with its adapters.
pub(crate) const INSTANCES_MAX: usize = 64;
/// Tables of all instances.
pub(crate) const TABLES_MAX: usize = 32;
/// Linear memories of all instances.
pub(crate) const MEMORIES_MAX: usize = 8;
/// Handles of the component model. The contract has no resources, so none is needed.
pub(crate) const HANDLES_MAX: usize = 256;

/// Counts memory and tables of a call, over all instances in it, and ends the call when it
/// wants more: a growth that fails silently would let it compute something else.
pub(crate) struct Meter {
    memory_max: u64,
    memory: u64,
    tables: usize,
}

impl Meter {
    pub(crate) fn new(memory_max: u64) -> Self {
        Self {
            memory_max,
            memory: 0,
            tables: 0,
        }
    }

    /// Bytes of linear memory. A memory never shrinks during a call, so this is also the peak.
    pub(crate) fn memory_bytes(&self) -> u64 {
        self.memory
    }
}

impl ResourceLimiter for Meter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let after = self.memory.saturating_add((desired - current) as u64);
        if after > self.memory_max {
            return Err(Stop::limit("memory in bytes", self.memory_max).into());
        }
        // The guest's own maximum is its own affair: it is told -1, as everywhere.
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        self.memory = after;
        Ok(true)
    }

    fn memory_grow_failed(&mut self, _: wasmtime::Error) -> wasmtime::Result<()> {
        Err(Stop::limit("memory that the host can give, in bytes", self.memory).into())
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let after = self.tables.saturating_add(desired - current);
        if after > TABLE_ELEMENTS_MAX {
            return Err(Stop::limit("table elements", TABLE_ELEMENTS_MAX as u64).into());
        }
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        self.tables = after;
        Ok(true)
    }

    fn table_grow_failed(&mut self, _: wasmtime::Error) -> wasmtime::Result<()> {
        Err(Stop::limit("table elements that the host can give", self.tables as u64).into())
    }

    fn instances(&self) -> usize {
        INSTANCES_MAX
    }

    fn tables(&self) -> usize {
        TABLES_MAX
    }

    fn memories(&self) -> usize {
        MEMORIES_MAX
    }
}
