//! The past on this screen: the cockpit's own panes, drawn by the same code from the picture of another moment.
//!
//! A [`Replay`] has an [`App`] of its own, whose picture comes from the record and from nowhere else. Nothing that it
//! wants done reaches the engine: rows are read from the record, every other question is answered with no, right here.
//! The commands that only look are named in [`SHOWS`]; whatever is not named there is refused. Meanwhile the cockpit
//! of the present goes on behind it and is told of everything, so that it is current when somebody comes back, and a new
//! failure is announced.

mod bar;

use std::collections::BTreeSet;

pub use bar::{Bar, Places, columns, draw, places};

use super::app::App;
use super::screen::{Effect, Face, Input, Now};
use super::theme::Role;
use super::watched::LinkState;
use crate::domain::Time;
use crate::domain::health::Health;
use crate::text;
use crate::wire::past::{Goal, Reach, Span};
use crate::wire::{Answer, Ask, Past};

/// Commands that only show something, and therefore work in the past.
pub const SHOWS: &[&str] = &[
    "open",
    "filter.open",
    "match.next",
    "match.previous",
    "timeline.scope",
    "copy.row",
    "pane.services",
    "pane.backups",
    "pane.timeline",
    "pane.runs",
    "pane.incident",
    "pane.next",
    "pane.previous",
    "move.down",
    "move.up",
    "move.half-down",
    "move.half-up",
    "move.page-down",
    "move.page-up",
    "move.top",
    "move.bottom",
    "palette.open",
    "help.open",
    "theme.next",
    "theme",
    "zone.toggle",
    "screen.repaint",
    "screen.suspend",
    "back",
    "leave",
    "replay.previous",
    "replay.next",
    "replay.key-previous",
    "replay.key-next",
    "replay.minute-back",
    "replay.minute-on",
    "replay.ten-back",
    "replay.ten-on",
    "replay.play",
    "replay.faster",
    "replay.slower",
    "replay.first",
    "replay.last",
    "replay.go",
    "replay.corrected",
    "replay.now",
];

/// Why nothing else works.
pub const PAST: &str = "this is the past: nothing can be started from it";

/// How fast the past may go by.
const SPEEDS: [u32; 4] = [1, 10, 60, 600];
/// Between two pictures while it goes by, milliseconds.
const FRAME: u64 = 100;
/// Between two looks at how far the record is read, milliseconds.
const READING: u64 = 150;
/// Rows that are asked for because of others, at the most.
const ROUNDS: usize = 4;

/// Where to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Move {
    /// So many entries on, or back.
    Entries(i64),
    /// To the next key event, or the one before.
    Key(bool),
    Seconds(i64),
    First,
    Last,
    To(Goal),
    Play,
    Faster,
    Slower,
    /// Rows as they were corrected since, or as they read then.
    Corrected,
    /// Back to the present, or out.
    Leave,
}

/// What is waited for until it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    /// The declaration, or the first moment where nothing was declared.
    Start,
    Last,
    To(Goal),
}

/// The past on a screen.
#[derive(Debug)]
pub struct Replay {
    app: App,
    tape: Box<dyn Past>,
    wish: Option<Wish>,
    /// Milliseconds of the screen's clock when it was looked at last.
    seen_ms: u64,
    /// What was down, and which incidents were open, in the present when it was looked at last.
    known: Option<(BTreeSet<String>, BTreeSet<String>)>,
    /// What has got worse in the present since the replay began.
    news: Option<String>,
    /// Out of the program, not only out of the past.
    quits: bool,
}

impl Replay {
    /// Of a record, over the cockpit `live`. `goal`: where to begin; at the declaration by default.
    pub fn new(live: &App, tape: Box<dyn Past>, goal: Option<Goal>) -> Replay {
        let mut app = App::new(live.look.clone(), live.keymap.clone(), Vec::new());
        (app.size, app.pane) = (live.size, live.pane);
        app.timeline.scope = live.timeline.scope;
        app.watched.stopped = true;
        app.past = Some(Bar { speed: 1, goes_back: !live.only_past, ..Bar::default() });
        let wish = Some(goal.map_or(Wish::Start, Wish::To));
        let mut replay =
            Replay { app, tape, wish, seen_ms: live.watched.now.ms(), known: None, news: None, quits: false };
        replay.look_at_present(live);
        replay
    }

    /// The screen of the past.
    pub fn app(&self) -> &App {
        &self.app
    }

    fn bar(&mut self) -> &mut Bar {
        self.app.past.get_or_insert_with(Bar::default)
    }

    fn span(&self) -> Option<&Span> {
        self.app.past.as_ref()?.span.as_ref()
    }

    fn here(&self) -> (u64, Time) {
        self.app.past.as_ref().map_or((0, Time::default()), |b| (b.seq, b.at))
    }

    /// Milliseconds until something changes with time alone.
    fn next_tick(&self) -> u64 {
        let reading = self.span().is_none_or(|s| !s.whole) && self.app.past.as_ref().is_some_and(|b| b.fault.is_none());
        let playing = self.app.past.as_ref().is_some_and(|b| b.playing);
        match (playing, reading) {
            (true, _) => FRAME,
            (_, true) => READING,
            _ => self.app.next_tick(),
        }
    }

    /// Takes an input that is for the past. Gives what is to be done, and whether to leave.
    fn update(&mut self, input: Input, now: Now) -> (Vec<Effect>, bool) {
        let resized = matches!(input, Input::Resize(..));
        let effects = self.app.update(input, now);
        let (mut out, mut leave) = self.allowed(effects, now);
        if let Some(asked) = self.bar().asked.take() {
            leave |= asked == Move::Leave;
            self.go(asked, now);
        }
        self.read_on(now);
        self.play(now);
        self.seen_ms = now.ms();
        if resized {
            self.tick_anew();
        }
        out.extend(self.settle(now));
        (out, leave)
    }

    /// Of what the screen of the past wants done, what may be: its questions are answered here.
    fn allowed(&mut self, effects: Vec<Effect>, now: Now) -> (Vec<Effect>, bool) {
        let (mut out, mut leave) = (Vec::new(), false);
        let mut todo = effects;
        for _ in 0..ROUNDS {
            let mut more = Vec::new();
            for effect in todo {
                match effect {
                    Effect::Ask(question) => {
                        let answer = self.answer(&question.ask);
                        more.extend(self.app.update(Input::Answer(question.tag, answer), now));
                    }
                    Effect::Copy(_) | Effect::Repaint | Effect::Suspend => out.push(effect),
                    Effect::Quit(_) => (leave, self.quits) = (true, true),
                    Effect::StartEngine | Effect::Spool { .. } | Effect::Attach { .. } => {}
                }
            }
            todo = more;
            if todo.is_empty() {
                break;
            }
        }
        (out, leave)
    }

    fn answer(&mut self, ask: &Ask) -> Result<Answer, String> {
        match ask {
            Ask::Timeline(query) => {
                let ((seq, _), since) = (self.here(), self.bar().since);
                let rows = self.tape.rows(query, seq, since)?;
                Ok(Answer::Timeline { rows, head: seq })
            }
            _ => Err(PAST.into()),
        }
    }

    /// Looks how far the record is read, and goes where somebody wanted to as soon as that is there.
    fn read_on(&mut self, now: Now) {
        if self.span().is_some_and(|s| s.whole) && self.wish.is_none() {
            return;
        }
        match self.tape.reach() {
            Reach::Opening => {}
            Reach::Failed(why) => {
                let said = text::clean(&why).into_owned();
                self.wish = None;
                self.bar().fault = Some(said);
            }
            Reach::Open(span) => self.bar().span = Some(*span),
        }
        self.tick_anew();
        let (Some(wish), Some(span)) = (self.wish, self.span().cloned()) else { return };
        let entry = match wish {
            Wish::Start => span.declared.or(span.first).map(|p| p.seq),
            Wish::Last if span.whole => Some(span.last),
            Wish::To(Goal::Entry(seq)) => Some(seq),
            Wish::To(Goal::At(at)) if span.whole || span.read.at > at => return self.go_to_time(at, &span, now),
            _ => None,
        };
        let Some(entry) = entry else { return };
        if span.has(entry) {
            self.wish = None;
            self.show_entry(entry, now);
        } else if span.whole || span.first.is_some_and(|f| entry < f.seq) {
            self.wish = None;
            let first = span.first.map_or(0, |p| p.seq);
            self.app
                .tell_error(format!("the replay goes from entry {first} to {}: there is no {entry} in it", span.last));
            if self.here().0 == 0 {
                self.wish = Some(Wish::Start);
            }
        }
    }

    fn go_to_time(&mut self, at: Time, span: &Span, now: Now) {
        self.wish = None;
        let Some(first) = span.first else { return };
        if at < first.at {
            self.app.tell(Role::BannerInfo, format!("the replay begins here, at {}", first.at));
            return self.show_entry(first.seq, now);
        }
        if span.whole && at > span.read.at {
            self.app.tell(Role::BannerInfo, format!("the replay ends here, at {}", span.read.at));
            return self.show_entry(span.last, now);
        }
        if let Some(seq) = self.tape.entry_at(at) {
            self.show(seq, at, now);
        }
    }

    fn go(&mut self, to: Move, now: Now) {
        let Some(span) = self.span().cloned() else { return };
        let (seq, at) = self.here();
        if seq == 0 && !matches!(to, Move::Leave | Move::Faster | Move::Slower | Move::Play) {
            // Nothing is shown yet to go on from, but where to begin may be said.
            if let Move::To(goal) = to {
                self.wish = Some(Wish::To(goal));
            }
            return;
        }
        if !matches!(to, Move::Play | Move::Faster | Move::Slower | Move::Corrected | Move::Leave) {
            self.wish = None;
        }
        match to {
            Move::Entries(by) => {
                let wanted = seq.saturating_add_signed(by);
                match span.has(wanted) {
                    true => self.show_entry(wanted, now),
                    false => self.end_of(&span, by > 0),
                }
            }
            Move::Key(on) => match self.tape.key_event(seq, on).filter(|k| span.has(*k)) {
                Some(key) => self.show_entry(key, now),
                None => self.end_of(&span, on),
            },
            Move::Seconds(by) => self.wish = Some(Wish::To(Goal::At(at.stepped(by.saturating_mul(1000))))),
            Move::First => self.show_entry(span.first.map_or(seq, |p| p.seq), now),
            Move::Last => self.wish = Some(Wish::Last),
            Move::To(goal) => self.wish = Some(Wish::To(goal)),
            Move::Play => {
                let bar = self.bar();
                bar.playing = !bar.playing;
            }
            Move::Faster | Move::Slower => {
                let bar = self.bar();
                let place = SPEEDS.iter().position(|s| *s == bar.speed).unwrap_or(0);
                let place = if to == Move::Faster { place + 1 } else { place.saturating_sub(1) };
                bar.speed = SPEEDS.get(place).copied().unwrap_or(bar.speed);
            }
            Move::Corrected if !span.whole && !self.bar().since => {
                self.app
                    .tell(Role::BannerInfo, "how it was corrected since is known when the record is read to its end");
            }
            Move::Corrected => {
                let bar = self.bar();
                bar.since = !bar.since;
                self.app.timeline.forget();
                self.show(seq, at, now);
            }
            Move::Leave => {}
        }
    }

    fn end_of(&mut self, span: &Span, on: bool) {
        let said = match (on, span.whole) {
            (false, _) => "this is the first moment of the replay".to_owned(),
            (true, true) => "this is the last entry of the replay".to_owned(),
            (true, false) => "the record is not read any further yet".to_owned(),
        };
        self.app.tell(Role::BannerInfo, said);
    }

    fn show_entry(&mut self, seq: u64, now: Now) {
        let at = self.tape.recorded_at(seq).unwrap_or_default();
        self.show(seq, at, now);
    }

    /// Shows the picture with `seq` as the last entry, at `at`.
    fn show(&mut self, seq: u64, at: Time, now: Now) {
        let change = match self.tape.picture(seq, at) {
            Ok(change) => change,
            Err(why) => return self.app.tell_error(format!("this moment cannot be shown: {why}")),
        };
        let (before, _) = self.here();
        if seq < before {
            // What came later is not known any more.
            self.app.timeline.forget();
            self.app.detail = self.app.detail.take().filter(|d| !matches!(d, super::app::Detail::Entry(n) if *n > seq));
        }
        let bar = self.bar();
        (bar.seq, bar.at) = (seq, change.at);
        let effects = self.app.update(Input::Change(Box::new(change)), now);
        let _ = self.allowed(effects, now);
    }

    /// Time goes by.
    fn play(&mut self, now: Now) {
        let (seq, at) = self.here();
        let Some(span) = self.span().cloned() else { return };
        if !self.bar().playing || seq == 0 {
            return;
        }
        let past = now.ms().saturating_sub(self.seen_ms).min(2000);
        let by = past.saturating_mul(self.bar().speed.into());
        let mut at = at.plus(std::time::Duration::from_millis(by));
        let (mut to, end) = (seq, span.read.seq.min(span.last));
        while to < end {
            let (Some(here), Some(next)) = (self.tape.recorded_at(to), self.tape.recorded_at(to + 1)) else { break };
            if next < here {
                // The clock was set back: it goes on from there.
                at = next;
            } else if next > at {
                break;
            }
            to += 1;
        }
        if to == end {
            // After the last entry nothing is known.
            at = at.min(self.tape.recorded_at(to).unwrap_or(at));
            if span.whole {
                self.bar().playing = false;
                self.app.tell(Role::BannerInfo, "the replay ends here");
            }
        }
        if (to, at) != self.here() {
            self.show(to, at, now);
        }
    }

    /// Rows that became necessary, and what is to be drawn of the bar.
    fn settle(&mut self, now: Now) -> Vec<Effect> {
        let effects = self.app.update(Input::Tick, now);
        self.allowed(effects, now).0
    }

    /// What happened in each column of the bar: taken anew when more is read, or the screen has another size.
    fn tick_anew(&mut self) {
        let wide = columns(self.app.size.0);
        let Some((from, to)) = self.app.past.as_ref().and_then(Bar::stretch) else { return };
        self.bar().ticks = self.tape.ticks(from, to, wide);
    }

    /// Looks what goes on in the present meanwhile. True when something new is to be told.
    fn look_at_present(&mut self, live: &App) -> bool {
        let mirror = &live.watched.mirror;
        let down: BTreeSet<String> =
            mirror.services.values().filter(|s| s.state == Health::Down).map(|s| s.name.clone()).collect();
        let open: BTreeSet<String> = mirror.open_incidents().iter().map(|v| v.incident.id.clone()).collect();
        if let Some((down_before, open_before)) = &self.known {
            let newly: Vec<&str> = down.difference(down_before).map(String::as_str).collect();
            let declared: Vec<&str> = open.difference(open_before).map(String::as_str).collect();
            let mut said: Vec<String> = Vec::new();
            if !newly.is_empty() {
                said.push(format!("{} DOWN", newly.join(", ")));
            }
            if !declared.is_empty() {
                said.push(format!("{} declared", declared.join(", ")));
            }
            if !said.is_empty() {
                let at = live.look.hms(live.watched.engine_now());
                let way = if live.only_past { "q leaves the past" } else { "t goes there" };
                self.news = Some(text::clean(&format!("NOW, at {at}: {}   {way}", said.join("; "))).into_owned());
            }
        }
        let mut lines: Vec<(Role, String)> = self.news.iter().map(|n| (Role::BannerBad, n.clone())).collect();
        let heard = mirror.at != Time::default();
        if heard && let LinkState::Lost(..) = live.watched.link() {
            lines.push((Role::BannerWarn, "live: no link to the engine".into()));
        } else if !down.is_empty() || !open.is_empty() {
            let ids: Vec<&str> = open.iter().map(String::as_str).collect();
            let incidents = if ids.is_empty() { String::new() } else { format!(", {} open", ids.join(", ")) };
            let down = if down.is_empty() { "none down".to_owned() } else { format!("{} down", down.len()) };
            lines.push((Role::BannerInfo, text::clean(&format!("live: {down}{incidents}")).into_owned()));
        }
        if heard {
            self.known = Some((down, open));
        }
        let changed = self.bar().live != lines;
        self.bar().live = lines;
        changed
    }
}

/// An input of a cockpit over which the past is shown.
pub(super) fn update(live: &mut App, mut replay: Box<Replay>, input: Input, now: Now) -> Vec<Effect> {
    let mut effects = Vec::new();
    let mut leave = false;
    match input {
        // What the person does is for the past alone.
        Input::Key(..) | Input::Paste(_) | Input::Drawn(..) => {
            (effects, leave) = replay.update(input, now);
            live.redraw = true;
        }
        Input::Resize(w, h) => {
            effects = live.update(Input::Resize(w, h), now);
            effects.extend(replay.update(Input::Resize(w, h), now).0);
        }
        Input::Tick => {
            effects = live.update(Input::Tick, now);
            effects.extend(replay.update(Input::Tick, now).0);
            live.redraw = true;
        }
        // What happens is for the present, which goes on behind.
        other => {
            effects.extend(live.update(other, now));
            live.redraw = replay.look_at_present(live);
        }
    }
    if leave {
        live.look = replay.app.look.clone();
        if live.only_past || replay.quits {
            live.watched.now = now;
            live.leave_past();
            effects.append(&mut live.fx);
            live.replay = Some(replay);
            return effects;
        }
        live.redraw = true;
        live.tell(Role::BannerInfo, "back to now");
        return effects;
    }
    live.replay = Some(replay);
    effects
}

/// Milliseconds until something of the past changes with time alone.
pub(super) fn next_tick(replay: &Replay) -> u64 {
    replay.next_tick()
}
