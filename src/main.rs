//! The `pullgate` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    pullgate::command::main()
}
