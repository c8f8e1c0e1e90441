//! The pages, and whose turn it is.
//!
//! A page with a root down pins: while there is one, only such pages are shown. With an open P0 or P1 its page takes
//! every second slot. What does not fit on one page goes on the next, worst first.

use ratatui::layout::Rect;

use super::facts::Facts;
use crate::domain::catalog::Severity;
use crate::viewer::bigtext;

/// A page by its content, so that a picture that changes does not turn it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Page {
    Incident(String),
    /// Services that are not well; the n-th page of them.
    Problems(usize),
    Backups(usize),
    /// All is well, or nothing is known, or nothing is configured.
    Rest,
}

/// How problems are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    pub columns: u16,
    /// Factor of the names' letters; 0 for plain text.
    pub scale: u16,
    /// Factor of the line below the name; 0 for plain text.
    pub detail: u16,
    /// Rows of one tile, the empty one below included.
    pub rows: u16,
    pub per_page: usize,
}

/// Narrowest tile with large letters.
const TILE: u16 = 58;

impl Grid {
    fn new(body: Rect, columns: u16, scale: u16, detail: u16) -> Grid {
        let rows = match scale {
            0 => 1,
            s => bigtext::ROWS * s + (bigtext::ROWS * detail).max(1) + 1,
        };
        // The empty row below the last tile is not needed.
        let down = if scale == 0 { body.height } else { (body.height + 1) / rows.max(1) };
        Grid { columns, scale, detail, rows, per_page: usize::from(columns) * usize::from(down) }
    }

    /// The layout with the largest letters that shows all `n`; else the smallest legible one, over several pages.
    /// `name`: columns of the longest name at the smallest scale. `k`: rows that a letter needs in order to be legible
    /// from afar.
    pub fn of(n: usize, name: u16, body: Rect, k: u16) -> Grid {
        let widest = (body.width / TILE.max(name.saturating_add(6))).clamp(1, 3);
        let is_wide = body.width >= TILE.min(40);
        if is_wide {
            for (scale, detail) in [(3, 2), (2, 1), (1, 1), (1, 0)] {
                for columns in 1..=widest {
                    let grid = Grid::new(body, columns, scale, detail);
                    let room = body.width / columns;
                    if grid.per_page >= n && room >= TILE.min(40) * scale && !(detail > 0 && room < 2 * TILE) {
                        return grid;
                    }
                }
            }
        }
        let plain = Grid::new(body, 1, 0, 0);
        let big = Grid::new(body, widest, 1, 0);
        // Plain text is small from afar, but a name that is only on one page of five is not seen at all.
        if k < 2 || !is_wide || big.per_page == 0 || n > 4 * big.per_page { plain } else { big }
    }
}

/// All pages of a picture.
#[derive(Clone, Debug)]
pub struct Deck {
    /// In the order of their turns; a page may have several.
    pub turns: Vec<Page>,
    pub grid: Grid,
    pub backup_rows: u16,
    pub backups_per_page: usize,
}

impl Deck {
    /// For a body of this size.
    pub fn of(facts: &Facts, body: Rect, k: u16) -> Deck {
        // A name that does not fit in large letters anyway has no say in how many tiles stand beside one another.
        let wide = |p: &super::facts::Problem<'_>| bigtext::width(&p.service.name, 1);
        let name = facts.problems.iter().map(wide).filter(|w| *w < body.width).max().unwrap_or(0);
        let grid = Grid::of(facts.problems.len(), name, body, k);
        let backup_rows = if body.height >= 30 { bigtext::ROWS + 3 } else { 2 };
        let backups_per_page = usize::from((body.height.saturating_sub(1) / backup_rows).max(1));
        let mut deck = Deck { turns: Vec::new(), grid, backup_rows, backups_per_page };
        let pages = facts.problems.len().div_ceil(grid.per_page.max(1));
        let problems = (0..pages).map(Page::Problems);
        let pinned = facts.roots.div_ceil(grid.per_page.max(1));
        let urgent: Vec<Page> = facts.urgent().map(|v| Page::Incident(v.incident.id.clone())).collect();
        let mut rest: Vec<Page> = Vec::new();
        if pinned > 0 {
            rest.extend(problems.take(pinned));
        } else {
            let lesser = facts.incidents.iter().filter(|v| v.incident.severity > Severity::P1);
            rest.extend(lesser.map(|v| Page::Incident(v.incident.id.clone())));
            rest.extend(problems);
            let hot = facts.hot.len();
            if hot > 0 && (pages == 0 || !deck.has_room_for_backups(facts, pages - 1, body)) {
                rest.extend((0..hot.div_ceil(backups_per_page)).map(Page::Backups));
            }
            if rest.is_empty() {
                rest.push(Page::Rest);
            }
        }
        if urgent.is_empty() {
            deck.turns = rest;
        } else {
            let rounds = rest.len().max(urgent.len());
            let pick = |list: &[Page], i: usize| list.get(i % list.len().max(1)).cloned();
            deck.turns = (0..rounds).flat_map(|i| [pick(&urgent, i), pick(&rest, i)]).flatten().collect();
        }
        deck
    }

    /// Tiles on the `n`-th page of problems.
    pub fn tiles<'a, T>(&self, all: &'a [T], n: usize) -> &'a [T] {
        let from = n.saturating_mul(self.grid.per_page).min(all.len());
        let to = from.saturating_add(self.grid.per_page).min(all.len());
        all.get(from..to).unwrap_or_default()
    }

    /// Rows that the tiles of a page take.
    pub fn tile_rows(&self, count: usize) -> u16 {
        let down = count.div_ceil(usize::from(self.grid.columns.max(1)));
        u16::try_from(down).unwrap_or(u16::MAX).saturating_mul(self.grid.rows)
    }

    /// Whether all backups fit below the tiles of a page.
    pub fn has_room_for_backups(&self, facts: &Facts, page: usize, body: Rect) -> bool {
        let used = self.tile_rows(self.tiles(&facts.problems, page).len());
        let wanted = facts.hot.len().saturating_mul(usize::from(self.backup_rows)) + 1;
        !facts.hot.is_empty() && usize::from(body.height.saturating_sub(used)) >= wanted
    }
}
