//! Tables as they come out of reading, with typed access by key.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use super::Span;
use crate::config::secret::{MaybeSecret, SecretRef};
use crate::text::parse_duration;

/// A value whose form was checked.
pub enum Val {
    Text(String),
    Int(i64),
    Number(f64),
    Bool(bool),
    Size(u64),
    Status(Vec<(u16, u16)>),
    Scalar(serde_json::Value),
    Path(PathBuf),
    Secret(SecretRef),
    List(Vec<Item>),
    Tab(Tab),
}

/// A value and where it stands.
pub struct Item {
    pub span: Span,
    pub val: Val,
}

/// A table of which every key is known. Asking for a key marks it as used; a test holds that every declared key is.
#[derive(Default)]
pub struct Tab {
    /// Its header, or its braces.
    pub span: Span,
    pub(super) keys: BTreeMap<String, (Span, Item)>,
    /// Keys that are in the file with a faulty value.
    pub(super) faulty: BTreeSet<String>,
    used: RefCell<BTreeSet<String>>,
    /// What declared it; none for maps.
    #[cfg(test)]
    pub decl: Option<&'static crate::config::shape::Table>,
}

impl Tab {
    pub fn new(span: Span) -> Self {
        Tab { span, ..Tab::default() }
    }

    /// The keys present and right, in the order of the file.
    pub fn entries(&self) -> Vec<(&str, &Item)> {
        let mut all: Vec<(&str, &Item)> = self.keys.iter().map(|(k, (_, item))| (k.as_str(), item)).collect();
        all.sort_by_key(|(_, item)| item.span.start);
        self.used.borrow_mut().extend(all.iter().map(|(k, _)| (*k).to_owned()));
        all
    }

    pub fn item(&self, key: &str) -> Option<&Item> {
        self.used.borrow_mut().insert(key.to_owned());
        self.keys.get(key).map(|(_, item)| item)
    }

    /// Stands in the file, rightly or wrongly.
    pub fn has(&self, key: &str) -> bool {
        self.keys.contains_key(key) || self.faulty.contains(key)
    }

    /// The value's place, else the table's.
    pub fn at(&self, key: &str) -> Span {
        self.keys.get(key).map_or_else(|| self.span.clone(), |(_, item)| item.span.clone())
    }

    /// The key's place, else the table's.
    pub fn at_key(&self, key: &str) -> Span {
        self.keys.get(key).map_or_else(|| self.span.clone(), |(span, _)| span.clone())
    }

    pub fn text(&self, key: &str) -> Option<&str> {
        match &self.item(key)?.val {
            Val::Text(t) => Some(t),
            _ => None,
        }
    }

    pub fn string(&self, key: &str) -> Option<String> {
        self.text(key).map(str::to_owned)
    }

    pub fn duration(&self, key: &str) -> Option<Duration> {
        parse_duration(self.text(key)?).ok()
    }

    /// A text read by the function that checked it.
    pub fn parsed<T>(&self, key: &str, read: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        read(self.text(key)?).ok()
    }

    pub fn int<T: TryFrom<i64>>(&self, key: &str) -> Option<T> {
        match &self.item(key)?.val {
            Val::Int(n) => T::try_from(*n).ok(),
            _ => None,
        }
    }

    pub fn number(&self, key: &str) -> Option<f64> {
        match &self.item(key)?.val {
            Val::Number(n) => Some(*n),
            _ => None,
        }
    }

    pub fn flag(&self, key: &str) -> bool {
        matches!(self.item(key).map(|i| &i.val), Some(Val::Bool(true)))
    }

    pub fn size(&self, key: &str) -> Option<u64> {
        match &self.item(key)?.val {
            Val::Size(n) => Some(*n),
            _ => None,
        }
    }

    pub fn path(&self, key: &str) -> Option<PathBuf> {
        match &self.item(key)?.val {
            Val::Path(p) => Some(p.clone()),
            _ => None,
        }
    }

    pub fn secret(&self, key: &str) -> Option<SecretRef> {
        match &self.item(key)?.val {
            Val::Secret(s) => Some(s.clone()),
            _ => None,
        }
    }

    pub fn maybe_secret(&self, key: &str) -> Option<MaybeSecret> {
        self.item(key)?.maybe_secret()
    }

    pub fn tab(&self, key: &str) -> Option<&Tab> {
        match &self.item(key)?.val {
            Val::Tab(t) => Some(t),
            _ => None,
        }
    }

    pub fn list(&self, key: &str) -> &[Item] {
        match self.item(key).map(|i| &i.val) {
            Some(Val::List(items)) => items,
            _ => &[],
        }
    }

    /// The tables of a list.
    pub fn tabs(&self, key: &str) -> impl Iterator<Item = &Tab> {
        self.list(key).iter().filter_map(|item| match &item.val {
            Val::Tab(t) => Some(t),
            _ => None,
        })
    }

    pub fn texts(&self, key: &str) -> Vec<String> {
        self.list(key).iter().filter_map(Item::text).map(str::to_owned).collect()
    }

    pub fn paths(&self, key: &str) -> Vec<PathBuf> {
        let path = |item: &Item| match &item.val {
            Val::Path(p) => Some(p.clone()),
            _ => None,
        };
        self.list(key).iter().filter_map(path).collect()
    }

    /// A map whose values are read by `read`.
    pub fn map<T>(&self, key: &str, read: impl Fn(&Item) -> Option<T>) -> BTreeMap<String, T> {
        let Some(inner) = self.tab(key) else { return BTreeMap::new() };
        inner.entries().into_iter().filter_map(|(k, item)| Some((k.to_owned(), read(item)?))).collect()
    }

    /// This table and all below it.
    #[cfg(test)]
    pub fn all<'a>(&'a self, out: &mut Vec<&'a Tab>) {
        fn of_item<'a>(item: &'a Item, out: &mut Vec<&'a Tab>) {
            match &item.val {
                Val::Tab(tab) => tab.all(out),
                Val::List(items) => items.iter().for_each(|i| of_item(i, out)),
                _ => {}
            }
        }
        out.push(self);
        self.keys.values().for_each(|(_, item)| of_item(item, out));
    }

    /// Keys present, and those of them that nothing asked for.
    #[cfg(test)]
    pub fn present_and_unused(&self) -> (Vec<&str>, Vec<&str>) {
        let used = self.used.borrow();
        let present: Vec<&str> = self.keys.keys().map(String::as_str).collect();
        let unused = present.iter().filter(|k| !used.contains(**k)).copied().collect();
        (present, unused)
    }
}

impl Item {
    pub fn text(&self) -> Option<&str> {
        match &self.val {
            Val::Text(t) => Some(t),
            _ => None,
        }
    }

    pub fn int<T: TryFrom<i64>>(&self) -> Option<T> {
        match &self.val {
            Val::Int(n) => T::try_from(*n).ok(),
            _ => None,
        }
    }

    pub fn maybe_secret(&self) -> Option<MaybeSecret> {
        match &self.val {
            Val::Text(t) => Some(MaybeSecret::Plain(t.clone())),
            Val::Secret(s) => Some(MaybeSecret::Secret(s.clone())),
            _ => None,
        }
    }

    /// A program and its arguments.
    pub fn argv(&self) -> Option<Vec<String>> {
        match &self.val {
            Val::List(items) => Some(items.iter().filter_map(Item::text).map(str::to_owned).collect()),
            _ => None,
        }
    }
}
