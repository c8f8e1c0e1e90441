fn main() -> std::process::ExitCode {
    let mut args = std::env::args_os().skip(1);
    // First of all, while this process has one thread: a runner forks.
    if args.next().is_some_and(|arg| arg == "runner") {
        return mayday::runner::main(args);
    }
    std::process::ExitCode::SUCCESS
}
