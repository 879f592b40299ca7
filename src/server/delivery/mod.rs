//! What each connection writes next: answers, then what its session is behind in.
//!
//! It takes bytes from the outbox, the channels' logs or a file and gives them to a writer;
//! it decides nothing about who gets what (`hub`), and does not choose whose turn it is
//! (`Server::poll_transmit`). How a batch looks is said by `crate::transport`. A transport
//! that writes in another way has its own file here.
//!
//! Called by the server's `transmit`, and by `browser` when a session is owed something.

pub mod batches;
pub mod frames;
pub mod transmit;
