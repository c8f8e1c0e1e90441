//! Hypotheses: choosing one, and what is said of it.

use super::picker::{Item, Pick, Picker};
use super::{Asked, Overlay, Prompt};
use crate::domain::command::HypothesisAsk;
use crate::domain::hypothesis::{Basis, Hypothesis, Stance, Standing};
use crate::text;
use crate::viewer::app::App;
use crate::viewer::theme::Role;
use crate::viewer::why;

/// The row that opens a new one.
pub(super) const NEW: &str = "new";

/// What a hypothesis looks like.
pub fn role(standing: Standing) -> Role {
    match standing {
        Standing::Open => Role::Text,
        Standing::Confirmed => Role::Good,
        Standing::Eliminated => Role::Dim,
    }
}

impl Picker {
    /// The hypotheses of the incident, and opening another.
    pub fn hypotheses(app: &App) -> Picker {
        let Some(view) = app.incident() else {
            return Picker::of(Pick::Hypothesis { incident: String::new() }, "hypotheses", Vec::new());
        };
        // Everybody reads them; who cannot add to them is told on the line.
        let off = why::open_incident(app);
        let mut items = vec![Item { off, ..Item::new(NEW, "+ a new one", "what might be wrong? type it here") }];
        let mut known: Vec<&Hypothesis> = view.incident.hypotheses.iter().collect();
        known.sort_by_key(|h| h.standing != Standing::Open);
        for h in known {
            let detail = match h.standing {
                Standing::Open => h.balance(),
                standing => format!("{}: {}", standing.word(), h.reason),
            };
            let label = text::clean(&format!("{} {}", h.id, h.text)).into_owned();
            let detail = text::clean(&detail).into_owned();
            items.push(Item { role: role(h.standing), ..Item::new(h.id.clone(), label, detail) });
        }
        let incident = view.incident.id.clone();
        Picker::of(Pick::Hypothesis { incident: incident.clone() }, format!("hypotheses of {incident}"), items)
    }

    /// What is typed can be opened as it stands: below what matches it, in its own words.
    pub(super) fn offer_typed(&mut self) {
        let help = match self.pick {
            Pick::Hypothesis { .. } => "what might be wrong? type it here",
            Pick::Followups { .. } => "what is to be done? type it here, as in: @bob 2026-12-01: rotate the key",
            _ => return,
        };
        let Some(at) = self.items.iter().position(|i| i.id == NEW) else { return };
        let typed = self.query.text().trim();
        if let Some(item) = self.items.get_mut(at) {
            (item.label, item.detail) = match typed {
                "" => ("+ a new one".into(), help.into()),
                typed => ("+ open a new one:".into(), format!("\"{typed}\"")),
            };
        }
        if !typed.is_empty() {
            self.shown.retain(|i| *i != at);
            self.shown.push(at);
        }
    }

    fn of_hypothesis(app: &App, incident: &str, id: &str) -> Picker {
        let pick = Pick::OfHypothesis { incident: incident.to_owned(), hypothesis: id.to_owned() };
        let found =
            app.mirror().incidents.get(incident).and_then(|v| v.incident.hypotheses.iter().find(|h| h.id == id));
        let open = found.is_some_and(|h| h.standing == Standing::Open);
        let mut items = Vec::new();
        if open {
            items.push(Item::new("eliminate", "ruled out", "it was not that; needs the reason"));
            items.push(Item::new("confirm", "confirmed", "it was that; needs the reason"));
        } else {
            items.push(Item::new("reopen", "open it again", "needs the reason"));
        }
        for stance in [Stance::For, Stance::Against, Stance::Neutral] {
            for basis in Basis::ALL {
                let detail = match basis {
                    Basis::Fact => "seen or measured",
                    Basis::Inference => "concluded",
                    Basis::Hearsay => "told by somebody",
                };
                let id = format!("{} {}", stance.word(), basis.word());
                let label = match stance {
                    Stance::For => format!("evidence for: {}", basis.word()),
                    Stance::Against => format!("evidence against: {}", basis.word()),
                    Stance::Neutral => format!("bears on it: {}", basis.word()),
                };
                items.push(Item::new(id, label, detail));
            }
        }
        let off = why::open_incident(app);
        items.iter_mut().for_each(|item| item.off.clone_from(&off));
        let title = found.map_or_else(|| id.to_owned(), |h| format!("{} {}", h.id, h.text));
        let mut picker = Picker::of(pick, text::clean(&title).into_owned(), items);
        if let Some(h) = found {
            for e in &h.evidence {
                let role = match e.stance {
                    Stance::For => Role::Good,
                    Stance::Against => Role::Bad,
                    Stance::Neutral => Role::Dim,
                };
                let said =
                    format!("{} {}, {}: {}  ({})", app.look.hms(e.at), e.stance.word(), e.basis.word(), e.text, e.by);
                picker.head.push((role, text::clean(&said).into_owned()));
            }
        }
        picker
    }
}

/// One was chosen, or a new one, with the words that were typed for it.
pub fn chosen(app: &mut App, incident: &str, id: &str, typed: &str) {
    if id == NEW {
        let ask = HypothesisAsk::Open { text: String::new() };
        let asked = Asked::Hypothesis { incident: incident.to_owned(), ask };
        let help = "what might be wrong, in one line; evidence for and against is added to it later";
        let prompt = Prompt::new(asked, "a hypothesis", help, typed);
        if typed.is_empty() {
            app.open_overlay(Overlay::Prompt(prompt));
        } else {
            // As if it had been written there: when the engine says no, the words come back in it.
            prompt.answered(app);
        }
        return;
    }
    let picker = Picker::of_hypothesis(app, incident, id);
    app.open_overlay(Overlay::Picker(picker));
}

/// What is said of one was chosen: the words for it are asked.
pub fn said(app: &mut App, incident: &str, hypothesis: &str, what: &str) {
    let (hypothesis, reason) = (hypothesis.to_owned(), String::new());
    let (title, help) = match what {
        "eliminate" => (format!("{hypothesis} is ruled out"), "what ruled it out?"),
        "confirm" => (format!("{hypothesis} is confirmed"), "what showed it?"),
        "reopen" => (format!("{hypothesis} is open again"), "why?"),
        _ => (format!("{hypothesis}: evidence {what}"), "what was seen, concluded or heard"),
    };
    let ask = match what {
        "eliminate" => HypothesisAsk::Eliminate { hypothesis, reason },
        "confirm" => HypothesisAsk::Confirm { hypothesis, reason },
        "reopen" => HypothesisAsk::Reopen { hypothesis, reason },
        _ => {
            let (stance, basis) = what.split_once(' ').unwrap_or((what, ""));
            let (Ok(stance), Ok(basis)) = (Stance::parse(stance), Basis::parse(basis)) else { return };
            HypothesisAsk::Evidence { hypothesis, stance, basis, text: String::new() }
        }
    };
    let asked = Asked::Hypothesis { incident: incident.to_owned(), ask };
    app.open_overlay(Overlay::Prompt(Prompt::new(asked, title, help, "")));
}

/// The request with the words that were written, and what is told when it is done.
pub fn with_words(ask: HypothesisAsk, words: String) -> (String, HypothesisAsk) {
    match ask {
        HypothesisAsk::Open { .. } => ("hypothesis opened".into(), HypothesisAsk::Open { text: words }),
        HypothesisAsk::Evidence { hypothesis, stance, basis, .. } => {
            let said = format!("added to {hypothesis}");
            (said, HypothesisAsk::Evidence { hypothesis, stance, basis, text: words })
        }
        HypothesisAsk::Confirm { hypothesis, .. } => {
            (format!("{hypothesis} confirmed"), HypothesisAsk::Confirm { hypothesis, reason: words })
        }
        HypothesisAsk::Eliminate { hypothesis, .. } => {
            (format!("{hypothesis} ruled out"), HypothesisAsk::Eliminate { hypothesis, reason: words })
        }
        HypothesisAsk::Reopen { hypothesis, .. } => {
            (format!("{hypothesis} open again"), HypothesisAsk::Reopen { hypothesis, reason: words })
        }
    }
}
