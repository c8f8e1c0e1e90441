//! Whether the folders of the backup sets can be listed, and what lies in them just now.

use super::super::in_thread;
use super::{Finding, Place};
use crate::backup::{Beat, rules_of, source_of};
use crate::domain::Time;
use crate::domain::backup::{BackupState, Listing, judge};
use crate::sys::clock;

const AREA: &str = "backups";

/// One look at each set.
pub async fn backups(place: &Place<'_>) -> Vec<Finding> {
    let Some(config) = place.config else { return Vec::new() };
    // The engine is more patient; here somebody waits.
    let limit = place.host.limit * 3;
    let looks = config.backups.iter().map(|backup| {
        let source = source_of(backup);
        async move {
            let place = source.place();
            let name = &backup.name;
            let listed = match in_thread(limit, move || source.list(50, &Beat::default())).await {
                None => {
                    let what = format!("{name}: {place} does not answer");
                    return Finding::bad(AREA, what, "is its file server or mount alive?");
                }
                Some(Err(why)) => return Finding::bad(AREA, format!("{name}: {why}"), ""),
                Some(Ok(listed)) => listed,
            };
            let now = Time::from_ms(clock::now_ms());
            let listing = Listing {
                place,
                scanned_at: Some(now),
                copies: listed.copies.into_iter().map(|s| s.found).collect(),
                count: listed.count,
                bytes: listed.bytes,
                problem: None,
                remark: listed.remark,
            };
            let judged = judge(&listing, &rules_of(backup), now);
            let what = format!("{name}: {}: {}", judged.state.word(), judged.detail);
            match judged.state {
                BackupState::Fresh => Finding::good(AREA, what),
                BackupState::Suspect | BackupState::Unknown => Finding::warning(AREA, what, ""),
                BackupState::Stale | BackupState::Missing => {
                    Finding::bad(AREA, what, "look at what makes these copies, and at path and pattern")
                }
            }
        }
    });
    futures_util::future::join_all(looks).await
}
