//! The rows of the panes: order, filter, selection, scrolling.
//!
//! Rows are worked out when the picture changes, not when a frame is drawn: five thousand services cost a frame no more
//! than the forty that are in view.

use super::app::{App, Pane};
use crate::domain::health::Health;
use crate::domain::sift::contains as contains_lower;
use crate::domain::timeline::Told;
use crate::wire::{IncidentView, ServiceView};

/// The rows of one pane.
#[derive(Clone, Debug, Default)]
pub struct List {
    /// Keys of the rows shown, in order.
    pub rows: Vec<String>,
    pub sel: usize,
    /// First row in view.
    pub top: usize,
    /// Words that all rows shown contain, lower case.
    pub filter: String,
    /// How many rows there are without the filter.
    pub total: usize,
    /// The selection was moved by a person; until then it stays at the worst row.
    touched: bool,
    /// The selected row is being worked on: rows that come in at the end do not take the selection with them.
    held: bool,
    /// Select this row as soon as there is one of that key.
    wish: Option<String>,
}

impl List {
    /// The selected row's key.
    pub fn key(&self) -> Option<&str> {
        self.rows.get(self.sel).map(String::as_str)
    }

    fn set(&mut self, rows: Vec<String>, total: usize, stick_to_end: bool) {
        let at_end = self.sel + 1 >= self.rows.len();
        let key = self.key().map(str::to_owned);
        self.total = total;
        self.rows = rows;
        if let Some(at) = self.wish.as_ref().and_then(|w| self.rows.iter().position(|r| r == w)) {
            (self.sel, self.touched, self.wish) = (at, true, None);
            return;
        }
        let last = self.rows.len().saturating_sub(1);
        if stick_to_end && at_end && !self.held {
            self.sel = last;
            return;
        }
        if !self.touched && !stick_to_end {
            self.sel = 0;
            return;
        }
        self.sel = match key.and_then(|k| self.rows.iter().position(|r| *r == k)) {
            Some(at) => at,
            None => self.sel.min(last),
        };
    }

    /// Moves by rows, from the first to the last at most.
    pub fn step(&mut self, by: isize) {
        self.touched = true;
        self.held = false;
        self.wish = None;
        let last = self.rows.len().saturating_sub(1);
        self.sel = self.sel.saturating_add_signed(by).min(last);
    }

    /// Keeps the selection at its row until a person moves on.
    pub fn hold(&mut self) {
        self.held = true;
    }

    /// Moves to the row of `key`, now or as soon as it is shown.
    pub fn go_to(&mut self, key: &str) {
        match self.rows.iter().position(|r| r == key) {
            Some(at) => (self.sel, self.touched, self.wish) = (at, true, None),
            None => self.wish = Some(key.to_owned()),
        }
    }

    /// Scrolls so that the selection is in view of `height` rows.
    pub fn show(&mut self, height: usize) {
        let height = height.max(1);
        if self.sel < self.top {
            self.top = self.sel;
        } else if self.sel >= self.top + height {
            self.top = self.sel + 1 - height;
        }
        self.top = self.top.min(self.rows.len().saturating_sub(height));
    }

    /// The rows in view.
    pub fn view(&self, height: usize) -> impl Iterator<Item = (usize, &str)> {
        self.rows.iter().map(String::as_str).enumerate().skip(self.top).take(height)
    }
}

/// Worst first, then by tier, then by name. A service that is down because of another stands below its cause.
pub fn rank(view: &ServiceView) -> (u8, bool, u8) {
    let state = match view.state {
        Health::Down => 0,
        Health::Degraded => 1,
        Health::Unknown => 2,
        Health::Up => 3,
        Health::Paused => 4,
    };
    (state, view.because.is_some(), view.tier)
}

fn wanted(filter: &str, text: &[&str]) -> bool {
    filter.split_whitespace().all(|word| text.iter().any(|t| contains_lower(t, word)))
}

impl App {
    /// Works out the rows of a pane anew.
    pub fn rebuild(&mut self, pane: Pane) {
        let filter = self.list(pane).filter.clone();
        let mirror = self.mirror();
        let (rows, total): (Vec<String>, usize) = match pane {
            Pane::Services => {
                let mut found: Vec<&ServiceView> = mirror
                    .services
                    .values()
                    .filter(|s| {
                        let tier = format_tier(s.tier);
                        wanted(&filter, &[&s.name, s.state.word(), &s.detail, tier, s.because.as_deref().unwrap_or("")])
                    })
                    .collect();
                found.sort_by(|a, b| rank(a).cmp(&rank(b)).then_with(|| a.name.cmp(&b.name)));
                (found.into_iter().map(|s| s.name.clone()).collect(), mirror.services.len())
            }
            Pane::Backups => {
                let mut found: Vec<_> = mirror
                    .backups
                    .values()
                    .filter(|b| {
                        wanted(&filter, &[&b.name, b.state.word(), &b.detail, b.service.as_deref().unwrap_or("")])
                    })
                    .collect();
                found.sort_by(|a, b| a.state.cmp(&b.state).then_with(|| a.name.cmp(&b.name)));
                (found.into_iter().map(|b| b.name.clone()).collect(), mirror.backups.len())
            }
            Pane::Timeline => {
                let shown = self.timeline.shown(&self.wanted());
                let mut found = Vec::with_capacity(shown.len());
                for (i, told) in shown.iter().enumerate() {
                    match (told, shown.get(i + 1)) {
                        (Told::Row(row), _) => found.push(row.seq.to_string()),
                        // A heading is known by the first row below it.
                        (Told::Heading { .. }, Some(Told::Row(row))) => found.push(format!("t{}", row.seq)),
                        (Told::Heading { .. }, _) => {}
                    }
                }
                (found, self.timeline.rows.len())
            }
            Pane::Runs => {
                let all = mirror.runs_newest_first();
                let total = all.len();
                // What is under way stands above what is over.
                let (going, over): (Vec<_>, Vec<_>) = all
                    .into_iter()
                    .filter(|r| wanted(&filter, &[&r.title, &r.id, r.state.word(), &r.requested_by, &r.detail]))
                    .partition(|r| !r.state.is_over());
                (going.into_iter().chain(over).map(|r| r.id.clone()).collect(), total)
            }
            Pane::Incident => {
                let mut found: Vec<&IncidentView> = mirror
                    .incidents
                    .values()
                    .filter(|i| wanted(&filter, &[&i.incident.id, &i.incident.title, i.incident.status.word()]))
                    .collect();
                // The first is the one that the header names: what keys are for is what stands there. What is over comes
                // behind, newest first.
                found.sort_by_key(|i| {
                    let (open, seq) = (i.incident.status.is_open(), i.incident.declared_seq);
                    (!open, open.then_some((i.incident.severity, seq)), std::cmp::Reverse(seq))
                });
                (found.into_iter().map(|i| i.incident.id.clone()).collect(), mirror.incidents.len())
            }
        };
        self.list_mut(pane).set(rows, total, pane == Pane::Timeline);
    }

    /// Works out all rows anew.
    pub fn rebuild_all(&mut self) {
        for pane in [Pane::Services, Pane::Backups, Pane::Runs, Pane::Incident, Pane::Timeline] {
            self.rebuild(pane);
        }
    }
}

const fn format_tier(tier: u8) -> &'static str {
    match tier {
        1 => "t1",
        2 => "t2",
        3 => "t3",
        4 => "t4",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_selection_follows_its_row() {
        let rows = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
        let mut list = List::default();
        list.set(rows(&["a", "b", "c"]), 3, false);
        list.step(1);
        list.set(rows(&["c", "a", "b"]), 3, false);
        assert_eq!(list.key(), Some("b"));
        list.set(rows(&["c", "a"]), 2, false);
        assert_eq!(list.key(), Some("a"));
        list.step(isize::MIN);
        list.step(isize::MAX);
        assert_eq!(list.sel, 1);
    }

    #[test]
    fn the_newest_row_is_followed_unless_the_selected_one_is_worked_on() {
        let rows = |n: usize| (1..=n).map(|n| n.to_string()).collect::<Vec<_>>();
        let mut list = List::default();
        list.set(rows(2), 2, true);
        list.step(isize::MAX);
        list.set(rows(3), 3, true);
        assert_eq!(list.key(), Some("3"));
        list.hold();
        list.set(rows(5), 5, true);
        assert_eq!(list.key(), Some("3"));
        list.step(isize::MAX);
        list.set(rows(6), 6, true);
        assert_eq!(list.key(), Some("6"));
    }

    #[test]
    fn words_are_found_in_any_case() {
        assert!(wanted("api do", &["API-gateway", "down"]));
        assert!(!wanted("api up", &["API-gateway", "down"]));
        assert!(wanted("", &[]));
        assert!(wanted("über", &["ÜBERSICHT"]));
    }
}
