//! The only way to the present instant.

use wavegate_model::Timestamp;

/// Tells the time. Real or simulated.
pub trait Clock: Send + Sync {
    /// The present instant.
    fn now(&self) -> Timestamp;
}
