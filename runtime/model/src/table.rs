//! Rows by name: fixed when the table is made, listed in order, found by hash.
//!
//! What belongs to a cluster or a site is looked up many times in each step. In a large fleet a
//! search through a tree of names misses the processor's caches at every turn; here a row is one
//! look at a small index away. Nothing that can be seen depends on the hash.

use alloc::vec::Vec;
use core::fmt;
use core::ops::Index;

/// A name with its hash.
pub trait Key: Ord {
    /// Equal for equal names, and spread over all bits.
    fn hash(&self) -> u64;
}

/// Rows that are found by a name and listed in its order.
#[derive(Clone)]
pub struct Table<K, V> {
    /// In the order of their names.
    rows: Vec<(K, V)>,
    /// Numbers of rows, counted from 1; 0 is a free place. A row is at the place of its hash or
    /// at one after it, with no free place between. At least half of the places are free, and
    /// their number is a power of two.
    places: Vec<u32>,
}

impl<K: Key, V> Table<K, V> {
    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The row of a name.
    pub fn get(&self, name: &K) -> Option<&V> {
        self.find(name).map(|row| &self.rows[row].1)
    }

    /// The row of a name.
    pub fn get_mut(&mut self, name: &K) -> Option<&mut V> {
        let row = self.find(name)?;
        Some(&mut self.rows[row].1)
    }

    /// Whether there is a row of this name.
    pub fn contains_key(&self, name: &K) -> bool {
        self.find(name).is_some()
    }

    /// All rows in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&K, &V)> + Clone {
        self.rows.iter().map(|(name, row)| (name, row))
    }

    /// All names in order.
    pub fn keys(&self) -> impl DoubleEndedIterator<Item = &K> + Clone {
        self.rows.iter().map(|(name, _)| name)
    }

    /// All rows in order, without their names.
    pub fn values(&self) -> impl DoubleEndedIterator<Item = &V> + Clone {
        self.rows.iter().map(|(_, row)| row)
    }

    /// All rows in order, to be changed.
    pub fn values_mut(&mut self) -> impl DoubleEndedIterator<Item = &mut V> {
        self.rows.iter_mut().map(|(_, row)| row)
    }

    /// All rows in order, to make another table of.
    pub fn into_rows(self) -> Vec<(K, V)> {
        self.rows
    }

    fn find(&self, name: &K) -> Option<usize> {
        let mut place = self.place_of(name)?;
        loop {
            let row = usize::try_from(self.places[place]).ok()?.checked_sub(1)?;
            if self.rows[row].0 == *name {
                return Some(row);
            }
            place = (place + 1) & (self.places.len() - 1);
        }
    }

    /// Where the search for a name begins; none in an empty table.
    fn place_of(&self, name: &K) -> Option<usize> {
        let mask = u64::try_from(self.places.len().checked_sub(1)?).ok()?;
        usize::try_from(name.hash() & mask).ok()
    }
}

impl<K: Key, V> FromIterator<(K, V)> for Table<K, V> {
    /// Of rows with one name the first stays.
    fn from_iter<I: IntoIterator<Item = (K, V)>>(rows: I) -> Self {
        let mut rows: Vec<(K, V)> = rows.into_iter().collect();
        rows.sort_by(|a, b| a.0.cmp(&b.0));
        rows.dedup_by(|later, first| later.0 == first.0);
        let mut table = Self {
            places: alloc::vec![0; (rows.len() * 2).next_power_of_two()],
            rows,
        };
        for row in 0..table.rows.len() {
            let Some(mut place) = table.place_of(&table.rows[row].0) else {
                continue;
            };
            while table.places[place] != 0 {
                place = (place + 1) & (table.places.len() - 1);
            }
            table.places[place] = u32::try_from(row + 1).unwrap_or(0);
        }
        table
    }
}

impl<K, V> Default for Table<K, V> {
    fn default() -> Self {
        Self {
            rows: Vec::new(),
            places: alloc::vec![0],
        }
    }
}

impl<K: PartialEq, V: PartialEq> PartialEq for Table<K, V> {
    fn eq(&self, other: &Self) -> bool {
        self.rows == other.rows
    }
}

impl<K: fmt::Debug, V: fmt::Debug> fmt::Debug for Table<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map()
            .entries(self.rows.iter().map(|(name, row)| (name, row)))
            .finish()
    }
}

impl<K: Key, V> Index<&K> for Table<K, V> {
    type Output = V;

    /// # Panics
    /// If there is no row of this name.
    fn index(&self, name: &K) -> &V {
        self.get(name).expect("the table has this row")
    }
}

/// Rows of a table with their names, in order.
pub type Rows<'a, K, V> =
    core::iter::Map<core::slice::Iter<'a, (K, V)>, fn(&'a (K, V)) -> (&'a K, &'a V)>;

impl<'a, K, V> IntoIterator for &'a Table<K, V> {
    type Item = (&'a K, &'a V);
    type IntoIter = Rows<'a, K, V>;

    fn into_iter(self) -> Self::IntoIter {
        self.rows.iter().map(|(name, row)| (name, row))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ClusterName;
    use alloc::format;

    #[test]
    fn every_row_is_found_and_listed_in_order() {
        for count in [0, 1, 2, 3, 100, 3000] {
            let name = |n: u32| ClusterName::new(format!("cluster-{n:05}"));
            let mut table: Table<_, _> = (0..count).rev().map(|n| (name(n), n)).collect();
            assert_eq!(table.len(), usize::try_from(count).unwrap());
            assert!(table.values().copied().eq(0..count), "in order");
            for n in 0..count {
                assert_eq!(table.get(&name(n)), Some(&n));
                *table.get_mut(&name(n)).unwrap() += 1;
                assert_eq!(table[&name(n)], n + 1);
            }
            assert!(!table.contains_key(&name(count)));
        }
        assert_eq!(Table::<ClusterName, u32>::default().get(&"a".into()), None);
    }

    #[test]
    fn names_that_follow_each_other_take_places_of_their_own() {
        let names = (0..10_000).map(|n| ClusterName::new(format!("c{n:05}")));
        let table: Table<_, ()> = names.map(|name| (name, ())).collect();
        let far = |name: &ClusterName| {
            let first = table.place_of(name).unwrap();
            let row = u32::try_from(table.find(name).unwrap() + 1).unwrap();
            let found = table.places.iter().position(|place| *place == row).unwrap();
            found.wrapping_sub(first) & (table.places.len() - 1)
        };
        let steps: usize = table.keys().map(far).sum();
        assert!(steps < 2 * table.len(), "{steps} places were looked at");
    }
}
