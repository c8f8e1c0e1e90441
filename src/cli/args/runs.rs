//! What can be asked about runs, recoveries and backups, and how a run is confirmed.

use clap::{Args, Subcommand};

#[derive(Debug, Args)]
pub struct ServiceRun {
    pub service: String,
    #[command(flatten)]
    pub how: How,
}

/// How an action is started.
#[derive(Clone, Debug, Default, Args)]
pub struct How {
    /// Print only the plan: nothing happens.
    #[arg(long)]
    pub plan: bool,
    /// Confirm a disruptive action.
    #[arg(long)]
    pub yes: bool,
    /// Confirm a destructive action by its target's name.
    #[arg(long, value_name = "TARGET")]
    pub confirm: Option<String>,
    /// Wait for the verdict; the exit code tells it.
    #[arg(long)]
    pub wait: bool,
    #[arg(long, default_value = "", value_name = "TEXT")]
    pub reason: String,
    /// Act although nothing can be recorded; the value must be the word `unlogged`.
    #[arg(long, value_name = "WORD")]
    pub unlogged: Option<String>,
    /// Where a second person is needed: go on alone, for this reason; it is recorded and sent out.
    #[arg(long, value_name = "WHY")]
    pub break_glass: Option<String>,
}

/// How a recovery is started.
#[derive(Clone, Debug, Default, Args)]
pub struct RecoverHow {
    /// Print only the plan of every step: nothing happens.
    #[arg(long)]
    pub plan: bool,
    /// Confirm a recovery that is disruptive.
    #[arg(long)]
    pub yes: bool,
    /// Confirm a recovery with a destructive step: the name that its plan asks for.
    #[arg(long, value_name = "TARGET")]
    pub confirm: Option<String>,
    /// Wait until it is complete, ended, or stops and asks; the exit code tells which.
    #[arg(long)]
    pub wait: bool,
    #[arg(long, default_value = "", value_name = "TEXT")]
    pub reason: String,
    /// Where a second person is needed: go on alone, for this reason; it is recorded and sent out.
    #[arg(long, value_name = "WHY")]
    pub break_glass: Option<String>,
}

#[derive(Debug, Subcommand)]
pub enum RecoverCmd {
    /// Where the newest recovery is, step by step.
    Status {
        /// Another one, by its id.
        id: Option<String>,
    },
    /// After it stopped: try the step again, or go on waiting for what is under way.
    Resume {
        #[command(flatten)]
        how: RecoverHow,
    },
    /// Pass over the step it is at.
    Skip {
        #[arg(long, value_name = "TEXT")]
        reason: String,
        #[arg(long)]
        wait: bool,
    },
    /// End it; a run that is under way goes on.
    Stop {
        #[arg(long, default_value = "", value_name = "TEXT")]
        reason: String,
    },
    /// The step that a person does is done, or its effect was seen.
    Done {
        #[arg(long, default_value = "", value_name = "TEXT")]
        reason: String,
        #[arg(long)]
        wait: bool,
    },
    /// The step that a person does failed.
    Failed {
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
}

#[derive(Debug, Subcommand)]
pub enum RunsCmd {
    /// All runs that are remembered.
    List,
    /// One run with its output.
    Show {
        id: String,
        /// Keep printing until it is over.
        #[arg(long, short)]
        follow: bool,
    },
    /// Ask a run to stop.
    Cancel {
        id: String,
        #[arg(long, default_value = "")]
        reason: String,
    },
}

#[derive(Debug, Subcommand)]
pub enum BackupsCmd {
    /// All backup sets.
    List,
    /// The copies of one.
    Copies { name: String },
    /// Read the newest copy (or --copy) to its end and say what is in it.
    Verify {
        name: String,
        #[arg(long, value_name = "ID")]
        copy: Option<String>,
    },
    /// Read the newest copy (or --copy) to its end and write beside it what is in it: checksum, tables and rows.
    ///
    /// The file is called as the copy with .manifest.json behind; later checks and restores compare with it.
    Manifest {
        name: String,
        #[arg(long, value_name = "ID")]
        copy: Option<String>,
        /// Write it although there is one.
        #[arg(long)]
        replace: bool,
    },
}
