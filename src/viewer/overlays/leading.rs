//! Prompts of leading an incident: false alarm, merge, onset, snooze. Each needs a reason.

use crate::domain::Time;
use crate::domain::command::Command;
use crate::viewer::app::App;

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Leading {
    /// `force`: against what stands against it.
    FalseAlarm {
        incident: String,
        force: bool,
    },
    Merge {
        incident: String,
        into: String,
    },
    Onset {
        incident: String,
    },
    Snooze {
        incident: String,
    },
}

impl Leading {
    /// What Enter does.
    pub(super) fn verb(&self) -> &'static str {
        match self {
            Leading::FalseAlarm { force: true, .. } => "close by force",
            Leading::FalseAlarm { .. } => "close as a false alarm",
            Leading::Merge { .. } => "merge",
            Leading::Onset { .. } => "set the onset",
            Leading::Snooze { .. } => "snooze",
        }
    }

    pub(super) fn is_danger(&self) -> bool {
        matches!(self, Leading::FalseAlarm { force: true, .. })
    }

    pub(super) fn command(self, app: &App, text: String) -> Result<(String, Command), String> {
        Ok(match self {
            Leading::FalseAlarm { incident, force } => (
                format!("{incident} closed as a false alarm"),
                Command::FalseAlarm { incident: Some(incident), reason: text, force },
            ),
            Leading::Merge { incident, into } => {
                (format!("{incident} merged into {into}"), Command::Merge { incident, into, reason: text })
            }
            Leading::Onset { incident } => {
                let (at, reason) =
                    text.split_once(' ').ok_or("a time and a reason are needed: 02:03 first complaint")?;
                let onset =
                    Time::parse(at).ok().map(Ok).or_else(|| Time::of_day(at, app.watched.engine_now())).ok_or_else(
                        || format!("\"{at}\" is not a time: write 02:03, 02:03:07 or 2026-11-20T02:03:07Z"),
                    )??;
                let reason = reason.trim().to_owned();
                (format!("onset {onset}"), Command::SetOnset { incident: Some(incident), onset, reason })
            }
            Leading::Snooze { incident } => {
                let (lasts, reason) =
                    text.split_once(' ').ok_or("a duration and a reason are needed: 10m on the phone")?;
                let until = app.watched.engine_now().plus(crate::text::parse_duration(lasts)?);
                let reason = reason.trim().to_owned();
                let said = format!("next update snoozed to {}", app.look.hm(until));
                (said, Command::Snooze { incident: Some(incident), until, reason })
            }
        })
    }
}
