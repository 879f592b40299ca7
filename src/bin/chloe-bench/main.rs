//! `chloe-bench`: how much Chloe and its peers do, and what that costs.
//!
//! A load generator, the bare servers that are the limit of the machine, and
//! the reading of what the kernel counts. No part of Chloe: of its library it
//! uses the codecs. Run by people and by `benches/report`.

#![expect(dead_code, reason = "the format of a peer's file comes first")]

mod template;
mod peer;
mod section;
mod peer_file;

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.as_slice() {
        [command, file] if command == "check" => match peer_file::load(file) {
            Ok((peer, _)) => {
                println!("{peer:#?}");
                ExitCode::SUCCESS
            }
            Err(error) => {
                eprintln!("chloe-bench: {error}");
                ExitCode::FAILURE
            }
        },
        _ => {
            eprintln!("chloe-bench: chloe-bench check FILE");
            ExitCode::FAILURE
        }
    }
}
