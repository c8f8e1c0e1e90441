//! What can be asked about incidents, those who lead them and whom they call.

use clap::{Args, Subcommand};

/// The open incident when only one is open.
#[derive(Clone, Debug, Default, Args)]
pub struct Which {
    /// The incident, when several are open.
    #[arg(long, value_name = "INC")]
    pub incident: Option<String>,
    #[arg(long, default_value = "", value_name = "TEXT")]
    pub reason: String,
}

#[derive(Debug, Subcommand)]
pub enum HypothesisCmd {
    /// Open one; prints its id (H1, H2, …).
    Open {
        /// The text, or - for standard input.
        #[arg(required = true, num_args = 1..)]
        text: Vec<String>,
        #[arg(long, value_name = "INC")]
        incident: Option<String>,
    },
    /// Add evidence to one.
    Evidence {
        hypothesis: String,
        /// The text, or - for standard input.
        #[arg(required = true, num_args = 1..)]
        text: Vec<String>,
        /// Which way it points: for, against or neutral.
        #[arg(long, value_name = "STANCE", default_value = "neutral")]
        stance: String,
        /// What it rests on: fact (seen or measured), inference or hearsay.
        #[arg(long, value_name = "BASIS", default_value = "fact")]
        basis: String,
        #[arg(long, value_name = "INC")]
        incident: Option<String>,
    },
    /// It was that; needs --reason.
    Confirm {
        hypothesis: String,
        #[command(flatten)]
        which: Which,
    },
    /// It was not that; needs --reason.
    Eliminate {
        hypothesis: String,
        #[command(flatten)]
        which: Which,
    },
    /// Open one again; needs --reason.
    Reopen {
        hypothesis: String,
        #[command(flatten)]
        which: Which,
    },
    /// All of them, with their evidence.
    List {
        #[arg(long, value_name = "INC")]
        incident: Option<String>,
    },
}

#[derive(Debug, Subcommand)]
pub enum HandoffCmd {
    /// Take the lead that is offered to you.
    Take {
        #[arg(long, value_name = "INC")]
        incident: Option<String>,
    },
    /// Take the offer back; somebody else's needs --reason.
    Keep {
        #[command(flatten)]
        which: Which,
    },
    /// Print the capsule without offering anything.
    Show {
        #[arg(long, value_name = "INC")]
        incident: Option<String>,
    },
}

#[derive(Debug, Subcommand)]
pub enum IncidentCmd {
    /// Declare an incident; prints its id.
    Declare {
        title: String,
        #[arg(long, value_name = "P0..P3")]
        severity: Option<String>,
        /// An affected service; may be given several times.
        #[arg(long = "service", value_name = "NAME")]
        services: Vec<String>,
        /// When the trouble began.
        #[arg(long, value_name = "TIME")]
        onset: Option<String>,
    },
    /// Acknowledge it.
    Ack {
        #[command(flatten)]
        which: Which,
    },
    /// Change the severity; a lesser one needs --reason.
    Severity {
        severity: String,
        #[command(flatten)]
        which: Which,
    },
    /// Change the status: investigating, identified, monitoring.
    Status {
        status: String,
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        which: Which,
    },
    /// Name the commander, or another role.
    Assign {
        user: String,
        #[arg(long, default_value = "commander")]
        role: String,
        #[command(flatten)]
        which: Which,
    },
    /// Add or remove affected services.
    Services {
        #[arg(long, value_name = "NAME")]
        add: Vec<String>,
        #[arg(long, value_name = "NAME")]
        remove: Vec<String>,
        #[command(flatten)]
        which: Which,
    },
    /// Change the title.
    Title {
        title: String,
        #[command(flatten)]
        which: Which,
    },
    /// Call it resolved; refused while a run is contradicted or a tier-1 service is down.
    Resolve {
        /// Resolve all the same, with --reason.
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        which: Which,
    },
    /// Close a resolved incident (reviewed), or any as a false alarm.
    Close {
        /// It was none; needs --reason. Refused while what it is about is down.
        #[arg(long)]
        false_alarm: bool,
        /// Close it as a false alarm all the same.
        #[arg(long, requires = "false_alarm")]
        force: bool,
        #[command(flatten)]
        which: Which,
    },
    /// Open it again, with --reason.
    Reopen {
        #[command(flatten)]
        which: Which,
    },
    /// Merge an incident into another one, which goes on; with --reason.
    Merge {
        /// The one that ends.
        from: String,
        #[arg(long, value_name = "INC")]
        into: String,
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// Say when the trouble began, with --reason (RFC 3339, or HH:MM[:SS] of today, UTC).
    Onset {
        time: String,
        #[command(flatten)]
        which: Which,
    },
    /// Put the next update off for a while, such as 10m, with --reason.
    Snooze {
        duration: String,
        #[command(flatten)]
        which: Which,
    },
    /// List incidents.
    List,
    /// Show one, with its timeline.
    Show { incident: Option<String> },
}

#[derive(Debug, Subcommand)]
pub enum ContactCmd {
    /// A contact was called by phone; prints the entry's position.
    Called {
        name: String,
        /// Nobody answered.
        #[arg(long)]
        no_answer: bool,
        #[arg(long, default_value = "", value_name = "TEXT")]
        note: String,
        #[arg(long, value_name = "INC")]
        incident: Option<String>,
    },
}
