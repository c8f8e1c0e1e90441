//! The step that a playbook is at, as large as there is room for: it is what somebody reads from two metres away while
//! both hands are somewhere else.
//!
//! Where there is room its number, the clock of its time box and its title are written in letters of four rows; in less
//! room the title stands in a frame. What the step asks is never pushed out of view by the size of its title.

use std::time::Duration;

use super::Page;
use super::playbook::{sign, time_left};
use crate::domain::playbook::{Play, PlayState, Step, StepRecord};
use crate::text;
use crate::viewer::app::App;
use crate::viewer::bigtext::{self, Scale};
use crate::viewer::canvas::wrap;
use crate::viewer::theme::Role;

/// How large it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// Number, clock and title in large letters.
    Letters,
    /// Number and clock in large letters, the title in a frame.
    Clock,
    /// In a frame with room in it.
    Framed,
    /// In a frame of three rows.
    Tight,
}

impl Size {
    /// The sizes for a view of this many columns and rows, the largest first. By the view and not by the step, so that
    /// going on to the next step changes the words and not the picture.
    pub fn of(columns: usize, rows: usize) -> &'static [Size] {
        match (columns, rows) {
            (90.., 44..) => &[Size::Letters, Size::Clock, Size::Framed, Size::Tight],
            (44.., 26..) => &[Size::Clock, Size::Framed, Size::Tight],
            _ => &[Size::Framed, Size::Tight],
        }
    }
}

/// Who does it: the person who has the role, or that nobody has it yet. Empty where it names no role.
pub fn owner(app: &App, p: &Play, step: &Step) -> String {
    let incident = p.incident.as_ref().and_then(|id| app.mirror().incidents.get(id));
    step.owned_by(incident.map(|v| &v.incident.roles))
}

/// Number, title, time box, owner. False, and nothing written, where this size does not fit it.
pub fn head(app: &App, page: &mut Page, p: &Play, (step, record): (&Step, &StepRecord), size: Size) -> bool {
    let title = match size {
        Size::Letters => match letters(&step.title, page.columns()) {
            Some(title) => Some(title),
            None => return false,
        },
        _ => None,
    };
    match size {
        Size::Letters | Size::Clock => {
            page.blank();
            if !large(app, page, p, step, record) {
                return false;
            }
            page.blank();
            match title {
                Some(lines) => {
                    let blocks = !app.look.g.ascii;
                    for (i, line) in lines.iter().enumerate() {
                        if i > 0 {
                            page.blank();
                        }
                        let rows = bigtext::lines(line, Scale::ONE, blocks);
                        rows.into_iter().for_each(|row| page.push(vec![(Role::Title, row)]));
                    }
                    page.blank();
                    let about = about(app, p, step, record);
                    if !about.is_empty() {
                        page.push(vec![(Role::Strong, about)]);
                    }
                }
                None => framed(app, page, p, (step, record), (false, true)),
            }
            page.blank();
        }
        Size::Framed => framed(app, page, p, (step, record), (true, true)),
        Size::Tight => framed(app, page, p, (step, record), (true, false)),
    }
    true
}

/// `step 2 of 9`, and what has become of it where it is not simply under way.
fn place(p: &Play, step: &Step, record: &StepRecord) -> String {
    let state = match record.state {
        crate::domain::playbook::StepState::UnderWay => String::new(),
        state => format!("  {}", state.word()),
    };
    format!("step {} of {}{state}", p.text.number(&step.name), p.text.steps.len())
}

/// `operations: ben   mitigation   try 2`.
fn about(app: &App, p: &Play, step: &Step, record: &StepRecord) -> String {
    let tries = if record.attempts > 1 { format!("try {}", record.attempts) } else { String::new() };
    let parts = [owner(app, p, step), step.phase.clone(), tries];
    parts.iter().filter(|t| !t.is_empty()).cloned().collect::<Vec<_>>().join("   ")
}

/// The time that is left in its box, or how much it is over, as a clock that is read at a glance.
fn box_clock(app: &App, p: &Play) -> Option<(Role, String, String)> {
    let within = text::duration(Duration::from_millis(p.current()?.0.within_ms?));
    let (end, now) = (p.box_ends().filter(|_| p.state == PlayState::UnderWay)?, app.watched.engine_now());
    Some(if now >= end {
        (Role::Bad, format!("+{}", short_clock(now.since(end))), format!("OVER its box of {within}"))
    } else {
        (Role::Clock, short_clock(end.since(now)), format!("left of {within}"))
    })
}

/// `3:20`; from an hour on `1:03:20`.
fn short_clock(d: Duration) -> String {
    let s = d.as_secs();
    match s / 3600 {
        0 => format!("{}:{:02}", s / 60, s % 60),
        hours => format!("{hours}:{:02}:{:02}", s / 60 % 60, s % 60),
    }
}

/// The number at the left and the clock at the right, in large letters, with what they are below.
fn large(app: &App, page: &mut Page, p: &Play, step: &Step, record: &StepRecord) -> bool {
    let columns = page.columns();
    let (mark, role) = sign(app, record.state);
    let number = format!("{}/{}", p.text.number(&step.name), p.text.steps.len());
    let clock = box_clock(app, p);
    let time = clock.as_ref().map_or("", |(_, time, _)| time.as_str());
    let wide = |text: &str| usize::from(bigtext::width(text, 1));
    if wide(&number) + wide(time) + 4 > columns {
        return false;
    }
    let blocks = !app.look.g.ascii;
    let left = bigtext::lines(&number, Scale::ONE, blocks);
    let right = bigtext::lines(time, Scale::ONE, blocks);
    let clock_role = clock.as_ref().map_or(Role::Dim, |(role, ..)| *role);
    let gap = columns - wide(time);
    for (row, number) in left.iter().enumerate() {
        let time = right.get(row).cloned().unwrap_or_default();
        page.push(vec![(role, text::fit(number, gap)), (clock_role, time)]);
    }
    let said = format!("{mark} {}", place(p, step, record));
    let caption = clock.map_or(String::new(), |(_, _, caption)| caption);
    let room = columns.saturating_sub(text::width(&caption));
    page.push(vec![(role, text::fit(&said, room)), (clock_role, caption)]);
    true
}

/// The title broken into lines of large letters; nothing where a word is too long, a sign cannot be drawn, or it would
/// take more lines than a title should.
fn letters(title: &str, columns: usize) -> Option<Vec<String>> {
    const LINES: usize = 4;
    let fits = |line: &str| usize::from(bigtext::width(line, 1)) <= columns;
    if !bigtext::can(title) {
        return None;
    }
    let mut out: Vec<String> = Vec::new();
    for word in title.split_whitespace() {
        let longer = out.last().map(|line| format!("{line} {word}")).filter(|line| fits(line));
        match (longer, out.last_mut()) {
            (Some(longer), Some(line)) => *line = longer,
            _ if fits(word) => out.push(word.to_owned()),
            _ => return None,
        }
    }
    (!out.is_empty() && out.len() <= LINES).then_some(out)
}

/// The title in a frame. On its edges where the step is and the time that is left (`edges`), and who does it.
fn framed(app: &App, page: &mut Page, p: &Play, (step, record): (&Step, &StepRecord), (edges, roomy): (bool, bool)) {
    let [tl, h, tr, v, bl, br, ..] = app.look.g.corners;
    let columns = page.columns();
    let (mark, role) = sign(app, record.state);
    let edge = |page: &mut Page, ends: (&str, &str), left: Vec<(Role, String)>, right: Vec<(Role, String)>| {
        let wide = |pieces: &[(Role, String)]| pieces.iter().map(|(_, t)| text::width(t)).sum::<usize>();
        let dash = |n: usize| (role, h.repeat(n));
        let mut line = vec![(role, format!("{}{h}", ends.0))];
        let rest = columns.saturating_sub(4 + wide(&left) + wide(&right));
        line.extend(left);
        line.push(dash(rest));
        line.extend(right);
        line.push((role, format!("{h}{}", ends.1)));
        page.push(line);
    };
    let around = |role: Role, said: String| match said.is_empty() {
        true => Vec::new(),
        false => vec![(Role::Text, " ".to_owned()), (role, said), (Role::Text, " ".to_owned())],
    };
    let (at, left) = match edges {
        true => {
            let left = time_left(app, p).filter(|_| p.state == PlayState::UnderWay);
            let at = around(role, format!("{mark} {}", place(p, step, record)));
            (at, left.map_or(Vec::new(), |(role, said)| around(role, said)))
        }
        false => (Vec::new(), Vec::new()),
    };
    edge(page, (tl, tr), at, left);
    let empty = |page: &mut Page| page.push(vec![(role, format!("{v}{}{v}", " ".repeat(columns - 2)))]);
    if roomy {
        empty(page);
    }
    for line in wrap(&text::clean(&step.title), columns.saturating_sub(6)) {
        page.push(vec![
            (role, v.to_owned()),
            (Role::Title, text::fit(&format!("  {line}"), columns - 2)),
            (role, v.to_owned()),
        ]);
    }
    if roomy {
        empty(page);
    }
    edge(page, (bl, br), around(Role::Strong, about(app, p, step, record)), Vec::new());
}
