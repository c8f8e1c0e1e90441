//! One statement of a dump: its first words decide whether it is given on.

use super::{Findings, Rules};

/// Words looked at: a grant names columns before it says on what.
const WORDS_MAX: usize = 200;
const WORD_MAX: usize = 130;
/// Bytes of a statement about a database that are kept, and how many such statements.
const LEFT_MAX: usize = 16 << 10;
const LEFT_STATEMENTS: usize = 500;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Not enough words yet: its bytes are held back.
    #[default]
    Open,
    Give,
    Leave,
}

/// The statement being read. Between statements it is empty and everything is given on.
#[derive(Default)]
pub(super) struct Statement {
    /// Lower case; a quoted name is kept as it is with `"` before it, so that it is never taken for a keyword.
    words: Vec<String>,
    word: Vec<u8>,
    quoted: bool,
    held: Vec<u8>,
    /// What is left out of it.
    left: Vec<u8>,
    verdict: Verdict,
    begun: bool,
    copy_in: bool,
    line: u64,
    /// The last two words, also beyond [`WORDS_MAX`].
    last: (String, String),
    /// The words that follow name roles that something is granted to.
    granting: bool,
}

impl Statement {
    pub fn begun(&self) -> bool {
        self.begun
    }

    pub fn is_copy_in(&self) -> bool {
        self.copy_in
    }

    /// The table that rows are copied into, where it is named with its schema, as pg_dump does.
    pub fn copied(&self) -> Option<String> {
        match self.words.as_slice() {
            [copy, schema, table, ..] if self.copy_in && copy == "copy" => {
                Some(format!("{}.{}", bare(schema), bare(table)))
            }
            _ => None,
        }
    }

    pub fn begin(&mut self, found: &mut Findings) {
        if !self.begun {
            self.begun = true;
            self.line = found.lines + 1;
            found.statements += 1;
            // Whatever comes after the last line of a dump makes it not the last line.
            found.complete = false;
        }
    }

    pub fn letter(&mut self, b: u8) {
        if self.word.len() < WORD_MAX {
            self.word.push(b);
        }
    }

    pub fn name_begins(&mut self) {
        self.word.clear();
        self.quoted = true;
    }

    pub fn name_ends(&mut self, found: &mut Findings) {
        let name = format!("\"{}", String::from_utf8_lossy(&self.word));
        self.word.clear();
        self.quoted = false;
        self.push(name, found);
    }

    pub fn word_ends(&mut self, found: &mut Findings) {
        if self.word.is_empty() || self.quoted {
            return;
        }
        let word = String::from_utf8_lossy(&self.word).to_lowercase();
        self.word.clear();
        self.push(word, found);
    }

    /// The word being read, in lower case.
    pub fn current_is(&self, text: &[u8]) -> bool {
        self.word.eq_ignore_ascii_case(text)
    }

    fn push(&mut self, word: String, found: &mut Findings) {
        let (before, last) = (self.last.0.as_str(), self.last.1.as_str());
        if before == "owner"
            && last == "to"
            && !matches!(word.as_str(), "current_user" | "session_user" | "current_role")
            // The database's own owner is of no matter where it is not made from the dump.
            && self.words.get(1).is_none_or(|w| w != "database")
        {
            found.owners.insert(bare(&word).to_owned());
        }
        self.role_named(&word, found);
        let last = self.last.1.as_str();
        if last == "from" && word == "stdin" && self.first("copy") {
            self.copy_in = true;
        }
        self.last = (std::mem::take(&mut self.last.1), word.clone());
        if self.words.len() < WORDS_MAX {
            self.words.push(word);
        }
    }

    /// Keeps the roles of a grant, of default privileges or of a policy: without them the statement fails.
    fn role_named(&mut self, word: &str, found: &mut Findings) {
        const NO_ROLES: [&str; 5] = ["public", "current_user", "session_user", "current_role", "group"];
        const ENDS: [&str; 7] = ["in", "with", "using", "granted", "cascade", "restrict", "grant"];
        let second = |word: &str| self.words.get(1).is_some_and(|w| w == word);
        let grants = self.first("grant")
            || self.first("revoke")
            || self.first("alter") && second("default")
            || self.first("create") && second("policy");
        // Most statements of a dump are of other kinds, and long.
        if !grants {
            return;
        }
        let words: Vec<&str> = self.words.iter().map(String::as_str).collect();
        // The database's own privileges are those of the live one.
        if words.windows(2).any(|w| w == ["on", "database"]) {
            return;
        }
        let begins = match self.last.1.as_str() {
            "to" | "from" => true,
            "role" => words.contains(&"default") && words.contains(&"for"),
            _ => false,
        };
        self.granting = (self.granting || begins) && !ENDS.contains(&word);
        if self.granting && !NO_ROLES.contains(&word) {
            found.owners.insert(bare(word).to_owned());
        }
    }

    fn first(&self, word: &str) -> bool {
        self.words.first().is_some_and(|w| w == word)
    }

    /// `set standard_conforming_strings = off`.
    pub fn switches_strings_off(&self) -> bool {
        let words: Vec<&str> = self.words.iter().map(String::as_str).collect();
        matches!(words.as_slice(), ["set", "standard_conforming_strings", .., "off"])
    }

    /// Bytes of the statement, or of what is between statements.
    pub fn emit(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        match self.verdict {
            Verdict::Open if self.begun => self.held.extend_from_slice(bytes),
            Verdict::Open | Verdict::Give => out.extend_from_slice(bytes),
            // The lines stay, so that psql's line numbers are those of the dump.
            Verdict::Leave => {
                out.extend(bytes.iter().filter(|b| **b == b'\n'));
                let room = LEFT_MAX.saturating_sub(self.left.len());
                self.left.extend_from_slice(bytes.get(..room.min(bytes.len())).unwrap_or_default());
            }
        }
    }

    /// Decides as soon as the words allow it.
    pub fn decide(&mut self, rules: Rules, found: &mut Findings, out: &mut Vec<u8>) {
        if self.verdict != Verdict::Open || !self.begun {
            return;
        }
        let words: Vec<&str> = self.words.iter().map(String::as_str).collect();
        let verdict = match judge(&words, rules) {
            Judged::More if words.len() < WORDS_MAX => return,
            Judged::More | Judged::Give => Verdict::Give,
            Judged::Leave => Verdict::Leave,
            Judged::Refuse => {
                let text = words.join(" ");
                found.refused.get_or_insert((self.line, text));
                Verdict::Leave
            }
        };
        self.settle(verdict, out);
    }

    fn settle(&mut self, verdict: Verdict, out: &mut Vec<u8>) {
        self.verdict = verdict;
        let held = std::mem::take(&mut self.held);
        self.emit(&held, out);
    }

    /// The statement is over.
    pub fn ends(&mut self, rules: Rules, found: &mut Findings, out: &mut Vec<u8>) {
        self.decide(rules, found, out);
        let words: Vec<&str> = self.words.iter().map(String::as_str).collect();
        match words.as_slice() {
            ["create", "table" | "unlogged", ..] => found.tables += 1,
            ["create", "extension", "if", "not", "exists", name, ..] | ["create", "extension", name, ..] => {
                found.extensions.insert(bare(name).to_owned());
            }
            ["insert", ..] => found.inserts += 1,
            ["set", "default_tablespace", name] if *name != "default" => {
                found.tablespaces.insert(bare(name).to_owned());
            }
            ["create" | "alter" | "comment" | "grant" | "revoke" | "security", ..]
                if self.verdict == Verdict::Leave && found.about_database.len() < LEFT_STATEMENTS =>
            {
                found.about_database.push(String::from_utf8_lossy(&self.left).into_owned());
            }
            _ => {}
        }
        if self.verdict == Verdict::Open {
            self.settle(Verdict::Give, out);
        }
        *self = Statement::default();
    }
}

fn bare(word: &str) -> &str {
    word.strip_prefix('"').unwrap_or(word)
}

enum Judged {
    More,
    Give,
    /// About a whole database: the side database has its properties from the live one.
    Leave,
    /// About the cluster.
    Refuse,
}

fn judge(words: &[&str], rules: Rules) -> Judged {
    match words {
        [] | ["create" | "drop" | "alter" | "comment" | "set" | "security"] | ["comment", "on"] => Judged::More,
        ["create" | "drop" | "alter", "database", ..] | ["comment", "on", "database", ..] => Judged::Leave,
        ["create" | "drop" | "alter", "user"] => Judged::More,
        ["create" | "drop" | "alter", "user", "mapping", ..] => Judged::Give,
        ["alter", "role" | "user", _, "in", "database", ..] => Judged::Leave,
        ["alter", "role" | "user", _, "in"] | ["alter", "role" | "user", _] | ["alter", "role"] => Judged::More,
        ["create" | "drop" | "alter", "role" | "user" | "group" | "tablespace", ..] | ["alter", "system", ..] => {
            Judged::Refuse
        }
        ["set", "default_tablespace", ..] if rules.no_tablespaces => Judged::Leave,
        ["set", "transaction_timeout", ..] if rules.no_transaction_timeout => Judged::Leave,
        ["security", "label", rest @ ..] => match rest.iter().position(|w| *w == "on").map(|i| rest.get(i + 1)) {
            Some(Some(&"database")) => Judged::Leave,
            Some(Some(&("role" | "tablespace"))) => Judged::Refuse,
            Some(Some(_)) => Judged::Give,
            _ => Judged::More,
        },
        ["grant" | "revoke", rest @ ..] => grant(rest),
        _ => Judged::Give,
    }
}

fn grant(rest: &[&str]) -> Judged {
    for (i, word) in rest.iter().enumerate() {
        match *word {
            "on" => {
                return match rest.get(i + 1) {
                    None => Judged::More,
                    Some(&"database") => Judged::Leave,
                    Some(&("tablespace" | "parameter")) => Judged::Refuse,
                    Some(_) => Judged::Give,
                };
            }
            // Membership in a role is given without `on`.
            "to" | "from" => return Judged::Refuse,
            _ => {}
        }
    }
    Judged::More
}
