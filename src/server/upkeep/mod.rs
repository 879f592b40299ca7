//! What the server does without being asked: deadlines, too much memory, its own end.
//!
//! `due` does what it is time for, `shed` closes the largest connection when memory is
//! short, `leave` sends everybody away when the server stops or hands over. What each of
//! these means for a connection is said by the file that knows its protocol. How far the
//! server's end has come is state of `core::leaving`.
//!
//! Called by the server, in `handle_timeout` and after bytes came or went.

pub mod leave;
pub mod due;
pub mod shed;
