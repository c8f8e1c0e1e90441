//! What can be asked about the timeline: reading it, correcting it, evidence.

use clap::{Args, Subcommand};

/// Which rows.
#[derive(Clone, Debug, Default, Args)]
pub struct TimelineArgs {
    /// Only this incident's.
    #[arg(long, value_name = "INC")]
    pub incident: Option<String>,
    /// The record as it was written, with every detail, correction and hidden entry.
    #[arg(long)]
    pub raw: bool,
    /// Only kinds that begin so, such as run or note.added; repeatable.
    #[arg(long = "kind", value_name = "KIND")]
    pub kinds: Vec<String>,
    /// Only what this login name did; repeatable.
    #[arg(long = "actor", value_name = "NAME")]
    pub actors: Vec<String>,
    /// Only what is about this service or names it; repeatable.
    #[arg(long = "service", value_name = "NAME")]
    pub services: Vec<String>,
    /// Only rows with all of these words.
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub text: String,
    /// Only what is pinned.
    #[arg(long)]
    pub pinned: bool,
    /// The newest of them; 0 for all.
    #[arg(short = 'n', default_value_t = 200, value_name = "N")]
    pub lines: usize,
}

#[derive(Debug, Subcommand)]
pub enum AmendCmd {
    /// Give a note another wording; the first one stays on record.
    Correct {
        entry: u64,
        /// The text, or - for standard input.
        #[arg(required = true, num_args = 1..)]
        text: Vec<String>,
        #[arg(long, default_value = "", value_name = "TEXT")]
        reason: String,
    },
    /// Say when an entry happened (RFC 3339, or HH:MM[:SS] of today, UTC), with --reason.
    Retime {
        entry: u64,
        time: String,
        #[arg(long, default_value = "", value_name = "TEXT")]
        reason: String,
    },
    /// Make entries stand out.
    Pin {
        #[arg(required = true)]
        entries: Vec<u64>,
        #[arg(long, default_value = "", value_name = "TEXT")]
        reason: String,
    },
    /// Let them stand out no more.
    Unpin {
        #[arg(required = true)]
        entries: Vec<u64>,
        #[arg(long, default_value = "", value_name = "TEXT")]
        reason: String,
    },
    /// Leave entries out of the timeline for people, with --reason; timeline --raw shows them.
    Hide {
        #[arg(required = true)]
        entries: Vec<u64>,
        #[arg(long, default_value = "", value_name = "TEXT")]
        reason: String,
    },
    /// Show what was hidden again.
    Show {
        #[arg(required = true)]
        entries: Vec<u64>,
        #[arg(long, default_value = "", value_name = "TEXT")]
        reason: String,
    },
    /// Put entries under one title.
    Join {
        #[arg(required = true)]
        entries: Vec<u64>,
        #[arg(long, value_name = "TEXT")]
        title: String,
    },
    /// Take entries out from under their title.
    Apart {
        #[arg(required = true)]
        entries: Vec<u64>,
    },
}

/// What a piece of evidence is called and where it belongs.
#[derive(Clone, Debug, Default, Args)]
pub struct About {
    /// What it shows; its name by default.
    #[arg(long, default_value = "", value_name = "TEXT")]
    pub title: String,
    /// The entry that it speaks for.
    #[arg(long, value_name = "ENTRY")]
    pub about: Option<u64>,
    /// The incident; that of the entry, or the open one, by default.
    #[arg(long, value_name = "INC")]
    pub incident: Option<String>,
}

#[derive(Debug, Subcommand)]
pub enum EvidenceCmd {
    /// Keep a file, or standard input with -, in the incident's folder; prints the entry's position.
    Add {
        /// The file, or -.
        file: std::path::PathBuf,
        #[command(flatten)]
        about: About,
    },
    /// Keep the output of a run, or lines of it.
    Output {
        run: String,
        /// From which line to which, counted from 1, as in 120-160.
        #[arg(long, value_name = "A-B")]
        lines: Option<String>,
        #[command(flatten)]
        about: About,
    },
    /// List what is kept.
    List {
        #[arg(long, value_name = "INC")]
        incident: Option<String>,
    },
    /// Show one, and whether its file is still what was recorded.
    Show {
        /// The entry that it was added with.
        entry: u64,
    },
}
