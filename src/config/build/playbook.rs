//! Playbooks: read, bound to the system where they have parameters, and checked: what they name is there, every step can
//! be come to, and every way leads to an end.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use crate::config::fault::{ELSEWHERE, Fault, Lines};
use crate::config::keys::playbook::FILE;
use crate::config::playbooks::{SHIPPED, files};
use crate::config::read::{Item, Sink, Span, Tab, Val, nearest, read_as};
use crate::config::types::{Action, Config};
use crate::config::value::quoted;
use crate::domain::checklist::Checklist;
use crate::domain::message::Template;
use crate::domain::playbook::{Choice, Does, END, Playbook, Step, Suggest};
use crate::domain::run::{Risk, Work};

/// A playbook file: where it is from, and its text.
struct File {
    name: String,
    from: String,
    text: String,
}

/// Values of parameters; `None` for an optional one that was not given.
type Given = BTreeMap<String, Option<Vec<String>>>;

pub fn checklist(tab: &Tab) -> Checklist {
    let name = tab.string("name").unwrap_or_default();
    Checklist { title: tab.string("title").unwrap_or_else(|| name.clone()), name, items: tab.texts("items") }
}

/// All playbooks of the file and of its folder. `config` holds everything else already.
pub fn playbooks(root: &Tab, config: &Config, sink: &mut Sink) -> Vec<Playbook> {
    for tab in root.tabs("checklist") {
        let mut seen = BTreeSet::new();
        if tab.has("items") && tab.list("items").is_empty() {
            sink.fault(tab.at("items"), "this checklist has no item", "name what is to be seen to");
        }
        for item in tab.list("items") {
            if item.text().is_some_and(|t| !seen.insert(t)) {
                sink.fault(item.span.clone(), "this item stands there twice", "remove one");
            }
        }
    }
    let own = folder(root, config, sink);
    let shipped = || SHIPPED.iter().map(|(n, t)| (*n, *t));
    let mut out: Vec<Playbook> = Vec::new();
    let mut first: BTreeMap<String, Span> = BTreeMap::new();
    for tab in root.tabs("playbook") {
        let used = tab.text("use");
        let Some(name) = tab.string("name").or_else(|| used.map(str::to_owned)) else {
            if !tab.has("name") && !tab.has("use") {
                sink.missing(tab.span.clone(), "[[playbook]] needs `name`", "Unique among the playbooks.");
            }
            continue;
        };
        let at = if tab.has("name") { tab.at("name") } else { tab.at("use") };
        if first.insert(name.clone(), at.clone()).is_some() {
            sink.fault(at.clone(), format!("a second playbook {}", quoted(&name)), "give one of them another name");
        }
        let made = match used {
            None => Some(made(tab, &name, config, sink)),
            Some(used) => {
                let file = own.iter().find(|f| f.name == used).map(|f| (f.from.clone(), f.text.as_str()));
                let file =
                    file.or_else(|| shipped().find(|(n, _)| *n == used).map(|(n, t)| (format!("shipped {n}.toml"), t)));
                match file {
                    Some((from, text)) => bound(tab, &name, &from, text, config, sink),
                    None => {
                        let known = own.iter().map(|f| f.name.as_str()).chain(shipped().map(|(n, _)| n));
                        let known: Vec<&str> = known.collect();
                        let hint = match nearest(used, known.iter().copied()) {
                            Some(near) => format!("did you mean {}?", quoted(near)),
                            None => format!("there are {}", known.join(", ")),
                        };
                        sink.missing(tab.at("use"), format!("there is no playbook {} to use", quoted(used)), hint);
                        None
                    }
                }
            }
        };
        out.extend(made.filter(|p| !out.iter().any(|o| o.name == p.name)));
    }
    // What stands in the folder and needs no parameters is there by itself.
    for file in &own {
        let taken = out.iter().any(|p| p.name == file.name);
        let (document, _) = DeTable::parse_recoverable(&file.text);
        if document.get_ref().contains_key("parameters") || taken {
            continue;
        }
        let mut inner = Sink::new(Path::new(&file.from));
        let tab = read_as(document.get_ref(), &FILE, &mut inner);
        let playbook = made(&tab, &file.name, config, &mut inner);
        let lines = Lines::new(&file.text);
        for (span, said) in std::mem::take(&mut inner.warned) {
            sink.warned_elsewhere.push(format!("{}:{}: {said}", file.from, lines.position(span.start).0));
        }
        let faults = inner.finish(&file.text);
        if faults.is_empty() {
            out.push(playbook);
        } else {
            sink.foreign.extend(faults.into_iter().map(|f| Fault { span: ELSEWHERE, ..f }));
        }
    }
    out
}

/// The files of the configured folder. Each is read as it stands, so that its faults are told even when nothing uses it.
fn folder(root: &Tab, config: &Config, sink: &mut Sink) -> Vec<File> {
    let (Some(folder), Some(tab)) = (&config.playbook_folder, root.tab("playbooks")) else { return Vec::new() };
    let found = match files(folder) {
        Ok(found) => found,
        Err(e) => {
            let folder = folder.display();
            sink.warned.push((tab.at("folder"), format!("the folder of playbooks {folder} cannot be read: {e}")));
            return Vec::new();
        }
    };
    let mut out: Vec<File> = Vec::new();
    for (path, text) in found {
        let from = path.display().to_string();
        let text = match text {
            Ok(text) => text,
            Err(e) => {
                sink.foreign.push(Fault::of_file(&path, format!("cannot be read: {e}"), ""));
                continue;
            }
        };
        sink.also.extend_from_slice(text.as_bytes());
        let mut inner = Sink::new(&path);
        let (document, errors) = DeTable::parse_recoverable(&text);
        for e in &errors {
            let hint = "see the shipped ones: mayday playbook shipped complete-outage";
            inner.syntax(
                e.span().unwrap_or(0..0),
                false,
                format!("not TOML: {}", crate::text::clean(e.message())),
                hint,
            );
        }
        let mut table = document.get_ref().clone();
        // With its parameters standing for themselves the form of every value can be looked at.
        let names = parameters(&table);
        let given: Given = names.keys().map(|n| (n.clone(), Some(vec![n.clone()]))).collect();
        let mut unknown = BTreeSet::new();
        bind(&mut table, &given, config, &mut unknown);
        let tab = read_as(&table, &FILE, &mut inner);
        said_of_parameters(&tab, &unknown, &mut inner);
        let name = tab.string("name");
        let stem = path.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
        if let Some(name) = name.as_ref().filter(|n| **n != stem) {
            let hint = format!("name the file {name}.toml, or the playbook {}", quoted(&stem));
            inner.fault(tab.at("name"), format!("the file of playbook {} has another name", quoted(name)), hint);
        }
        if !names.is_empty() {
            let steps = steps(&tab, None, &mut inner);
            flow(&tab, &steps, &mut inner);
        }
        let faults = inner.finish(&text);
        if faults.is_empty() {
            out.extend(name.map(|name| File { name, from, text }));
        } else {
            sink.foreign.extend(faults.into_iter().map(|f| Fault { span: ELSEWHERE, ..f }));
        }
    }
    out
}

fn said_of_parameters(tab: &Tab, unknown: &BTreeSet<String>, sink: &mut Sink) {
    for name in unknown {
        let message = format!("{{{name}}} is no parameter of this playbook");
        sink.fault(tab.at("step"), message, format!("add it: [parameters.{name}], with its kind"));
    }
}

/// Name → kind and whether it is optional.
fn parameters(table: &DeTable<'_>) -> BTreeMap<String, (String, bool)> {
    let Some(DeValue::Table(all)) = table.get("parameters").map(Spanned::get_ref) else { return BTreeMap::new() };
    all.iter()
        .map(|(name, value)| {
            let of = |key: &str| match value.get_ref() {
                DeValue::Table(t) => t.get(key).map(|v| v.get_ref().clone()),
                _ => None,
            };
            let kind = of("kind").and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default();
            let optional = matches!(of("optional"), Some(DeValue::Boolean(true)));
            (name.get_ref().to_string(), (kind, optional))
        })
        .collect()
}

/// A playbook of a file, with the parameters that `tab` gives it.
fn bound(tab: &Tab, name: &str, from: &str, text: &str, config: &Config, sink: &mut Sink) -> Option<Playbook> {
    let (document, _) = DeTable::parse_recoverable(text);
    let mut table = document.get_ref().clone();
    let wanted = parameters(&table);
    let empty = Tab::default();
    let with = tab.tab("with").unwrap_or(&empty);
    let mut given: Given = wanted.keys().map(|n| (n.clone(), None)).collect();
    let mut good = true;
    for (param, item) in with.entries() {
        let Some((kind, _)) = wanted.get(param) else {
            let hint = match nearest(param, wanted.keys().map(String::as_str)) {
                Some(near) => format!("did you mean {near}?"),
                None => format!("it has {}", wanted.keys().cloned().collect::<Vec<_>>().join(", ")),
            };
            sink.fault(
                with.at_key(param),
                format!("playbook {} has no parameter {}", quoted(tab.text("use").unwrap_or_default()), quoted(param)),
                hint,
            );
            good = false;
            continue;
        };
        let Val::List(items) = &item.val else { continue };
        let many = matches!(kind.as_str(), "services" | "channels");
        if items.len() > 1 && !many {
            sink.fault(item.span.clone(), format!("{} is one {kind}, not several", quoted(param)), "give one name");
            good = false;
        }
        for one in items {
            good &= exists(kind, one, config, sink);
        }
        given.insert(param.to_owned(), Some(items.iter().filter_map(Item::text).map(str::to_owned).collect()));
    }
    for (param, (kind, optional)) in &wanted {
        if !optional && !with.has(param) {
            let doc = match table.get("parameters").and_then(|p| p.get_ref().get(param.as_str())) {
                Some(p) => p.get_ref().get("doc").and_then(|d| d.get_ref().as_str()).unwrap_or_default().to_owned(),
                None => String::new(),
            };
            let at = if tab.has("with") { tab.at("with") } else { tab.at("use") };
            sink.missing(at, format!("`with` needs `{param}`, a {kind}"), doc);
            good = false;
        }
    }
    if !good {
        return None;
    }
    let mut unknown = BTreeSet::new();
    bind(&mut table, &given, config, &mut unknown);
    let mut inner = Sink::new(Path::new(from));
    let read = read_as(&table, &FILE, &mut inner);
    said_of_parameters(&read, &unknown, &mut inner);
    // Asked for here, because they are filled in.
    let _ = read.tab("parameters").map(|p| p.entries().len());
    let mut playbook = made(&read, name, config, &mut inner);
    if let Some(title) = tab.string("title") {
        playbook.title = title;
    }
    if let Some(doc) = tab.string("doc") {
        playbook.doc = doc;
    }
    if tab.has("suggest") {
        playbook.suggest = suggest(tab, config, sink);
    }
    playbook.digest = digest(&playbook);
    let faults = inner.finish(text);
    for fault in &faults {
        sink.fault(tab.at("use"), format!("{} ({from}, line {})", fault.message, fault.line), fault.hint.clone());
    }
    faults.is_empty().then_some(playbook)
}

/// Fills the parameters in: `{name}` in a text, the whole list where it is an element of one. A step that needs one which
/// was not given, or a control that cannot do it, becomes what is done otherwise.
fn bind(table: &mut DeTable<'_>, given: &Given, config: &Config, unknown: &mut BTreeSet<String>) {
    if let Some(DeValue::Array(steps)) = table.get_mut("step").map(Spanned::get_mut) {
        for step in steps.iter_mut() {
            if let DeValue::Table(step) = step.get_mut() {
                otherwise(step, given, config);
            }
        }
    }
    for (key, value) in table.iter_mut() {
        if key.get_ref() != "parameters" {
            fill(value, given, unknown);
        }
    }
}

/// Keys that name something of the system.
const NAMING: &[&str] = &["restart", "stop", "start", "action", "restore", "recovery", "command", "checklist"];
const LISTING: &[&str] = &["check", "wait", "hold"];

fn otherwise(step: &mut DeTable<'_>, given: &Given, config: &Config) {
    let missing = |text: &str| whole(text).is_some_and(|p| matches!(given.get(p), Some(None)));
    let lacks = step.iter().any(|(key, value)| match value.get_ref() {
        DeValue::String(text) if NAMING.contains(&key.get_ref().as_ref()) => {
            missing(text) || cannot(key.get_ref(), text, given, config)
        }
        DeValue::Array(items) if LISTING.contains(&key.get_ref().as_ref()) => {
            !items.is_empty() && items.iter().all(|i| i.get_ref().as_str().is_some_and(missing))
        }
        _ => false,
    });
    let said = step.remove("otherwise");
    if let Some(said) = said.filter(|_| lacks) {
        for key in NAMING.iter().chain(LISTING).chain(&["reason", "text"]) {
            step.remove(*key);
        }
        step.insert(Spanned::new(said.span(), "manual".into()), said);
    }
}

/// The service that a parameter names is there, and its control cannot do this.
fn cannot(verb: &str, text: &str, given: &Given, config: &Config) -> bool {
    let value = whole(text).and_then(|p| given.get(p)?.as_ref()?.first());
    let service = value.and_then(|name| config.services.iter().find(|s| s.name == *name));
    matches!(verb, "restart" | "stop" | "start")
        && service.is_some_and(|s| !s.control.as_ref().is_some_and(|c| c.verbs().contains(&verb)))
}

/// The parameter that is all of a text.
fn whole(text: &str) -> Option<&str> {
    let name = text.strip_prefix('{')?.strip_suffix('}')?;
    is_name(name).then_some(name)
}

fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_')
}

fn fill<'a>(value: &mut Spanned<DeValue<'a>>, given: &Given, unknown: &mut BTreeSet<String>) {
    match value.get_mut() {
        DeValue::String(text) if text.contains('{') => *text = filled(text, given, unknown).into(),
        DeValue::Array(items) => {
            let has = items.iter().any(|i| i.get_ref().as_str().and_then(whole).is_some());
            if has {
                let mut out = DeArray::new();
                for item in items.iter() {
                    let param = item.get_ref().as_str().and_then(whole).and_then(|p| given.get(p));
                    match param {
                        Some(values) => {
                            for value in values.iter().flatten() {
                                out.push(Spanned::new(item.span(), DeValue::String(value.clone().into())));
                            }
                        }
                        None => out.push(item.clone()),
                    }
                }
                *items = out;
            }
            items.iter_mut().for_each(|i| fill(i, given, unknown));
        }
        DeValue::Table(table) => table.iter_mut().for_each(|(_, v)| fill(v, given, unknown)),
        _ => {}
    }
}

fn filled(text: &str, given: &Given, unknown: &mut BTreeSet<String>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(open) = rest.find('{') {
        let (before, after) = rest.split_at(open);
        out.push_str(before);
        let name = after.get(1..).and_then(|r| r.find('}').and_then(|close| r.get(..close))).filter(|n| is_name(n));
        match name {
            Some(name) => {
                match given.get(name) {
                    Some(Some(values)) => out.push_str(&values.join(", ")),
                    Some(None) => out.push_str("(not named)"),
                    None => {
                        unknown.insert(name.to_owned());
                    }
                }
                rest = after.get(name.len() + 2..).unwrap_or_default();
            }
            None => {
                out.push('{');
                rest = after.get(1..).unwrap_or_default();
            }
        }
    }
    out.push_str(rest);
    out
}

/// A playbook of a table whose values are final.
fn made(tab: &Tab, name: &str, config: &Config, sink: &mut Sink) -> Playbook {
    let found = steps(tab, Some(config), sink);
    named(tab, config, sink);
    flow(tab, &found, sink);
    let mut out = Playbook {
        title: tab.string("title").unwrap_or_else(|| name.to_owned()),
        name: name.to_owned(),
        doc: tab.string("doc").unwrap_or_default(),
        digest: String::new(),
        suggest: suggest(tab, config, sink),
        steps: found.into_iter().flatten().collect(),
    };
    out.digest = digest(&out);
    out
}

fn digest(playbook: &Playbook) -> String {
    let bare = Playbook { digest: String::new(), ..playbook.clone() };
    crate::config::load::digest(&serde_json::to_vec(&bare).unwrap_or_default())
}

fn suggest(tab: &Tab, config: &Config, sink: &mut Sink) -> Vec<Suggest> {
    let mut out = Vec::new();
    for rule in tab.tabs("suggest") {
        let (named, labels) = (rule.texts("services"), rule.texts("labels"));
        let (tier, kind) = (rule.int::<u8>("tier"), rule.text("kind"));
        let all = rule.text("when") == Some("all");
        for item in rule.list("services") {
            exists("service", item, config, sink);
        }
        let fits = |s: &&crate::config::Service| {
            named.contains(&s.name)
                || tier == Some(s.tier)
                || kind.is_some_and(|k| s.checks.iter().any(|c| c.kind.word() == k))
                || s.labels.iter().any(|l| labels.contains(l))
        };
        let services: Vec<String> = config.services.iter().filter(fits).map(|s| s.name.clone()).collect();
        if !["services", "labels", "tier", "kind"].iter().any(|k| rule.has(k)) {
            sink.fault(rule.span.clone(), "this condition names nothing", "give services, tier, kind or labels");
        } else if !services.is_empty() {
            out.push(Suggest { services, all });
        }
    }
    out
}

/// The steps as they are; `None` for one that lacks something, which is a fault already. Without a configuration names of
/// checklists are not looked up.
fn steps(tab: &Tab, config: Option<&Config>, sink: &mut Sink) -> Vec<Option<Step>> {
    tab.tabs("step").map(|step| one(step, config, sink)).collect()
}

fn one(tab: &Tab, config: Option<&Config>, sink: &mut Sink) -> Option<Step> {
    let work = |key: &str, make: fn(String) -> Work| tab.string(key).map(|name| Does::Act { work: make(name) });
    let manual = tab.string("manual");
    let evidence = tab.flag("evidence");
    let question = tab.string("decide");
    let options: Vec<Choice> = tab
        .tabs("option")
        .filter_map(|o| {
            Some(Choice { name: o.string("name")?, title: o.string("title").unwrap_or_default(), go: o.string("go")? })
        })
        .collect();
    let channels = tab.texts("channels");
    let reason = tab.string("reason");
    let list = |key: &str| tab.item(key).is_some().then(|| tab.texts(key));
    let checklist = tab.string("checklist").map(|name| {
        let known = config.and_then(|c| c.checklist(&name)).cloned();
        Does::Checklist { checklist: known.unwrap_or_else(|| Checklist { name, ..Checklist::default() }) }
    });
    let held = list("hold").map(|services| Does::Hold { services, reason: reason.clone().unwrap_or_default() });
    let does = [
        manual.as_ref().map(|_| Does::Manual { evidence }),
        work("restart", |service| Work::Restart { service }),
        work("stop", |service| Work::Stop { service }),
        work("start", |service| Work::Start { service }),
        work("action", |action| Work::Act { action }),
        work("command", |action| Work::Act { action }),
        work("restore", |backup| Work::Restore { backup, copy: None, test: false, only: Vec::new(), to: None }),
        tab.string("recovery").map(|recovery| Does::Recover { recovery }),
        list("check").map(|services| Does::Check { services }),
        list("wait").map(|services| Does::Wait { services }),
        question.as_ref().map(|_| Does::Decide { options: options.clone() }),
        tab.text("message").and_then(|t| Template::parse(t).ok()).map(|template| Does::Message { template, channels }),
        checklist,
        held,
    ];
    let text = tab.string("text");
    for (key, said) in [("manual", &manual), ("decide", &question)] {
        if said.is_some() && text.is_some() {
            let message = format!("`text` does nothing beside `{key}`, which is the text");
            sink.fault(tab.at_key("text"), message, "put both into one");
        }
    }
    let (name, does) = (tab.string("name")?, does.into_iter().flatten().next()?);
    if name == END {
        sink.fault(tab.at("name"), "\"end\" is the word for the end", "give the step another name");
    }
    for key in ["check", "wait"] {
        if tab.item(key).is_some() && tab.list(key).is_empty() {
            sink.fault(tab.at(key), format!("`{key}` names no service"), "name what is looked at");
        }
    }
    if matches!(does, Does::Hold { .. }) && reason.is_none() && !tab.has("reason") {
        sink.missing(tab.span.clone(), "`hold` needs `reason`", "It is shown to everybody who is refused.");
    }
    if matches!(does, Does::Decide { .. }) {
        let mut seen = BTreeSet::new();
        for option in tab.tabs("option") {
            if option.text("name").is_some_and(|n| !seen.insert(n)) {
                sink.fault(option.at("name"), "this option stands there twice", "rename one");
            }
        }
        if !tab.has("option") || tab.list("option").is_empty() {
            sink.missing(tab.span.clone(), "`decide` has no option", "add [[playbook.step.option]] with name and go");
        }
        if tab.has("go") {
            sink.fault(tab.at_key("go"), "`go` does nothing beside `decide`", "each option says where it leads");
        }
    }
    let what = does.what();
    Some(Step {
        title: tab.string("title").unwrap_or_else(|| if what.is_empty() { name.clone() } else { what }),
        name,
        phase: tab.string("phase").unwrap_or_default(),
        within_ms: tab.duration("within").map(|d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX)),
        owner: tab.string("owner").unwrap_or_default(),
        text: manual.or(question).or(text).unwrap_or_default(),
        does,
        go: tab.string("go"),
    })
}

/// What the steps name must be there, and able to do what is asked of it.
fn named(tab: &Tab, config: &Config, sink: &mut Sink) {
    let action = |name: &str| -> Option<&Action> { config.actions.iter().find(|a| a.name == name) };
    for step in tab.tabs("step") {
        let each = |keys: &[&str], kind: &str, sink: &mut Sink| {
            for key in keys {
                if let Some(item) = step.item(key) {
                    exists(kind, item, config, sink);
                }
            }
        };
        each(&["restart", "stop", "start"], "service", sink);
        each(&["action", "command"], "action", sink);
        each(&["restore"], "backup", sink);
        each(&["recovery"], "recovery", sink);
        each(&["checklist"], "checklist", sink);
        for verb in ["restart", "stop", "start"] {
            let service = step.text(verb).and_then(|n| config.services.iter().find(|s| s.name == n));
            if let Some(s) = service
                && !s.control.as_ref().is_some_and(|c| c.verbs().contains(&verb))
            {
                let message = format!("{} has no control that can {verb} it", quoted(&s.name));
                sink.missing(step.at(verb), message, "add `control` to it, or name an action");
            }
        }
        if let Some(b) = step.text("restore").and_then(|n| config.backups.iter().find(|b| b.name == n))
            && b.restore.is_none()
        {
            let message = format!("backup {} has no way to be restored", quoted(&b.name));
            sink.missing(step.at("restore"), message, "add `restore = { … = { … } }` to it");
        }
        if let Some(a) = step.text("command").and_then(action)
            && a.risk != Risk::Observe
        {
            let message = format!("action {} is {}, and a command only looks", quoted(&a.name), a.risk.word());
            sink.fault(step.at("command"), message, "name it with `action`, or set its risk to observe");
        }
        for key in ["wait", "hold", "check"] {
            for item in step.list(key) {
                let Some(name) = item.text() else { continue };
                let (service, check) = match name.split_once('/').filter(|_| key == "check") {
                    Some((service, check)) => (service, Some(check)),
                    None => (name, None),
                };
                let Some(found) = config.services.iter().find(|s| s.name == service) else {
                    exists_named("service", service, item.span.clone(), config, sink);
                    continue;
                };
                let checks: Vec<&str> = found.checks.iter().map(|c| c.name.as_str()).collect();
                match check {
                    Some(check) if !checks.contains(&check) => {
                        let message = format!("{} has no check {}", quoted(service), quoted(check));
                        sink.missing(item.span.clone(), message, format!("it has {}", checks.join(", ")));
                    }
                    None if key != "hold" && checks.is_empty() => {
                        let message = format!("{} has no check: it would never be seen up", quoted(service));
                        sink.missing(item.span.clone(), message, "add a check to it");
                    }
                    _ => {}
                }
            }
        }
        for item in step.list("channels") {
            exists("channel", item, config, sink);
        }
    }
}

/// Whether what a parameter or a step names is there. True when it is.
fn exists(kind: &str, item: &Item, config: &Config, sink: &mut Sink) -> bool {
    item.text().is_none_or(|name| exists_named(kind, name, item.span.clone(), config, sink))
}

fn exists_named(kind: &str, name: &str, at: Span, config: &Config, sink: &mut Sink) -> bool {
    let known: Vec<&str> = match kind {
        "service" | "services" => config.services.iter().map(|s| s.name.as_str()).collect(),
        "backup" => config.backups.iter().map(|b| b.name.as_str()).collect(),
        "action" => config.actions.iter().map(|a| a.name.as_str()).collect(),
        "recovery" => config.recoveries.iter().map(|r| r.name.as_str()).collect(),
        "channel" | "channels" => config.channels.iter().map(|c| c.name.as_str()).collect(),
        "checklist" => config.all_checklists().iter().map(|c| c.name.as_str()).collect(),
        _ => return true,
    };
    if known.contains(&name) {
        return true;
    }
    let kind = kind.trim_end_matches('s');
    let near = if sink.len() < 100 { nearest(name, known.iter().copied()) } else { None };
    let hint = match near {
        Some(near) => format!("did you mean {}?", quoted(near)),
        None if known.is_empty() => format!("there is no [[{kind}]] yet"),
        None => format!("add a [[{kind}]] with name = {}", quoted(name)),
    };
    sink.missing(at, format!("there is no {kind} {}", quoted(name)), hint);
    false
}

/// Names are unique, every `go` leads somewhere, every way ends, and no step stands where nobody comes to.
fn flow(tab: &Tab, steps: &[Option<Step>], sink: &mut Sink) {
    let tabs: Vec<&Tab> = tab.tabs("step").collect();
    if tab.has("step") && tab.list("step").is_empty() {
        sink.fault(tab.at_key("step"), "this playbook has no step", "add one");
    }
    let names: Vec<&str> = tabs.iter().filter_map(|t| t.text("name")).collect();
    let mut seen = BTreeSet::new();
    let mut clean = steps.iter().all(Option::is_some);
    for step in &tabs {
        if step.text("name").is_some_and(|n| !seen.insert(n)) {
            sink.fault(step.at("name"), "a second step of this name", "rename one");
            clean = false;
        }
        let goes = step.item("go").into_iter().chain(step.tabs("option").filter_map(|o| o.item("go")));
        for go in goes {
            let Some(name) = go.text().filter(|n| *n != END && !names.contains(n)) else { continue };
            let hint = match nearest(name, names.iter().copied().chain([END])) {
                Some(near) => format!("did you mean {}?", quoted(near)),
                None => format!("there are {}, and end", names.join(", ")),
            };
            sink.fault(go.span.clone(), format!("there is no step {}", quoted(name)), hint);
            clean = false;
        }
    }
    if !clean {
        return;
    }
    let whole = Playbook { steps: steps.iter().flatten().cloned().collect(), ..Playbook::default() };
    let reached = reached(&whole);
    let ends = ends(&whole);
    for (step, tab) in whole.steps.iter().zip(&tabs) {
        if !reached.contains(step.name.as_str()) {
            sink.warned.push((tab.at("name"), format!("no way leads to step {}", quoted(&step.name))));
        } else if !ends.contains(step.name.as_str()) {
            let message = format!("from step {} no way leads to the end", quoted(&step.name));
            sink.fault(tab.at("name"), message, "let one of the steps after it go to \"end\"");
        }
    }
}

/// Steps that can be come to from the first.
fn reached(playbook: &Playbook) -> BTreeSet<String> {
    let mut out = BTreeSet::new();
    let mut open: Vec<String> = playbook.steps.first().map(|s| s.name.clone()).into_iter().collect();
    while let Some(name) = open.pop() {
        if out.insert(name.clone())
            && let Some(step) = playbook.step(&name)
        {
            open.extend(playbook.ways(step));
        }
    }
    out
}

/// Steps from which the end can be come to.
fn ends(playbook: &Playbook) -> BTreeSet<String> {
    let mut out: BTreeSet<String> = BTreeSet::from([END.to_owned()]);
    loop {
        let leads = |s: &&Step| !out.contains(&s.name) && playbook.ways(s).iter().any(|w| out.contains(w));
        let more: Vec<String> = playbook.steps.iter().filter(leads).map(|s| s.name.clone()).collect();
        if more.is_empty() {
            return out;
        }
        out.extend(more);
    }
}
