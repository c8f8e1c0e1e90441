//! The rules of the house, held by reading the sources: who may import whom, and which door is whose.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

fn sources(dir: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join(dir)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display())) {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path, text));
            }
        }
    }
    found.sort();
    found
}

/// The code without its comments and without its unit tests, which may use what they like.
fn code(text: &str) -> String {
    let text = ["mod tests {", "pub mod tests {", "pub(super) mod tests {", "pub(crate) mod tests {"]
        .iter()
        .filter_map(|m| text.find(&format!("#[cfg(test)]\n{m}")))
        .min()
        .map_or(text, |at| &text[..at]);
    text.lines().map(|l| l.split("//").next().unwrap_or(l)).collect::<Vec<_>>().join("\n")
}

fn is_test(path: &Path) -> bool {
    path.iter().any(|p| p == "tests") || path.file_name().is_some_and(|f| f == "tests.rs")
}

/// Folders named in `crate::…` paths.
fn imports(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        if let Some(group) = rest.strip_prefix('{') {
            let end = group.find('}').unwrap_or(group.len());
            found.extend(group[..end].split(',').map(|p| p.trim().split("::").next().unwrap_or("").to_owned()));
        } else {
            found.push(rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or("").to_owned());
        }
    }
    found
}

/// Floor of each folder. `config`'s types may be used by everybody on its floor.
fn floors() -> BTreeMap<&'static str, u32> {
    BTreeMap::from([
        ("text", 0),
        ("domain", 1),
        ("sys", 2),
        ("config", 3),
        ("journal", 4),
        ("wire", 4),
        ("probe", 4),
        ("backup", 4),
        ("recovery", 4),
        ("notify", 4),
        ("report", 4),
        ("runner", 5),
        ("viewer", 5),
        ("cli", 5),
        ("demo", 5),
        ("survey", 5),
        ("replay", 5),
        ("engine", 6),
        ("dispatch", 7),
    ])
}

#[test]
fn each_folder_imports_only_from_floors_below() {
    let floors = floors();
    let mut faults = Vec::new();
    for (path, text) in sources("src") {
        let inside = path.strip_prefix(Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).unwrap();
        let first = inside.iter().next().unwrap().to_str().unwrap().trim_end_matches(".rs").to_owned();
        if matches!(first.as_str(), "lib" | "main") || is_test(inside) {
            continue;
        }
        let floor = *floors.get(first.as_str()).unwrap_or_else(|| panic!("{first} has no floor: give it one here"));
        for used in imports(&code(&text)) {
            if used == first {
                continue;
            }
            let Some(other) = floors.get(used.as_str()) else { continue };
            // The viewer finds its engine the way commands do.
            let exempt = first == "viewer" && used == "cli";
            if *other >= floor && !exempt {
                faults.push(format!("{} imports {used}", inside.display()));
            }
        }
    }
    assert!(faults.is_empty(), "imports against the floors:\n{}", faults.join("\n"));
}

#[test]
fn the_pure_folders_stay_pure() {
    let forbidden = [
        "tokio::",
        "ratatui",
        "std::fs",
        "std::net",
        "std::process",
        "std::env",
        "std::thread",
        "SystemTime",
        "Instant::now",
        "Utc::now",
        "Local::now",
        "reqwest",
        "rustix",
        "println!",
        "eprintln!",
    ];
    let mut faults = Vec::new();
    for folder in ["src/domain", "src/text"] {
        for (path, text) in sources(folder) {
            if is_test(&path) {
                continue;
            }
            let code = code(&text);
            faults.extend(forbidden.iter().filter(|f| code.contains(**f)).map(|f| format!("{}: {f}", path.display())));
        }
    }
    assert!(faults.is_empty(), "not pure:\n{}", faults.join("\n"));
}

#[test]
fn screens_and_commands_cannot_do_what_they_did_not_ask_the_engine_for() {
    let mut faults = Vec::new();
    for folder in ["src/viewer", "src/cli"] {
        for (path, text) in sources(folder) {
            let used = imports(&code(&text));
            for forbidden in ["engine", "runner", "probe", "backup", "recovery", "notify"] {
                if used.iter().any(|u| u == forbidden) {
                    faults.push(format!("{} imports {forbidden}", path.display()));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn each_door_is_one_door() {
    let doors: [(&str, &[&str], &[&str]); 4] = [
        // (what, the words of it, the files that may say them)
        (
            "decide and apply on the live state",
            &["decide(&self.state", "self.state.apply("],
            &["src/engine/core.rs", "src/engine/ask.rs"],
        ),
        (
            "opening the journal for writing",
            &["Journal::open("],
            &["src/journal/", "src/engine/start.rs", "src/engine/recorder.rs"],
        ),
        (
            "the terminal",
            &["enable_raw_mode", "EnterAlternateScreen", "BeginSynchronizedUpdate"],
            &["src/viewer/terminal.rs", "src/viewer/terminal/", "src/viewer/encode.rs"],
        ),
        ("running a program of a plan", &["runner::spawn("], &["src/engine/follow.rs", "src/runner/"]),
    ];
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut faults = Vec::new();
    for (path, text) in sources("src") {
        let inside = path.strip_prefix(root).unwrap().display().to_string();
        if is_test(&path) {
            continue;
        }
        let code = code(&text);
        for (what, words, allowed) in &doors {
            if allowed.iter().any(|a| inside.starts_with(a)) {
                continue;
            }
            faults.extend(words.iter().filter(|w| code.contains(**w)).map(|w| format!("{inside}: {what}: {w}")));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn channels_are_bounded() {
    let mut faults = Vec::new();
    for (path, text) in sources("src") {
        let code = code(&text);
        for word in ["unbounded_channel", "mpsc::channel()", "LinesCodec::new()"] {
            if code.contains(word) {
                faults.push(format!("{}: {word}", path.display()));
            }
        }
    }
    assert!(faults.is_empty(), "unbounded:\n{}", faults.join("\n"));
}

#[test]
fn the_program_does_not_panic_on_purpose() {
    let mut faults = Vec::new();
    for (path, text) in sources("src") {
        if is_test(&path) {
            continue;
        }
        for (n, line) in code(&text).lines().enumerate() {
            for word in [".unwrap()", ".expect(\"", "panic!(", "unreachable!(", "todo!(", "unimplemented!("] {
                // A static fact of a library, not something that input decides.
                let known = line.contains("ring supports TLS 1.2 and 1.3");
                if line.contains(word) && !known {
                    faults.push(format!("{}:{}: {}", path.display(), n + 1, line.trim()));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{} places:\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn the_readme_has_the_key_table_of_the_program() {
    let readme = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let table = mayday::viewer::commands::readme_table();
    assert!(readme.contains(table.trim()), "put this into the README:\n{table}");
}
