//! The webhook against an app that is played by hand, on a clock moved by hand.

mod delivery;
mod failures;
mod fair;
mod limits;
mod sites;
mod rig;
mod simulation;
