//! Plain SQL dumps, read as they stream by: what they are, whether they are whole, and what in them must not reach the
//! server.
//!
//! A plain dump is a program for `psql`. One made with `--create` says `\connect app` and would load itself into the live
//! database; one of `pg_dumpall` creates roles and changes passwords; `\!` runs shell commands. So nothing goes from a
//! dump to `psql` that this scanner has not passed: meta-commands never do, statements about whole databases are left out
//! (the side database gets its properties from the live one; where there is none they are read, not run), and statements about the cluster make the dump refused.
//! Lexical rules: PostgreSQL manual, 4.1; the data of COPY: "File Formats" on its page.

mod statement;

use std::collections::{BTreeMap, BTreeSet};

use statement::Statement;

/// What was found in a dump.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// It begins as `pg_dump` begins.
    pub by_pg_dump: bool,
    /// It is one of `pg_dumpall`.
    pub cluster: bool,
    /// `PostgreSQL database dump complete` was the last thing in it.
    pub complete: bool,
    /// Version of the server it was made from.
    pub server: String,
    /// Version of the `pg_dump` that wrote it.
    pub pg_dump: String,
    /// Databases it connects to.
    pub connects: BTreeSet<String>,
    /// The first meta-command or statement that cannot be let through: its line and text.
    pub refused: Option<(u64, String)>,
    /// Roles that own something in it, or are granted something.
    pub owners: BTreeSet<String>,
    pub extensions: BTreeSet<String>,
    /// Tablespaces that something in it is to be put into.
    pub tablespaces: BTreeSet<String>,
    /// Tables made.
    pub tables: u64,
    /// Rows in COPY data.
    pub rows: u64,
    /// Of them, by the table that they are of: `public.users`.
    pub by_table: BTreeMap<String, u64>,
    /// INSERT statements.
    pub inserts: u64,
    pub statements: u64,
    /// It ends within a statement, a quoted text or table data.
    pub open: bool,
    pub lines: u64,
    /// Bytes of it, unpacked.
    pub bytes: u64,
    /// Its statements about the database as a whole, which are left out.
    pub about_database: Vec<String>,
}

impl Findings {
    /// Why this dump is not to be loaded at all, and what to do.
    pub fn objection(&self) -> Option<String> {
        if self.cluster || self.connects.len() > 1 {
            let what =
                "it is a dump of a whole server (pg_dumpall): it would create roles and write to other databases";
            return Some(format!(
                "{what}; restore it by hand on a server of its own, or choose a dump of one database"
            ));
        }
        let (line, text) = self.refused.as_ref()?;
        let shown = crate::text::clean(text);
        Some(format!(
            "line {line} says \"{shown}\", which reaches beyond the database being restored; take the dump apart and restore by hand"
        ))
    }

    /// Why it is not whole, where that can be told.
    pub fn incomplete(&self) -> Option<String> {
        if self.statements == 0 && self.rows == 0 {
            return Some("there is no statement in it".into());
        }
        if self.open {
            return Some(format!("it ends in the middle of a statement or of table data, at line {}", self.lines + 1));
        }
        if self.by_pg_dump && !self.complete {
            return Some("its last line \"PostgreSQL database dump complete\" is missing: it was cut off".into());
        }
        None
    }
}

/// What to leave out besides what always is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rules {
    /// `SET transaction_timeout`, which `pg_dump` 17 writes and servers before 17 do not know.
    pub no_transaction_timeout: bool,
    /// `SET default_tablespace`, where a tablespace is missing: everything comes into the database's own.
    pub no_tablespaces: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Mode {
    /// Between statements, or within one and outside of any quotation.
    Plain,
    /// `'…'`; with backslash escapes or without.
    Text {
        escapes: bool,
        escaped: bool,
    },
    /// `"…"`.
    Name,
    /// `$tag`, not yet known to be one.
    Tag,
    /// `$tag$ … $tag$`; `matched` bytes of the closing tag were seen.
    Dollar {
        matched: usize,
    },
    Comment,
    /// `/* … */`, nested; the last byte may be half of a mark.
    Block {
        depth: u32,
        last: u8,
    },
    /// `\…` to the end of the line.
    Meta,
    /// A COPY statement ended: its data begin on the next line.
    CopyNext,
    /// In the data; how much of `\.` this line has been so far.
    Copy {
        line: CopyLine,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CopyLine {
    Start,
    Backslash,
    Dot,
    Other,
}

/// Reads a dump in pieces and gives on what may be given on.
pub struct Scanner {
    rules: Rules,
    mode: Mode,
    found: Findings,
    statement: Statement,
    /// Comment, meta-command or dollar tag being read.
    text: Vec<u8>,
    previous: u8,
    /// `standard_conforming_strings` was switched off by the dump.
    old_strings: bool,
    /// The table whose data is being read, and how many rows there were before.
    copying: Option<(String, u64)>,
}

/// Bytes of a comment or a meta-command that are kept.
const TEXT_MAX: usize = 300;

impl Scanner {
    pub fn new(rules: Rules) -> Self {
        Scanner {
            rules,
            mode: Mode::Plain,
            found: Findings::default(),
            statement: Statement::default(),
            text: Vec::new(),
            previous: b'\n',
            old_strings: false,
            copying: None,
        }
    }

    pub fn found(&self) -> &Findings {
        &self.found
    }

    /// Reads the next piece; what may go to `psql` is put at the end of `out`.
    pub fn feed(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        let mut rest = piece;
        self.found.bytes = self.found.bytes.saturating_add(piece.len() as u64);
        while let Some(&b) = rest.first() {
            let n = self.run(rest, out);
            if n > 0 {
                rest = rest.get(n..).unwrap_or_default();
                continue;
            }
            self.byte(b, out);
            self.previous = b;
            if b == b'\n' {
                self.found.lines += 1;
            }
            rest = rest.get(1..).unwrap_or_default();
        }
    }

    /// The end of the dump.
    pub fn finish(mut self, out: &mut Vec<u8>) -> Findings {
        match self.mode {
            Mode::Comment => self.comment_ends(),
            Mode::Meta => drop(self.meta_ends()),
            _ => {}
        }
        self.statement.word_ends(&mut self.found);
        self.found.open = self.statement.begun() || !matches!(self.mode, Mode::Plain | Mode::Comment | Mode::Meta);
        if self.statement.begun() {
            self.statement.ends(self.rules, &mut self.found, out);
        }
        self.found
    }

    /// Takes a run of bytes that mean nothing in this mode, at once. Returns how many.
    fn run(&mut self, rest: &[u8], out: &mut Vec<u8>) -> usize {
        let stop = match &self.mode {
            Mode::Copy { line: CopyLine::Other } => memchr::memchr(b'\n', rest),
            Mode::Text { escaped: false, escapes: false } => memchr::memchr2(b'\'', b'\n', rest),
            Mode::Text { escaped: false, escapes: true } => memchr::memchr3(b'\'', b'\n', b'\\', rest),
            Mode::Dollar { matched: 0 } => memchr::memchr2(b'$', b'\n', rest),
            _ => Some(0),
        };
        let n = stop.unwrap_or(rest.len());
        let taken = rest.get(..n).unwrap_or_default();
        if let Some(last) = taken.last() {
            self.previous = *last;
            match self.mode {
                Mode::Copy { .. } => out.extend_from_slice(taken),
                _ => self.statement.emit(taken, out),
            }
        }
        n
    }

    fn byte(&mut self, b: u8, out: &mut Vec<u8>) {
        match &mut self.mode {
            Mode::Plain => self.plain(b, out),
            Mode::Text { escapes, escaped } => {
                if *escaped {
                    *escaped = false;
                } else if b == b'\\' && *escapes {
                    *escaped = true;
                } else if b == b'\'' {
                    self.mode = Mode::Plain;
                }
                self.statement.emit(&[b], out);
            }
            Mode::Name => {
                if b == b'"' {
                    self.mode = Mode::Plain;
                    self.statement.name_ends(&mut self.found);
                    self.statement.decide(self.rules, &mut self.found, out);
                } else {
                    self.statement.letter(b);
                }
                self.statement.emit(&[b], out);
            }
            Mode::Tag => {
                self.statement.emit(&[b], out);
                self.text.push(b);
                if b == b'$' {
                    self.mode = Mode::Dollar { matched: 0 };
                } else if !is_word(b) || (self.text.len() == 2 && b.is_ascii_digit()) || self.text.len() > 70 {
                    // `$1`, or an operator: no quotation after all.
                    self.mode = Mode::Plain;
                }
            }
            Mode::Dollar { matched } => {
                // A tag has `$` at its ends only, so a failed match can begin anew at `$` alone.
                let goes_on = self.text.get(*matched) == Some(&b);
                *matched = if goes_on { *matched + 1 } else { usize::from(b == b'$') };
                if *matched == self.text.len() {
                    self.mode = Mode::Plain;
                }
                self.statement.emit(&[b], out);
            }
            Mode::Comment => {
                self.statement.emit(&[b], out);
                if b == b'\n' {
                    self.comment_ends();
                } else if self.text.len() < TEXT_MAX {
                    self.text.push(b);
                }
            }
            Mode::Block { depth, last } => {
                match (*last, b) {
                    (b'*', b'/') => (*depth, *last) = (*depth - 1, 0),
                    (b'/', b'*') => (*depth, *last) = (*depth + 1, 0),
                    _ => *last = b,
                }
                if *depth == 0 {
                    self.mode = Mode::Plain;
                }
                self.statement.emit(&[b], out);
            }
            Mode::Meta => {
                if b == b'\n' {
                    if let Some(instead) = self.meta_ends() {
                        self.statement.emit(instead.as_bytes(), out);
                    }
                    self.statement.emit(b"\n", out);
                } else if self.text.len() < TEXT_MAX {
                    self.text.push(b);
                }
            }
            Mode::CopyNext => {
                out.push(b);
                if b == b'\n' {
                    self.mode = Mode::Copy { line: CopyLine::Start };
                }
            }
            Mode::Copy { line } => {
                out.push(b);
                match (*line, b) {
                    (CopyLine::Dot, b'\n') => {
                        self.mode = Mode::Plain;
                        if let Some((table, before)) = self.copying.take() {
                            *self.found.by_table.entry(table).or_default() += self.found.rows - before;
                        }
                    }
                    (_, b'\n') => {
                        *line = CopyLine::Start;
                        self.found.rows += 1;
                    }
                    (CopyLine::Start, b'\\') => *line = CopyLine::Backslash,
                    (CopyLine::Backslash, b'.') => *line = CopyLine::Dot,
                    (CopyLine::Dot, b'\r') => {}
                    _ => *line = CopyLine::Other,
                }
            }
        }
    }

    fn plain(&mut self, b: u8, out: &mut Vec<u8>) {
        if is_word(b) && (b != b'$' || is_word(self.previous)) {
            self.statement.begin(&mut self.found);
            self.statement.letter(b);
            return self.statement.emit(&[b], out);
        }
        // E'…' is told from the word before the quote, which must not count as a word of the statement then.
        let escape_string = b == b'\'' && self.statement.current_is(b"e");
        self.statement.word_ends(&mut self.found);
        self.statement.decide(self.rules, &mut self.found, out);
        match b {
            b'\'' => self.mode = Mode::Text { escapes: escape_string || self.old_strings, escaped: false },
            b'"' => {
                self.statement.begin(&mut self.found);
                self.statement.name_begins();
                self.mode = Mode::Name;
            }
            b'$' => {
                self.text.clear();
                self.text.push(b'$');
                self.mode = Mode::Tag;
            }
            b'-' if self.previous == b'-' => {
                self.text.clear();
                self.mode = Mode::Comment;
            }
            b'*' if self.previous == b'/' => self.mode = Mode::Block { depth: 1, last: 0 },
            b'\\' => {
                self.text.clear();
                self.mode = Mode::Meta;
                return;
            }
            b';' => {
                self.statement.emit(b";", out);
                let copy = self.statement.is_copy_in();
                self.copying = self.statement.copied().map(|table| (table, self.found.rows));
                if self.statement.switches_strings_off() {
                    self.old_strings = true;
                }
                self.statement.ends(self.rules, &mut self.found, out);
                if copy {
                    self.mode = Mode::CopyNext;
                }
                return;
            }
            _ => {}
        }
        self.statement.emit(&[b], out);
    }

    fn comment_ends(&mut self) {
        self.mode = Mode::Plain;
        let text = String::from_utf8_lossy(&self.text).trim().to_owned();
        match text.as_str() {
            "PostgreSQL database dump" => self.found.by_pg_dump = true,
            "PostgreSQL database cluster dump" => self.found.cluster = true,
            "PostgreSQL database dump complete" => self.found.complete = true,
            _ => {
                if let Some(version) = text.strip_prefix("Dumped from database version ") {
                    self.found.server = version.to_owned();
                } else if let Some(version) = text.strip_prefix("Dumped by pg_dump version ") {
                    self.found.pg_dump = version.to_owned();
                }
            }
        }
    }

    /// Returns the statement that says the same, where there is one that may be given on.
    fn meta_ends(&mut self) -> Option<String> {
        self.mode = Mode::Plain;
        let text = String::from_utf8_lossy(&self.text).trim().to_owned();
        let (word, value) = text.split_once(char::is_whitespace).unwrap_or((&text, ""));
        match word {
            // What pg_dump writes since 2025 against dumps that smuggle meta-commands; older psql do not know it.
            "restrict" | "unrestrict" => {}
            // pg_dump writes `-reuse-previous=on "dbname='…'"` for a name that is not letters, digits, `_` and `.` alone.
            "connect" | "c" => {
                self.found.connects.insert(value.trim().to_owned());
            }
            // Before such a connect, so that psql takes the name as it is; the encoding of the data is set again behind it.
            "encoding" if value.trim() == "SQL_ASCII" => {}
            "encoding" if is_encoding(value.trim()) && !self.statement.begun() => {
                return Some(format!("SET client_encoding = '{}';", value.trim()));
            }
            // The end of COPY data that the server had refused.
            "." => {}
            _ => {
                let line = self.found.lines + 1;
                self.found.refused.get_or_insert((line, format!("\\{text}")));
            }
        }
        None
    }
}

fn is_encoding(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
}

fn is_word(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b == b'_' || b == b'$' || b >= 0x80
}

#[cfg(test)]
mod tests;
