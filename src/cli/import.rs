//! `mayday import`: lines of another record, shown as they were read before anything is written, and asked where the
//! reading is doubtful.

use std::io::{IsTerminal, Read};
use std::path::{Path, PathBuf};

use clap::Args;

use super::exit::{self, Failure};
use super::runs::ask_line;
use super::{Session, print, say};
use crate::domain::Time;
use crate::domain::backfill::{self, About, BATCH, Decided, Format, Line, Reading};
use crate::domain::command::Command;
use crate::text::{plural, width};
use crate::wire::Answer;

/// Bytes of a file that are read at the most, and of one request about.
const LARGEST: u64 = 64 << 20;
const REQUEST: usize = 256 << 10;

/// What was asked.
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// The file; - reads standard input.
    pub file: String,
    /// The incident; the open one, else the last.
    #[arg(long, value_name = "INC")]
    pub incident: Option<String>,
    /// lines, slack, chat, alertmanager, journald, asciicast or script; found out by default.
    #[arg(long, default_value = "auto", value_name = "FORMAT")]
    pub format: String,
    /// The day of times that name none: 2026-11-20.
    #[arg(long, value_name = "DATE")]
    pub date: Option<String>,
    /// The offset of times that name none: +02:00; UTC by default.
    #[arg(long, value_name = "OFFSET", allow_hyphen_values = true)]
    pub zone: Option<String>,
    /// The timing file of a script recording.
    #[arg(long, value_name = "FILE")]
    pub timing: Option<PathBuf>,
    /// When a recording began that does not say so itself (RFC 3339).
    #[arg(long, value_name = "TIME")]
    pub began: Option<String>,
    /// Who wrote what names nobody.
    #[arg(long, default_value = "", value_name = "NAME")]
    pub author: String,
    /// Leave doubtful lines out instead of asking.
    #[arg(long)]
    pub skip_doubtful: bool,
    /// Import without asking; doubtful lines are still asked, or left out.
    #[arg(long)]
    pub yes: bool,
    /// Only show how each line was read.
    #[arg(long)]
    pub dry_run: bool,
}

/// Reads, shows, asks, imports.
pub async fn run(session: &mut Session, args: ImportArgs) -> Result<u8, Failure> {
    let (bytes, source) = read_file(&args.file)?;
    let timing = match &args.timing {
        Some(path) => Some(read_path(path)?),
        None => None,
    };
    let format = match args.format.as_str() {
        "auto" => backfill::guess(&bytes, timing.is_some()),
        word => Format::parse(word).ok_or_else(|| {
            let known: Vec<&str> = Format::ALL.iter().map(|f| f.word()).collect();
            Failure::usage(format!("there is no format \"{word}\": auto, {}", known.join(", ")))
        })?,
    };
    let (incident, about) = about(session, &args).await?;
    let reading = backfill::read(format, &bytes, timing.as_deref(), &about)
        .map_err(|why| Failure::failed(format!("read {source} as {}: {why}", format.word())))?;
    if args.dry_run {
        match session.json {
            true => print(&shown_json(&incident, format, &reading))?,
            false => preview(&incident, format, &about, &reading).iter().for_each(|l| say(l)),
        }
        return Ok(exit::DONE);
    }
    if reading.lines.is_empty() {
        return Err(Failure::failed(format!("{source} has no lines to import: {}", left_out(&reading))));
    }
    let terminal = std::io::stdin().is_terminal() && std::io::stderr().is_terminal() && args.file != "-";
    if !session.json {
        preview(&incident, format, &about, &reading).iter().for_each(|l| eprintln!("{l}"));
    }
    let doubtful: Vec<&Line> = reading.lines.iter().filter(|l| !l.doubts.is_empty()).collect();
    if !doubtful.is_empty() && !terminal && !args.skip_doubtful {
        let named: Vec<String> = doubtful.iter().map(|l| format!("  {}", doubt_of(l))).collect();
        return Err(Failure::refused(format!(
            "{} doubtful, nothing was imported: say what is missing (--date, --zone), or leave them out with \
             --skip-doubtful\n{}",
            if doubtful.len() == 1 { "1 line is".to_owned() } else { format!("{} lines are", doubtful.len()) },
            named.join("\n")
        )));
    }
    if !args.yes && !terminal {
        return Err(Failure::refused(format!(
            "import {}: not confirmed: give --yes",
            plural(reading.lines.len(), "line")
        )));
    }
    let (mut decided, mut skipped) = (Vec::new(), Vec::new());
    // Doubts that were answered once for all lines that have them.
    let mut granted: Vec<&[String]> = Vec::new();
    for line in &reading.lines {
        let at = match (line.doubts.is_empty(), args.skip_doubtful) {
            (true, _) => line.at,
            (false, true) => None,
            (false, false) if granted.contains(&line.doubts.as_slice()) && line.at.is_some() => line.at,
            (false, false) => {
                let (at, all) = ask_about(line, &about)?;
                if all {
                    granted.push(&line.doubts);
                }
                at
            }
        };
        match at {
            Some(at) => decided.push(Decided { at, author: line.author.clone(), text: line.text.clone() }),
            None => skipped.push(line),
        }
    }
    if decided.is_empty() {
        return Err(Failure::refused(format!(
            "all {} were left out: nothing was imported",
            plural(skipped.len(), "line")
        )));
    }
    if !args.yes {
        super::runs::confirm_yes(&format!("import {} into {incident}", plural(decided.len(), "line")))?;
    }
    let (new, known) = send(session, &incident, format, &source, decided).await?;
    if session.json {
        let skipped: Vec<usize> = skipped.iter().map(|l| l.place).collect();
        print(&serde_json::json!({
            "incident": incident, "format": format.word(), "new": new, "known": known, "skipped": skipped,
        }))?;
    } else {
        let there = if known == 1 { "1 was there".to_owned() } else { format!("{known} were there") };
        say(&format!("{new} new, {there}, in {incident}"));
        for line in &skipped {
            say(&format!("left out: {}", doubt_of(line)));
        }
    }
    Ok(exit::DONE)
}

fn read_file(name: &str) -> Result<(Vec<u8>, String), Failure> {
    if name != "-" {
        let path = Path::new(name);
        let source = path.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
        return Ok((read_path(path)?, source));
    }
    let mut bytes = Vec::new();
    std::io::stdin().lock().take(LARGEST + 1).read_to_end(&mut bytes)?;
    bounded(bytes, "standard input").map(|bytes| (bytes, "standard input".into()))
}

fn read_path(path: &Path) -> Result<Vec<u8>, Failure> {
    let fault = |e: std::io::Error| Failure::failed(format!("read {}: {e}", path.display()));
    let mut bytes = Vec::new();
    std::fs::File::open(path).map_err(fault)?.take(LARGEST + 1).read_to_end(&mut bytes).map_err(fault)?;
    bounded(bytes, &path.display().to_string())
}

fn bounded(bytes: Vec<u8>, what: &str) -> Result<Vec<u8>, Failure> {
    if bytes.len() as u64 > LARGEST {
        return Err(Failure::usage(format!("{what} has more than {} MiB: import it in pieces", LARGEST >> 20)));
    }
    Ok(bytes)
}

/// The incident that is meant, and what is known for reading.
async fn about(session: &mut Session, args: &ImportArgs) -> Result<(String, About), Failure> {
    let picture = session.picture().await?;
    let found = match &args.incident {
        Some(id) => picture.incidents.get(id),
        None => {
            let open: Vec<_> = picture.incidents.values().filter(|i| i.incident.status.is_open()).collect();
            match open.as_slice() {
                [] => picture.incidents.values().max_by_key(|i| i.incident.last_seq),
                [only] => Some(*only),
                several => {
                    let ids: Vec<&str> = several.iter().map(|i| i.incident.id.as_str()).collect();
                    return Err(Failure::usage(format!(
                        "several incidents are open: give --incident {}",
                        ids.join(" or ")
                    )));
                }
            }
        }
    };
    let Some(view) = found else {
        return Err(Failure::usage(match &args.incident {
            Some(id) => format!("there is no incident \"{id}\": mayday incident list shows them"),
            None => "there is no incident to import into: mayday incident declare TITLE".into(),
        }));
    };
    let zone = match &args.zone {
        Some(text) => backfill::parse_zone(text)
            .ok_or_else(|| Failure::usage(format!("\"{text}\" is no offset: write +02:00, -05:30 or UTC")))?,
        None => 0,
    };
    let date = match &args.date {
        Some(text) => Some(
            backfill::parse_date(text)
                .ok_or_else(|| Failure::usage(format!("\"{text}\" is no day: write 2026-11-20")))?,
        ),
        None => None,
    };
    let about = About {
        now: Time::from_ms(crate::sys::clock::now_ms()),
        start: view.incident.onset.unwrap_or(view.incident.declared_at).min(view.incident.declared_at),
        zone,
        date,
        begun: args.began.as_deref().map(super::incident::parse_time).transpose()?,
        author: args.author.clone(),
    };
    Ok((view.incident.id.clone(), about))
}

async fn send(
    session: &mut Session,
    incident: &str,
    format: Format,
    source: &str,
    lines: Vec<Decided>,
) -> Result<(usize, usize), Failure> {
    let (mut new, mut known) = (0, 0);
    let mut rest = lines.into_iter().peekable();
    while rest.peek().is_some() {
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while let Some(line) = rest.next_if(|l| batch.len() < BATCH && (bytes == 0 || bytes + l.text.len() < REQUEST)) {
            bytes += line.text.len();
            batch.push(line);
        }
        let count = batch.len();
        let import = Command::Import { incident: Some(incident.into()), lines: batch, format, source: source.into() };
        let mut answer = session.act(import.clone()).await?;
        // The engine died over it, and the next one knows by the record that it was begun: what lacks is added.
        let begun = matches!(answer, Answer::Done { .. });
        if begun {
            answer = session.act(import).await?;
        }
        match answer {
            Answer::Imported { recorded, .. } if begun => {
                new += count;
                super::incident::warn_unrecorded(recorded);
            }
            Answer::Imported { new: n, known: k, recorded, .. } => {
                new += n;
                known += k;
                super::incident::warn_unrecorded(recorded);
            }
            _ => return Err(Failure::failed("the engine gave another answer than was asked for")),
        }
    }
    Ok((new, known))
}

/// Asks which moment is meant; `None`: the line is left out. True: the same goes for all lines with the same doubts.
fn ask_about(line: &Line, about: &About) -> Result<(Option<Time>, bool), Failure> {
    eprintln!("\n{}", doubt_of(line));
    let in_time = |at: &Time| *at <= about.now;
    let mut ways: Vec<Time> = line.at.into_iter().chain(line.or.iter().copied()).filter(in_time).collect();
    ways.dedup();
    // Where only one moment comes into question, the answer may be the same for many.
    let alike = line.or.is_empty() && line.at.is_some_and(|at| at <= about.now);
    for (i, at) in ways.iter().enumerate() {
        eprintln!("  {}  {} {}Z", i + 1, at.date(), at.hms());
    }
    loop {
        let numbers = if ways.is_empty() { String::new() } else { "the number, ".to_owned() };
        let all = if alike { "a for it and all with the same doubt, " } else { "" };
        let typed = ask_line(&format!("{numbers}{all}a time (2026-11-20T15:38:12Z), or s to leave it out: "))?;
        let typed = typed.trim();
        if matches!(typed, "s" | "S") {
            return Ok((None, false));
        }
        if alike && matches!(typed, "a" | "A") {
            return Ok((line.at, true));
        }
        if let Some(at) = typed.parse::<usize>().ok().and_then(|n| ways.get(n.checked_sub(1)?)) {
            return Ok((Some(*at), false));
        }
        match Time::parse(typed) {
            Ok(at) if at > about.now => eprintln!("that lies in the future"),
            Ok(at) => return Ok((Some(at), false)),
            // The end of the input is no answer.
            Err(_) if typed.is_empty() => return Err(Failure::refused("not answered: nothing was imported")),
            Err(why) => eprintln!("{why}"),
        }
    }
}

fn doubt_of(line: &Line) -> String {
    let text = width::cut(line.text.lines().next().unwrap_or_default(), 60);
    format!("line {}: {}: \"{text}\"", line.place, line.doubts.join("; "))
}

fn left_out(reading: &Reading) -> String {
    match reading.left_out.as_slice() {
        [] => "it is empty".into(),
        some => format!("left out: {}", some.join("; ")),
    }
}

fn preview(incident: &str, format: Format, about: &About, reading: &Reading) -> Vec<String> {
    let columns = super::columns().unwrap_or(160).max(60);
    let zone = match about.zone {
        0 => "UTC".to_owned(),
        z => format!("{}{:02}:{:02}", if z < 0 { '-' } else { '+' }, z.abs() / 60, z.abs() % 60),
    };
    let mut out = vec![format!(
        "read as {}, for {incident}; times without an offset are {zone}, all are shown in UTC",
        format.word()
    )];
    for line in &reading.lines {
        let mark = if line.doubts.is_empty() { ' ' } else { '?' };
        let at = line.at.map_or_else(|| "no time            ".into(), |at| format!("{} {}", at.date(), at.hms()));
        let author = width::fit(&line.author, 14);
        let text = line.text.replace('\n', " ⏎ ");
        out.push(width::cut(&format!("{mark} {at}  {author}  {text}"), columns));
        if !line.doubts.is_empty() {
            out.push(format!("    line {}: {}", line.place, line.doubts.join("; ")));
        }
    }
    let doubtful = reading.lines.iter().filter(|l| !l.doubts.is_empty()).count();
    let doubts = if doubtful == 0 { String::new() } else { format!(", {doubtful} doubtful") };
    out.push(format!("{}{doubts}", plural(reading.lines.len(), "line")));
    out.extend(reading.left_out.iter().map(|what| format!("left out: {what}")));
    out
}

fn shown_json(incident: &str, format: Format, reading: &Reading) -> serde_json::Value {
    serde_json::json!({
        "incident": incident, "format": format.word(), "lines": reading.lines, "left_out": reading.left_out,
    })
}
