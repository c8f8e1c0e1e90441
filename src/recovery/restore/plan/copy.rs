//! Choosing the copy.

use super::super::manifest;
use super::{Draft, Say};
use crate::config::Backup;
use crate::domain::backup::{Copy, Manifest};
use crate::domain::command::Refusal;
use crate::recovery::plan::PlanContext;
use crate::text;

/// The copy asked for, else the newest good one.
pub fn choose<'a>(ctx: &'a PlanContext, set: &Backup, asked: Option<&str>) -> Result<&'a Copy, Refusal> {
    // Not listed is not empty.
    let Some(copies) = ctx.copies.get(&set.name) else {
        return Err(Refusal::new(
            format!("the copies of backup {} are not listed yet", set.name),
            "try again in a moment; if it stays so its place does not answer, see mayday backups list",
        ));
    };
    if let Some(id) = asked {
        return copies.iter().find(|c| c.id == id).ok_or_else(|| {
            let newest: Vec<&str> = copies.iter().take(3).map(|c| c.id.as_str()).collect();
            let there = if newest.is_empty() {
                "there is none at all".into()
            } else {
                format!("the newest are {}", newest.join(", "))
            };
            Refusal::usage(format!("backup {} has no copy {}", set.name, text::clean(id)), there)
        });
    }
    copies.iter().find(|c| c.suspect.is_none()).ok_or_else(|| match copies.first() {
        None => Refusal::new(
            format!("backup {} has no copy", set.name),
            "look whether its place is reachable and its pattern is right",
        ),
        Some(newest) => Refusal::new(
            format!(
                "backup {} has no good copy, the newest is suspect: {}",
                set.name,
                newest.suspect.as_deref().unwrap_or_default()
            ),
            format!("choose it by name to use it all the same: --copy {}", text::shell_word(&newest.id)),
        ),
    })
}

/// What is to be said of the choice.
pub fn judge(draft: &mut Draft<'_>, ctx: &PlanContext, set: &Backup, copy: &Copy, asked: bool) {
    let age = text::duration(ctx.now.since(copy.taken_at));
    let newest_good = ctx.copies.get(&set.name).and_then(|all| all.iter().find(|c| c.suspect.is_none()));
    match (&copy.suspect, newest_good) {
        (Some(why), _) if asked => {
            draft.warn("copy", format!("{} is suspect and was chosen all the same: {why}", copy.id))
        }
        (Some(why), _) => draft.fail("copy", format!("{} is suspect: {why}; choose another copy", copy.id)),
        (None, Some(newest)) if newest.taken_at > copy.taken_at => {
            let newer = text::duration(newest.taken_at.since(copy.taken_at));
            draft.warn("copy", format!("{} is {age} old; {} is newer by {newer}", copy.id, newest.id));
        }
        (None, _) => draft.pass("copy", format!("{} is {age} old, the newest good one", copy.id)),
    }
    if copy.taken_at > ctx.now {
        draft.warn("copy", format!("{} is dated in the future: look at the clock of the host that made it", copy.id));
    }
}

/// What the manifest beside it says, where there is one that is of it.
pub async fn manifest(draft: &mut Draft<'_>, copy: &Copy) -> Option<Manifest> {
    let own = copy.clone();
    let read = super::folder::blocking("read the manifest of the copy", move || {
        manifest::read(&own).map(|read| read.map(|said| (said, manifest::size(&own))))
    })
    .await;
    match read.and_then(|read| read) {
        Ok(None) => return None,
        Ok(Some((said, size))) => match said.objection(size) {
            Some(why) => draft.fail("manifest", format!("{why}; choose another copy")),
            None => {
                draft.pass("manifest", said.shown());
                return Some(said);
            }
        },
        Err(why) => draft.warn("manifest", format!("{why}: nothing is compared with it")),
    }
    None
}
