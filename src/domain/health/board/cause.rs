//! Which dependency something is down because of.

use std::collections::BTreeSet;

use super::{Board, Node};
use crate::domain::event::{Event, HealthBecause};
use crate::domain::health::Health;
use crate::domain::time::Time;

impl Board {
    /// Names the cause anew for everything that depends on `i`, directly or not.
    pub(super) fn blame_below(&mut self, i: usize, events: &mut Vec<Event>) {
        let mut seen = BTreeSet::from([i]);
        let mut queue = self.nodes[i].children.clone();
        while let Some(child) = queue.pop() {
            if seen.insert(child) {
                queue.extend_from_slice(&self.nodes[child].children);
            }
        }
        seen.remove(&i);
        for child in seen {
            self.blame(child, events);
        }
    }

    pub(super) fn blame(&mut self, i: usize, events: &mut Vec<Event>) {
        if self.nodes[i].status.state != Health::Down {
            return;
        }
        let because = self.cause(i, false);
        if because != self.nodes[i].status.because {
            self.nodes[i].status.because.clone_from(&because);
            events.push(Event::HealthBecause(HealthBecause { service: self.nodes[i].name.clone(), because }));
        }
    }

    /// The root that `i` is down because of. A dependency that is only failing counts when the child has just gone down
    /// (`fresh`), or while it is the cause already.
    pub(super) fn cause(&self, i: usize, fresh: bool) -> Option<String> {
        let present = self.nodes[i].status.because.as_deref();
        let confirmed = self.root_of(i, &|n: &Node| n.status.state == Health::Down);
        let root = confirmed.or_else(|| {
            self.root_of(i, &|n: &Node| n.counts_as_cause() && (fresh || present == Some(n.name.as_str())))
        })?;
        self.nodes.get(root).map(|n| n.name.clone())
    }

    /// Follows the dependencies that meet `broken` to the far end. Of several, the one that went down first, then by name.
    pub(super) fn root_of(&self, start: usize, broken: &dyn Fn(&Node) -> bool) -> Option<usize> {
        let mut seen = BTreeSet::from([start]);
        let mut root = None;
        let mut at = start;
        while let Some(next) = self.broken_parent(at, &mut seen, broken) {
            root = Some(next);
            at = next;
        }
        root
    }

    fn broken_parent(&self, i: usize, seen: &mut BTreeSet<usize>, broken: &dyn Fn(&Node) -> bool) -> Option<usize> {
        let (mut best, mut queue) = (None::<usize>, vec![i]);
        while let Some(at) = queue.pop() {
            for &p in &self.nodes[at].parents {
                if !seen.insert(p) {
                    continue;
                }
                let parent = &self.nodes[p];
                if broken(parent) {
                    let rank = |n: &Node| (n.status.down_since.unwrap_or(Time::from_ms(i64::MAX)), n.name.clone());
                    if best.is_none_or(|b| rank(parent) < rank(&self.nodes[b])) {
                        best = Some(p);
                    }
                } else if parent.checks.is_empty() && !parent.paused {
                    queue.push(p);
                }
            }
        }
        best
    }

    /// Something it depends on is down. `seen` remembers the answers for services without checks, which are looked through,
    /// so that counting thousands that are down stays one walk over the dependencies.
    pub(super) fn is_below_down(&self, i: usize, seen: &mut [Option<bool>]) -> bool {
        self.nodes[i].parents.iter().any(|&p| {
            let parent = &self.nodes[p];
            if parent.status.state == Health::Down {
                return true;
            }
            if !parent.checks.is_empty() || parent.paused {
                return false;
            }
            if let Some(known) = seen[p] {
                return known;
            }
            // For as long as the answer is sought, so that a cycle ends.
            seen[p] = Some(false);
            let found = self.is_below_down(p, seen);
            seen[p] = Some(found);
            found
        })
    }
}
