//! What there is to choose, worked out when a picker opens.

use std::time::Duration;

use super::picker::{Item, Pick, Picker, Verb};
use crate::domain::approval::Approval;
use crate::domain::backup::Copy;
use crate::domain::backup::proof::Proof;
use crate::domain::catalog::Severity;
use crate::domain::incident::Status;
use crate::domain::message::Template;
use crate::domain::playbook::{Choice, Does, Play, PlayState};
use crate::domain::run::Risk;
use crate::text;
use crate::viewer::allowed;
use crate::viewer::app::App;
use crate::viewer::commands::{self, Command, Context};
use crate::viewer::header;
use crate::viewer::lists::rank;
use crate::viewer::theme::{NAMES, Role};

/// Before the id of a playbook that was started, and is gone on with or read.
pub(super) const LEFT: &str = "left ";

fn command_item(app: &App, command: &'static Command) -> Item {
    let risk = match command.risk {
        Risk::Observe => String::new(),
        risk => format!("  {}", risk.word()),
    };
    Item {
        hint: app.keymap.keys_of(command.id).join("  "),
        off: allowed::why_not(app, command),
        ..Item::new(command.id, command.title, format!("{}{risk}", command.doc))
    }
}

impl Picker {
    /// What can be done here, in the table's order.
    pub fn help(app: &App) -> Picker {
        let contexts = app.contexts();
        let mut items: Vec<Item> = Vec::new();
        for context in &contexts {
            items.extend(commands::ALL.iter().filter(|c| c.context == *context).map(|c| command_item(app, c)));
        }
        let place = match &app.detail {
            _ if app.past.is_some() => "the past".into(),
            None => app.pane.title().to_lowercase(),
            Some(_) => "this view".into(),
        };
        Picker::of(Pick::Command, format!("help · what can be done in {place}"), items)
    }

    /// Every command by its name.
    pub fn palette(app: &App) -> Picker {
        // What moves about in the past is looked for there.
        let here = |c: &&Command| app.past.is_some() || c.context != Context::Replay;
        let mut items: Vec<Item> = commands::ALL.iter().filter(here).map(|c| command_item(app, c)).collect();
        if app.past.is_some() {
            items.sort_by_key(|i| i.off.is_some());
        }
        Picker::of(Pick::Command, "commands", items)
    }

    pub fn severities(app: &App) -> Picker {
        let now = app.incident();
        let incident = now.map(|i| i.incident.id.clone()).unwrap_or_default();
        let items = Severity::ALL
            .into_iter()
            .map(|s| {
                let facts = app.mirror().head.severities.get(&s);
                let every = facts.and_then(|f| f.update_every_ms).map(Duration::from_millis);
                let respond = facts.and_then(|f| f.respond_within_ms).map(Duration::from_millis);
                let mut detail = Vec::new();
                detail.extend(respond.map(|d| format!("respond within {}", text::duration(d))));
                detail.extend(every.map(|d| format!("update every {}", text::duration(d))));
                let same = now.is_some_and(|i| i.incident.severity == s);
                Item {
                    role: header::severity(s),
                    off: same.then(|| "it is so already".into()),
                    ..Item::new(s.name(), format!(" {s} "), detail.join(", "))
                }
            })
            .collect();
        Picker::of(Pick::Severity { incident: incident.clone() }, format!("severity of {incident}"), items)
    }

    pub fn statuses(app: &App) -> Picker {
        let Some(view) = app.incident() else {
            return Picker::of(Pick::Status { incident: String::new() }, "status", Vec::new());
        };
        let now = view.incident.status;
        let items = Status::ALL
            .into_iter()
            .map(|s| {
                let against = s == Status::Resolved && now.is_open() && !view.against_resolving.is_empty();
                let (detail, off) = match (now.is_open(), s) {
                    (_, s) if s == now => ("where it stands".to_owned(), Some("it is so already".to_owned())),
                    (true, Status::Resolved) if against => ("only by force, with a reason: see above".into(), None),
                    (true, Status::Resolved) => ("the clock stops; nothing stands against it".into(), None),
                    (true, Status::Closed) => ("after it was resolved".into(), Some("resolve it first".into())),
                    (false, Status::Closed) => ("reviewed, or a false alarm".into(), None),
                    (false, _) => ("opens it again; needs a reason".into(), None),
                    (true, Status::Investigating) => ("the cause is not known".into(), None),
                    (true, Status::Identified) => ("the cause is known, the remedy under way".into(), None),
                    (true, Status::Monitoring) => ("mitigated; watching whether it holds".into(), None),
                };
                let asks = against || !now.is_open() && s.is_open();
                Item { off, asks, ..Item::new(s.word(), s.word(), detail) }
            })
            .collect();
        let incident = view.incident.id.clone();
        let mut picker =
            Picker::of(Pick::Status { incident: incident.clone() }, format!("status of {incident}"), items);
        picker.head = view.against_resolving.iter().map(|a| (Role::Bad, format!("against resolving: {a}"))).collect();
        let consider =
            view.to_consider.iter().map(|c| (Role::Unsure, text::clean(&format!("to consider: {c}")).into_owned()));
        picker.head.extend(consider.filter(|_| now != Status::Closed));
        picker
    }

    pub fn services(app: &App, verb: Verb) -> Picker {
        let mut services: Vec<_> = app.mirror().services.values().collect();
        services.sort_by(|a, b| rank(a).cmp(&rank(b)).then_with(|| a.name.cmp(&b.name)));
        let items = services
            .into_iter()
            .map(|s| {
                let (sign, role) = header::state(&app.look.g, s.state);
                let off = if !s.control.iter().any(|c| c == verb.word()) {
                    Some(format!("its control cannot {}", verb.word()))
                } else {
                    s.held_by.as_ref().map(|run| format!("held by run {run}"))
                };
                let detail = text::clean(&format!("{sign} {}  {}", s.state.word(), s.detail)).into_owned();
                Item { off, role, ..Item::new(s.name.clone(), s.name.clone(), detail) }
            })
            .collect();
        Picker::of(Pick::Service(verb), format!("{} which service?", verb.word()), items)
    }

    /// Recoveries of whole systems.
    pub fn recoveries(app: &App) -> Picker {
        let facts = app.mirror().head.recoveries.iter();
        let items = facts
            .map(|(name, r)| {
                let kind = if r.kind.is_empty() { String::new() } else { format!("  {}", r.kind) };
                let detail = text::clean(&format!("{}{kind}  {}", r.title, text::plural(r.steps, "step"))).into_owned();
                Item::new(name.clone(), name.clone(), detail)
            })
            .collect();
        Picker::of(Pick::Recovery, format!("recover what? · {}", app.environment()), items)
    }

    /// Requests that wait for a second person.
    pub fn approvals(app: &App) -> Picker {
        let item = |a: &&Approval| {
            let whose = if allowed::is_own(app, a) { "yours".to_owned() } else { format!("by {}", a.by.user) };
            let detail = format!("{whose}, until {}  {}", app.look.hm(a.expires_at()), a.words);
            Item::new(a.id.clone(), text::clean(&a.title).into_owned(), text::clean(&detail).into_owned())
        };
        let items = allowed::waiting(app).iter().map(item).collect();
        Picker::of(Pick::Approval, "who waits for a second person", items)
    }

    /// What can be done about one's own request.
    pub fn own_approval(app: &App, approval: &Approval) -> Picker {
        let off = crate::viewer::why::may_act(app);
        let items = vec![
            Item::new("wait", "wait", "another user approves it with Y, or mayday approve"),
            Item {
                role: Role::Bad,
                asks: true,
                off: off.clone(),
                ..Item::new("glass", "break the glass", "start it alone, with a reason that is sent out and reviewed")
            },
            Item { off, ..Item::new("withdraw", "take it back", "nothing is started") },
        ];
        let pick = Pick::OwnApproval { approval: approval.id.clone() };
        let mut picker = Picker::of(pick, format!("you asked for: {}", text::clean(&approval.title)), items);
        let until = app.look.hms(approval.expires_at());
        picker
            .head
            .push((Role::Text, format!("It waits for another user until {until}: {}", text::clean(&approval.why))));
        picker.head.push((Role::Strong, format!("say to them: {}", approval.words)));
        picker
    }

    /// Playbooks: those that fit what is down, those that were left, then all.
    pub fn playbooks(app: &App) -> Picker {
        let head = &app.mirror().head;
        let off = crate::viewer::why::may_act(app);
        let mut items: Vec<Item> = Vec::new();
        for view in app.mirror().playbooks_newest_first() {
            let p = &view.play;
            let (role, said) = match p.state {
                PlayState::Left => (Role::Unsure, format!("was left at {}", p.place())),
                // Who can start none can still read what was done.
                state if off.is_some() => (Role::Text, format!("is {}", state.word())),
                _ => continue,
            };
            let id = format!("{LEFT}{}", p.id);
            items.push(Item { role, ..Item::new(id, p.text.name.clone(), text::clean(&said).into_owned()) });
        }
        let fits = |name: &str| head.suggested_playbooks.iter().find(|s| s.name == name);
        let mut all: Vec<_> = head.playbooks.iter().collect();
        let place = |name: &str| head.suggested_playbooks.iter().position(|s| s.name == name).unwrap_or(usize::MAX);
        all.sort_by_key(|f| place(&f.name));
        for facts in all {
            let why = fits(&facts.name).map(|s| format!("FITS: {}  ", s.why)).unwrap_or_default();
            let detail = format!("{why}{}  {}", facts.title, text::plural(facts.steps, "step"));
            let role = if why.is_empty() { Role::Text } else { Role::Strong };
            let detail = text::clean(&detail).into_owned();
            items.push(Item { role, off: off.clone(), ..Item::new(facts.name.clone(), facts.name.clone(), detail) });
        }
        let mut picker = Picker::of(Pick::Playbook, format!("playbook? · {}", app.environment()), items);
        picker.head.push((Role::Dim, "starting one does nothing by itself: each step is carried out by you".into()));
        picker
    }

    /// The ways on at a decision.
    pub fn playbook_options(app: &App, play: &Play) -> Picker {
        let options = match play.current().map(|(s, _)| &s.does) {
            Some(Does::Decide { options }) => options.as_slice(),
            _ => &[],
        };
        let item = |o: &Choice| {
            let to = play.text.step(&o.go).map_or("the end", |s| s.title.as_str());
            let detail = format!("{} {} {to}", o.title, app.look.g.arrow);
            Item::new(o.name.clone(), o.name.clone(), text::clean(&detail).into_owned())
        };
        let items = options.iter().map(item).collect();
        Picker::of(Pick::PlaybookOption { playbook: play.id.clone() }, text::clean(&play.place()).into_owned(), items)
    }

    /// The text that was started, or the new one from one of its steps on.
    pub fn playbook_texts(app: &App, play: &Play) -> Picker {
        let mut items = vec![Item::new("", "keep the old text", "go on as it was started")];
        if let Some(now) = play.changed.as_ref().and_then(|c| c.now.as_ref()) {
            for step in &now.steps {
                let label = format!("the new text from {}", step.name);
                items.push(Item::new(step.name.clone(), label, text::clean(&step.title).into_owned()));
            }
        }
        let title = format!("{} has changed · {}", play.text.name, app.environment());
        let mut picker = Picker::of(Pick::PlaybookText { playbook: play.id.clone() }, title, items);
        let changed = play.changed.iter().flat_map(|c| &c.difference).take(6);
        picker.head.extend(changed.map(|d| (Role::Unsure, text::clean(d).into_owned())));
        picker
    }

    /// What can be said to the recovery that is under way, each the command that it is.
    pub fn answers(app: &App) -> Picker {
        let ids = ["recovery.done", "recovery.failed", "recovery.resume", "recovery.skip", "recovery.stop"];
        let mut items: Vec<Item> = ids.iter().filter_map(|id| Some(command_item(app, commands::find(id)?))).collect();
        // What can be said comes first.
        items.sort_by_key(|item| item.off.is_some());
        let title = app.mirror().open_recovery().map(|v| format!("recovery {}", v.recovery.plan.name));
        let mut picker = Picker::of(Pick::Command, title.unwrap_or_default(), items);
        if let Some(view) = app.mirror().open_recovery() {
            let r = &view.recovery;
            picker.head.push((Role::Strong, text::clean(&r.place()).into_owned()));
            if let Some(halt) = &r.halt {
                let said = format!("{}: {}", halt.why.word(), halt.detail);
                picker.head.push((Role::Bad, text::clean(&said).into_owned()));
            }
            if !view.waits.is_empty() {
                picker.head.push((Role::Dim, text::clean(&view.waits).into_owned()));
            }
        }
        picker
    }

    /// Backup sets, of one service or all.
    pub fn backups(app: &App, service: Option<String>) -> Picker {
        let items = app
            .mirror()
            .backups
            .values()
            .filter(|b| service.is_none() || b.service == service)
            .map(|b| {
                let (sign, role) = header::backup_state(&app.look.g, b.state);
                let age = b.newest.as_ref().map(|c| text::ago(app.watched.ago(c.as_of())) + " old").unwrap_or_default();
                let of = b.service.as_deref().unwrap_or("");
                let off = (!b.restorable).then(|| "no restore is configured for it".to_owned());
                let detail = text::clean(&format!("{sign} {}  {age}  {of}", b.state.word())).into_owned();
                Item { off, role, ..Item::new(b.name.clone(), b.name.clone(), detail) }
            })
            .collect();
        Picker::of(Pick::Backup, "restore which backup?", items)
    }

    /// The copies of a backup set: how old, and what is lost by using each.
    pub fn copies(app: &App, backup: &str, copies: &[Copy]) -> Picker {
        let set = app.mirror().backups.get(backup);
        let rpo = set.and_then(|b| b.rpo_ms).map(Duration::from_millis);
        let tests = set.map(|b| b.tests.as_slice()).unwrap_or_default();
        let items = copies
            .iter()
            .map(|copy| {
                // A base backup loses only what its log does not reach.
                let age = app.watched.ago(copy.as_of());
                let over = rpo.is_some_and(|rpo| age > rpo);
                let good = if over { Role::Unsure } else { Role::Text };
                let role = if copy.suspect.is_some() { Role::Bad } else { good };
                let suspect = match &copy.suspect {
                    Some(why) => format!("  {} SUSPECT: {why}", app.look.g.degraded),
                    None if copy.note.is_empty() => String::new(),
                    None => format!("  {}", copy.note),
                };
                let label = format!("{}  {:>8}", app.look.full(copy.taken_at), copy.size_said());
                let log = match copy.reaches {
                    Some(_) => format!("  log to {}", app.look.full(copy.as_of())),
                    None => String::new(),
                };
                let proof = Proof::of_copy(tests, &copy.id).said(|at| header::ago(app.watched.ago(at)));
                let proof = if proof.is_empty() { proof } else { format!("  {proof}") };
                let detail = format!(
                    "DATA LOST {}{}  {}{log}{proof}{suspect}",
                    text::duration(age),
                    if over { " (over RPO)" } else { "" },
                    copy.id
                );
                Item { role, ..Item::new(copy.id.clone(), label, text::clean(&detail).into_owned()) }
            })
            .collect();
        let parts = app.mirror().backups.get(backup).is_some_and(|b| b.any_part);
        let pick = Pick::Copy { backup: backup.to_owned(), test: false, parts };
        let mut picker = Picker::of(pick, format!("restore {backup}: which copy? · {}", app.environment()), items);
        if let Some(rpo) = rpo {
            picker
                .head
                .push((Role::Dim, format!("RPO {}: an older copy loses more than was agreed", text::duration(rpo))));
        }
        // The newest good one stands ready.
        picker.sel = copies.iter().position(|c| c.suspect.is_none()).unwrap_or(0);
        picker
    }

    pub fn actions(app: &App) -> Picker {
        let items = app
            .mirror()
            .head
            .actions
            .iter()
            .map(|(name, facts)| {
                let on = facts.service.as_ref().map(|s| format!("on {s}  ")).unwrap_or_default();
                let detail = text::clean(&format!("{on}{}", facts.doc)).into_owned();
                let role = if facts.risk == Risk::Destructive { Role::Bad } else { Role::Text };
                Item { hint: facts.risk.word().into(), role, ..Item::new(name.clone(), name.clone(), detail) }
            })
            .collect();
        Picker::of(Pick::Action, format!("actions · {}", app.environment()), items)
    }

    pub fn affected(app: &App) -> Picker {
        let (incident, before) =
            app.incident().map(|i| (i.incident.id.clone(), i.incident.services.clone())).unwrap_or_default();
        let mut services: Vec<_> = app.mirror().services.values().collect();
        services.sort_by_key(|s| (!before.contains(&s.name), rank(s), s.name.clone()));
        let items = services
            .into_iter()
            .map(|s| {
                let (sign, role) = header::state(&app.look.g, s.state);
                Item { role, ..Item::new(s.name.clone(), s.name.clone(), format!("{sign} {}", s.state.word())) }
            })
            .collect();
        let title = format!("services that {incident} affects");
        let mut picker = Picker::of(Pick::Affected { incident, before: before.clone() }, title, items);
        picker.chosen = Some(before);
        picker
    }

    pub fn themes(app: &App) -> Picker {
        let items = NAMES.iter().map(|n| Item::new(*n, *n, "")).collect();
        let mut picker = Picker::of(Pick::Theme { before: app.look.theme.name.clone() }, "theme", items);
        picker.sel = NAMES.iter().position(|n| *n == app.look.theme.name).unwrap_or(0);
        picker
    }

    pub fn templates(app: &App) -> Picker {
        let any = !app.mirror().incidents.is_empty();
        let items = Template::ALL
            .into_iter()
            .map(|t| {
                let detail = match t {
                    Template::Initial => "the first word: what is wrong, since when, what is being done",
                    Template::Update => "what happened since the last message",
                    Template::Resolution => "it is over: how long it took, what was done",
                    Template::Escalation => "to those who are to take it: what to say, how to acknowledge",
                    Template::Test => "proves that the channels work",
                    Template::Alert => "is sent by itself",
                };
                let off = (!any && t != Template::Test).then(|| "there is no incident: declare one with d".to_owned());
                Item { off, ..Item::new(t.word(), t.word(), detail) }
            })
            .collect();
        let mut picker = Picker::of(Pick::Template, "notify: which message?", items);
        // An update is what is due once somebody was told.
        let told = app.incident().is_some_and(|i| i.incident.updates > 0 || i.incident.last_update_at.is_some());
        let open = app.incident().is_some_and(|i| i.incident.status.is_open());
        picker.sel = match (any, open, told) {
            (false, ..) => 4,
            (_, false, _) => 2,
            (_, _, true) => 1,
            _ => 0,
        };
        picker
    }
}
