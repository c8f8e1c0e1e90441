//! Judging a target against the window: is it reached, and if not, what is nearest?

use super::target::{self, Asked, Target};
use super::window::{Latest, Window};
use crate::text;

/// A target that can be reached, and what of it is to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chosen {
    pub target: Target,
    /// The moment that it means, in microseconds since 1970, where that is known.
    pub moment: Option<i64>,
    pub said: String,
    /// It could not be looked up, and may turn out not to be there.
    pub unsure: bool,
}

impl Window {
    /// Judges what was asked for. Errors: why it cannot be reached, with the nearest that can.
    pub fn choose(&self, asked: &Asked, now: i64) -> Result<Chosen, String> {
        let newest = || match (self.last_ended, self.latest) {
            (Some(at), Latest::Read(time)) => (Target::Lsn(at), Some(time)),
            (_, Latest::Read(time)) => (Target::Lsn(self.last_record), Some(time)),
            (_, Latest::Estimated(_)) => (Target::Lsn(self.last_record), None),
        };
        let why_end = || match (&self.damaged, self.gap()) {
            (Some(damaged), _) => damaged.clone(),
            (None, Some(gap)) => format!("the log ends at a gap ({gap})"),
            (None, None) => "later log is not in the archive".to_owned(),
        };
        let sure = |target: Target, moment: Option<i64>, said: String| Chosen { target, moment, said, unsure: false };
        match &asked.target {
            Target::Newest => {
                let (target, moment) = newest();
                let when = moment.map_or_else(String::new, |m| format!(", of {}", target::shown(m)));
                Ok(sure(target.clone(), moment, format!("the newest that can be reached: {target}{when}")))
            }
            Target::Time(t) if *t < self.earliest => Err(format!(
                "{} is before this base backup is consistent: the nearest is {}; or choose an earlier copy",
                target::shown(*t),
                target::shown(self.earliest)
            )),
            Target::Time(t) if *t > self.latest.micros() => {
                let future =
                    if *t > now { "is in the future" } else { "is later than the last transaction in the log" };
                Err(format!(
                    "{} {future}: the nearest is {}, and {}",
                    target::shown(*t),
                    target::shown(self.latest.micros()),
                    why_end()
                ))
            }
            // The server stops at the first transaction that ended later; behind the last one there is none.
            Target::Time(t) if *t == self.latest.micros() => {
                Ok(sure(newest().0, Some(*t), format!("{}, the last transaction in the log", target::shown(*t))))
            }
            Target::Time(t) => Ok(Chosen {
                unsure: matches!(self.latest, Latest::Estimated(_)),
                ..sure(Target::Time(*t), Some(*t), target::shown(*t))
            }),
            Target::Lsn(lsn) if *lsn < self.end => Err(format!(
                "{lsn} is before this base backup is consistent: the nearest is lsn:{}",
                self.end.min(self.last_record)
            )),
            Target::Lsn(lsn) if *lsn > self.last_record => Err(format!(
                "{lsn} is beyond the last record in the log: the nearest is lsn:{}, and {}",
                self.last_record,
                why_end()
            )),
            Target::Lsn(lsn) => Ok(sure(Target::Lsn(*lsn), None, lsn.to_string())),
            other => Ok(Chosen {
                unsure: true,
                ..sure(other.clone(), None, format!("{}: looked for while replaying", text::clean(&other.to_string())))
            }),
        }
    }
}
