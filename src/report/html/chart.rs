//! What the charts share: the axis of time, and SVG written by hand.

use std::fmt::Write as _;

use super::escape;
use crate::domain::Time;

/// Units of the drawing: it is scaled to the page's width.
pub const WIDTH: f64 = 960.0;
/// Where the time begins; names stand left of it.
pub const LEFT: f64 = 128.0;
const RIGHT: f64 = 12.0;
/// Estimated width of a character of a label.
pub const CHARACTER: f64 = 6.4;

/// A stretch of time over the width.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    pub from: Time,
    pub until: Time,
}

impl Span {
    pub fn x(&self, at: Time) -> f64 {
        let whole = self.until.ms_since(self.from).max(1) as f64;
        let part = at.ms_since(self.from) as f64 / whole;
        LEFT + part.clamp(0.0, 1.0) * (WIDTH - LEFT - RIGHT)
    }

    pub fn holds(&self, at: Time) -> bool {
        at >= self.from && at <= self.until
    }

    /// Round moments for the axis, at most ten, with what is written at them.
    pub fn ticks(&self) -> Vec<(Time, String)> {
        const STEPS: [i64; 20] = [
            1, 2, 5, 10, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400, 172_800,
            604_800, 2_592_000,
        ];
        let span = self.until.ms_since(self.from).max(1);
        let step = STEPS.iter().map(|s| s * 1000).find(|s| span / s <= 10).unwrap_or(span / 10 + 1);
        let mut at = self.from.ms().div_euclid(step) * step;
        if at < self.from.ms() {
            at += step;
        }
        let mut out = Vec::new();
        // Days are told where the drawing crosses one.
        let several = self.from.date() != self.until.date();
        let mut day = if several { String::new() } else { self.from.date() };
        while at <= self.until.ms() && out.len() < 12 {
            let time = Time::from_ms(at);
            let clock = if step < 60_000 { time.hms() } else { time.hm() };
            let label = if time.date() == day { clock } else { format!("{clock} {}", time.date()) };
            day = time.date();
            out.push((time, label));
            at += step;
        }
        out
    }

    /// The axis with its lines from `top` to `bottom`, labels below.
    pub fn axis(&self, out: &mut String, top: f64, bottom: f64) {
        let mut free = 0.0;
        for (at, label) in self.ticks() {
            let x = self.x(at);
            let _ =
                write!(out, "<line class=\"grid\" x1=\"{x:.1}\" y1=\"{top:.1}\" x2=\"{x:.1}\" y2=\"{bottom:.1}\"/>");
            let half = label.chars().count() as f64 * CHARACTER / 2.0;
            if x - half >= free && x + half <= WIDTH {
                text(out, x, bottom + 17.0, "tick", "middle", &label);
                free = x + half + 8.0;
            }
        }
    }
}

pub fn text(out: &mut String, x: f64, y: f64, class: &str, anchor: &str, said: &str) {
    let _ = write!(
        out,
        "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{}</text>",
        escape(said)
    );
}

/// A bar with what a pointer or a reader is told of it.
pub fn bar(out: &mut String, class: &str, x: f64, y: f64, width: f64, height: f64, said: &str) {
    let width = width.max(1.0);
    let _ = write!(
        out,
        "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\"><title>{}</title></rect>",
        escape(said)
    );
}

/// `text`, cut so that it fits into so many units.
pub fn fit(text: &str, units: f64) -> String {
    let room = (units / CHARACTER) as usize;
    if text.chars().count() <= room {
        return text.to_owned();
    }
    let cut: String = text.chars().take(room.saturating_sub(1)).collect();
    if cut.is_empty() { cut } else { format!("{cut}…") }
}

/// The drawing with its name, what it says in words, and a caption.
pub fn figure(id: &str, height: f64, title: &str, said: &str, caption: &str, drawing: &str) -> String {
    format!(
        "<figure>\n<svg viewBox=\"0 0 {WIDTH} {height:.0}\" role=\"img\" aria-labelledby=\"{id}-t {id}-d\" \
         xmlns=\"http://www.w3.org/2000/svg\"><title id=\"{id}-t\">{}</title><desc id=\"{id}-d\">{}</desc>{drawing}</svg>\n\
         <figcaption>{}</figcaption>\n</figure>\n",
        escape(title),
        escape(said),
        escape(caption),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_has_few_round_moments() {
        for (seconds, least) in [(5, 3), (90, 2), (3600, 4), (86_400, 4), (40 * 86_400, 3)] {
            let from = Time::from_ms(1_795_140_847_318);
            let span = Span { from, until: from.plus(std::time::Duration::from_secs(seconds)) };
            let ticks = span.ticks();
            assert!((least..=12).contains(&ticks.len()), "{seconds}: {ticks:?}");
            assert!(ticks.iter().all(|(at, _)| span.holds(*at)), "{seconds}: {ticks:?}");
        }
    }
}
