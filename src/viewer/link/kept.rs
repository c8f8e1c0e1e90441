//! What was asked for and not answered when the connection broke.
//!
//! A change is asked for again over the next connection with the key that it had: an engine that carried it out finds the
//! key in its record, also after a restart, and only answers. That holds for one record alone, so nothing is ever sent to
//! an engine of another state directory; nor to the successor of an engine that recorded nothing, which cannot know what
//! stood in memory only. Nobody waits longer than [`KEPT`]: what was asked that long ago may not be wanted any more.

use std::time::Duration;

use tokio::time::Instant;

use super::{News, Question};

/// How long after it was asked a change may be asked for again.
pub const KEPT: Duration = Duration::from_secs(30);
/// How the answer to a change begins when nobody knows whether it was done.
pub const LOST: &str = "lost before an answer came";
/// Changes kept at the same time; more are given up.
const MOST: usize = 64;

/// Whose record a question was meant for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// Which state directory; empty when the engine does not say.
    pub state: String,
    /// Which life of its engine.
    pub epoch: String,
}

/// A question that was handed to an engine.
#[derive(Clone, Debug)]
pub struct Asked {
    pub question: Question,
    /// When it was asked first.
    at: Instant,
    /// The engine that was asked last.
    record: Record,
    /// What it did may stand in its memory only.
    pub unrecorded: bool,
}

impl Asked {
    pub fn new(question: Question, record: Record, unrecorded: bool, at: Instant) -> Asked {
        Asked { question, at, record, unrecorded }
    }

    fn is_late(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.at) >= KEPT
    }

    /// `more` says why it is not asked for again, where that is not plain.
    fn lost(&self, more: &str) -> News {
        let said = format!("{LOST}: look at the timeline whether it was done{more}");
        News::Answer(self.question.tag, Err(said))
    }
}

/// The changes that wait for the next connection, oldest first.
#[derive(Debug, Default)]
pub struct Kept {
    waiting: Vec<Asked>,
}

impl Kept {
    /// Keeps a change; anything else is answered at once, as lost.
    pub fn keep(&mut self, asked: Asked, why: &str) -> Option<News> {
        if asked.question.key.is_empty() {
            let said = format!("the link was lost before an answer came: {why}");
            return Some(News::Answer(asked.question.tag, Err(said)));
        }
        if self.waiting.len() >= MOST {
            return Some(asked.lost(""));
        }
        self.waiting.push(asked);
        None
    }

    /// When the first one has waited long enough; never while none waits.
    pub async fn late(&self) {
        match self.waiting.iter().map(|asked| asked.at + KEPT).min() {
            Some(at) => tokio::time::sleep_until(at).await,
            None => std::future::pending().await,
        }
    }

    /// Gives up those that have waited long enough.
    pub fn take_late(&mut self, now: Instant) -> Vec<News> {
        self.waiting.extract_if(.., |asked| asked.is_late(now)).map(|asked| asked.lost("")).collect()
    }

    /// Those that this engine may be asked for again, and the answers to the others.
    pub fn for_engine(&mut self, record: &Record, now: Instant) -> (Vec<Asked>, Vec<News>) {
        let (mut again, mut lost) = (Vec::new(), self.take_late(now));
        for mut asked in self.waiting.drain(..) {
            if asked.record.state.is_empty() || asked.record.state != record.state {
                lost.push(asked.lost("; the engine that answers now keeps another record"));
            } else if asked.unrecorded && asked.record.epoch != record.epoch {
                lost.push(asked.lost("; nothing was being recorded"));
            } else {
                asked.record = record.clone();
                again.push(asked);
            }
        }
        (again, lost)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::command::Command;
    use crate::wire::Ask;

    fn asked(tag: u64, record: &Record, unrecorded: bool, at: Instant) -> Asked {
        let ask = Ask::Do(Command::Note { incident: None, text: "said".into(), happened_at: None });
        let question = Question { tag, key: format!("key-{tag}"), via: "key .".into(), ask };
        Asked::new(question, record.clone(), unrecorded, at)
    }

    fn record(state: &str, epoch: &str) -> Record {
        Record { state: state.into(), epoch: epoch.into() }
    }

    fn words(news: &[News]) -> Vec<(u64, &str)> {
        let word = |n| match n {
            &News::Answer(tag, Err(ref why)) => (tag, why.as_str()),
            other => panic!("{other:?}"),
        };
        news.iter().map(word).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn only_the_same_record_is_asked_again_and_not_for_ever() {
        let now = Instant::now();
        let (here, next, elsewhere) = (record("/a 1", "e1"), record("/a 1", "e2"), record("/a 2", "e3"));
        let mut kept = Kept::default();
        let read = Question { tag: 9, key: String::new(), via: String::new(), ask: Ask::Status };
        let read = kept.keep(Asked::new(read, here.clone(), false, now), "hung up");
        assert_eq!(words(&[read.unwrap()]), [(9, "the link was lost before an answer came: hung up")]);

        // In the order in which they were asked, with their keys, over and over while the time lasts.
        for tag in [1, 2] {
            assert!(kept.keep(asked(tag, &here, false, now), "hung up").is_none());
        }
        let (again, lost) = kept.for_engine(&next, now + KEPT / 2);
        assert_eq!(again.iter().map(|a| a.question.key.as_str()).collect::<Vec<_>>(), ["key-1", "key-2"]);
        assert!(lost.is_empty());
        for asked in again {
            assert!(kept.keep(asked, "hung up").is_none());
        }
        assert!(kept.take_late(now + KEPT - Duration::from_millis(1)).is_empty());
        kept.late().await;
        assert_eq!(Instant::now(), now + KEPT);
        let late = kept.take_late(Instant::now());
        let said = "lost before an answer came: look at the timeline whether it was done";
        assert_eq!(words(&late), [(1, said), (2, said)]);
        assert_eq!(kept.for_engine(&next, now).0.len(), 0);

        // Another folder's engine, one that does not say, and one after an engine that recorded nothing.
        let now = Instant::now();
        for (meant, unrecorded, answers, again) in [
            (&here, false, &elsewhere, false),
            (&record("", "e1"), false, &record("", "e1"), false),
            (&here, true, &next, false),
            (&here, true, &here, true),
            (&here, false, &next, true),
        ] {
            assert!(kept.keep(asked(3, meant, unrecorded, now), "hung up").is_none());
            let (asked, lost) = kept.for_engine(answers, now);
            assert_eq!((asked.len(), lost.len()), if again { (1, 0) } else { (0, 1) }, "{meant:?} {answers:?}");
            assert!(words(&lost).iter().all(|(tag, why)| *tag == 3 && why.starts_with(LOST)));
        }
        for tag in 0..MOST as u64 {
            assert!(kept.keep(asked(tag, &here, false, now), "hung up").is_none());
        }
        assert!(kept.keep(asked(99, &here, false, now), "hung up").is_some(), "bounded");
    }
}
