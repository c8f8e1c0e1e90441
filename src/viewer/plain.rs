//! The cockpit without a screen: a line on stdout for every change.
//!
//! For `--plain`, `TERM=dumb` and readers that speak. It attaches like every viewer (`setup.attach()`), follows with
//! `link::start`, and says each new row of the timeline, starting with the newest.

use super::link::{self, News};
use super::look::Look;
use super::screen::{Setup, runtime};
use crate::cli::args::Screen;
use crate::cli::{Failure, say};
use crate::wire::{Answer, Ask, Mirror, TimelineQuery};

/// Runs until the engine's link cannot be had or the reader goes away.
pub fn run(setup: &Setup, screen: &Screen) -> Result<u8, Failure> {
    let (look, faults) = Look::of(screen, super::env);
    faults.iter().for_each(|f| eprintln!("mayday: {f}"));
    runtime()?.block_on(async {
        let client = setup.attach().await?;
        let mut link = link::start(setup.place.clone(), client, setup.client, setup.access);
        let mut mirror = Mirror::default();
        let mut said = None;
        let mut asked = false;
        while let Some(news) = link.news.recv().await {
            match news {
                News::Up(peer) => say(&format!("following engine {} as {}", peer.pid, peer.user)),
                News::Down(why) => say(&format!("LINK LOST: {why}")),
                News::Change(change) => {
                    mirror.apply(*change);
                    if !asked && said != Some(mirror.seq) {
                        asked = true;
                        let query = TimelineQuery {
                            after: said,
                            limit: if said.is_none() { 20 } else { 1000 },
                            ..TimelineQuery::default()
                        };
                        let ask = Ask::Timeline(query);
                        let question = link::Question { tag: 1, key: String::new(), via: String::new(), ask };
                        let _ = link.ask.send(question).await;
                    }
                }
                News::Answer(_, answer) => {
                    asked = false;
                    if let Ok(Answer::Timeline { rows, head }) = answer {
                        for row in &rows {
                            say(&format!("{} {} {}", look.hms(row.at), row.actor, row.text));
                        }
                        said = Some(rows.last().map_or(head, |r| r.seq));
                    }
                }
            }
        }
        Ok(0)
    })
}
