//! What of the server outlives its process.
//!
//! `file` writes and reads all of it as bytes, piece by piece; each part is written and read
//! by its owner (`hub`, the webhook, `session`). It opens no file and chooses no moment: the
//! command line does the first, `upkeep::leave` the second.
//!
//! Called by the server and, through it, by the command line.

pub mod file;
