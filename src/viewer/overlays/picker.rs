//! Choosing from a list by moving and by typing. Help and the palette are pickers too.

use std::collections::BTreeSet;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use nucleo_matcher::pattern::{CaseMatching, Normalization, Pattern};
use nucleo_matcher::{Config, Matcher, Utf32Str};

use super::restoring::Restoring;
use super::{Asked, Line, Overlay, Prompt, Stay};
use crate::domain::catalog::Severity;
use crate::domain::incident::Status;
use crate::domain::run::Work;
use crate::viewer::app::App;
use crate::viewer::theme::Role;

/// What is being chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pick {
    /// A command, from help or the palette.
    Command,
    Severity {
        incident: String,
    },
    Status {
        incident: String,
    },
    Service(Verb),
    Backup,
    Copy {
        backup: String,
        test: bool,
        /// It can be told which parts to bring back.
        parts: bool,
    },
    Action,
    Recovery,
    /// The incident that another one is merged into.
    Merge {
        incident: String,
    },
    /// A request that waits for a second person.
    Approval,
    /// What is done about one's own.
    OwnApproval {
        approval: String,
    },
    /// A playbook to start, or one that was left to go on with.
    Playbook,
    /// The way on at a decision.
    PlaybookOption {
        playbook: String,
    },
    /// Which text a playbook goes on with whose file has changed.
    PlaybookText {
        playbook: String,
    },
    Affected {
        incident: String,
        before: BTreeSet<String>,
    },
    Theme {
        before: String,
    },
    Template,
    /// A follow-up, or a new one for the incident.
    Followups {
        incident: String,
    },
    /// What is done about one.
    OfFollowup {
        id: String,
    },
    /// An incident of the past, to be looked at.
    Past,
    /// A hypothesis of the incident, or a new one.
    Hypothesis {
        incident: String,
    },
    /// What is said of one.
    OfHypothesis {
        incident: String,
        hypothesis: String,
    },
}

/// What is done to a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    Restart,
    Stop,
    Start,
    Redeploy,
    Promote,
    Logs,
}

/// Log lines that are shown.
const LINES: u32 = 500;

impl Verb {
    pub const fn word(self) -> &'static str {
        match self {
            Verb::Restart => "restart",
            Verb::Stop => "stop",
            Verb::Start => "start",
            Verb::Redeploy => "redeploy",
            Verb::Promote => "promote",
            Verb::Logs => "logs",
        }
    }

    pub fn work(self, service: String) -> Work {
        match self {
            Verb::Restart => Work::Restart { service },
            Verb::Stop => Work::Stop { service },
            Verb::Start => Work::Start { service },
            Verb::Redeploy => Work::Redeploy { service },
            Verb::Promote => Work::Promote { service },
            Verb::Logs => Work::Logs { service, lines: LINES },
        }
    }
}

/// One row to choose.
#[derive(Clone, Debug)]
pub struct Item {
    pub id: String,
    pub label: String,
    pub detail: String,
    pub role: Role,
    /// At the right: keys, mostly.
    pub hint: String,
    /// Why it cannot be chosen.
    pub off: Option<String>,
    /// Choosing it asks for a reason by itself.
    pub asks: bool,
}

impl Item {
    pub fn new(id: impl Into<String>, label: impl Into<String>, detail: impl Into<String>) -> Item {
        Item {
            id: id.into(),
            label: label.into(),
            detail: detail.into(),
            role: Role::Text,
            hint: String::new(),
            off: None,
            asks: false,
        }
    }
}

/// A list to choose from.
#[derive(Debug)]
pub struct Picker {
    pub pick: Pick,
    pub title: String,
    /// Lines above the list.
    pub head: Vec<(Role, String)>,
    pub query: Line,
    pub items: Vec<Item>,
    /// Indices of the items that match, best first.
    pub shown: Vec<usize>,
    pub sel: usize,
    /// Several can be chosen: ids that are.
    pub chosen: Option<BTreeSet<String>>,
}

impl Pick {
    /// What choosing from it is called in the record; nothing for what is no step, or told elsewhere.
    pub fn noun(&self) -> Option<String> {
        Some(match self {
            Pick::Command | Pick::Theme { .. } | Pick::Copy { .. } | Pick::Past => return None,
            Pick::Followups { .. } => "follow-ups".into(),
            Pick::OfFollowup { id } => format!("follow-up {id}"),
            Pick::Severity { incident } => format!("severity of {incident}"),
            Pick::Status { incident } => format!("status of {incident}"),
            Pick::Service(verb) => format!("{} of a service", verb.word()),
            Pick::Backup => "restore of a backup".into(),
            Pick::Action => "actions".into(),
            Pick::Recovery => "recoveries".into(),
            Pick::Merge { incident } => format!("merge of {incident}"),
            Pick::Approval => "requests for a second person".into(),
            Pick::OwnApproval { .. } => "the own request for a second person".into(),
            Pick::Playbook => "playbooks".into(),
            Pick::PlaybookOption { playbook } => format!("the decision of playbook {playbook}"),
            Pick::PlaybookText { playbook } => format!("the changed text of playbook {playbook}"),
            Pick::Affected { incident, .. } => format!("affected services of {incident}"),
            Pick::Template => "notify".into(),
            Pick::Hypothesis { incident } => format!("hypotheses of {incident}"),
            Pick::OfHypothesis { incident, hypothesis } => format!("{hypothesis} of {incident}"),
        })
    }
}

impl Picker {
    pub fn of(pick: Pick, title: impl Into<String>, items: Vec<Item>) -> Picker {
        let shown = (0..items.len()).collect();
        // Help and palette begin at the top; a choice begins at the first that can be chosen.
        let first = items.iter().position(|i| i.off.is_none()).filter(|_| pick != Pick::Command).unwrap_or(0);
        Picker {
            pick,
            title: title.into(),
            head: Vec::new(),
            query: Line::default(),
            items,
            shown,
            sel: first,
            chosen: None,
        }
    }

    /// The item under the bar.
    pub fn current(&self) -> Option<&Item> {
        self.shown.get(self.sel).and_then(|i| self.items.get(*i))
    }

    fn refilter(&mut self) {
        self.sel = 0;
        let query = self.query.text().trim();
        if query.is_empty() {
            self.shown = (0..self.items.len()).collect();
            self.offer_typed();
            return;
        }
        let pattern = Pattern::parse(query, CaseMatching::Smart, Normalization::Smart);
        let mut matcher = Matcher::new(Config::DEFAULT);
        let mut buffer = Vec::new();
        let mut found: Vec<(u32, usize)> = self
            .items
            .iter()
            .enumerate()
            .filter_map(|(i, item)| {
                let mut score = |text: &str| pattern.score(Utf32Str::new(text, &mut buffer), &mut matcher);
                // A hit in the name weighs more than one in the description.
                let label = score(&item.label).max(score(&item.id)).map(|s| s * 4);
                label.or_else(|| score(&format!("{} {}", item.label, item.detail))).map(|s| (s, i))
            })
            .collect();
        found.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
        self.shown = found.into_iter().map(|(_, i)| i).collect();
        self.offer_typed();
    }

    pub(super) fn paste(&mut self, text: &str) {
        self.query.insert(text);
        self.refilter();
    }

    pub(super) fn left(&mut self, app: &mut App) {
        match &self.pick {
            Pick::Theme { before } => {
                let _ = app.look.choose(before);
            }
            Pick::Copy { backup, .. } => {
                app.record_step(format!("left restore of {backup} without choosing a copy"), Some(backup.clone()));
            }
            _ => {}
        }
    }

    pub(super) fn key(&mut self, app: &mut App, key: &KeyEvent) -> Stay {
        let ctrl = key.modifiers.contains(KeyModifiers::CONTROL);
        let last = self.shown.len().saturating_sub(1);
        match key.code {
            KeyCode::Esc => {
                if self.query.text().is_empty() {
                    self.left(app);
                    return Stay::Close;
                }
                self.query = Line::default();
                self.refilter();
            }
            KeyCode::Enter => return self.enter(app),
            KeyCode::Down => self.sel = (self.sel + 1).min(last),
            KeyCode::Up => self.sel = self.sel.saturating_sub(1),
            KeyCode::Char('o') if ctrl => {
                if let Some(prompt) = self.of_parts(app) {
                    app.open_overlay(Overlay::Prompt(prompt));
                    return Stay::Close;
                }
            }
            KeyCode::Char('n') if ctrl => self.sel = (self.sel + 1).min(last),
            KeyCode::Char('p') if ctrl => self.sel = self.sel.saturating_sub(1),
            KeyCode::PageDown => self.sel = (self.sel + 10).min(last),
            KeyCode::PageUp => self.sel = self.sel.saturating_sub(10),
            KeyCode::Home => self.sel = 0,
            KeyCode::End => self.sel = last,
            KeyCode::Char(' ') if self.chosen.is_some() => {
                let id = self.current().map(|i| i.id.clone());
                if let (Some(chosen), Some(id)) = (&mut self.chosen, id)
                    && !chosen.remove(&id)
                {
                    chosen.insert(id);
                }
            }
            KeyCode::Tab => {
                if let Pick::Copy { test, .. } = &mut self.pick {
                    *test = !*test;
                } else if let Some(prompt) = self.with_reason(app) {
                    if let (Some(noun), Some(item)) = (self.pick.noun(), self.current()) {
                        app.record_step(format!("chose {} for {noun}", item.id), None);
                    }
                    app.open_overlay(Overlay::Prompt(prompt));
                    return Stay::Close;
                }
            }
            _ => {
                if self.query.key(key) {
                    self.refilter();
                }
            }
        }
        if let (Pick::Theme { .. }, Some(item)) = (&self.pick, self.current()) {
            let _ = app.look.choose(&item.id);
        }
        Stay::Open
    }

    /// The prompt in which a reason for the choice is written, where one can be given.
    fn with_reason(&self, app: &App) -> Option<Prompt> {
        let item = self.current().filter(|i| i.off.is_none())?;
        let (asked, title) = match &self.pick {
            Pick::Severity { incident } => {
                let severity = Severity::parse(&item.id).ok()?;
                let lesser = app.mirror().incidents.get(incident).is_some_and(|v| severity > v.incident.severity);
                (
                    Asked::Severity { incident: incident.clone(), severity, lesser },
                    format!("{incident} becomes {severity}"),
                )
            }
            // Resolving against something asks for its reason by itself.
            Pick::Status { incident } if !item.asks => {
                let status = Status::ALL.into_iter().find(|s| s.word() == item.id)?;
                (Asked::Status { incident: incident.clone(), status }, format!("{incident} becomes {}", status.word()))
            }
            _ => return None,
        };
        let help = match asked {
            Asked::Severity { lesser: true, .. } => "why? it goes into the timeline and the review",
            _ => "why? it goes into the timeline; it may stay empty",
        };
        Some(Prompt::new(asked, title, help, ""))
    }

    /// The prompt in which parts of the copy are named, where a restore can be told them.
    fn of_parts(&self, app: &mut App) -> Option<Prompt> {
        let Pick::Copy { backup, test, parts: true } = &self.pick else { return None };
        let item = self.current().filter(|i| i.off.is_none())?;
        app.record_step(format!("chose copy {} of {backup}", item.id), Some(backup.clone()));
        Some(Restoring { backup: backup.clone(), copy: Some(item.id.clone()), test: *test }.asks_parts())
    }

    fn enter(&mut self, app: &mut App) -> Stay {
        if let Some(chosen) = self.chosen.take() {
            if let Some(noun) = self.pick.noun() {
                let all = chosen.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
                app.record_step(format!("chose {} for {noun}", if all.is_empty() { "none" } else { &all }), None);
            }
            super::picked::several(app, &self.pick, &chosen);
            return Stay::Close;
        }
        let Some(item) = self.current().cloned() else { return Stay::Open };
        if let Some(why) = &item.off {
            app.tell(Role::BannerInfo, format!("{}: {why}", item.label.trim()));
            return Stay::Open;
        }
        if let Some(noun) = self.pick.noun() {
            // What is typed as a new one is not the record's before it is sent.
            let what = match (&self.pick, item.id.as_str()) {
                (Pick::Hypothesis { .. } | Pick::Followups { .. }, super::thinking::NEW) => "a new one",
                (_, "") => item.label.trim(),
                (_, id) => id,
            };
            app.record_step(format!("chose {} for {noun}", crate::text::clean(what)), None);
        }
        if let (Pick::Severity { .. }, Some(prompt)) = (&self.pick, self.with_reason(app)) {
            app.open_overlay(Overlay::Prompt(prompt));
            return Stay::Close;
        }
        super::picked::one(app, &self.pick, &item, self.query.text().trim());
        Stay::Close
    }

    pub(super) fn keys(&self) -> Vec<(&'static str, &'static str)> {
        let mut out = vec![("enter", if self.chosen.is_some() { "done" } else { "choose" })];
        if self.chosen.is_some() {
            out.push(("space", "mark"));
        }
        if let Pick::Copy { parts, .. } = self.pick {
            out.push(("tab", "test only or for real"));
            if parts {
                out.push(("ctrl-o", "only parts"));
            }
        }
        if matches!(self.pick, Pick::Status { .. }) {
            out.push(("tab", "with a reason"));
        }
        out.extend([("type", "to find"), ("esc", "back")]);
        out
    }
}
