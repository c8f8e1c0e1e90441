//! `mayday journal redact`: destroying what must not be on record. The text comes from standard input or a prompt that
//! does not show it, never from an argument: those stand in the shell's history and in the list of processes.

use std::collections::BTreeSet;
use std::io::{IsTerminal, Read, Write};

use super::exit::{self, Failure};
use super::{Session, print, say};
use crate::text::{plural, secret};
use crate::wire::{Answer, Ask, Hush, RedactAsk, RedactionView};

/// What was asked.
#[derive(Debug)]
pub struct Asked {
    pub entries: Vec<u64>,
    pub text: Option<String>,
    pub reason: String,
    pub confirm: Option<String>,
    pub dry_run: bool,
}

/// Looks first, tells what would go, takes the typed word, and has it destroyed.
pub async fn run(session: &mut Session, asked: Asked) -> Result<u8, Failure> {
    let Asked { entries, text, reason, confirm, dry_run } = asked;
    let entries: BTreeSet<u64> = entries.into_iter().collect();
    let text = match text.as_deref() {
        None => None,
        Some("-") => Some(Hush(read_text()?)),
        Some(_) => {
            return Err(Failure::usage(
                "the text is never an argument: it would stand in the shell's history and in the list of processes; \
                 give --text - and type it, or send it by standard input",
            ));
        }
    };
    if entries.is_empty() == text.is_none() {
        return Err(Failure::usage("redact what? entries by their numbers, or --text -"));
    }
    if !dry_run && reason.trim().is_empty() {
        return Err(Failure::usage("--reason says why, without the text: it stays on record"));
    }
    let ask = RedactAsk { entries, text, reason, confirm: None };
    let view = redaction(session.ask(Ask::Redact(ask.clone())).await?)?;
    if dry_run {
        match session.json {
            true => print(&view)?,
            false => preview(&view).iter().for_each(|l| say(l)),
        }
        return Ok(exit::DONE);
    }
    let typed = match confirm {
        Some(typed) => typed,
        None if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() => {
            let why = format!("not confirmed: look with --dry-run, then give --confirm {}", view.confirm);
            return Err(Failure::refused(why));
        }
        None => {
            preview(&view).iter().for_each(|l| eprintln!("{l}"));
            let mut line = String::new();
            eprint!("It cannot be taken back. Type {} to destroy it: ", view.confirm);
            std::io::stdin().read_line(&mut line)?;
            line.trim().to_owned()
        }
    };
    if typed != view.confirm {
        return Err(Failure::refused(format!("not confirmed (wanted: {}): nothing was done", view.confirm)));
    }
    let view = redaction(session.ask(Ask::Redact(RedactAsk { confirm: Some(typed), ..ask })).await?)?;
    match session.json {
        true => print(&view)?,
        false => done(&view).iter().for_each(|l| say(l)),
    }
    Ok(if view.failed.is_empty() { exit::DONE } else { exit::FAILED })
}

fn redaction(answer: Answer) -> Result<RedactionView, Failure> {
    match answer {
        Answer::Redaction(view) => Ok(*view),
        _ => Err(Failure::failed("the engine gave another answer than was asked for")),
    }
}

fn entries_of(view: &RedactionView) -> Vec<String> {
    let mut out = Vec::new();
    for e in &view.entries {
        let incident = e.incident.as_deref().map(|i| format!("  {i}")).unwrap_or_default();
        let whole = if e.whole { "  WHOLE: nothing of it stays readable" } else { "" };
        out.push(format!("  entry {:<6} {}  {:<18} {}{incident}{whole}", e.seq, e.at, e.kind, e.by));
    }
    out
}

/// What would go, and what cannot.
fn preview(view: &RedactionView) -> Vec<String> {
    let mut out = Vec::new();
    if view.entries.is_empty() {
        out.push("no entry of the journal holds it".to_owned());
    } else {
        out.push(format!(
            "the text goes from {}; who, when, which incident and which kind stay:",
            entries(view.entries.len())
        ));
        out.extend(entries_of(view));
    }
    for (file, places) in &view.files {
        out.push(format!("  file  {file}  {}", plural(usize::try_from(*places).unwrap_or(usize::MAX), "place")));
    }
    out.extend(beyond(view));
    out
}

/// What came of it.
fn done(view: &RedactionView) -> Vec<String> {
    let mut out = Vec::new();
    let (seq, places) = view.finished.unwrap_or_default();
    let files: BTreeSet<&str> = view.files.iter().map(|(f, _)| f.as_str()).collect();
    out.push(format!(
        "redacted in {}, and at {} in {} (entry {seq}); mayday journal verify tells who and why",
        entries(view.entries.len()),
        plural(usize::try_from(places).unwrap_or(usize::MAX), "place"),
        plural(files.len(), "file")
    ));
    out.extend(entries_of(view));
    out.extend(beyond(view));
    out.push("a secret that was written down is known: renew it where it is used".into());
    out
}

fn entries(n: usize) -> String {
    if n == 1 { "1 entry".to_owned() } else { format!("{n} entries") }
}

fn beyond(view: &RedactionView) -> Vec<String> {
    let mut out = Vec::new();
    for failed in &view.failed {
        out.push(format!("NOT DESTROYED in {failed}"));
    }
    for stuck in &view.stuck {
        out.push(format!("STAYS in {stuck}: it cannot be blanked"));
    }
    if !view.also.is_empty() {
        let list: Vec<String> = view.also.iter().take(20).map(u64::to_string).collect();
        out.push(format!("the same text stands in entries that were not named: {}", list.join(", ")));
    }
    if view.short {
        out.push("its text is short: in files it goes from the timeline only; --text - finds it everywhere".into());
    }
    if !view.unread.is_empty() {
        out.push(format!("compressed, not looked into: {}", view.unread.join(", ")));
    }
    for elsewhere in &view.elsewhere {
        out.push(format!("beyond reach: {elsewhere}"));
    }
    out.push(
        "beyond reach: messages that were sent, copies and exports outside of the state directory, backups of it"
            .into(),
    );
    out
}

/// Standard input, or a prompt that shows nothing.
fn read_text() -> Result<String, Failure> {
    let stdin = std::io::stdin();
    let mut text = String::new();
    if stdin.is_terminal() {
        let _quiet = Quiet::new()?;
        eprint!("The text to destroy (it is not shown): ");
        let _ = std::io::stderr().flush();
        stdin.read_line(&mut text)?;
        eprintln!();
        if text.contains('\u{3}') {
            return Err(Failure::refused("given up: nothing was done"));
        }
    } else {
        let limit = secret::LONGEST as u64 + 2;
        let mut bytes = Vec::new();
        stdin.lock().take(limit).read_to_end(&mut bytes)?;
        text = String::from_utf8(bytes).map_err(|_| Failure::usage("the text on standard input is no UTF-8"))?;
    }
    let text = text.strip_suffix('\n').unwrap_or(&text);
    let text = text.strip_suffix('\r').unwrap_or(text);
    if text.trim().is_empty() {
        return Err(Failure::usage("no text came on standard input"));
    }
    Ok(text.to_owned())
}

/// The terminal does not show what is typed, for as long as this lives; Ctrl-C is read like any key, so that it cannot
/// leave it so.
struct Quiet(rustix::termios::Termios);

impl Quiet {
    fn new() -> Result<Quiet, Failure> {
        use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
        let fault = |e: rustix::io::Errno| Failure::failed(format!("make the terminal not show what is typed: {e}"));
        let before = tcgetattr(std::io::stdin()).map_err(fault)?;
        let mut quiet = before.clone();
        quiet.local_modes &= !(LocalModes::ECHO | LocalModes::ISIG);
        tcsetattr(std::io::stdin(), OptionalActions::Flush, &quiet).map_err(fault)?;
        Ok(Quiet(before))
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        let _ = rustix::termios::tcsetattr(std::io::stdin(), rustix::termios::OptionalActions::Now, &self.0);
    }
}

/// Notes down where a document was written, so that a redaction can name it. Best effort: a record that is only read
/// stays as it is.
pub fn remember_export(state_dir: &std::path::Path, incident: &str, path: &std::path::Path) {
    use std::os::unix::fs::OpenOptionsExt;
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let at = crate::domain::Time::from_ms(crate::sys::clock::now_ms());
    let line = serde_json::json!({ "at": at, "incident": incident, "path": path.to_string_lossy() });
    let file =
        std::fs::OpenOptions::new().append(true).create(true).mode(0o600).open(state_dir.join(crate::report::WRITTEN));
    if let Ok(mut file) = file {
        let _ = file.write_all(format!("{line}\n").as_bytes());
    }
}
