//! The rows of the timeline that a cockpit has: an unbroken piece of the record up to its newest entry, and what the
//! engine found for a filter before that. Bounded: what is far away is forgotten and read again when somebody scrolls
//! there.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::domain::sift::{Layer, Sift};
use crate::domain::timeline::{Row, Told, grouped};
use crate::wire::Find;

/// Rows kept of the unbroken piece, and of what was found before it.
const ROWS: usize = 3000;
const FOUND: usize = 3000;
/// Rows asked for at once.
const ASKED: usize = 300;

/// Which rows are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scope {
    /// The timeline for people.
    #[default]
    Story,
    /// The record as it was written.
    All,
    /// The timeline of this incident alone.
    Incident,
}

impl Scope {
    pub const fn word(self) -> &'static str {
        match self {
            Scope::Story => "story",
            Scope::All => "everything",
            Scope::Incident => "this incident",
        }
    }

    pub const fn next(self) -> Scope {
        match self {
            Scope::Story => Scope::All,
            Scope::All => Scope::Incident,
            Scope::Incident => Scope::Story,
        }
    }

    pub const fn layer(self) -> Layer {
        match self {
            Scope::All => Layer::Raw,
            Scope::Story | Scope::Incident => Layer::Curated,
        }
    }
}

/// What is looked for before the unbroken piece.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    pub scope: Scope,
    /// As it is typed.
    pub filter: String,
    pub incident: Option<String>,
}

impl Wanted {
    /// More than scrolling on would show is to be left out.
    fn is_narrow(&self) -> bool {
        self.scope == Scope::Incident || !Sift::parse(&self.filter).is_empty()
    }
}

/// What the engine found before the unbroken piece.
#[derive(Clone, Debug, Default)]
struct Found {
    wanted: Wanted,
    /// Oldest first.
    rows: VecDeque<Row>,
    /// Down to this position the record was looked through.
    reached: Option<u64>,
}

/// Rows, oldest first.
#[derive(Clone, Debug, Default)]
pub struct Timeline {
    pub rows: VecDeque<Row>,
    pub scope: Scope,
    /// A question for newer rows is under way.
    pub asking: bool,
    /// A question for older rows is under way, or there are none.
    pub asking_older: bool,
    /// The engine looks through older rows for what is wanted.
    pub looking: bool,
    pub at_begin: bool,
    /// Position up to which rows are known.
    pub head: u64,
    /// The first rows have come.
    pub filled: bool,
    /// The last redaction that the rows know of.
    pub redacted: u64,
    found: Found,
    /// Entries with their fields, and those that say something of them: what the open view shows.
    pub open: BTreeMap<u64, Row>,
    /// Entries that were picked to be pinned, hidden or joined together.
    pub marked: BTreeSet<u64>,
}

impl Timeline {
    /// Forgets everything, to be read anew.
    pub fn forget(&mut self) {
        let (scope, marked) = (self.scope, std::mem::take(&mut self.marked));
        *self = Timeline { scope, marked, redacted: self.redacted, ..Timeline::default() };
    }

    /// Takes newer rows in. Gives the entries shown already that something was said of: they are to be read again.
    pub fn take(&mut self, rows: Vec<Row>, head: u64) -> Vec<u64> {
        let last = self.rows.back().map_or(0, |r| r.seq);
        let known = |seq: &u64| *seq <= last && self.get(*seq).is_some();
        let told: BTreeSet<u64> = rows.iter().flat_map(|r| &r.about).copied().filter(known).collect();
        self.head = rows.last().map_or(head, |r| r.seq).max(self.head);
        self.rows.extend(rows.into_iter().filter(|r| r.seq > last));
        while self.rows.len() > ROWS {
            self.rows.pop_front();
            self.at_begin = false;
        }
        self.filled = true;
        told.into_iter().collect()
    }

    /// Takes older rows in.
    pub fn take_older(&mut self, rows: Vec<Row>) {
        let first = self.rows.front().map_or(u64::MAX, |r| r.seq);
        let mut any = false;
        for row in rows.into_iter().rev().filter(|r| r.seq < first) {
            if self.rows.len() >= ROWS {
                return;
            }
            any = true;
            self.rows.push_front(row);
        }
        self.at_begin = !any;
    }

    /// Takes rows in as they read now.
    pub fn replace(&mut self, rows: Vec<Row>) {
        for row in rows {
            if let Some(open) = self.open.get_mut(&row.seq) {
                *open = Row { fields: row.fields.clone().or(open.fields.take()), ..row.clone() };
            }
            for kept in [&mut self.rows, &mut self.found.rows] {
                if let Ok(at) = kept.binary_search_by_key(&row.seq, |r| r.seq)
                    && let Some(old) = kept.get_mut(at)
                {
                    *old = Row { fields: None, ..row.clone() };
                }
            }
        }
    }

    /// What is to be looked for next before the rows at hand, if anything is.
    pub fn question(&mut self, wanted: &Wanted) -> Option<Find> {
        if self.found.wanted != *wanted {
            self.found = Found { wanted: wanted.clone(), ..Found::default() };
        }
        let first = self.rows.front()?.seq;
        let before = self.found.reached.unwrap_or(first).min(first);
        if !self.filled || self.looking || before <= 1 || !wanted.is_narrow() || self.found.rows.len() >= FOUND {
            return None;
        }
        self.looking = true;
        Some(Find {
            incident: wanted.incident.clone().filter(|_| wanted.scope == Scope::Incident),
            before: Some(before),
            layer: wanted.scope.layer(),
            only: Sift::parse(&wanted.filter),
            limit: ASKED,
            ..Find::default()
        })
    }

    /// What was found; passed over when something else is wanted by now.
    pub fn take_found(&mut self, wanted: &Wanted, rows: Vec<Row>, reached: u64) {
        self.looking = false;
        if self.found.wanted != *wanted {
            return;
        }
        for row in rows.into_iter().rev() {
            self.found.rows.push_front(row);
        }
        self.found.reached = Some(reached);
    }

    /// What is wanted is looked for by the engine, not scrolled to.
    pub fn is_narrow(&self, wanted: &Wanted) -> bool {
        wanted.is_narrow()
    }

    /// Everything before the rows at hand was looked through for this.
    pub fn is_looked_through(&self, wanted: &Wanted) -> bool {
        self.at_begin
            || self.rows.front().is_none_or(|r| r.seq <= 1)
            || self.found.wanted == *wanted && self.found.reached.is_some_and(|seq| seq <= 1)
    }

    /// The rows that are wanted, in their order: the record's, or the one in which things happened.
    pub fn shown(&self, wanted: &Wanted) -> Vec<Told<'_>> {
        let (layer, sift) = (wanted.scope.layer(), Sift::parse(&wanted.filter));
        let first = self.rows.front().map_or(u64::MAX, |r| r.seq);
        let fits = |row: &&Row| {
            let of_it = wanted.scope != Scope::Incident || wanted.incident.is_some() && row.incident == wanted.incident;
            of_it && sift.takes(row, layer)
        };
        let found = self.found.rows.iter().filter(|r| self.found.wanted == *wanted && r.seq < first);
        let mut rows: Vec<&Row> = found.chain(&self.rows).filter(fits).collect();
        if layer == Layer::Curated {
            rows.sort_by_key(|r| (r.happened(), r.seq));
        }
        grouped(&rows, layer == Layer::Raw)
    }

    /// Rows at hand that are left out because somebody hid them.
    pub fn hidden(&self, wanted: &Wanted) -> usize {
        let of_it = |r: &&Row| wanted.scope != Scope::Incident || r.incident == wanted.incident;
        self.rows.iter().filter(|r| r.hidden).filter(of_it).count()
    }

    /// The row at a position.
    pub fn get(&self, seq: u64) -> Option<&Row> {
        let of = |rows: &'_ VecDeque<Row>| rows.binary_search_by_key(&seq, |r| r.seq).ok();
        match of(&self.rows) {
            Some(at) => self.rows.get(at),
            None => of(&self.found.rows).and_then(|at| self.found.rows.get(at)).or_else(|| self.open.get(&seq)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::timeline::Level;

    fn row(seq: u64) -> Row {
        Row { seq, kind: "note.added".into(), text: format!("n{seq}"), level: Level::Info, ..Row::default() }
    }

    fn keys(timeline: &Timeline, wanted: &Wanted) -> Vec<String> {
        let key = |told: &Told<'_>| match told {
            Told::Heading { title, rows } => format!("{title}({rows})"),
            Told::Row(row) => row.seq.to_string(),
        };
        timeline.shown(wanted).iter().map(key).collect()
    }

    #[test]
    fn rows_that_something_was_said_of_are_read_again() {
        let mut timeline = Timeline::default();
        assert!(timeline.take((5..=9).map(row).collect(), 9).is_empty());
        let said = |seq, about: &[u64]| Row { kind: "entry.pinned".into(), about: about.to_vec(), ..row(seq) };
        assert_eq!(timeline.take(vec![said(10, &[7]), said(11, &[2, 6])], 11), [6, 7]);
        // What it says of rows that come with it is in them already.
        assert!(timeline.take(vec![row(12), said(13, &[12])], 13).is_empty());
        timeline.replace(vec![Row { hidden: true, ..row(6) }, Row { pinned: true, ..row(7) }]);
        let story = Wanted::default();
        assert_eq!(keys(&timeline, &story), ["5", "7", "8", "9", "12"]);
        assert_eq!(timeline.hidden(&story), 1);
        let all = Wanted { scope: Scope::All, ..story };
        assert_eq!(keys(&timeline, &all).len(), 9);
    }

    #[test]
    fn what_is_not_loaded_is_looked_for() {
        let mut timeline = Timeline::default();
        timeline.take((100..=110).map(row).collect(), 110);
        let wanted = |filter: &str| Wanted { filter: filter.into(), ..Wanted::default() };
        assert_eq!(timeline.question(&wanted("")), None);
        let ask = timeline.question(&wanted("n4 kind:note")).unwrap();
        assert_eq!((ask.before, ask.layer, ask.only.words.len()), (Some(100), Layer::Curated, 1));
        assert_eq!(timeline.question(&wanted("n4 kind:note")), None, "one at a time");
        // Something else is wanted by now.
        let ask = wanted("n4");
        timeline.question(&ask);
        timeline.take_found(&wanted("n4 kind:note"), vec![row(40)], 30);
        assert!(keys(&timeline, &ask).is_empty());
        assert_eq!(timeline.question(&ask).unwrap().before, Some(100));
        timeline.take_found(&ask, vec![row(40), row(45)], 40);
        assert_eq!(keys(&timeline, &ask), ["40", "45"]);
        assert_eq!(timeline.question(&ask).unwrap().before, Some(40));
        timeline.take_found(&ask, vec![row(4)], 1);
        assert!(timeline.question(&ask).is_none() && timeline.is_looked_through(&ask));
        assert_eq!(keys(&timeline, &ask), ["4", "40", "45"]);
        assert_eq!(timeline.get(45).unwrap().seq, 45);
    }

    #[test]
    fn joined_rows_stand_under_their_title_in_the_order_of_events() {
        let mut timeline = Timeline::default();
        let at = |seq: u64, minute: i64, title: Option<&str>| Row {
            at: crate::domain::Time::from_ms(minute * 60_000),
            title: title.map(str::to_owned),
            ..row(seq)
        };
        let rows = vec![at(1, 1, None), at(2, 2, Some("disk")), at(3, 3, None), at(4, 4, Some("disk")), at(5, 0, None)];
        timeline.take(rows, 5);
        assert_eq!(keys(&timeline, &Wanted::default()), ["5", "1", "disk(2)", "2", "4", "3"]);
        let all = Wanted { scope: Scope::All, ..Wanted::default() };
        assert_eq!(keys(&timeline, &all), ["1", "2", "3", "4", "5"]);
    }
}
