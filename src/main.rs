//! mayday: parse, install error reports, dispatch.

use std::process::ExitCode;

use clap::Parser;
use mayday::cli::{Cli, Cmd, Failure};

fn main() -> ExitCode {
    // A runner is started thousands of times and must be small and quick: nothing else is set up for it.
    let mut args = std::env::args_os().skip(1);
    if args.next().is_some_and(|a| a == "runner") {
        return mayday::runner::main(args);
    }
    let _ = color_eyre::config::HookBuilder::default().display_env_section(false).install();
    mayday::sys::tls::install_provider();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(e) => {
            let _ = e.print();
            return ExitCode::from(usage_code(&e));
        }
    };
    let status = matches!(cli.command, Some(Cmd::Status));
    match mayday::dispatch::run(cli) {
        Ok(code) => ExitCode::from(code),
        Err(Failure { code, text }) => {
            // It may quote what was typed or what came from outside.
            eprintln!("mayday: {}", mayday::text::clean_lines(&text, 4096));
            ExitCode::from(if status && code < 64 { mayday::cli::exit::STATUS_FAILED } else { code })
        }
    }
}

/// The code for a command line that cannot be read. `mayday status` has codes of its own, because 2 is "down" there.
fn usage_code(e: &clap::Error) -> u8 {
    let named = |word: &str| std::env::args_os().skip(1).any(|a| a == word);
    match e.exit_code() {
        0 => 0,
        _ if named("status") && !named("incident") && !named("engine") => mayday::cli::exit::STATUS_FAILED,
        _ => mayday::cli::exit::USAGE,
    }
}
