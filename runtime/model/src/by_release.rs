//! Values by release.
//!
//! A cluster runs one release or two. They stand side by side, in order: a tree of them would
//! take ten times the memory of each observation, and that is what a large fleet is slow by.

use crate::ids::Digest;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::fmt;
use core::ops::Index;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Values by release, in the order of the digests.
#[derive(Clone, PartialEq, Eq)]
pub struct ByRelease<V>(Vec<(Digest, V)>);

impl<V> ByRelease<V> {
    /// Nothing of any release.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// How many releases there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no release.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The value of a release.
    pub fn get(&self, release: &Digest) -> Option<&V> {
        let found = self.0.iter().find(|(digest, _)| digest == release);
        found.map(|(_, value)| value)
    }

    /// Whether there is a value of this release.
    pub fn contains_key(&self, release: &Digest) -> bool {
        self.get(release).is_some()
    }

    /// All releases with their values, in order.
    pub fn iter(&self) -> Rows<'_, V> {
        self.into_iter()
    }

    /// All releases, in order.
    pub fn keys(&self) -> impl Iterator<Item = &Digest> {
        self.0.iter().map(|(digest, _)| digest)
    }

    /// All values, in the order of their releases.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.0.iter().map(|(_, value)| value)
    }
}

impl<V> Default for ByRelease<V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<V> FromIterator<(Digest, V)> for ByRelease<V> {
    /// Of values of one release the last stays.
    fn from_iter<I: IntoIterator<Item = (Digest, V)>>(values: I) -> Self {
        let mut rows: Vec<(Digest, V)> = Vec::with_capacity(2);
        for (digest, value) in values {
            match rows.binary_search_by(|(known, _)| known.cmp(&digest)) {
                Ok(place) => rows[place].1 = value,
                Err(place) => rows.insert(place, (digest, value)),
            }
        }
        Self(rows)
    }
}

impl<V, const N: usize> From<[(Digest, V); N]> for ByRelease<V> {
    fn from(values: [(Digest, V); N]) -> Self {
        values.into_iter().collect()
    }
}

impl<V> From<BTreeMap<Digest, V>> for ByRelease<V> {
    fn from(values: BTreeMap<Digest, V>) -> Self {
        Self(values.into_iter().collect())
    }
}

/// Releases with their values, in order.
pub type Rows<'a, V> =
    core::iter::Map<core::slice::Iter<'a, (Digest, V)>, fn(&'a (Digest, V)) -> (&'a Digest, &'a V)>;

impl<'a, V> IntoIterator for &'a ByRelease<V> {
    type Item = (&'a Digest, &'a V);
    type IntoIter = Rows<'a, V>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter().map(|(digest, value)| (digest, value))
    }
}

impl<V> IntoIterator for ByRelease<V> {
    type Item = (Digest, V);
    type IntoIter = alloc::vec::IntoIter<(Digest, V)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<V> Index<&Digest> for ByRelease<V> {
    type Output = V;

    /// # Panics
    /// If there is no value of this release.
    fn index(&self, release: &Digest) -> &V {
        self.get(release).expect("a value of this release")
    }
}

impl<V: fmt::Debug> fmt::Debug for ByRelease<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self).finish()
    }
}

impl<V: Serialize> Serialize for ByRelease<V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self)
    }
}

impl<'de, V: Deserialize<'de>> Deserialize<'de> for ByRelease<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        BTreeMap::deserialize(deserializer).map(Self::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_stand_in_order_and_the_last_value_counts() {
        let digest = |n| Digest::from_sha256(&[n; 32]);
        let values = ByRelease::from([(digest(2), 'b'), (digest(1), 'a'), (digest(2), 'c')]);
        assert_eq!(values.len(), 2);
        assert!(values.keys().eq(&[digest(1), digest(2)]));
        assert_eq!(values[&digest(2)], 'c');
        assert_eq!(values.get(&digest(3)), None);
        let tree: BTreeMap<Digest, char> = values.clone().into_iter().collect();
        assert_eq!(ByRelease::from(tree), values);
    }
}
