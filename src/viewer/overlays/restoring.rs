//! What is asked between the choice of a copy and its plan: the moment to restore to, the parts to bring back.

use super::{Asked, Prompt};
use crate::domain::run::Work;
use crate::domain::time::Time;
use crate::viewer::acts;
use crate::viewer::app::App;

/// A restore that is being put together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restoring {
    pub backup: String,
    /// `None` leaves it to the plan, which takes the newest that serves.
    pub copy: Option<String>,
    pub test: bool,
}

impl Restoring {
    pub fn work(&self, to: Option<String>, only: Vec<String>) -> Work {
        Work::Restore { backup: self.backup.clone(), copy: self.copy.clone(), test: self.test, to, only }
    }

    /// Asks for the moment, saying when the trouble began: what one wants lies just before it.
    pub fn asks_moment(self, app: &App) -> Prompt {
        let began = app.incident().map(|i| {
            let (what, at) = match i.incident.onset {
                Some(onset) => ("began", onset),
                None => ("was declared", i.incident.declared_at),
            };
            format!(" {} {what} {at}.", i.incident.id)
        });
        let help = format!(
            "a time (UTC): 02:14, 02:14:07 or 2026-11-20T02:14:07Z; lsn:0/16B3748, xid:1234, name:RESTORE_POINT; empty \
             for the newest that can be reached.{}",
            began.unwrap_or_default()
        );
        let title = format!("restore {} to which moment?", self.backup);
        Prompt::new(Asked::Moment(self), title, help, "")
    }

    pub fn asks_parts(self) -> Prompt {
        let title = format!("restore only parts of {}", self.backup);
        let help = "with commas between them. Of a database: tables (schema.table) or schemas (schema.*). Of a folder: \
                    names below it that match, such as nginx/** or *.pem. Nothing else is touched.";
        Prompt::new(Asked::Parts(self), title, help, "")
    }

    pub(super) fn at_moment(&self, app: &mut App, text: &str) -> Result<(), String> {
        let to = match Time::of_day(text, app.watched.engine_now()) {
            Some(at) => Some(at?.to_string()),
            None => Some(text.to_owned()).filter(|t| !t.is_empty()),
        };
        let said = to.as_deref().unwrap_or("the newest that can be reached");
        app.record_step(format!("chose the moment {said} for {}", self.backup), Some(self.backup.clone()));
        acts::runs::plan(app, self.work(to, Vec::new()));
        Ok(())
    }

    pub(super) fn parts(&self, app: &mut App, text: &str) -> Result<(), String> {
        let only: Vec<String> = text.split(',').map(str::trim).filter(|p| !p.is_empty()).map(str::to_owned).collect();
        if only.is_empty() {
            return Err("nothing is named: write at least one".into());
        }
        app.record_step(format!("chose of {} only {}", self.backup, only.join(", ")), Some(self.backup.clone()));
        acts::runs::plan(app, self.work(None, only));
        Ok(())
    }
}
