//! What a dump says of the database that it was made of, for the case that there is no live one any more to ask: owner,
//! privileges, connection limit, comment and settings.
//!
//! Nothing of what stands in a dump is executed: the statements that `pg_dump --create` is known to write about a database
//! are taken apart into properties, and statements about the side database are made anew from these. What is not one of
//! them is named and left out. Forms: dumpDatabase and dumpDatabaseConfig of PostgreSQL's pg_dump.c, buildACLCommands and
//! makeAlterConfigCommand of dumputils.c.

mod lex;

use lex::{Cursor, Token, statements};

use super::super::job::{CreateAs, Described};
use super::super::toc::Toc;
use super::carry::Properties;
use crate::sys::pg::programs;
use crate::text;

/// Since this version the dump of one database says what belongs to it; before, only `pg_dumpall` did.
const SINCE: u32 = 11;
/// Bytes of such statements that are read: names and settings, never data.
pub const MOST: usize = 64 << 10;
/// Statements that are named when they were not understood.
const NAMED: usize = 3;

const OWNER: &str = "owner";
const PLACE: &str = "encoding and locale";
const PRIVILEGES: &str = "privileges";
const LIMIT: &str = "connection limit";
const SETTINGS: &str = "settings";
const COMMENT: &str = "comment";

/// Privileges on a database, by the names that `aclexplode` gives them.
const ALL: [&str; 3] = ["CONNECT", "CREATE", "TEMPORARY"];

/// What an archive says.
pub fn archive(toc: &Toc) -> Described {
    let create = toc.create_database.as_deref();
    let whole = create.is_some() && programs::major(&toc.head.pg_dump).is_some_and(|major| major >= SINCE);
    let statements = create.into_iter().chain(toc.about_database.iter().map(String::as_str));
    let owner = toc.database_owner.clone();
    read(Some(toc.head.database.clone()), owner, statements, whole)
}

/// What the statements about a database in a plain dump say.
pub fn plain(statements: &[String], pg_dump: &str) -> Described {
    let whole = programs::major(pg_dump).is_none_or(|major| major >= SINCE);
    let made = statements.iter().any(|s| s.trim_start().to_ascii_lowercase().starts_with("create database"));
    read(None, None, statements.iter().map(String::as_str), whole && made)
}

/// Nothing is known.
pub fn nothing() -> Described {
    read(None, None, std::iter::empty(), false)
}

impl Described {
    /// It names the privileges, or says by its silence that they are PostgreSQL's default.
    pub fn says_privileges(&self) -> bool {
        !self.unsaid.iter().any(|what| what == PRIVILEGES)
    }

    /// The properties for a database that is `now` like this. What is not told stays; privileges that are not told are
    /// PostgreSQL's default, unless it is to stay closed.
    pub fn wanted(&self, now: &Properties, stays_closed: bool) -> Properties {
        let mut wanted = self.like.clone();
        if wanted.owner.is_empty() {
            wanted.owner.clone_from(&now.owner);
        }
        let mut before = String::new();
        if stays_closed && !self.says_privileges() {
            wanted.privileges.clone_from(&now.privileges);
            before.clone_from(&now.owner);
        }
        for (role, ..) in &mut wanted.privileges {
            // An owner who is not named; or the one before, whose privileges go to the one after.
            if role.as_deref() == Some(before.as_str()) {
                *role = Some(wanted.owner.clone());
            }
        }
        wanted.privileges.sort();
        wanted.privileges.dedup();
        wanted
    }

    /// The statements for a database that is new. `owner` is whose it is where nobody says whose it was.
    pub fn shown(&self, name: &str, owner: &str, stays_closed: bool) -> Vec<String> {
        let owner = Some(&self.like.owner).filter(|o| !o.is_empty()).map_or_else(|| owner.to_owned(), Clone::clone);
        let new = Properties { owner, limit: -1, ..Properties::default() };
        self.wanted(&new, stays_closed).statements(name, &new)
    }

    /// What is told, in a few words.
    pub fn summary(&self) -> String {
        let like = &self.like;
        let mut said = Vec::new();
        if !like.owner.is_empty() {
            said.push(format!("owner {}", like.owner));
        }
        if self.says_privileges() {
            said.push("privileges".to_owned());
        }
        if like.limit >= 0 {
            said.push(format!("connection limit {}", like.limit));
        }
        if !like.settings.is_empty() {
            said.push(text::plural(like.settings.len(), "setting"));
        }
        if like.comment.is_some() {
            said.push("its comment".to_owned());
        }
        text::clean(&said.join(", ")).into_owned()
    }

    /// `its privileges, connection limit and settings`: what has to be set by hand. `None` when all is told.
    pub fn lacking(&self) -> Option<String> {
        (!self.unsaid.is_empty()).then(|| format!("its {}", self.unsaid.join(", ")))
    }
}

/// `whole`: what is not said is as it is by default.
fn read<'a>(
    name: Option<String>,
    owner: Option<String>,
    statements: impl Iterator<Item = &'a str>,
    whole: bool,
) -> Described {
    let mut told = Told { name, owner, ..Told::default() };
    told.like.limit = -1;
    for text in statements {
        told.read(text);
    }
    let owner = told.owner.clone().unwrap_or_default();
    let own = ALL.map(|p| (Some(owner.clone()), p.to_owned(), false));
    let public = ["CONNECT", "TEMPORARY"].map(|p| (None, p.to_owned(), false));
    let mut held: Vec<_> = public.into_iter().chain(own).collect();
    for change in &told.changes {
        change.apply(&mut held);
    }
    held.sort();
    // As the server's catalogue is read: those of all roles first.
    told.like.settings.sort_by(|a, b| a.0.cmp(&b.0));
    (told.like.owner, told.like.privileges) = (owner, held);
    let mut unsaid = Vec::new();
    let mut lacks = |lacking: bool, what: &str| {
        if lacking {
            unsaid.push(what.to_owned());
        }
    };
    lacks(told.owner.is_none(), OWNER);
    lacks(told.create.encoding.is_none() && !whole, PLACE);
    lacks(told.changes.is_empty() && !whole, PRIVILEGES);
    lacks(!told.limited && !whole, LIMIT);
    lacks(told.like.settings.is_empty() && !whole, SETTINGS);
    lacks(told.like.comment.is_none() && !whole, COMMENT);
    for statement in told.unread.iter().take(NAMED) {
        unsaid.push(format!("\"{statement}\", which is not understood"));
    }
    if told.unread.len() > NAMED {
        unsaid.push(format!("{} more of these", told.unread.len() - NAMED));
    }
    told.create.owner.clone_from(&told.owner);
    Described { create: told.create, like: told.like, unsaid }
}

#[derive(Default)]
struct Told {
    /// Of the database that was dumped: statements about another one are none of ours.
    name: Option<String>,
    owner: Option<String>,
    create: CreateAs,
    like: Properties,
    limited: bool,
    changes: Vec<Change>,
    unread: Vec<String>,
    bytes: usize,
}

/// A GRANT or a REVOKE.
struct Change {
    give: bool,
    privileges: Vec<String>,
    /// WITH GRANT OPTION, or GRANT OPTION FOR.
    option: bool,
    roles: Vec<Option<String>>,
}

impl Change {
    fn apply(&self, held: &mut Vec<(Option<String>, String, bool)>) {
        for role in &self.roles {
            for privilege in &self.privileges {
                let at = held.iter().position(|(r, p, _)| r == role && p == privilege);
                match (self.give, at) {
                    (true, Some(at)) => {
                        if let Some(has) = held.get_mut(at) {
                            has.2 |= self.option;
                        }
                    }
                    (true, None) => held.push((role.clone(), privilege.clone(), self.option)),
                    (false, Some(at)) if self.option => {
                        if let Some(has) = held.get_mut(at) {
                            has.2 = false;
                        }
                    }
                    (false, Some(at)) => {
                        held.remove(at);
                    }
                    (false, None) => {}
                }
            }
        }
    }
}

impl Told {
    /// Reads the statements in a text, each by itself.
    fn read(&mut self, sql: &str) {
        self.bytes = self.bytes.saturating_add(sql.len());
        // What could not be decoded was written in another encoding: better no words than wrong ones.
        let found = if self.bytes > MOST || sql.contains('\u{fffd}') { None } else { statements(sql) };
        let Some(statements) = found else { return self.unread(sql) };
        for (tokens, place) in statements {
            if !tokens.is_empty() && self.statement(&tokens).is_none() {
                self.unread(sql.get(place).unwrap_or(sql));
            }
        }
    }

    fn unread(&mut self, sql: &str) {
        let line: String = sql.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(80).collect();
        self.unread.push(text::clean(&line).into_owned());
    }

    /// `None`: it is not one of those known.
    fn statement(&mut self, tokens: &[Token]) -> Option<()> {
        let mut at = Cursor(tokens);
        match at.word()?.as_str() {
            "create" => {
                at.expect(&["database"])?;
                let name = at.name()?;
                self.is_about(name)?;
                self.made(&mut at)
            }
            "alter" => match at.word()?.as_str() {
                "database" => {
                    let name = at.name()?;
                    self.is_about(name)?;
                    self.altered(&mut at)
                }
                "role" | "user" => {
                    let role = at.name()?;
                    at.expect(&["in", "database"])?;
                    let name = at.name()?;
                    self.is_about(name)?;
                    at.expect(&["set"])?;
                    self.set(Some(role), &mut at)
                }
                _ => None,
            },
            "comment" => {
                at.expect(&["on", "database"])?;
                let name = at.name()?;
                self.is_about(name)?;
                at.expect(&["is"])?;
                let comment = match at.next()? {
                    Token::Text(text) => Some(text.clone()),
                    Token::Word(word) if word == "null" => None,
                    _ => return None,
                };
                at.end()?;
                self.like.comment = comment;
                Some(())
            }
            "grant" => self.changed(true, &mut at),
            "revoke" => self.changed(false, &mut at),
            // Who granted is not carried over; the database is dropped to be made anew.
            "set" => at.expect(&["session", "authorization"]),
            "reset" => at.expect(&["session", "authorization"]),
            "drop" => at.expect(&["database"]),
            _ => None,
        }
    }

    fn is_about(&mut self, name: String) -> Option<()> {
        (*self.name.get_or_insert_with(|| name.clone()) == name).then_some(())
    }

    fn made(&mut self, at: &mut Cursor<'_>) -> Option<()> {
        at.accept("with");
        let mut create = CreateAs::default();
        while !at.0.is_empty() {
            let key = at.word()?;
            // CONNECTION LIMIT is of two words.
            let key = if key == "connection" { format!("{key} {}", at.word()?) } else { key };
            at.symbol('=');
            match (key.as_str(), at.next()?) {
                ("encoding", Token::Text(v)) => create.encoding = Some(v.clone()),
                ("locale", Token::Text(v)) => {
                    create.collate.get_or_insert_with(|| v.clone());
                    create.ctype.get_or_insert_with(|| v.clone());
                }
                ("lc_collate", Token::Text(v)) => create.collate = Some(v.clone()),
                ("lc_ctype", Token::Text(v)) => create.ctype = Some(v.clone()),
                ("locale_provider", Token::Word(v)) => create.provider = Some(v.clone()),
                ("icu_locale" | "builtin_locale", Token::Text(v)) => create.locale = Some(v.clone()),
                ("owner", Token::Word(v) | Token::Name(v)) => self.owner = Some(v.clone()),
                ("connection limit", Token::Number(n)) => self.limit(n.parse().ok()?),
                // Where it lay does not matter for what it was; and versions of libraries are those of this host.
                ("template" | "tablespace" | "collation_version" | "icu_rules" | "strategy" | "oid", _) => {}
                _ => return None,
            }
        }
        self.create = create;
        Some(())
    }

    fn limit(&mut self, limit: i32) {
        (self.like.limit, self.limited) = (limit, true);
    }

    fn altered(&mut self, at: &mut Cursor<'_>) -> Option<()> {
        match at.word()?.as_str() {
            "owner" => {
                at.expect(&["to"])?;
                let owner = at.name()?;
                at.end()?;
                self.owner = Some(owner);
                Some(())
            }
            "connection" => {
                at.expect(&["limit"])?;
                at.symbol('=');
                let Token::Number(n) = at.next()? else { return None };
                let limit = n.parse().ok()?;
                at.end()?;
                self.limit(limit);
                Some(())
            }
            "set" => self.set(None, at),
            _ => None,
        }
    }

    /// `work_mem TO '31MB'`, `search_path TO 'a', 'b'`.
    fn set(&mut self, role: Option<String>, at: &mut Cursor<'_>) -> Option<()> {
        let name = at.name()?;
        if !at.symbol('=') {
            at.expect(&["to"])?;
        }
        let mut values = Vec::new();
        loop {
            match at.next()? {
                Token::Text(v) | Token::Word(v) | Token::Name(v) | Token::Number(v) => values.push(v.clone()),
                Token::Symbol(_) => return None,
            }
            if !at.symbol(',') {
                break;
            }
        }
        at.end()?;
        self.like.settings.push((role, name.clone(), super::carry::joined(&name, &values)));
        Some(())
    }

    fn changed(&mut self, give: bool, at: &mut Cursor<'_>) -> Option<()> {
        let mut option = !give && at.accept("grant");
        if option {
            at.expect(&["option", "for"])?;
        }
        let mut privileges = Vec::new();
        loop {
            match at.word()?.as_str() {
                "all" => {
                    at.accept("privileges");
                    privileges.extend(ALL.map(str::to_owned));
                }
                "temp" => privileges.push("TEMPORARY".to_owned()),
                word => privileges.push(ALL.iter().find(|p| p.eq_ignore_ascii_case(word))?.to_string()),
            }
            if !at.symbol(',') {
                break;
            }
        }
        at.expect(&["on", "database"])?;
        let name = at.name()?;
        self.is_about(name)?;
        at.expect(&[if give { "to" } else { "from" }])?;
        let mut roles = Vec::new();
        loop {
            roles.push(match at.next()? {
                Token::Word(word) if word == "public" => None,
                Token::Word(name) | Token::Name(name) => Some(name.clone()),
                _ => return None,
            });
            if !at.symbol(',') {
                break;
            }
        }
        if give && at.accept("with") {
            at.expect(&["grant", "option"])?;
            option = true;
        }
        if at.accept("granted") {
            at.expect(&["by"])?;
            at.name()?;
        }
        let _ = at.accept("cascade") || at.accept("restrict");
        at.end()?;
        self.changes.push(Change { give, privileges, option, roles });
        Some(())
    }
}

#[cfg(test)]
mod tests;
