//! `mayday backups list` and `copies`.

use super::args::BackupsCmd;
use super::exit::Failure;
use super::status::{name_in, names};
use super::{Session, print, say};
use crate::domain::Time;
use crate::domain::backup::proof::Proof;
use crate::domain::backup::{BackupState, Copy};
use crate::text;
use crate::wire::{Answer, Ask, BackupView};

/// Verifying is wired in `main`, because it reads the copies itself.
pub async fn backups(session: &mut Session, command: &BackupsCmd) -> Result<u8, Failure> {
    match command {
        BackupsCmd::Copies { name } => copies(session, name).await,
        _ => list(session).await,
    }
}

async fn copies(session: &mut Session, name: &str) -> Result<u8, Failure> {
    let Answer::Copies { copies } = session.ask(Ask::Copies { backup: name.to_owned() }).await? else {
        return Err(Failure::failed("the engine gave no copies"));
    };
    let picture = session.picture().await?;
    let view = picture.backups.get(name).cloned().unwrap_or_default();
    if session.json {
        let told = copies.iter().map(|c| with_proof(c, &view)).collect::<Result<Vec<_>, _>>();
        print(&told.map_err(|e| Failure::failed(e.to_string()))?)?;
        return Ok(0);
    }
    if copies.is_empty() {
        say("no copy");
    }
    for c in copies {
        let size = c.size_said();
        let proof = Proof::of_copy(&view.tests, &c.id).said(|at| ago(picture.at, at));
        let proof = if proof.is_empty() { proof } else { format!("  {proof}") };
        let doubt = c.suspect.map(|w| format!("  SUSPECT: {w}")).unwrap_or_default();
        say(&format!("{}  {size:>9}  {}  {}{doubt}{proof}", c.taken_at, c.id, c.note));
    }
    Ok(0)
}

/// A copy with what its tests showed.
fn with_proof(copy: &Copy, view: &BackupView) -> serde_json::Result<serde_json::Value> {
    let mut told = serde_json::to_value(copy)?;
    let proof = Proof::of_copy(&view.tests, &copy.id);
    for (key, test) in [("proven", proof.proven), ("test_failed", proof.failed)] {
        if let (Some(test), Some(told)) = (test, told.as_object_mut()) {
            told.insert(key.to_owned(), serde_json::to_value(test)?);
        }
    }
    Ok(told)
}

async fn list(session: &mut Session) -> Result<u8, Failure> {
    let picture = session.picture().await?;
    if session.json {
        print(&picture.backups.values().collect::<Vec<_>>())?;
        return Ok(0);
    }
    if picture.backups.is_empty() {
        say("no backups are configured");
    }
    let wide = names(picture.backups.keys(), 34, super::columns());
    for b in picture.backups.values() {
        let age = b.newest.as_ref().map(|c| text::duration(picture.at.since(c.as_of())));
        let size = b.newest.as_ref().map(|c| c.size_said()).unwrap_or_default();
        let proof = b.proof_said(|at| ago(picture.at, at));
        let told = [proof.as_str(), b.problem.as_deref().unwrap_or(&b.detail)];
        let told: Vec<&str> = told.into_iter().filter(|s| !s.is_empty()).collect();
        say(&format!(
            "{:<8} {} age {:<8} {size:>9}  {} of {}  {}",
            if b.state == BackupState::Fresh { "fresh".into() } else { b.state.word().to_uppercase() },
            name_in(&b.name, wide),
            age.unwrap_or_else(|| "–".into()),
            text::plural(b.count, "copy").replace("copys", "copies"),
            text::size(b.total_size),
            told.join("  ")
        ));
    }
    Ok(0)
}

fn ago(now: Time, at: Time) -> String {
    format!("{} ago", text::ago(now.since(at)))
}
