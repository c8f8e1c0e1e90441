//! `mayday export`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

#[derive(Debug, Args)]
pub struct ExportArgs {
    /// The incident; the newest by default.
    pub incident: Option<String>,
    /// By default what the name of the file says, else md.
    #[arg(long, value_enum)]
    pub format: Option<Format>,
    /// Where to write; standard output by default. What people wrote into a Markdown review that is there is kept.
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// With html: take the hand-written parts from this Markdown review; by default from the one beside the page.
    #[arg(long, value_name = "FILE.md")]
    pub from: Option<PathBuf>,
    /// Compare every number of an edited Markdown review with the record: exit 0 the same, 1 differences, 2 no review.
    #[arg(long, value_name = "FILE.md", conflicts_with_all = ["format", "output", "from", "schema"])]
    pub check: Option<PathBuf>,
    /// Print the JSON Schema of the json format.
    #[arg(long, conflicts_with_all = ["format", "output", "from"])]
    pub schema: bool,
    #[command(flatten)]
    pub with: crate::cli::merged::With,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Markdown, the review to write in.
    Md,
    /// One page with charts, to read and to print.
    Html,
    /// For programs: see --schema.
    Json,
    /// The timeline as a table.
    Csv,
    /// The timeline as an asciicast (version 3), to play.
    Cast,
}
