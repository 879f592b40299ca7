//! FLOOR 1: values and containers that know nothing of the web.

pub mod address;
pub mod buffer;
pub mod key_map;
pub mod holdings;
pub mod names;
pub mod outbox;
pub mod random;
pub mod record;
pub mod shares;
pub mod slots;
pub mod time;
pub mod timers;
