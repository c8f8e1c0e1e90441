//! The wall display and the plain mode: what is shown for which picture at which size, who has the turn, that nothing
//! moves the picture that should not, and the real binary on a pipe.

mod support;

use std::time::Duration;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use mayday::domain::Time;
use mayday::domain::backup::{BackupState, Copy};
use mayday::domain::catalog::Severity;
use mayday::domain::headstart::Standing;
use mayday::domain::health::{Health, Outcome, ProbeResult, Reason};
use mayday::domain::incident::{Incident, Status};
use mayday::viewer::encode::Encoder;
use mayday::viewer::glyphs;
use mayday::viewer::link::Peer;
use mayday::viewer::look::Look;
use mayday::viewer::screen::{Effect, Face, Input, Now};
use mayday::viewer::theme::{Role, Theme};
use mayday::viewer::wall::{Wall, deck::Page};
use mayday::wire::{BackupView, Change, CheckView, Head, HeadStartView, IncidentView, Recording, RunView, ServiceView};
use proptest::prelude::*;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};

/// 2026-11-20T02:20:00Z, an even hour.
const NOON: i64 = 1_795_141_200_000;
const SIZES: [(u16, u16); 6] = [(80, 24), (120, 36), (200, 60), (40, 12), (20, 5), (1, 1)];

fn at(ms: i64) -> Time {
    Time::from_ms(NOON + ms)
}

fn service(name: &str, state: Health, tier: u8) -> ServiceView {
    let outcome = if state == Health::Down { Outcome::Fail } else { Outcome::Ok };
    let reason = (state == Health::Down).then_some(Reason::Refused);
    ServiceView {
        name: name.into(),
        state,
        tier,
        since: at(-754_000),
        down_since: (state == Health::Down).then(|| at(-763_000)),
        rto_ms: Some(600_000),
        observed_at: Some(at(-2000)),
        stale_after_ms: 35_000,
        checks: vec![CheckView { last: Some(ProbeResult::new(outcome, reason, "", 400)), ..CheckView::default() }],
        ..ServiceView::default()
    }
}

fn backup(name: &str, hours: i64, state: BackupState) -> BackupView {
    BackupView {
        name: name.into(),
        state,
        newest: Some(Copy { taken_at: at(-hours * 3_600_000), ..Copy::default() }),
        rpo_ms: Some(24 * 3_600_000),
        ..BackupView::default()
    }
}

fn incident(severity: Severity, acked: bool) -> IncidentView {
    let mut view = IncidentView {
        incident: Incident {
            id: "INC-2026-004".into(),
            title: "Complete outage".into(),
            severity,
            status: Status::Investigating,
            services: ["api".to_owned()].into(),
            declared_at: at(-763_000),
            declared_by: "oncall1".into(),
            declared_seq: 7,
            onset: None,
            acknowledged_at: None,
            acknowledged_by: None,
            roles: Default::default(),
            mitigated_at: None,
            resolved_at: None,
            last_update_at: None,
            updates: 0,
            notes: 0,
            declared_boot_ms: 0,
            declared_boot: String::new(),
            declared_stepped_ms: 0,
            resolved_stepped_ms: 0,
            unsealed: false,
            reopened: 0,
            hypotheses: Vec::new(),
            handoff: None,
            last_seq: 7,
            clock: Default::default(),
        },
        update_due: Some(at(-130_000)),
        elapsed_ms: 763_000,
        against_resolving: Vec::new(),
        to_consider: Vec::new(),
        checklists: Vec::new(),
        timeline_file: String::new(),
        leading: Default::default(),
        head_starts: Vec::new(),
    };
    if acked {
        view.incident.acknowledged_at = Some(at(-700_000));
        view.incident.acknowledged_by = Some("oncall1".into());
        view.incident.roles.insert("commander".into(), "oncall1".into());
        view.update_due = Some(at(250_000));
    }
    view
}

fn picture() -> Change {
    Change {
        epoch: "e1".into(),
        rev: 1,
        at: at(0),
        whole: true,
        head: Some(Head { system: "crazy-gary".into(), environment: "production".into(), ..Head::default() }),
        seq: Some(1),
        ..Change::default()
    }
}

fn healthy() -> Change {
    Change {
        services: (0..45u8).map(|i| service(&format!("service-{i:02}"), Health::Up, i % 4 + 1)).collect(),
        backups: vec![backup("postgres-full", 6, BackupState::Fresh), backup("files", 2, BackupState::Fresh)],
        ..picture()
    }
}

fn burning() -> Change {
    let mut services = healthy().services;
    services.push(service("postgres", Health::Up, 1));
    let mut api = service("api", Health::Down, 1);
    api.depends_on = vec!["postgres".into()];
    services.push(api);
    for i in 0..3 {
        let mut child = service(&format!("child-{i}"), Health::Down, 3);
        child.depends_on = vec!["api".into()];
        services.push(child);
    }
    services.push(service("web", Health::Degraded, 2));
    Change {
        services,
        backups: vec![
            backup("postgres-full", 16, BackupState::Fresh),
            backup("postgres-wal", 47, BackupState::Stale),
            backup("files", 2, BackupState::Fresh),
        ],
        ..picture()
    }
}

/// A theme that gives every role a colour of its own, so that the style of each cell names its role.
fn roles() -> Theme {
    Theme::of("roles", |role| Style::new().fg(Color::Indexed(role as u8)))
}

fn wall_with(look: Look, blocks: bool) -> Wall {
    let mut wall = Wall::new(look, blocks, 15);
    tell(&mut wall, 0, Input::LinkUp(Peer { epoch: "e1".into(), pid: 7, ..Peer::default() }));
    wall
}

fn look(g: glyphs::Glyphs) -> Look {
    let mut look = Look::default();
    look.theme = roles();
    look.g = g;
    look
}

fn wall() -> Wall {
    wall_with(look(glyphs::UNICODE), true)
}

/// Tells the wall something at `ms` of its own clock.
fn tell(wall: &mut Wall, ms: u64, input: Input) -> Vec<Effect> {
    wall.update(input, Now { mono_us: ms * 1000, wall: at(i64::try_from(ms).unwrap()) })
}

fn show(wall: &mut Wall, ms: u64, change: Change) {
    tell(wall, ms, Input::Change(Box::new(change)));
}

/// The engine says only its clock.
fn beat(wall: &mut Wall, ms: u64) {
    let at = at(i64::try_from(ms).unwrap());
    show(wall, ms, Change { epoch: "e1".into(), rev: 1, at, ..Change::default() });
}

fn press(wall: &mut Wall, ms: u64, code: KeyCode, modifiers: KeyModifiers) -> Vec<Effect> {
    tell(wall, ms, Input::Key(KeyEvent::new(code, modifiers), ms * 1000))
}

fn draw(wall: &mut Wall, w: u16, h: u16) -> Buffer {
    let now = wall.watched.now;
    wall.update(Input::Resize(w, h), now);
    let mut buffer = Buffer::empty(Rect::new(0, 0, w, h));
    assert_eq!(wall.draw(buffer.area, &mut buffer), None);
    buffer
}

fn text(buffer: &Buffer) -> String {
    let row = |y| (0..buffer.area.width).map(|x| buffer[(x, y)].symbol()).collect::<String>().trim_end().to_owned();
    (0..buffer.area.height).map(row).collect::<Vec<_>>().join("\n")
}

/// The picture, and below it the roles of every row from left to right.
fn with_roles(buffer: &Buffer) -> String {
    let name = |c: Color| match c {
        Color::Indexed(i) => Role::ALL.get(usize::from(i)).map_or("?", |r| r.name()),
        _ => "-",
    };
    let mut out = format!("{}\n----\n", text(buffer));
    for y in 0..buffer.area.height {
        let mut runs: Vec<(&str, u16, bool)> = Vec::new();
        for x in 0..buffer.area.width {
            let cell = &buffer[(x, y)];
            let one = (name(cell.fg), cell.modifier.contains(Modifier::CROSSED_OUT));
            match runs.last_mut() {
                Some((role, n, crossed)) if (*role, *crossed) == one => *n += 1,
                _ => runs.push((one.0, 1, one.1)),
            }
        }
        // Letters of many strokes would be many runs: which roles a row has is what matters.
        let mut seen: Vec<&str> = Vec::new();
        for (role, ..) in runs {
            if role != "wall" && !seen.contains(&role) {
                seen.push(role);
            }
        }
        if !seen.is_empty() {
            out.push_str(&format!("{y:2} {}\n", seen.join(" ")));
        }
    }
    out
}

fn snapshots(name: &str, make: impl Fn() -> Wall) {
    for (w, h) in SIZES {
        let picture = with_roles(&draw(&mut make(), w, h));
        insta::assert_snapshot!(format!("{name}-{w}x{h}"), picture);
    }
}

fn with(change: Change) -> Wall {
    let mut wall = wall();
    show(&mut wall, 0, change);
    wall
}

#[test]
fn an_empty_system_says_what_to_do() {
    snapshots("empty", || with(picture()));
}

#[test]
fn a_calm_system_is_a_count_and_signs() {
    snapshots("healthy", || with(healthy()));
    let seen = text(&draw(&mut with(healthy()), 200, 60));
    assert!(!seen.contains("service-"), "no table of what is well:\n{seen}");
}

#[test]
fn trouble_without_an_incident_shows_roots() {
    snapshots("burning", || with(burning()));
    let plain = text(&draw(&mut with(burning()), 30, 9));
    assert!(plain.contains("1 DOWN (+3)"), "{plain}");
}

#[test]
fn an_incident_takes_over() {
    snapshots("incident", || with(Change { incidents: vec![incident(Severity::P0, false)], ..burning() }));
    let led = Change { incidents: vec![incident(Severity::P1, true)], ..burning() };
    let seen = text(&draw(&mut with(led), 80, 24));
    assert!(seen.contains("LED BY oncall1") && seen.contains("UPDATE DUE"), "{seen}");
}

fn going(id: &str, title: &str, permille: u16) -> RunView {
    let json = serde_json::json!({
        "id": id, "work": { "work": "restart", "service": "api" }, "title": title, "target": "api", "risk": "disruptive",
        "state": "running", "incident": "INC-2026-004", "requested_at": at(-60_000), "requested_by": "oncall1",
        "phases": ["restart"], "phase": 0, "permille": permille,
    });
    serde_json::from_value(json).expect("a run as the engine tells it")
}

/// An incident that is being worked on: a copy that is ready, runs, a tag, a hold of everything.
fn worked_on() -> Change {
    let mut led = incident(Severity::P0, true);
    let early = |backup: &str, standing| HeadStartView {
        backup: backup.into(),
        standing,
        data_as_of: Some(at(-3_600_000)),
        ..HeadStartView::default()
    };
    led.head_starts = vec![
        early("postgres-full", Standing::Ready),
        early("documents", Standing::UnderWay),
        early("redis", Standing::Dropped),
    ];
    let guards = serde_json::json!({ "guards": {
        "tags": { "redis": { "by": { "user": "bo" }, "since": at(-300_000), "reason": "restore running" } },
        "all": { "by": "ann", "since": at(-120_000), "reason": "evidence first" },
    } });
    let mut change = Change {
        incidents: vec![led],
        runs: vec![going("r1", "restart api", 420), going("r2", "warm the cache", 0), going("r3", "redeploy web", 900)],
        ..burning()
    };
    if let Some(head) = &mut change.head {
        head.guard = serde_json::from_value(guards).expect("guards as the engine tells them");
    }
    change
}

#[test]
fn what_is_being_done_stands_under_how_bad_it_is() {
    snapshots("worked-on", || with(worked_on()));
    let seen = text(&draw(&mut with(worked_on()), 200, 60));
    let place = |words: &str| seen.find(words).unwrap_or_else(|| panic!("{words} is missing:\n{seen}"));
    assert!(place("COPY READY  postgres-full") < place("documents is being restored"));
    assert!(place("documents is being restored") < place("RUN  "));
    assert!(seen.contains("and 2 more under way") && !seen.contains("redis is"), "{seen}");
    assert!(seen.contains("evidence first") && seen.contains("TAG redis by bo"), "{seen}");
}

#[test]
fn a_stalled_engine_cannot_be_overlooked() {
    snapshots("stalled", || {
        let mut wall = with(healthy());
        tell(&mut wall, 7200, Input::Tick);
        wall
    });
    // Bytes that bring the same clock again do not make it run.
    let mut wall = with(healthy());
    for ms in [1000, 2000, 3000, 4000] {
        show(&mut wall, ms, Change { epoch: "e1".into(), rev: 1, at: at(0), ..Change::default() });
    }
    assert!(text(&draw(&mut wall, 40, 4)).contains("STALLED 4s"));
    beat(&mut wall, 4500);
    assert!(!text(&draw(&mut wall, 40, 4)).contains("STALLED"));
}

#[test]
fn no_engine_is_told_with_the_time_of_its_last_word() {
    let mut wall = with(burning());
    tell(&mut wall, 1000, Input::LinkDown("the engine hung up".into()));
    let seen = text(&draw(&mut wall, 80, 24));
    assert!(seen.contains("NO ENGINE since 02:20:00Z") && seen.contains("hung up"), "{seen}");
    assert!(!seen.contains("E starts an engine"), "{seen}");
}

#[test]
fn too_many_old_results_are_never_all_up() {
    let mut change = healthy();
    for service in change.services.iter_mut().take(10) {
        service.observed_at = Some(at(-90_000));
    }
    let old = change.clone();
    snapshots("stale", || with(old.clone()));
    // Exactly a fifth is still a picture, in which they count as unknown.
    change.services[0].observed_at = Some(at(-1000));
    let seen = text(&draw(&mut with(change), 30, 9));
    assert!(seen.contains("9 UNKNOWN") && seen.contains("36 UP"), "{seen}");
}

#[test]
fn long_and_hostile_names_are_cut_and_cleaned() {
    let make = || {
        let mut change = burning();
        change.head.as_mut().unwrap().system = format!("{}\u{1b}]0;x\u{7}", "system".repeat(40));
        let mut long = service(&"long-name-".repeat(30), Health::Down, 1);
        long.checks.clear();
        long.detail = "detail \u{202e} ".repeat(50);
        change.services.push(long);
        change.services.push(service("名前\u{1b}[2J", Health::Down, 1));
        with(change)
    };
    snapshots("long", make);
    for (w, h) in SIZES {
        let seen = text(&draw(&mut make(), w, h));
        assert!(!seen.contains(['\u{1b}', '\u{7}', '\u{202e}']));
    }
}

#[test]
fn what_is_not_recorded_is_told_on_top() {
    let mut change = healthy();
    let head = change.head.as_mut().unwrap();
    head.recording = Recording::Off { since: at(0), why: "no space".into(), kept: 3 };
    head.config_faults = vec!["mayday.toml:3: unknown key".into()];
    let seen = text(&draw(&mut with(change), 80, 24));
    assert!(seen.contains("NOTHING IS BEING RECORDED since 02:20:00Z: no space"), "{seen}");
    assert!(seen.contains("configuration not in force: mayday.toml:3"), "{seen}");
}

#[test]
fn ascii_is_ascii_at_every_size() {
    let look = look(glyphs::ASCII);
    for change in [healthy(), Change { incidents: vec![incident(Severity::P0, false)], ..burning() }] {
        for (w, h) in SIZES {
            let mut wall = wall_with(look.clone(), false);
            show(&mut wall, 0, change.clone());
            let seen = text(&draw(&mut wall, w, h));
            assert!(seen.is_ascii(), "{w}x{h}:\n{seen}");
        }
    }
}

/// Pages shown at each half second, without repeats.
fn turns(wall: &mut Wall, from: u64, to: u64) -> Vec<(u64, Page)> {
    let mut seen: Vec<(u64, Page)> = Vec::new();
    for ms in (from..to).step_by(500) {
        beat(wall, ms);
        let page = wall.page().cloned().unwrap();
        if seen.last().is_none_or(|(_, p)| *p != page) {
            seen.push((ms, page));
        }
    }
    seen
}

/// Degraded services on several pages, and a backup.
fn degraded(n: usize) -> Change {
    let mut change = healthy();
    change.services.extend((0..n).map(|i| service(&format!("slow-{i}"), Health::Degraded, 2)));
    change.backups.push(backup("wal", 30, BackupState::Stale));
    fresh(change)
}

/// Results that do not grow old while a test moves the clock.
fn fresh(mut change: Change) -> Change {
    change.services.iter_mut().for_each(|s| s.stale_after_ms = 0);
    change
}

#[test]
fn pages_turn_by_themselves_and_a_key_stops_them() {
    let mut wall = with(degraded(4));
    tell(&mut wall, 0, Input::Resize(80, 24));
    let seen = turns(&mut wall, 0, 46_000);
    let (a, b, c) = (Page::Problems(0), Page::Problems(1), Page::Backups(0));
    assert_eq!(seen, [(0, a.clone()), (15_000, b.clone()), (30_000, c.clone()), (45_000, a.clone())]);
    let shown = text(&draw(&mut wall, 80, 24));
    assert!(shown.contains("1/3 ━━━━━━━━━"), "{shown}");
    // Any key holds the page for a minute, and arrows turn it.
    assert!(press(&mut wall, 46_000, KeyCode::Char('x'), KeyModifiers::NONE).is_empty());
    assert!(text(&draw(&mut wall, 80, 24)).contains("1/3 held 60s"));
    assert_eq!(turns(&mut wall, 46_500, 100_000), [(46_500, a.clone())]);
    press(&mut wall, 100_000, KeyCode::Left, KeyModifiers::NONE);
    assert_eq!(wall.page(), Some(&c));
    let seen = turns(&mut wall, 100_500, 180_000);
    assert_eq!(seen, [(100_500, c), (175_000, a)]);
}

#[test]
fn a_root_pins_and_an_urgent_incident_has_every_second_turn() {
    let mut wall = with(fresh(burning()));
    tell(&mut wall, 0, Input::Resize(80, 24));
    let first = turns(&mut wall, 0, 60_000);
    assert_eq!(first, [(0, Page::Problems(0))], "pinned");
    let inc = Page::Incident("INC-2026-004".into());
    let declared = Change {
        epoch: "e1".into(),
        rev: 2,
        at: at(60_100),
        incidents: vec![incident(Severity::P1, false)],
        ..Change::default()
    };
    show(&mut wall, 60_100, declared);
    assert_eq!(wall.page(), Some(&inc), "shown at once");
    let seen: Vec<Page> = turns(&mut wall, 60_500, 110_000).into_iter().map(|(_, p)| p).collect();
    assert_eq!(seen, [inc.clone(), Page::Problems(0), inc.clone(), Page::Problems(0)]);
}

#[test]
fn a_lesser_incident_is_a_page_among_others() {
    let mut wall = with(Change { incidents: vec![incident(Severity::P2, false)], ..degraded(1) });
    tell(&mut wall, 0, Input::Resize(80, 24));
    let seen: Vec<Page> = turns(&mut wall, 0, 40_000).into_iter().map(|(_, p)| p).collect();
    assert_eq!(seen, [Page::Incident("INC-2026-004".into()), Page::Problems(0), Page::Incident("INC-2026-004".into())]);
}

#[test]
fn only_q_and_two_ctrl_c_leave() {
    let mut wall = with(healthy());
    for code in [KeyCode::Esc, KeyCode::Enter, KeyCode::Char('r'), KeyCode::Char('d')] {
        assert!(press(&mut wall, 100, code, KeyModifiers::NONE).is_empty());
    }
    assert!(press(&mut wall, 200, KeyCode::Char('c'), KeyModifiers::CONTROL).is_empty());
    assert!(press(&mut wall, 3000, KeyCode::Char('c'), KeyModifiers::CONTROL).is_empty(), "too late to be the second");
    let quit = [Effect::Quit(Vec::new())];
    assert_eq!(press(&mut wall, 3500, KeyCode::Char('c'), KeyModifiers::CONTROL), quit);
    assert_eq!(press(&mut wall, 3600, KeyCode::Char('q'), KeyModifiers::NONE), quit);
}

#[test]
fn the_picture_goes_round_so_that_nothing_burns_in() {
    let mut wall = with(healthy());
    let corner = |buffer: &Buffer| {
        let used = |(x, y): (u16, u16)| buffer[(x, y)].symbol() != " ";
        let all: Vec<(u16, u16)> = buffer.area.positions().map(Into::into).filter(|p| used(*p)).collect();
        (all.iter().map(|p| p.0).min().unwrap(), all.iter().map(|p| p.1).min().unwrap())
    };
    let mut corners = Vec::new();
    for minutes in [0, 5, 10, 15, 20] {
        beat(&mut wall, minutes * 60_000);
        corners.push(corner(&draw(&mut wall, 80, 24)));
    }
    assert_eq!(corners, [(1, 0), (2, 0), (2, 1), (1, 1), (1, 0)]);
    // The header and the clock change sides with the hour of the engine's clock.
    let side = |wall: &mut Wall| text(&draw(wall, 80, 24)).lines().next().unwrap().starts_with(" crazy-gary");
    assert!(side(&mut wall));
    beat(&mut wall, 3_600_000);
    assert!(!side(&mut wall));
}

/// Bytes of the busiest and of an average second over `seconds`, the first picture left out.
fn bytes(mut wall: Wall, w: u16, h: u16, seconds: u64) -> usize {
    let mut encoder = Encoder::default();
    let mut before: Option<Buffer> = None;
    let mut sum = 0;
    for second in 0..=seconds {
        beat(&mut wall, second * 1000);
        let frame = draw(&mut wall, w, h);
        let bytes = encoder.frame(before.as_ref(), &frame, None);
        if before.replace(frame).is_some() {
            sum += bytes.len();
        }
    }
    sum / usize::try_from(seconds).unwrap()
}

#[test]
fn at_rest_it_costs_few_bytes() {
    let shown = || {
        let (look, _, faults) = mayday::viewer::wall::look(&Default::default(), |name| {
            [("LANG", "C.UTF-8"), ("COLORTERM", "truecolor")].iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).into())
        });
        assert_eq!(faults, Vec::<String>::new());
        look
    };
    for (w, h) in [(80, 24), (120, 36), (200, 60)] {
        let mut wall = wall_with(shown(), true);
        show(&mut wall, 0, fresh(healthy()));
        let per_second = bytes(wall, w, h, 240);
        assert!(per_second <= 350, "{per_second} bytes a second at {w}x{h}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_size_and_no_moment_breaks_it(w in 1u16..250, h in 1u16..80, which in 0usize..5, ms in 0u64..5_000_000, key: bool) {
        let mut wall = match which {
            0 => wall(),
            1 => with(healthy()),
            2 => with(burning()),
            3 => with(Change { incidents: vec![incident(Severity::P0, false)], ..degraded(9) }),
            _ => with(picture()),
        };
        beat(&mut wall, ms);
        if key {
            press(&mut wall, ms, KeyCode::Right, KeyModifiers::NONE);
        }
        draw(&mut wall, w, h);
        tell(&mut wall, ms + 10_000, Input::LinkDown("gone".into()));
        draw(&mut wall, w, h);
        prop_assert!(wall.next_tick() >= 20);
    }
}

// --- the real binary -------------------------------------------------------------------------------------------------

use std::io::{BufRead, BufReader, Write};
use std::process::{ChildStdin, Stdio};
use std::sync::{Arc, Mutex};

use support::{Home, PATIENCE, Pty, free_port, wait_until};

fn config(port: u16) -> String {
    format!(
        "[system]\nname = \"plain-test\"\nenvironment = \"test\"\n[defaults]\nevery = \"1s\"\ntimeout = \"500ms\"\n\
         retry_interval = \"200ms\"\n[[service]]\nname = \"api\"\ntier = 1\n[[service.tcp]]\n\
         address = \"127.0.0.1:{port}\"\n"
    )
}

/// Lines of a running `mayday --plain`, as they come.
struct Lines {
    child: std::process::Child,
    stdin: Option<ChildStdin>,
    seen: Arc<Mutex<Vec<u8>>>,
}

impl Lines {
    fn start(home: &Home, args: &[&str]) -> Lines {
        let mut command = home.mayday(args);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (out, into) = (child.stdout.take().unwrap(), seen.clone());
        std::thread::spawn(move || {
            let mut out = BufReader::new(out);
            let mut line = Vec::new();
            while out.read_until(b'\n', &mut line).unwrap_or(0) > 0 {
                into.lock().unwrap().append(&mut line);
            }
        });
        Lines { stdin: child.stdin.take(), child, seen }
    }

    fn text(&self) -> String {
        String::from_utf8(self.seen.lock().unwrap().clone()).unwrap()
    }

    #[track_caller]
    fn wait(&self, wanted: &str) {
        let began = std::time::Instant::now();
        while !self.text().contains(wanted) {
            assert!(began.elapsed() < PATIENCE, "waited for {wanted:?} in vain:\n{}", self.text());
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn run(home: &Home, args: &[&str]) -> String {
    let out = home.mayday(args).output().unwrap();
    assert!(out.status.success(), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

#[test]
fn plain_tells_every_change_on_a_pipe() {
    let home = Home::new();
    let port = free_port();
    let listener = std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
    home.write_config(&config(port));
    let mut lines = Lines::start(&home, &["--plain"]);
    lines.wait("mayday plain-test test");
    lines.wait("every change follows");
    lines.wait("api unknown → up");
    drop(listener);
    lines.wait("api up → down");
    let id = run(&home, &["incident", "declare", "Plain \u{1b}[2J outage", "--severity", "P1"]);
    lines.wait(&format!("{} ", id.trim()));
    run(&home, &["note", "a note for the ears"]);
    lines.wait("a note for the ears");
    run(&home, &["engine", "stop"]);
    lines.wait("LINK LOST");
    run(&home, &["engine", "start"]);
    lines.wait("link is back: following engine");
    run(&home, &["note", "after the engine came back"]);
    lines.wait("after the engine came back");
    let text = lines.text();
    assert!(!text.bytes().any(|b| b < 0x20 && b != b'\n' || b == 0x7f), "no control characters:\n{text:?}");
    assert_eq!(text.matches("a note for the ears").count(), 1, "told once:\n{text}");
    let stamped = |line: &str| line.starts_with("20") && line.get(19..20) == Some("Z");
    let note = text.lines().find(|l| l.contains("for the ears")).unwrap();
    assert!(stamped(note), "{note}");
    lines.stdin.as_mut().unwrap().write_all(b"q\n").unwrap();
    let mut code = None;
    wait_until("q ends it", PATIENCE, || {
        code = lines.child.try_wait().unwrap();
        code.is_some()
    });
    assert!(code.unwrap().success());
    let status = home.mayday(&["engine", "status"]).output().unwrap();
    assert!(status.status.success(), "the engine stays");
}

#[test]
fn a_dumb_terminal_gets_lines_and_ctrl_c_ends_them() {
    let home = Home::new().env_var("TERM", "dumb");
    let port = free_port();
    home.write_config(&config(port));
    let mut pty = Pty::mayday(&home, &["wall"], 80, 24);
    pty.wait_for("every change follows");
    pty.wait_for("api unknown → down");
    assert!(!pty.raw().contains(&0x1b), "no escape sequence");
    pty.send([3]);
    assert_eq!(pty.wait_exit(PATIENCE).code, 0);
}

#[test]
fn the_wall_on_a_terminal_shows_and_leaves() {
    let home = Home::new();
    let port = free_port();
    let listener = std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
    home.write_config(&config(port));
    // Small enough for plain text.
    let mut pty = Pty::mayday(&home, &["wall"], 40, 8);
    pty.wait_for("ALL 1 UP");
    drop(listener);
    pty.wait_for("1 DOWN");
    pty.wait_for("refused");
    run(&home, &["engine", "stop"]);
    pty.wait_for("NO ENGINE");
    pty.send("q");
    assert_eq!(pty.wait_exit(PATIENCE).code, 0);
    assert_eq!(pty.stty(), pty.stty_before());
}
