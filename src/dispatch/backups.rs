//! Commands that read copies themselves instead of asking the engine to.

use crate::backup::verify as whole;
use crate::cli::{Failure, Session, exit, print, say};
use crate::domain::Time;
use crate::domain::backup::Copy;
use crate::recovery::restore::manifest as restored;
use crate::sys::manifest::beside;
use crate::sys::{clock, disk};
use crate::wire::{Answer, Ask};

/// The copy asked for, else the newest.
async fn copy_of(session: &mut Session, name: &str, copy: Option<String>) -> Result<Copy, Failure> {
    let Answer::Copies { copies } = session.ask(Ask::Copies { backup: name.to_owned() }).await? else {
        return Err(Failure::failed("the engine gave no copies"));
    };
    let found = match &copy {
        Some(id) => copies.iter().find(|c| c.id == *id),
        None => copies.first(),
    };
    found.cloned().ok_or_else(|| {
        Failure::usage(match &copy {
            Some(id) => format!("{name} has no copy \"{id}\": mayday backups copies {name}"),
            None => format!("{name} has no copy"),
        })
    })
}

pub async fn manifest(session: &mut Session, name: &str, copy: Option<String>, replace: bool) -> Result<u8, Failure> {
    let copy = copy_of(session, name, copy).await?;
    let path = beside(&restored::path_of(&copy));
    if path.exists() && !replace {
        let why = format!("there is already a {}: --replace writes it anew", path.display());
        return Err(Failure { code: exit::REFUSED, text: why });
    }
    let failed = |why: String| Failure::failed(format!("make a manifest of {}: {why}", copy.id));
    let made = restored::make(&copy).await.map_err(failed)?;
    let text = made.write(&copy.id, concat!("mayday ", env!("CARGO_PKG_VERSION")), Time::from_ms(clock::now_ms()));
    disk::write_atomic(&path, text.as_bytes(), 0o640)
        .map_err(|e| failed(format!("{} cannot be written: {e}", path.display())))?;
    if session.json {
        let manifest: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
        print(&serde_json::json!({ "file": path.display().to_string(), "manifest": manifest }))?;
    } else {
        say(&format!("{}: {}", path.display(), made.shown()));
    }
    Ok(exit::DONE)
}

pub async fn verify(session: &mut Session, name: &str, copy: Option<String>) -> Result<u8, Failure> {
    let found = copy_of(session, name, copy).await?;
    let verified = whole::verify(&found, &whole::Options::default()).await;
    if session.json {
        print(&verified)?;
    } else {
        say(&format!("{}: {}", verified.id, verified.verdict));
        for answer in &verified.checks {
            let mark = match answer.good {
                Some(true) => "ok",
                Some(false) => "BAD",
                None => "?",
            };
            say(&format!("  {mark:<4} {}: {}", answer.check, answer.words));
        }
    }
    Ok(match verified.good {
        Some(true) => exit::DONE,
        Some(false) => exit::FAILED,
        None => exit::UNVERIFIED,
    })
}
