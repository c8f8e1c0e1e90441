//! Looking at the past: opening a replay, and moving about in it. What moves only says where to; [`crate::viewer::past`]
//! goes there.

use crate::viewer::app::App;
use crate::viewer::overlays::{Asked, Overlay, Prompt};
use crate::viewer::past::{Move, Replay};
use crate::wire::past::{GOALS, Goal};

/// Shows the past of the incident that is looked at, of the newest one when there is none.
pub fn open(app: &mut App) {
    let Some((opener, dir)) = &app.opener else { return };
    let incident = app.incident().map(|v| v.incident.id.clone());
    let tape = opener(dir, incident.as_deref());
    app.replay = Some(Box::new(Replay::new(app, tape, None)));
}

pub fn can_open(app: &App) -> Option<String> {
    app.opener.is_none().then(|| "this screen was opened without a record".into())
}

pub fn in_the_past(app: &App) -> Option<String> {
    app.past.is_none().then(|| "nothing is being replayed: t does".into())
}

/// Asks for the move.
pub fn go(app: &mut App, to: Move) {
    if let Some(bar) = &mut app.past {
        bar.asked = Some(to);
    }
}

pub fn prompt(app: &mut App) {
    app.open_overlay(Overlay::Prompt(Prompt::new(Asked::Past, "go to which moment?", GOALS, "")));
}

/// Goes to the moment that somebody wrote.
pub fn write(app: &mut App, text: &str) -> Result<(), String> {
    let bar = app.past.as_mut().ok_or("nothing is being replayed")?;
    let span = bar.span.as_ref().ok_or("the record is not open yet")?;
    bar.asked = Some(Move::To(Goal::parse(text, span, bar.at)?));
    Ok(())
}
