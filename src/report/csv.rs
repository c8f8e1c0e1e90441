//! The timeline as CSV (RFC 4180), every row of the record with what was made of it since, for spreadsheets and scripts.
//!
//! A text that a spreadsheet would take for a formula is led by an apostrophe. Columns are only ever added, at the end.

use super::timeline::{Line, relative};
use super::{Review, Sink, escape};

/// The columns, in order.
pub const COLUMNS: [&str; 20] = [
    "entry",
    "at",
    "recorded_at",
    "t",
    "t_ms",
    "who",
    "via",
    "kind",
    "level",
    "service",
    "run",
    "told",
    "pinned",
    "hidden",
    "title",
    "text",
    "original",
    "corrected_by",
    "retimed_by",
    "source",
];

/// The document: a head and a line per entry, each ended by CR LF.
pub fn render(review: &Review<'_>) -> String {
    super::collected(|sink| render_to(review, sink))
}

/// As [`render`], piece by piece.
pub fn render_to(review: &Review<'_>, sink: &mut Sink<'_>) {
    let lines = review.lines();
    let mut out = String::new();
    record(&mut out, COLUMNS.iter().map(|c| (*c).to_owned()));
    for line in lines.iter() {
        record(&mut out, cells(review, &line).into_iter());
        super::pass_on(&mut out, sink);
    }
    sink(&out);
}

fn cells(review: &Review<'_>, l: &Line) -> [String; 20] {
    let declared = review.story.t_zero;
    let text = |text: &str| harmless(&escape::plain(text, &review.extra.mask));
    let flag = |is: bool| if is { "yes" } else { "no" }.to_owned();
    let by = |what: &str| match l.last(what) {
        Some(a) => text(&format!("{} (entry {})", a.by, a.seq)),
        None => String::new(),
    };
    let level = serde_json::to_value(l.row.level).ok().and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default();
    [
        l.row.seq.to_string(),
        l.at.to_string(),
        l.row.at.to_string(),
        relative(declared, l.level),
        l.level.ms_since(declared.at).to_string(),
        text(l.author.as_deref().unwrap_or(&l.row.actor)),
        text(&l.row.via),
        text(&l.row.kind),
        level,
        text(l.row.service.as_deref().unwrap_or_default()),
        text(l.row.run.as_deref().unwrap_or_default()),
        flag(l.is_told()),
        flag(l.row.pinned),
        flag(l.row.hidden),
        text(l.row.title.as_deref().unwrap_or_default()),
        text(&l.text),
        text(l.original.as_deref().unwrap_or_default()),
        if l.original.is_some() { by("corrected") } else { String::new() },
        by("retimed"),
        text(l.source.as_deref().unwrap_or_default()),
    ]
}

/// A spreadsheet takes what begins so for a formula; leading blanks do not keep it from doing so.
fn harmless(text: &str) -> String {
    if text.trim_start().starts_with(['=', '+', '-', '@', '＝', '＋', '－', '＠']) || text.starts_with(['\t', '\r'])
    {
        return format!("'{text}");
    }
    text.to_owned()
}

fn record(out: &mut String, cells: impl Iterator<Item = String>) {
    for (n, cell) in cells.enumerate() {
        if n > 0 {
            out.push(',');
        }
        if cell.contains(['"', ',', '\n', '\r', ';']) || cell.starts_with(' ') || cell.ends_with(' ') {
            out.push('"');
            out.push_str(&cell.replace('"', "\"\""));
            out.push('"');
        } else {
            out.push_str(&cell);
        }
    }
    out.push_str("\r\n");
}
