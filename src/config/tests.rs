//! What only the inside can see: that declared keys, read keys and explained keys are the same.

use std::collections::BTreeSet;
use std::path::Path;

use super::read::{self, Sink, Tab};
use super::shape::Key;
use super::{build, keys};

/// The annotated file uses every key; so it tells which keys the builder reads, and that each is explained.
#[test]
fn every_declared_key_is_read_and_explained() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/mayday.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let mut sink = Sink::new(&path);
    let root = read::read(&text, &mut sink);
    build::config(&root, &mut sink);
    assert_eq!(sink.finish(&text), [], "the annotated file has faults");

    let mut tabs: Vec<&Tab> = Vec::new();
    root.all(&mut tabs);
    // By declaration: a key that several checks share is read by the same lines and explained once.
    let mut present: BTreeSet<*const Key> = BTreeSet::new();
    for tab in tabs {
        let Some(decl) = tab.decl else { continue };
        let (here, unused) = tab.present_and_unused();
        assert!(unused.is_empty(), "{}: accepted and read by nothing: {unused:?}", decl.at);
        present.extend(here.into_iter().filter_map(|name| decl.key(name)).map(std::ptr::from_ref));
    }
    for table in keys::tables() {
        // Checks of actions share the declarations of the services' checks; secrets are read on the spot.
        if table.at.starts_with("verify") || std::ptr::eq(table, &keys::SECRET) {
            continue;
        }
        // There is one mirror, in one of its ways; the others are named beside it.
        if std::ptr::eq(table, &keys::MIRROR) {
            assert!(table.keys().all(|key| text.contains(&format!("{{ {} = ", key.name))), "{}", table.at);
            continue;
        }
        for key in table.keys() {
            assert!(
                present.contains(&std::ptr::from_ref(key)),
                "{} `{}` is not in config/mayday.toml",
                table.at,
                key.name
            );
        }
    }
    for key in keys::SECRET.keys() {
        assert!(text.contains(&format!("{{ {} = ", key.name)), "secret by {}", key.name);
    }
}

/// A key without words helps nobody; a default must be what the file would say.
#[test]
fn declarations_are_complete() {
    for table in keys::tables() {
        assert!(!table.doc.is_empty(), "{}", table.at);
        let mut names = BTreeSet::new();
        for key in table.keys() {
            assert!(key.doc.ends_with(['.', ')']), "{} `{}`", table.at, key.name);
            assert!(names.insert(key.name), "{} has `{}` twice", table.at, key.name);
            assert!(key.default.is_empty() || !key.required, "{} `{}` needs no default", table.at, key.name);
        }
        for choice in table.choice {
            for name in choice.by.iter().chain(choice.with) {
                assert!(table.key(name).is_some(), "{} chooses by unknown `{name}`", table.at);
            }
        }
    }
}
