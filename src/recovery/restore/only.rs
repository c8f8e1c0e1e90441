//! Choosing among the entries of an archive: single tables or schemas, with what belongs to them and what they need.
//!
//! What belongs to a table (data, indexes, constraints, its sequences, triggers, privileges, partitions) comes along; what
//! it needs (types, functions, schemas, extensions, tables of other people as an empty definition) as well. A foreign key
//! to a table that is not chosen cannot hold, so it is left out and said. Of a newer archive nothing is guessed: an entry
//! of an unknown kind is left out.

use std::collections::{BTreeSet, HashMap, HashSet};

use serde::{Deserialize, Serialize};

use super::toc::Entry;

/// A table by schema and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Relation {
    pub schema: String,
    pub name: String,
}

impl std::fmt::Display for Relation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.schema, self.name)
    }
}

/// What was chosen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chosen {
    /// Entries, in the archive's order.
    pub ids: Vec<i64>,
    /// Tables whose rows were asked for; partitions are in their table.
    pub tables: Vec<Relation>,
    /// Definitions of tables among the entries.
    pub definitions: u64,
    pub owners: BTreeSet<String>,
    pub extensions: BTreeSet<String>,
    /// What is left out, in sentences.
    pub without: Vec<String>,
}

/// Kinds that belong to a relation, by needing it. Of those marked the name begins with the relation's: they may need
/// others too.
const PARTS: [(&str, bool); 20] = [
    ("TABLE DATA", false),
    ("SEQUENCE", false),
    ("SEQUENCE OWNED BY", false),
    ("SEQUENCE SET", false),
    ("DEFAULT", true),
    ("CONSTRAINT", true),
    ("CHECK CONSTRAINT", true),
    ("FK CONSTRAINT", true),
    ("INDEX", false),
    ("INDEX ATTACH", false),
    ("TABLE ATTACH", false),
    ("STATISTICS", false),
    ("STATISTICS DATA", false),
    ("TRIGGER", true),
    ("RULE", true),
    ("POLICY", true),
    ("ROW SECURITY", false),
    ("COMMENT", false),
    ("SECURITY LABEL", false),
    ("ACL", false),
];

/// Kinds that never come along because something needs them.
const NEVER: [&str; 6] =
    ["FK CONSTRAINT", "PUBLICATION TABLE", "PUBLICATION", "SUBSCRIPTION", "EVENT TRIGGER", "TABLE ATTACH"];

/// Takes `schema.table` or `schema.*` apart; a name in double quotes may have dots in it. The table is `None` for all.
pub fn parse(text: &str) -> Result<(String, Option<String>), String> {
    let wrong = || format!("\"{}\" is not schema.table or schema.*", crate::text::clean(text));
    let mut parts = vec![String::new()];
    let mut quoted = false;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let last = parts.last_mut().ok_or_else(wrong)?;
        match c {
            '"' if quoted && chars.next_if_eq(&'"').is_some() => last.push('"'),
            '"' => quoted = !quoted,
            '.' if !quoted => parts.push(String::new()),
            c => last.push(c),
        }
    }
    match parts.as_slice() {
        [schema, table] if !quoted && !schema.is_empty() && !table.is_empty() => {
            let all = table == "*" && !text.ends_with('"');
            Ok((schema.clone(), (!all).then(|| table.clone())))
        }
        _ => Err(wrong()),
    }
}

/// Chooses. Errors: what was asked for and is not there, and what is.
pub fn choose(entries: &[Entry], only: &[String]) -> Result<Chosen, String> {
    let mut choice = Choice::new(entries);
    for asked in only {
        choice.ask(asked)?;
    }
    choice.complete();
    Ok(choice.result())
}

struct Choice<'a> {
    entries: &'a [Entry],
    by_id: HashMap<i64, &'a Entry>,
    schemas: HashMap<&'a str, i64>,
    /// Partition → its table.
    parents: HashMap<i64, i64>,
    all: HashSet<i64>,
    /// Those of which the parts come along.
    whole: HashSet<i64>,
}

impl<'a> Choice<'a> {
    fn new(entries: &'a [Entry]) -> Self {
        let by_id: HashMap<i64, &Entry> = entries.iter().map(|e| (e.id, e)).collect();
        let mut parents = HashMap::new();
        for attach in entries.iter().filter(|e| e.desc == "TABLE ATTACH") {
            let is_child =
                |id: &&i64| by_id.get(id).is_some_and(|t| t.tag == attach.tag && t.namespace == attach.namespace);
            let child = attach.needs.iter().find(is_child);
            let parent = attach.needs.iter().find(|id| Some(*id) != child);
            if let (Some(child), Some(parent)) = (child, parent) {
                parents.insert(*child, *parent);
            }
        }
        let schemas = entries.iter().filter(|e| e.desc == "SCHEMA").map(|e| (e.tag.as_str(), e.id)).collect();
        Choice { entries, by_id, schemas, parents, all: HashSet::new(), whole: HashSet::new() }
    }

    fn ask(&mut self, asked: &str) -> Result<(), String> {
        let (schema, table) = parse(asked)?;
        let wanted: Vec<i64> = match &table {
            Some(table) => {
                let found = |e: &&Entry| e.desc == "TABLE" && e.namespace == schema && e.tag == *table;
                self.entries.iter().filter(found).map(|e| e.id).collect()
            }
            None => {
                let within = |e: &&Entry| e.namespace == schema || e.desc == "SCHEMA" && e.tag == schema;
                let wanted = self.entries.iter().filter(within).filter(|e| !NEVER.contains(&e.desc.as_str()));
                wanted.map(|e| e.id).collect()
            }
        };
        if wanted.is_empty() {
            return Err(self.not_there(&schema, table.as_deref()));
        }
        self.whole.extend(&wanted);
        self.all.extend(wanted);
        Ok(())
    }

    fn not_there(&self, schema: &str, table: Option<&str>) -> String {
        let Some(table) = table else {
            let mut schemas: Vec<&str> = self.tables().map(|e| e.namespace.as_str()).collect();
            schemas.sort_unstable();
            schemas.dedup();
            schemas.truncate(5);
            return format!("the copy has no schema {schema}; tables are in {}", schemas.join(", "));
        };
        if let Some(other) = self.entries.iter().find(|e| e.namespace == schema && e.tag == table) {
            return format!(
                "{schema}.{table} is a {}: only tables and whole schemas (schema.*) can be chosen",
                other.desc.to_lowercase()
            );
        }
        let same = self.tables().filter(|e| e.tag == table);
        let near: Vec<String> =
            same.chain(self.tables().filter(|e| e.namespace == schema)).take(5).map(named).collect();
        let near = if near.is_empty() { "none in this schema".into() } else { near.join(", ") };
        format!("the copy has no table {schema}.{table}; there are {near}")
    }

    fn tables(&self) -> impl Iterator<Item = &'a Entry> + use<'a> {
        self.entries.iter().filter(|e| e.desc == "TABLE")
    }

    /// Adds what belongs to the chosen and what they need, until there is nothing to add.
    fn complete(&mut self) {
        loop {
            let before = self.all.len();
            for entry in self.entries {
                if !self.all.contains(&entry.id) && self.belongs(entry) {
                    self.all.insert(entry.id);
                    self.whole.insert(entry.id);
                    if entry.desc == "TABLE ATTACH" {
                        self.all.extend(&entry.needs);
                        self.whole.extend(&entry.needs);
                    }
                }
            }
            let chosen: Vec<&Entry> = self.entries.iter().filter(|e| self.all.contains(&e.id)).collect();
            for entry in chosen {
                let schema = self.schemas.get(entry.namespace.as_str()).copied();
                for id in entry.needs.iter().chain(&schema) {
                    self.need(entry, *id);
                }
            }
            if self.all.len() == before {
                return;
            }
        }
    }

    fn need(&mut self, by: &Entry, id: i64) {
        let Some(needed) = self.by_id.get(&id) else { return };
        // A partition is a table like any other without the one it is part of.
        let parent = self.parents.get(&by.id) == Some(&id);
        let data = matches!(needed.desc.as_str(), "TABLE DATA" | "BLOBS" | "BLOB" | "BLOB METADATA");
        if parent && !self.whole.contains(&id) || data || NEVER.contains(&needed.desc.as_str()) {
            return;
        }
        self.all.insert(id);
        // The value that a default goes on from.
        if needed.desc == "SEQUENCE" {
            self.whole.insert(id);
        }
    }

    fn belongs(&self, entry: &Entry) -> bool {
        let Some((desc, prefixed)) = PARTS.iter().find(|(desc, _)| *desc == entry.desc) else { return false };
        if *desc == "TABLE ATTACH" {
            let parent = |child: &i64| self.parents.get(child).is_some_and(|parent| self.whole.contains(parent));
            return entry.needs.iter().any(parent);
        }
        let owner = |id: &&i64| {
            self.whole.contains(id)
                && self.by_id.get(id).is_some_and(|r| {
                    !prefixed || r.namespace == entry.namespace && entry.tag.starts_with(&format!("{} ", r.tag))
                })
        };
        let Some(owner) = entry.needs.iter().find(owner) else { return false };
        match *desc {
            "FK CONSTRAINT" => self.elsewhere(entry, *owner).is_empty(),
            "INDEX ATTACH" => entry.needs.iter().all(|id| self.all.contains(id)),
            _ => true,
        }
    }

    /// Tables that a foreign key points to and that are not chosen whole.
    fn elsewhere(&self, key: &Entry, owner: i64) -> Vec<&'a Entry> {
        let outside = |id: &i64| *id != owner && !self.whole.contains(id);
        let needs = key.needs.iter().filter(|id| outside(id)).filter_map(|id| self.by_id.get(id).copied());
        needs.filter(|e| e.desc == "TABLE").collect()
    }

    fn result(self) -> Chosen {
        let mut chosen = Chosen::default();
        for entry in self.entries {
            if self.all.contains(&entry.id) {
                self.take(entry, &mut chosen);
            } else if entry.desc == "FK CONSTRAINT" {
                self.key_left_out(entry, &mut chosen);
            } else if entry.desc == "TABLE" && entry.needs.iter().any(|id| self.is_whole_table(*id)) {
                chosen.without.push(format!("{} builds on a chosen table and is not chosen itself", named(entry)));
            }
        }
        if self.entries.iter().any(|e| e.desc.starts_with("BLOB")) {
            chosen.without.push("large objects belong to no table and are left out".into());
        }
        chosen
    }

    fn is_whole_table(&self, id: i64) -> bool {
        self.whole.contains(&id) && self.by_id.get(&id).is_some_and(|e| e.desc == "TABLE")
    }

    fn take(&self, entry: &Entry, chosen: &mut Chosen) {
        chosen.ids.push(entry.id);
        if !entry.owner.is_empty() {
            chosen.owners.insert(entry.owner.clone());
        }
        chosen.owners.extend(entry.grants.iter().cloned());
        match entry.desc.as_str() {
            "EXTENSION" => {
                chosen.extensions.insert(entry.tag.clone());
            }
            "TABLE" => {
                chosen.definitions += 1;
                let inside = self.parents.get(&entry.id).is_some_and(|parent| self.whole.contains(parent));
                if !self.whole.contains(&entry.id) {
                    chosen.without.push(format!("{} is needed and comes without its rows", named(entry)));
                } else if !inside {
                    chosen.tables.push(Relation { schema: entry.namespace.clone(), name: entry.tag.clone() });
                }
            }
            _ => {}
        }
    }

    fn key_left_out(&self, key: &Entry, chosen: &mut Chosen) {
        let of = |id: &&i64| {
            self.is_whole_table(**id)
                && self
                    .by_id
                    .get(*id)
                    .is_some_and(|t| t.namespace == key.namespace && key.tag.starts_with(&format!("{} ", t.tag)))
        };
        let Some(owner) = key.needs.iter().find(of) else { return };
        let to: Vec<String> = self.elsewhere(key, *owner).into_iter().map(named).collect();
        let name = key.tag.rsplit(' ').next().unwrap_or_default();
        let table = self.by_id.get(owner).map(|t| named(t)).unwrap_or_default();
        let to = to.join(", ");
        chosen.without.push(format!("foreign key {name} of {table} points to {to}, which is not chosen: left out"));
    }
}

fn named(entry: &Entry) -> String {
    format!("{}.{}", entry.namespace, entry.tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(id: i64, desc: &str, tag: &str, needs: &[i64]) -> Entry {
        let namespace = if desc == "SCHEMA" { "" } else { "s" }.to_owned();
        Entry {
            id,
            desc: desc.into(),
            tag: tag.into(),
            namespace,
            owner: "o".into(),
            tablespace: String::new(),
            needs: needs.to_vec(),
            grants: BTreeSet::new(),
        }
    }

    fn archive() -> Vec<Entry> {
        vec![
            entry(1, "SCHEMA", "s", &[]),
            entry(2, "TYPE", "mood", &[1]),
            entry(3, "TABLE", "users", &[1, 2]),
            entry(4, "TABLE", "orders", &[1]),
            entry(5, "SEQUENCE", "users_id_seq", &[3]),
            entry(6, "DEFAULT", "users id", &[3, 5]),
            entry(7, "VIEW", "v", &[3]),
            entry(8, "TABLE", "parts", &[1]),
            entry(9, "TABLE", "parts_1", &[8]),
            entry(10, "TABLE ATTACH", "parts_1", &[8, 9]),
            entry(11, "TABLE DATA", "users", &[3]),
            entry(12, "TABLE DATA", "orders", &[4]),
            entry(13, "TABLE DATA", "parts_1", &[9]),
            entry(14, "SEQUENCE SET", "users_id_seq", &[5]),
            entry(15, "CONSTRAINT", "users users_pkey", &[3]),
            entry(16, "INDEX", "users_mood", &[3]),
            entry(17, "FK CONSTRAINT", "orders orders_user_fkey", &[4, 3, 15]),
            entry(18, "POLICY", "orders theirs", &[4, 3]),
        ]
    }

    #[test]
    fn a_table_comes_with_its_parts_and_its_needs() {
        let of = |only: &[&str]| {
            let only: Vec<String> = only.iter().map(|o| (*o).to_owned()).collect();
            choose(&archive(), &only).unwrap()
        };
        let users = of(&["s.users"]);
        assert_eq!(users.ids, [1, 2, 3, 5, 6, 11, 14, 15, 16]);
        assert!(users.without.is_empty() && users.definitions == 1, "{users:?}");
        let orders = of(&["s.orders"]);
        // The policy asks the other table, so that one must be there; its rows were not asked for.
        assert_eq!(orders.ids, [1, 2, 3, 4, 12, 18]);
        assert_eq!(orders.tables, [Relation { schema: "s".into(), name: "orders".into() }]);
        let without = orders.without.join("\n");
        assert!(without.contains("orders_user_fkey of s.orders points to s.users, which is not chosen"), "{without}");
        assert!(without.contains("s.users is needed and comes without its rows"), "{without}");
        assert!(of(&["s.orders", "s.users"]).ids.contains(&17));
        let parts = of(&["s.parts"]);
        assert_eq!((parts.ids.as_slice(), parts.tables.len()), (&[1, 8, 9, 10, 13][..], 1));
        assert_eq!(of(&["s.parts_1"]).ids, [1, 9, 13]);
        assert_eq!(of(&["s.*"]).ids.len(), archive().len());
    }

    #[test]
    fn what_is_not_there_is_refused_with_what_is() {
        for (asked, wanted) in [
            ("s.nope", "the copy has no table s.nope; there are s.users"),
            ("t.users", "there are s.users"),
            ("s.v", "s.v is a view"),
            ("t.*", "no schema t; tables are in s"),
            ("users", "is not schema.table"),
            ("a.b.c", "is not schema.table"),
        ] {
            let why = choose(&archive(), &[asked.to_owned()]).unwrap_err();
            assert!(why.contains(wanted), "{asked}: {why}");
        }
        assert_eq!(parse("\"a.b\".\"c\"\"d\""), Ok(("a.b".into(), Some("c\"d".into()))));
        assert_eq!(parse("a.\"*\""), Ok(("a".into(), Some("*".into()))));
    }
}
