//! The program `chloe`: hands its arguments to [`chloe::cli`] and ends with its exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    chloe::cli::main()
}
