//! One module per released contract. Each knows the types of its version, and nobody else does.

pub(crate) mod v0_1;

/// Contracts that this host speaks, for messages.
pub(crate) const KNOWN: &str = "0.1.x";
/// The package of every contract.
pub(crate) const PACKAGE: &str = "wavegate:plugin";

/// Whether this host speaks a version of the contract. Released types never change, so all
/// versions of 0.1 are alike.
pub(crate) fn is_known(version: &str) -> bool {
    let patch = version.strip_prefix("0.1.");
    patch.is_some_and(|patch| !patch.is_empty() && patch.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    #[test]
    fn only_released_versions_are_known() {
        assert!(super::is_known("0.1.0"));
        assert!(super::is_known("0.1.12"));
        for unknown in ["0.9.0", "0.1", "0.1.", "0.1.0-rc.1", "1.0.0", "0.10.0", ""] {
            assert!(!super::is_known(unknown), "{unknown}");
        }
    }
}
