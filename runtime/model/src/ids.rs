//! Typed ids. Names come from documents, numbers are counted by the engine.

use alloc::string::{String, ToString};
use core::fmt;
use serde::{Deserialize, Serialize};

macro_rules! name_type {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Wraps a name that was checked where it was read.
            pub fn new(name: impl Into<String>) -> Self {
                Self(name.into())
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl From<&str> for $name {
            fn from(name: &str) -> Self {
                Self(name.to_string())
            }
        }
    )*};
}

name_type! {
    /// Name of a cluster, unique in its fleet.
    ClusterName;
    /// Name of a gate, unique in its policy.
    GateName;
    /// Name of a policy document.
    PolicyName;
    /// Id of a rollout, unique in a journal.
    RolloutId;
    /// Name of a service; a cluster can run several.
    ServiceName;
    /// Name of a site: the cluster's name, or the value of the label that pairs clusters.
    SiteName;
    /// Name that a gate gives to a source it needs.
    SlotName;
    /// Name of a source document.
    SourceName;
    /// Name of a wave, unique in its policy.
    WaveName;
}

macro_rules! number_type {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub u64);

        impl $name {
            /// The number after this one.
            #[must_use]
            pub fn next(self) -> Self {
                Self(self.0 + 1)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )*};
}

number_type! {
    /// Id of a command, unique in its rollout, rising.
    CommandId;
    /// Id of a question to a plugin, unique in its rollout, rising.
    ConsultationId;
    /// Counts who has owned a (cluster, service); kept with the cluster, rising.
    Epoch;
    /// Version of a rollout's plan, rising; generations compare within an epoch only.
    Generation;
}

/// A digest: `sha256:` and 64 lower-case hex digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest(String);

/// The text is not a digest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a digest: expected `sha256:` and 64 lower-case hex digits")]
pub struct NotADigest(pub String);

impl Digest {
    /// Parses `sha256:<64 hex digits>`.
    pub fn parse(text: &str) -> Result<Self, NotADigest> {
        let hex = text.strip_prefix("sha256:").unwrap_or_default();
        let is_hex = |c: u8| c.is_ascii_digit() || (b'a'..=b'f').contains(&c);
        if hex.len() == 64 && hex.bytes().all(is_hex) {
            Ok(Self(text.to_string()))
        } else {
            Err(NotADigest(text.to_string()))
        }
    }

    /// Makes a digest from the 32 bytes of a SHA-256 sum.
    pub fn from_sha256(sum: &[u8; 32]) -> Self {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        let mut text = String::with_capacity(71);
        text.push_str("sha256:");
        for byte in sum {
            text.push(char::from(HEX[usize::from(byte >> 4)]));
            text.push(char::from(HEX[usize::from(byte & 15)]));
        }
        Self(text)
    }

    /// `sha256:` and the hex digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first 12 hex digits, for people.
    pub fn short(&self) -> &str {
        &self.0[7..19]
    }

    /// The 64 hex digits alone, for file names.
    pub fn hex(&self) -> &str {
        &self.0[7..]
    }
}

impl TryFrom<String> for Digest {
    type Error = NotADigest;
    fn try_from(text: String) -> Result<Self, NotADigest> {
        Self::parse(&text)
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_checked() {
        let good = Digest::from_sha256(&[0xab; 32]);
        assert_eq!(Digest::parse(good.as_str()), Ok(good.clone()));
        assert_eq!(good.short(), "abababababab");
        assert!(Digest::parse("sha256:abc").is_err());
        assert!(Digest::parse(&good.as_str().to_uppercase()).is_err());
    }
}
