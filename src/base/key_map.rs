//! Maps whose keys nobody outside chooses.
//!
//! The standard hash withstands keys that were chosen to collide, which costs more than
//! the rest of a lookup. Keys of slots and random session ids are Chloe's own, so nobody can choose
//! them. Names and addresses come from peers: their maps stay with the standard hash.
//! Called by the hub and the server.

use std::collections::HashMap;

use rustc_hash::FxBuildHasher;

/// A map from keys that Chloe made itself.
pub type KeyMap<K, V> = HashMap<K, V, FxBuildHasher>;
