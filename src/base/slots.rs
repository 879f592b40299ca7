//! A table of slots whose keys carry a generation.
//!
//! A key of a thing that is gone never finds the thing that took its slot: each
//! reuse raises the slot's generation. Freed slots are reused newest first.
//! Called by the hub (sessions, channels), the server (connections) and `net`.

use std::fmt;
use std::marker::PhantomData;

/// A slot and the generation in which it was filled. `T` keeps keys of different tables apart.
pub struct Key<T> {
    index: u32,
    generation: u32,
    of: PhantomData<fn() -> T>,
}

impl<T> Clone for Key<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Key<T> {}
impl<T> PartialEq for Key<T> {
    fn eq(&self, other: &Self) -> bool {
        self.index == other.index && self.generation == other.generation
    }
}
impl<T> Eq for Key<T> {}
impl<T> std::hash::Hash for Key<T> {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.to_u64().hash(state);
    }
}
impl<T> PartialOrd for Key<T> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl<T> Ord for Key<T> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.to_u64().cmp(&other.to_u64())
    }
}
impl<T> fmt::Debug for Key<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.index, self.generation)
    }
}

impl<T> Key<T> {
    /// The slot's place in its table.
    pub fn index(self) -> u32 {
        self.index
    }

    /// Index and generation in one word, as an event loop's token needs it.
    pub fn to_u64(self) -> u64 {
        (u64::from(self.generation) << 32) | u64::from(self.index)
    }

    /// The reverse of [`Key::to_u64`]. A key made up from other bits finds nothing.
    pub fn from_u64(word: u64) -> Self {
        Key {
            index: word as u32,
            generation: (word >> 32) as u32,
            of: PhantomData,
        }
    }
}

struct Slot<T> {
    generation: u32,
    value: Option<T>,
}

/// The table. Insert, get and remove are O(1).
pub struct Slots<T> {
    slots: Vec<Slot<T>>,
    free: Vec<u32>,
}

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Slots {
            slots: Vec::new(),
            free: Vec::new(),
        }
    }
}

impl<T> Slots<T> {
    /// Fills a free slot, or a new one, and returns its key.
    pub fn insert(&mut self, value: T) -> Key<T> {
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot {
                generation: 0,
                value: None,
            });
            (self.slots.len() - 1) as u32
        });
        let slot = &mut self.slots[index as usize];
        debug_assert!(slot.value.is_none(), "a free slot is empty");
        slot.value = Some(value);
        Key {
            index,
            generation: slot.generation,
            of: PhantomData,
        }
    }

    /// What `key` names, if it is still there.
    pub fn get(&self, key: Key<T>) -> Option<&T> {
        let slot = self.slots.get(key.index as usize)?;
        if slot.generation == key.generation {
            slot.value.as_ref()
        } else {
            None
        }
    }

    /// As [`Slots::get`], to change it.
    pub fn get_mut(&mut self, key: Key<T>) -> Option<&mut T> {
        let slot = self.slots.get_mut(key.index as usize)?;
        if slot.generation == key.generation {
            slot.value.as_mut()
        } else {
            None
        }
    }

    /// Empties the slot and makes its key stale. The slot may be reused at once.
    pub fn remove(&mut self, key: Key<T>) -> Option<T> {
        let slot = self.slots.get_mut(key.index as usize)?;
        if slot.generation != key.generation {
            return None;
        }
        let value = slot.value.take()?;
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(key.index);
        Some(value)
    }

    /// What stands in slot `index` now, whatever its generation, with its key.
    pub fn at(&self, index: u32) -> Option<(Key<T>, &T)> {
        let slot = self.slots.get(index as usize)?;
        let key = Key {
            index,
            generation: slot.generation,
            of: PhantomData,
        };
        slot.value.as_ref().map(|value| (key, value))
    }

    /// As [`Slots::at`], to change it.
    pub fn at_mut(&mut self, index: u32) -> Option<&mut T> {
        self.slots
            .get_mut(index as usize)
            .and_then(|slot| slot.value.as_mut())
    }

    /// As [`Slots::at_mut`], with its key.
    pub fn entry_mut(&mut self, index: u32) -> Option<(Key<T>, &mut T)> {
        let slot = self.slots.get_mut(index as usize)?;
        let key = Key {
            index,
            generation: slot.generation,
            of: PhantomData,
        };
        slot.value.as_mut().map(|value| (key, value))
    }

    /// How many slots are filled.
    pub fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// How many slots there are, filled or free: each index is below it.
    pub fn width(&self) -> u32 {
        self.slots.len() as u32
    }

    /// Whether no slot is filled.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All that is there, in slot order.
    pub fn iter(&self) -> impl Iterator<Item = (Key<T>, &T)> {
        (0..self.slots.len() as u32).filter_map(|index| self.at(index))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_key_does_not_find_its_slots_next_tenant() {
        let mut slots = Slots::default();
        let first = slots.insert("first");
        assert_eq!(slots.remove(first), Some("first"));
        let second = slots.insert("second");
        assert_eq!(first.index(), second.index());
        assert_eq!(slots.get(first), None);
        assert_eq!(slots.remove(first), None);
        assert_eq!(slots.get(second), Some(&"second"));
        assert_eq!(slots.len(), 1);
    }

    #[test]
    fn a_key_survives_the_event_loops_token() {
        let mut slots = Slots::default();
        let old = slots.insert(1);
        slots.remove(old);
        let key = slots.insert(2);
        assert_eq!(slots.get(Key::from_u64(key.to_u64())), Some(&2));
        assert_eq!(slots.get(Key::from_u64(u64::MAX)), None);
    }
}
