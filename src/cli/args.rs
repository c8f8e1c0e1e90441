//! The command line, as clap reads it. Help texts here are the man page and the completions too.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

mod incident;
mod runs;

pub use incident::{ContactCmd, HandoffCmd, HypothesisCmd, IncidentCmd, Which};
pub use runs::{BackupsCmd, How, RecoverCmd, RecoverHow, RunsCmd, ServiceRun};

/// A full-screen terminal incident cockpit.
///
/// Without a command: opens the cockpit and starts the engine when none runs.
#[derive(Debug, Parser)]
#[command(name = "mayday", version, about, long_about = None, disable_help_subcommand = true, max_term_width = 100)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(flatten)]
    pub screen: Screen,
    #[command(subcommand)]
    pub command: Option<Cmd>,
}

/// Options of every command.
#[derive(Clone, Debug, Default, Args)]
pub struct Global {
    /// The configuration file.
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The state directory (also MAYDAY_STATE_DIR, or [engine] state_dir).
    #[arg(long, global = true, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    /// Print JSON for scripts.
    #[arg(long, global = true)]
    pub json: bool,
}

/// How the screen looks.
#[derive(Clone, Debug, Default, Args)]
pub struct Screen {
    /// Look only: the engine refuses every action of this viewer.
    #[arg(long)]
    pub read_only: bool,
    /// A theme: default, dark, light, high-contrast, mono, or a file.
    #[arg(long, value_name = "NAME")]
    pub theme: Option<String>,
    /// A file of key bindings, merged over the built-in ones.
    #[arg(long, value_name = "FILE")]
    pub keymap: Option<PathBuf>,
    /// Draw with ASCII characters only.
    #[arg(long)]
    pub ascii: bool,
    /// Show times in the local time zone instead of UTC.
    #[arg(long)]
    pub local: bool,
    /// No full screen: print a line for every change.
    #[arg(long)]
    pub plain: bool,
}

#[derive(Debug, Subcommand)]
pub enum Cmd {
    /// The wall display: read-only, legible from afar.
    Wall {
        #[command(flatten)]
        screen: Screen,
        /// Seconds a page stays.
        #[arg(long, default_value_t = 15, value_name = "SECONDS")]
        rotate: u64,
    },
    /// A sandbox with real services to break and repair.
    Demo {
        #[command(flatten)]
        screen: Screen,
        /// Do not use PostgreSQL and Redis even when they are found.
        #[arg(long)]
        no_servers: bool,
        /// No screen: print how to reach it, and keep it until standard input ends.
        #[arg(long)]
        no_screen: bool,
    },
    /// Write a starter configuration from what runs on this host.
    Init {
        /// Where to write; mayday.toml here by default.
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
        /// Replace an existing file.
        #[arg(long)]
        force: bool,
        /// Print instead of writing.
        #[arg(long)]
        print: bool,
    },
    /// Everything at once; exit code 0 up, 1 degraded, 2 down, 3 unknown.
    Status,
    /// What is promised, and what is left of it: RTO, availability and error budget of this month, RPO.
    Objectives,
    /// Declare and lead an incident.
    #[command(subcommand)]
    Incident(IncidentCmd),
    /// Write a note into the timeline; `-` reads standard input. Returns when it is on disk.
    Note {
        /// The text, or -.
        #[arg(required = true, num_args = 1..)]
        text: Vec<String>,
        #[arg(long, value_name = "INC")]
        incident: Option<String>,
        /// When it happened (RFC 3339, or HH:MM[:SS] of today, UTC).
        #[arg(long, value_name = "TIME")]
        at: Option<String>,
        /// When no engine answers: keep it in a file that the next engine takes in.
        #[arg(long)]
        offline: bool,
    },
    /// Take lines of another record into the timeline: a chat, a log, alerts, a terminal recording, what was typed down.
    /// Shows first how each line was read; what is doubtful is asked. Importing twice adds nothing.
    Import(super::import::ImportArgs),
    /// What is thought to be wrong: open hypotheses, add evidence, rule them out.
    #[command(subcommand)]
    Hypothesis(HypothesisCmd),
    /// Hand the lead over, with a capsule of how it stands; the next one confirms with `handoff take`.
    #[command(args_conflicts_with_subcommands = true)]
    Handoff {
        /// To whom (a login name); to whoever takes it by default.
        #[arg(long, value_name = "USER")]
        to: Option<String>,
        /// A word for the next one.
        #[arg(long, default_value = "", value_name = "TEXT")]
        remark: String,
        #[arg(long, value_name = "INC")]
        incident: Option<String>,
        #[command(subcommand)]
        command: Option<HandoffCmd>,
    },
    /// How the incident stands, in at most 24 lines, for whoever joins; with --since what happened from then on.
    Catchup {
        /// RFC 3339, or HH:MM[:SS] of today, UTC.
        #[arg(long, value_name = "TIME")]
        since: Option<String>,
        #[arg(long, value_name = "INC")]
        incident: Option<String>,
    },
    /// Restart a service.
    Restart(ServiceRun),
    /// Stop a service.
    Stop(ServiceRun),
    /// Start a service.
    Start(ServiceRun),
    /// Deploy a service again: new containers or a new rollout.
    Redeploy(ServiceRun),
    /// Change how many instances of a service run.
    Scale {
        service: String,
        /// From 1; stop is what 0 would be.
        replicas: u32,
        #[command(flatten)]
        how: How,
    },
    /// Make a standby the one that takes writes, by its own command.
    Promote(ServiceRun),
    /// Print the last lines of a service's log; they are kept as the output of a run.
    Logs {
        service: String,
        #[arg(long, short = 'n', default_value_t = 200, value_name = "N")]
        lines: u32,
    },
    /// Restore a backup beside the live data; with --cut-over put it in the live place.
    Restore {
        backup: String,
        /// The copy's id; the newest good one by default.
        #[arg(long, value_name = "ID")]
        copy: Option<String>,
        /// The moment to restore to, for backups that reach any: RFC 3339, HH:MM[:SS] of today (UTC), lsn:0/16B3748,
        /// xid:1234 or name:POINT, with @2 behind it for another timeline; the newest that can be reached by default.
        #[arg(long, value_name = "TIME", conflicts_with_all = ["cut_over", "undo", "drop"])]
        to: Option<String>,
        /// Restore, verify, report, drop.
        #[arg(long, conflicts_with_all = ["cut_over", "undo", "drop"])]
        test: bool,
        /// Only these instead of the whole copy; repeatable. Of a database: a table (schema.table) or schema (schema.*).
        /// Of a folder: names below it that match, such as 'nginx/**' or '*.pem'; they are copied into the live folder one
        /// by one and nothing else there is touched, also with --cut-over of a whole side copy.
        #[arg(long, value_name = "NAME", conflicts_with_all = ["undo", "drop"])]
        only: Vec<String>,
        /// Put the side copy that is ready in the live place.
        #[arg(long)]
        cut_over: bool,
        /// Put back what the last cut-over replaced.
        #[arg(long, conflicts_with = "cut_over")]
        undo: bool,
        /// Drop the side copy, or what was kept.
        #[arg(long, conflicts_with_all = ["cut_over", "undo"])]
        drop: bool,
        /// The restore run meant by --cut-over, --undo or --drop; the newest by default.
        #[arg(long, value_name = "RUN")]
        run: Option<String>,
        #[command(flatten)]
        how: How,
    },
    /// Run a configured action.
    Act {
        action: String,
        #[command(flatten)]
        how: How,
    },
    /// Bring a whole system back by a configured recovery; without a name: list them.
    #[command(args_conflicts_with_subcommands = true)]
    Recover {
        /// The recovery.
        name: Option<String>,
        #[command(flatten)]
        how: RecoverHow,
        #[command(subcommand)]
        command: Option<RecoverCmd>,
    },
    /// Runs: list, show, cancel.
    Runs {
        #[command(subcommand)]
        command: Option<RunsCmd>,
    },
    /// Backup sets: list, copies, verify.
    Backups {
        #[command(subcommand)]
        command: Option<BackupsCmd>,
    },
    /// Send a message made from a template (initial, update, resolution, escalation, test).
    Notify {
        template: String,
        #[arg(long, value_name = "INC")]
        incident: Option<String>,
        /// The channels; all of them by default.
        #[arg(long = "channel", value_name = "NAME")]
        channels: Vec<String>,
        /// Use this text instead of the template's; - reads standard input.
        #[arg(long, value_name = "TEXT")]
        body: Option<String>,
        #[arg(long, value_name = "TEXT")]
        subject: Option<String>,
        /// Print only what would be sent.
        #[arg(long)]
        preview: bool,
        /// Wait until every channel has its final answer.
        #[arg(long)]
        wait: bool,
        /// Send without asking.
        #[arg(long)]
        yes: bool,
    },
    /// Whom to call now, with numbers and the sentence to say; works without an engine too.
    Contacts,
    /// Log that a contact was called.
    #[command(subcommand)]
    Contact(ContactCmd),
    /// Pause a service's checks for maintenance.
    Pause {
        service: String,
        /// How long, such as 30m.
        #[arg(long, value_name = "DURATION", default_value = "30m")]
        r#for: String,
        #[arg(long)]
        reason: String,
    },
    /// Resume a paused service's checks.
    Resume {
        service: String,
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// What waits for a second person; with an id, all of it.
    Approvals { id: Option<String> },
    /// Approve what another user asked for, after looking at it.
    Approve {
        id: String,
        /// Approve without asking.
        #[arg(long)]
        yes: bool,
    },
    /// Say no to what another user asked for, or take back what you asked for.
    Decline {
        id: String,
        #[arg(long, default_value = "", value_name = "TEXT")]
        reason: String,
    },
    /// Start what you asked for without a second person; that is recorded and sent out.
    BreakGlass {
        id: String,
        /// Why there is no second person.
        reason: String,
    },
    /// Put a tag on a service: nobody restarts, restores or acts on it until it is off.
    Tag {
        service: String,
        /// Why, such as "restore running".
        reason: String,
        /// Take the tag over from whoever has it.
        #[arg(long)]
        take_over: bool,
    },
    /// Take a tag off; another's only with --reason.
    Untag {
        service: String,
        #[arg(long, default_value = "", value_name = "TEXT")]
        reason: String,
    },
    /// List tags and holds.
    Tags,
    /// Hold services: nothing of them is restarted or restored until the commander releases them.
    Hold {
        services: Vec<String>,
        /// Everything.
        #[arg(long)]
        all: bool,
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// Release held services, as commander.
    Release {
        services: Vec<String>,
        /// All that is held.
        #[arg(long)]
        all: bool,
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// Write the review of an incident: same journal, same bytes.
    Export {
        /// The incident; the newest by default.
        incident: Option<String>,
        #[arg(long, value_enum, default_value_t = Format::Md)]
        format: Format,
        /// Where to write; standard output by default.
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
        #[command(flatten)]
        with: super::merged::With,
    },
    /// Figures over past incidents: how many, median, p90 and range; objectives kept. Needs no engine.
    Kpi {
        /// Only incidents declared from here on: RFC 3339, 2026-11-01, or how long ago, as in 90d.
        #[arg(long, value_name = "TIME")]
        since: Option<String>,
        /// Only incidents declared before.
        #[arg(long, value_name = "TIME")]
        until: Option<String>,
    },
    /// The journal: verify it, follow it.
    #[command(subcommand)]
    Journal(JournalCmd),
    /// Playbooks: list, start, carry out, answer.
    #[command(subcommand)]
    Playbook(super::playbook::PlaybookCmd),
    /// Checklists: list, show, tick.
    #[command(subcommand)]
    Checklist(super::checklist::ChecklistCmd),
    /// The engine: run it in the foreground, start, stop, look.
    #[command(subcommand)]
    Engine(EngineCmd),
    /// The configuration: check it, its schema, its place.
    #[command(subcommand)]
    Config(ConfigCmd),
    /// Look whether this host and this configuration would serve in an incident.
    Doctor,
    /// Print completions for a shell.
    Completions { shell: clap_complete::Shell },
    /// Print the man page.
    Man,
    /// Longer explanations: keys, config, journal, restore, trouble.
    Help { topic: Option<String> },
    /// A service of the sandbox. Started by the demo's own configuration.
    #[command(hide = true)]
    DemoService { verb: String, dir: PathBuf, name: String },
    /// Execute one plan. Started by the engine, not by people.
    #[command(hide = true)]
    Runner { dir: PathBuf },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    Md,
    Json,
}

#[derive(Debug, Subcommand)]
pub enum JournalCmd {
    /// Check the whole chain.
    Verify {
        /// First hex digits of a head that was printed in a message: proves that nothing before it was changed. Several
        /// times, for several messages.
        #[arg(long, value_name = "HEX")]
        anchor: Vec<String>,
        /// A copy of a state directory, instead of the live one.
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
    },
    /// Destroy entries, or a text wherever it stands: in the record, the timelines, runs, exports, logs. For a secret
    /// that was written down. What it was is never shown; who, when and why stay on record.
    Redact {
        /// Numbers of entries whose text goes.
        entries: Vec<u64>,
        /// `-`: a text that goes wherever it stands, read from standard input, or typed without being shown.
        #[arg(long, value_name = "-", conflicts_with = "entries")]
        text: Option<String>,
        /// Why, without the text itself.
        #[arg(long, default_value = "", value_name = "TEXT")]
        reason: String,
        /// What would be asked to be typed: the entry's number, or redact.
        #[arg(long, value_name = "WORD")]
        confirm: Option<String>,
        /// Only say what would go.
        #[arg(long)]
        dry_run: bool,
    },
    /// Print the last entries.
    Tail {
        /// How many.
        #[arg(short = 'n', default_value_t = 20)]
        lines: usize,
        /// Keep printing.
        #[arg(long, short)]
        follow: bool,
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
    },
}

#[derive(Debug, Subcommand)]
pub enum EngineCmd {
    /// Run it in the foreground, for systemd.
    Run {
        /// Detach from the terminal's signals and log to the state directory.
        #[arg(long, hide = true)]
        detached: bool,
    },
    /// Start it in the background.
    Start,
    /// Ask it to end; runs go on.
    Stop,
    /// Where it is and how it is.
    Status,
    /// Read the configuration again.
    Reload,
}

#[derive(Debug, Subcommand)]
pub enum ConfigCmd {
    /// Report every fault with file, line and a hint.
    Check {
        /// Print what is in force, secrets masked.
        #[arg(long)]
        effective: bool,
    },
    /// Print the JSON Schema for editors.
    Schema,
    /// Print which file is used.
    Path,
}
