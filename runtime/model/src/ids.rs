//! Typed ids. Names come from documents, numbers are counted by the engine.
//!
//! Names are copied into every fact, question and command. A copy shares its text with the
//! original, so that it costs neither memory nor time.

use alloc::string::{String, ToString};
use alloc::sync::Arc;
use core::cmp::Ordering;
use core::fmt;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Text that copies share, with its hash: what is looked up by name in a
/// [`Table`](crate::table::Table) is found without reading the text.
#[derive(Clone)]
struct Text {
    text: Arc<str>,
    hash: u64,
}

impl Text {
    fn new(text: impl Into<Arc<str>>) -> Self {
        let text = text.into();
        let hash = hash(&text);
        Self { text, hash }
    }
}

/// Spreads names that differ in a few letters only, as names of clusters do. Names come from the
/// fleet's own documents, so nobody gains from making them collide.
fn hash(text: &str) -> u64 {
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut sum = 0_u64;
    for part in text.as_bytes().chunks(8) {
        let mut word = [0; 8];
        word[..part.len()].copy_from_slice(part);
        sum = (sum.rotate_left(23) ^ u64::from_le_bytes(word)).wrapping_mul(FACTOR);
        sum ^= sum >> 32;
    }
    sum
}

impl PartialEq for Text {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        // Most names are compared with copies of themselves.
        self.hash == other.hash && (Arc::ptr_eq(&self.text, &other.text) || self.text == other.text)
    }
}

impl Eq for Text {}

impl core::hash::Hash for Text {
    fn hash<H: core::hash::Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

impl Ord for Text {
    #[inline]
    fn cmp(&self, other: &Self) -> Ordering {
        if Arc::ptr_eq(&self.text, &other.text) {
            Ordering::Equal
        } else {
            self.text.cmp(&other.text)
        }
    }
}

impl PartialOrd for Text {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.text.fmt(f)
    }
}

impl Serialize for Text {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
    }
}

macro_rules! name_type {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Text);

        impl $name {
            /// Wraps a name that was checked where it was read.
            pub fn new(name: impl Into<String>) -> Self {
                Self(Text::new(name.into()))
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0.text
            }
        }

        impl crate::table::Key for $name {
            #[inline]
            fn hash(&self) -> u64 {
                self.0.hash
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl From<&str> for $name {
            fn from(name: &str) -> Self {
                Self(Text::new(name))
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

/// A digest: the 32 bytes of a SHA-256 sum, written as `sha256:` and 64 lower-case hex digits.
///
/// Every look at a cluster compares digests, so that they are kept where they are used: text
/// behind a pointer would be one more wait for memory each time.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct Digest([u8; 32]);

/// The text is not a digest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a digest: expected `sha256:` and 64 lower-case hex digits")]
pub struct NotADigest(pub String);

impl Digest {
    /// Parses `sha256:<64 hex digits>`.
    pub fn parse(text: &str) -> Result<Self, NotADigest> {
        let hex = text.strip_prefix("sha256:").unwrap_or_default().as_bytes();
        let value = |digit: u8| match digit {
            b'0'..=b'9' => Some(digit - b'0'),
            b'a'..=b'f' => Some(digit - b'a' + 10),
            _ => None,
        };
        let mut sum = [0; 32];
        let fits = hex.len() == 2 * sum.len();
        let read = sum.iter_mut().zip(hex.chunks_exact(2)).all(|(byte, two)| {
            let both = value(two[0]).zip(value(two[1]));
            both.is_some_and(|(high, low)| {
                *byte = high << 4 | low;
                true
            })
        });
        if fits && read {
            Ok(Self(sum))
        } else {
            Err(NotADigest(text.to_string()))
        }
    }

    /// Makes a digest from the 32 bytes of a SHA-256 sum.
    pub fn from_sha256(sum: &[u8; 32]) -> Self {
        Self(*sum)
    }

    /// `sha256:` and the hex digits.
    pub fn text(&self) -> DigestText {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        let mut text = *b"sha256:0000000000000000000000000000000000000000000000000000000000000000";
        for (two, byte) in text[PREFIX..].chunks_exact_mut(2).zip(self.0) {
            two[0] = HEX[usize::from(byte >> 4)];
            two[1] = HEX[usize::from(byte & 15)];
        }
        DigestText(text)
    }
}

/// Length of `sha256:`.
const PREFIX: usize = 7;

/// A digest as text.
#[derive(Clone)]
pub struct DigestText([u8; PREFIX + 64]);

impl DigestText {
    /// `sha256:` and the hex digits.
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(&self.0).expect("hex digits are ASCII")
    }

    /// The first 12 hex digits, for people.
    pub fn short(&self) -> &str {
        &self.as_str()[PREFIX..PREFIX + 12]
    }

    /// The 64 hex digits alone, for file names.
    pub fn hex(&self) -> &str {
        &self.as_str()[PREFIX..]
    }
}

impl TryFrom<String> for Digest {
    type Error = NotADigest;
    fn try_from(text: String) -> Result<Self, NotADigest> {
        Self::parse(&text)
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.text().as_str())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text().as_str())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({:?})", self.text().as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_checked() {
        let good = Digest::from_sha256(&[0xab; 32]);
        assert_eq!(Digest::parse(good.text().as_str()), Ok(good.clone()));
        assert_eq!(good.text().short(), "abababababab");
        let text = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
        let read = Digest::parse(text).unwrap();
        assert_eq!(read.to_string(), text);
        assert_eq!(read.text().hex(), &text[7..]);
        assert!(Digest::parse("sha256:abc").is_err());
        assert!(Digest::parse(&text[7..]).is_err());
        assert!(Digest::parse(&text.replace('f', "g")).is_err());
        assert!(Digest::parse(&good.text().as_str().to_uppercase()).is_err());
    }
}
