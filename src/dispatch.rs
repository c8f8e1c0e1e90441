//! Which command does what: the one place that knows every folder. Part of the top floor, beside `main`.

mod backups;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::cli::args::{BackupsCmd, Cli, Cmd, ConfigCmd, EngineCmd, Global, JournalCmd, RunsCmd};
use crate::cli::backups as listing;
use crate::cli::playbook::PlaybookCmd;
use crate::cli::{
    Failure, Session, checklist, connect, exit, guard, help, incident, lead, playbook, record, recover, redact, runs,
    say, status,
};
use crate::domain::Access;
use crate::domain::Time;
use crate::domain::command::Command;
use crate::domain::run::{SideRole, Work};
use crate::engine;
use crate::wire::Ask;

/// Runs a parsed command line. Gives the exit code.
pub fn run(cli: Cli) -> Result<u8, Failure> {
    let Cli { global, screen, command } = cli;
    match command {
        None => crate::viewer::open(&global, &screen),
        Some(Cmd::Wall { screen, rotate }) => crate::viewer::wall(&global, &screen, rotate),
        Some(Cmd::Demo { screen, no_servers, no_screen }) => demo(&screen, no_servers, no_screen),
        Some(Cmd::Engine(EngineCmd::Run { detached })) => run_engine(&global, detached),
        Some(Cmd::DemoService { verb, dir, name }) => demo_service(&verb, &dir, &name),
        Some(Cmd::Runner { dir }) => {
            let _ = crate::runner::main([dir.into_os_string()]);
            Ok(0)
        }
        Some(Cmd::Completions { shell }) => {
            let mut app = <Cli as clap::CommandFactory>::command();
            clap_complete::generate(shell, &mut app, "mayday", &mut std::io::stdout());
            Ok(0)
        }
        Some(Cmd::Man) => {
            let app = <Cli as clap::CommandFactory>::command();
            clap_mangen::Man::new(app).render(&mut std::io::stdout())?;
            Ok(0)
        }
        Some(Cmd::Help { topic }) => help::run(topic.as_deref()),
        Some(Cmd::Config(command)) => config(&global, &command),
        Some(Cmd::Playbook(PlaybookCmd::Shipped { name })) => playbook::shipped(global.json, name.as_deref()),
        // What only looks is only let look, whichever command it is.
        Some(other) => one_shot(global, if screen.read_only { Access::ReadOnly } else { Access::Responder }, other),
    }
}

/// A small runtime: commands wait far more than they work.
fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

fn one_shot(global: Global, access: Access, command: Cmd) -> Result<u8, Failure> {
    runtime()?.block_on(async {
        match command {
            Cmd::Init { output, force, print } => init(output.as_deref(), force, print).await,
            Cmd::Doctor => doctor(&global).await,
            command => {
                let place = connect::place(&global)?;
                match command {
                    Cmd::Contacts => crate::cli::contacts::contacts(place, global.json).await,
                    Cmd::Export { incident, format, output, with } => {
                        record::export(&place, incident, format, output, &with).await
                    }
                    Cmd::Kpi { since, until } => record::kpi(&place.state_dir, since, until, global.json),
                    Cmd::Journal(command) if !matches!(command, JournalCmd::Redact { .. }) => {
                        record::journal(&place.state_dir, command, global.json).await
                    }
                    Cmd::Engine(command) => manage_engine(&global, place, access, command).await,
                    Cmd::Note { text, incident, at, offline: true } => match connect::reach(&place, access).await {
                        Err(_) if access == Access::ReadOnly => Err(Failure::refused("--read-only writes nothing")),
                        Ok(client) => {
                            let mut session = Session { client, json: global.json, place };
                            incident::note(&mut session, text, incident, at).await
                        }
                        Err(why) => incident::spool(&place.state_dir, &text, incident, at, &why.text),
                    },
                    command => {
                        // `status` prints the faults themselves.
                        if !place.faults.is_empty() && !matches!(command, Cmd::Status) {
                            eprintln!(
                                "mayday: the configuration does not read and is not in force: mayday config check"
                            );
                        }
                        let client = connect::attach(&place, "command", access).await?;
                        let mut session = Session { client, json: global.json, place };
                        connected(&mut session, command).await
                    }
                }
            }
        }
    })
}

async fn connected(session: &mut Session, command: Cmd) -> Result<u8, Failure> {
    match command {
        Cmd::Status => status::status(session).await,
        Cmd::Objectives => status::objectives(session).await,
        Cmd::Incident(command) => incident::run(session, command).await,
        Cmd::Note { text, incident, at, .. } => incident::note(session, text, incident, at).await,
        Cmd::Import(args) => crate::cli::import::run(session, args).await,
        Cmd::Hypothesis(command) => lead::hypothesis(session, command).await,
        Cmd::Handoff { to, remark, incident, command } => lead::handoff(session, to, remark, incident, command).await,
        Cmd::Catchup { since, incident } => lead::catchup(session, incident, since).await,
        Cmd::Restart(run) => runs::start(session, Work::Restart { service: run.service }, run.how).await,
        Cmd::Stop(run) => runs::start(session, Work::Stop { service: run.service }, run.how).await,
        Cmd::Start(run) => runs::start(session, Work::Start { service: run.service }, run.how).await,
        Cmd::Redeploy(run) => runs::start(session, Work::Redeploy { service: run.service }, run.how).await,
        Cmd::Scale { service, replicas, how } => runs::start(session, Work::Scale { service, replicas }, how).await,
        Cmd::Promote(run) => runs::start(session, Work::Promote { service: run.service }, run.how).await,
        Cmd::Logs { service, lines } => runs::logs(session, service, lines).await,
        Cmd::Act { action, how } => runs::start(session, Work::Act { action }, how).await,
        Cmd::Restore { backup, copy, to, test, only, cut_over, undo, drop, run, how } => {
            let work = if cut_over {
                let of = runs::restore_run(session, &backup, run, Some(SideRole::Ready)).await?;
                if only.is_empty() { Work::CutOver { of } } else { Work::CopyIn { of, only } }
            } else if undo {
                Work::Undo { of: runs::restore_run(session, &backup, run, Some(SideRole::Before)).await? }
            } else if drop {
                Work::Drop { of: runs::restore_run(session, &backup, run, None).await? }
            } else {
                Work::Restore { backup, copy, test, to: to.map(moment).transpose()?, only }
            };
            runs::start(session, work, how).await
        }
        Cmd::Recover { name, how, command } => recover::run(session, name, how, command).await,
        Cmd::Playbook(command) => playbook::run(session, command).await,
        Cmd::Checklist(command) => checklist::run(session, command).await,
        Cmd::Runs { command } => runs::runs(session, command.unwrap_or(RunsCmd::List)).await,
        Cmd::Backups { command } => match command.unwrap_or(BackupsCmd::List) {
            BackupsCmd::Verify { name, copy } => backups::verify(session, &name, copy).await,
            BackupsCmd::Manifest { name, copy, replace } => backups::manifest(session, &name, copy, replace).await,
            command => listing::backups(session, &command).await,
        },
        Cmd::Notify { template, incident, channels, body, subject, preview, wait, yes } => {
            let sending = incident::Sending { template, incident, channels, body, subject, preview, wait, yes };
            incident::notify(session, sending).await
        }
        Cmd::Contact(command) => crate::cli::contacts::contact(session, command).await,
        Cmd::Journal(JournalCmd::Redact { entries, text, reason, confirm, dry_run }) => {
            redact::run(session, redact::Asked { entries, text, reason, confirm, dry_run }).await
        }
        Cmd::Pause { service, r#for, reason } => {
            let lasts = crate::text::parse_duration(&r#for).map_err(Failure::usage)?;
            let until = Time::from_ms(crate::sys::clock::now_ms()).plus(lasts);
            session.act(Command::Pause { service, until, reason }).await.map(|_| 0)
        }
        Cmd::Resume { service, reason } => session.act(Command::Resume { service, reason }).await.map(|_| 0),
        Cmd::Approvals { id } => guard::approvals(session, id).await,
        Cmd::Approve { id, yes } => guard::approve(session, id, yes).await,
        Cmd::Decline { id, reason } => guard::decline(session, id, reason).await,
        Cmd::BreakGlass { id, reason } => guard::break_glass(session, id, reason).await,
        Cmd::Tag { service, reason, take_over } => guard::tag(session, service, reason, take_over).await,
        Cmd::Untag { service, reason } => guard::untag(session, service, reason).await,
        Cmd::Tags => guard::tags(session).await,
        Cmd::Hold { services, all, reason } => guard::hold(session, services, all, reason).await,
        Cmd::Release { services, all, reason } => guard::release(session, services, all, reason).await,
        // The others were dispatched before a connection was made.
        _ => Err(Failure::failed("this command needs no engine and was not dispatched")),
    }
}

/// A time of today stands for today's; everything else is read by who plans.
fn moment(to: String) -> Result<String, Failure> {
    match Time::of_day(&to, Time::from_ms(crate::sys::clock::now_ms())) {
        Some(at) => at.map(|at| at.to_string()).map_err(Failure::usage),
        None => Ok(to),
    }
}

/// The sandbox: made, shown, removed. Leaving the viewer removes it.
fn demo(screen: &crate::cli::args::Screen, no_servers: bool, no_screen: bool) -> Result<u8, Failure> {
    eprintln!("mayday demo: making a sandbox …");
    let sandbox = crate::demo::Sandbox::make(!no_servers)
        .map_err(|e| Failure::failed(format!("the sandbox could not be made: {e}")))?;
    for line in &sandbox.about {
        eprintln!("  {line}");
    }
    eprintln!("  all of it in {}; leaving with q removes it", sandbox.dir.display());
    let global =
        Global { config: Some(sandbox.config.clone()), state_dir: Some(sandbox.state_dir.clone()), json: false };
    // SAFETY: no other thread exists yet; the engine that is started from here reads it.
    unsafe { std::env::set_var("MAYDAY_SANDBOX", "1") };
    let left = if no_screen { without_screen(&global) } else { crate::viewer::open(&global, screen) };
    let dir = sandbox.dir.clone();
    drop(sandbox);
    if dir.exists() {
        eprintln!("  something of the sandbox could not be removed: see {}", dir.display());
    } else {
        eprintln!("  the sandbox and all that ran in it is gone");
    }
    left
}

/// Keeps the sandbox for other terminals and scripts until standard input ends.
fn without_screen(global: &Global) -> Result<u8, Failure> {
    let place = connect::place(global)?;
    runtime()?.block_on(connect::start_engine(&place))?;
    let config = place.config.unwrap_or_default();
    say(&format!("mayday --config {} --state-dir {}", config.display(), place.state_dir.display()));
    std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink())?;
    Ok(0)
}

fn demo_service(verb: &str, dir: &Path, name: &str) -> Result<u8, Failure> {
    if verb == "guard" {
        crate::demo::sandbox::watch_over(dir)?;
        return Ok(0);
    }
    let done = crate::demo::service::run(verb, dir, name).map_err(|e| Failure::failed(e.to_string()))?;
    if !done.is_empty() {
        say(&done);
    }
    Ok(0)
}

fn run_engine(global: &Global, detached: bool) -> Result<u8, Failure> {
    let place = connect::place(global)?;
    if detached {
        // Survives the terminal that started it; what it has to say goes into a file from here.
        let _ = rustix::process::setsid();
    }
    log_to(&place.state_dir, detached)?;
    crate::sys::memory::keep_freed_memory();
    // One thread: handing thousands of short tasks from one to another costs more than it gains. What blocks or computes
    // for long has threads of its own.
    runtime()?.block_on(async {
        let exe = std::env::current_exe().map_err(|e| Failure::failed(format!("find mayday's own program: {e}")))?;
        let config = place.config.map(|c| std::fs::canonicalize(&c).unwrap_or(c));
        let options = engine::Options {
            state_dir: place.state_dir,
            config,
            clock: Arc::new(crate::sys::clock::SystemClock),
            exe,
            sandbox: std::env::var_os("MAYDAY_SANDBOX").is_some(),
        };
        let running = engine::start(options).await.map_err(|e| match e {
            // Told apart by its code: whoever was about to start one uses the other.
            engine::StartError::Instance(engine::InstanceError::Running { .. }) => Failure::refused(e.to_string()),
            _ => Failure::failed(e.to_string()),
        })?;
        if detached {
            // Whoever started it has read what there was to read and goes away.
            use std::os::fd::AsFd;
            let _ = crate::sys::proc::silence(std::io::stderr().as_fd());
        }
        engine::signals::serve(&running, detached);
        let ended = running.wait().await;
        if ended.failed {
            tracing::error!("the engine ended: {}", ended.reason);
            return Err(Failure::failed(format!("the engine ended: {}", ended.reason)));
        }
        tracing::info!("the engine ended: {}", ended.reason);
        Ok(0)
    })
}

/// In the foreground to stderr (systemd keeps it), detached into `engine.log` in the state directory.
fn log_to(dir: &Path, detached: bool) -> Result<(), Failure> {
    use tracing_subscriber::EnvFilter;
    let filter = EnvFilter::try_from_env("MAYDAY_LOG").unwrap_or_else(|_| EnvFilter::new("warn,mayday=info"));
    // A log that cannot be written is passed over in silence: telling it on a stderr that nobody reads any more would
    // end the engine, just when the disk is full.
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(false)
        .with_target(false)
        .log_internal_errors(false);
    std::panic::set_hook(Box::new(|panic| tracing::error!("{panic}")));
    if !detached {
        builder.with_writer(std::io::stderr).init();
        return Ok(());
    }
    use std::os::unix::fs::DirBuilderExt;
    let _ = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir);
    // No log is no reason not to run: a full disk is when the engine is needed.
    if let Ok(log) = engine::log::Log::open(dir) {
        builder.with_writer(std::sync::Mutex::new(log)).init();
    }
    Ok(())
}

async fn manage_engine(
    global: &Global,
    place: connect::Place,
    access: Access,
    command: EngineCmd,
) -> Result<u8, Failure> {
    match command {
        EngineCmd::Run { .. } => Ok(0),
        EngineCmd::Start => {
            if connect::reach(&place, Access::ReadOnly).await.is_ok() {
                say("an engine runs already");
                return Ok(0);
            }
            if access == Access::ReadOnly {
                return Err(Failure::refused("--read-only starts no engine"));
            }
            connect::start_engine(&place).await.map(|()| 0)
        }
        EngineCmd::Stop => {
            let client = connect::reach(&place, access).await?;
            let pid = client.pid;
            let mut session = Session { client, json: global.json, place };
            session.ask(Ask::Stop).await?;
            for _ in 0..200 {
                if connect::known_engine(&session.place.state_dir).is_none_or(|e| e.pid != pid) {
                    return Ok(0);
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            Err(Failure::failed(format!("engine {pid} was asked to end and is still there after 10 s")))
        }
        EngineCmd::Status => {
            let client = connect::reach(&place, Access::ReadOnly).await?;
            status::engine(&mut Session { client, json: global.json, place }).await
        }
        EngineCmd::Reload => {
            let client = connect::reach(&place, access).await?;
            Session { client, json: global.json, place }.ask(Ask::Reload).await.map(|_| 0)
        }
    }
}

fn config(global: &Global, command: &ConfigCmd) -> Result<u8, Failure> {
    if matches!(command, ConfigCmd::Schema) {
        return crate::cli::print(&crate::config::schema()).map(|()| 0);
    }
    let paths = match crate::config::find(global.config.as_deref()) {
        Ok(crate::config::Located::One(path)) => vec![path],
        Ok(crate::config::Located::Several(found)) => found.into_iter().map(|c| c.path).collect(),
        Err(missing) => return Err(Failure::failed(missing.to_string())),
    };
    let mut worst = exit::DONE;
    for path in paths {
        let effective = match command {
            ConfigCmd::Path => {
                say(&path.display().to_string());
                continue;
            }
            ConfigCmd::Check { effective } => *effective,
            ConfigCmd::Schema => false,
        };
        match crate::config::load_with_source(&path) {
            Ok((config, _)) => {
                if effective {
                    say(&crate::config::effective(&config));
                } else if global.json {
                    crate::cli::print(&serde_json::json!({ "ok": true, "file": path, "warnings": config.warnings }))?;
                } else {
                    for warning in &config.warnings {
                        say(&format!("warning: {warning}"));
                    }
                    say(&format!(
                        "{}: good ({}, {})",
                        path.display(),
                        crate::text::plural(config.services.len(), "service"),
                        crate::text::plural(config.backups.len(), "backup set")
                    ));
                }
            }
            Err((faults, source)) => {
                worst = exit::FAILED;
                if global.json {
                    let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
                    crate::cli::print(&serde_json::json!({ "ok": false, "file": path, "faults": faults }))?;
                } else {
                    use std::io::IsTerminal;
                    let color = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
                    eprintln!("{}", crate::config::render(&faults, &source, color));
                    eprintln!("{}: {}", path.display(), crate::text::plural(faults.len(), "fault"));
                }
            }
        }
    }
    Ok(worst)
}

async fn init(output: Option<&Path>, force: bool, print: bool) -> Result<u8, Failure> {
    let text = crate::config::starter(&crate::survey::host().await);
    if print {
        say(&text);
        return Ok(0);
    }
    let path = output.unwrap_or(Path::new("mayday.toml"));
    if path.exists() && !force {
        return Err(Failure::refused(format!("{} exists: give --force to replace it, or --output", path.display())));
    }
    crate::sys::disk::write_atomic(path, text.as_bytes(), 0o600)
        .map_err(|e| Failure::failed(format!("write {}: {e}", path.display())))?;
    say(&format!("wrote {}; look through it, then: mayday config check, and: mayday", path.display()));
    Ok(0)
}

/// Everything mayday needs, looked at here and now. Exit code 1 when something that is configured will not work.
async fn doctor(global: &Global) -> Result<u8, Failure> {
    use crate::survey::Level;
    let place = connect::place(global);
    let config = place.as_ref().ok().and_then(|p| p.config.as_deref()).and_then(|p| crate::config::load(p).ok());
    let env = crate::config::Env::of_process();
    let state_dir = match &place {
        Ok(place) => place.state_dir.clone(),
        // Even without any configuration there is something to say about this host.
        Err(_) => crate::config::state_dir_of("default", None, &env),
    };
    let findings = crate::survey::doctor(config.as_ref(), &state_dir).await;
    let faults: Vec<String> = match &place {
        Ok(place) => place.faults.clone(),
        Err(failure) => vec![failure.text.clone()],
    };
    if global.json {
        crate::cli::print(&serde_json::json!({ "configuration": faults, "findings": findings }))?;
    } else {
        for fault in &faults {
            say(&format!("BAD      config: {fault}"));
        }
        for f in &findings {
            let word = match f.level {
                Level::Bad => "BAD",
                Level::Warning => "WARNING",
                level => level.word(),
            };
            say(&format!("{word:<8} {}: {}", f.area, f.what));
            if !f.advice.is_empty() {
                say(&format!("         -> {}", f.advice));
            }
        }
    }
    let bad = !faults.is_empty() || crate::survey::doctor::worst(&findings) == Level::Bad;
    Ok(if bad { exit::FAILED } else { exit::DONE })
}
