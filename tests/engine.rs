//! Engine and clients together in one process, on a clock that the test moves.

#[path = "engine/reading.rs"]
mod reading;
mod support;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use mayday::domain::Access;
use mayday::domain::command::Command;
use mayday::domain::health::Health;
use mayday::domain::incident::Status;
use mayday::domain::run::{RunState, Verdict, Work};
use mayday::engine::{self, Options, Running};
use mayday::sys::clock::FakeClock;
use mayday::wire::client::{Client, ConnectError, EngineFile};
use mayday::wire::{Answer, Ask, FromEngine, Hello, Mirror, Recording, TimelineQuery, Welcome, frame};

const T0: i64 = 1_800_000_000_000;
const WAIT: Duration = Duration::from_secs(20);

struct World {
    dir: tempfile::TempDir,
    clock: FakeClock,
    running: Option<Running>,
}

impl World {
    async fn start(config: &str) -> World {
        let dir = support::scratch();
        std::fs::write(dir.path().join("mayday.toml"), config.replace("DIR", &dir.path().display().to_string()))
            .unwrap();
        let mut world = World { dir, clock: FakeClock::new(T0), running: None };
        world.start_engine().await;
        world
    }

    fn state(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    async fn start_engine(&mut self) {
        // A probe that is being forked this moment may hold the lock's descriptor until it executes its program.
        let begun = Instant::now();
        loop {
            let options = Options {
                state_dir: self.state(),
                config: Some(self.path("mayday.toml")),
                clock: Arc::new(self.clock.clone()),
                exe: support::home::mayday_binary(),
                sandbox: false,
            };
            match engine::start(options).await {
                Ok(running) => break self.running = Some(running),
                Err(e) if begun.elapsed() > WAIT => panic!("{e}"),
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    }

    async fn stop_engine(&mut self) {
        if let Some(running) = self.running.take() {
            running.stop.cancel();
            running.wait().await;
        }
    }

    async fn viewer(&self, access: Access) -> Viewer {
        let client = Client::connect(&self.state(), "viewer", access, WAIT).await.unwrap();
        Viewer { client, mirror: Mirror::default() }
    }
}

struct Viewer {
    client: Client,
    mirror: Mirror,
}

impl Viewer {
    async fn follow(mut self) -> Self {
        self.client.send("test", Ask::Follow).await.unwrap();
        self.until("the first picture", |m| !m.epoch.is_empty()).await;
        self
    }

    async fn ask(&mut self, ask: Ask) -> Answer {
        let id = self.client.send("test", ask).await.unwrap();
        let begun = Instant::now();
        loop {
            match tokio::time::timeout(WAIT, self.client.next()).await.expect("an answer in time").unwrap().unwrap() {
                FromEngine::Reply(reply) if reply.id == id => return reply.answer,
                FromEngine::Reply(_) => {}
                FromEngine::Change(change) => {
                    self.mirror.apply(*change);
                }
            }
            assert!(begun.elapsed() < WAIT, "no answer");
        }
    }

    async fn act(&mut self, command: Command) -> Answer {
        self.ask(Ask::Do(command)).await
    }

    async fn until(&mut self, what: &str, holds: impl Fn(&Mirror) -> bool) {
        let begun = Instant::now();
        while !holds(&self.mirror) {
            let left = WAIT.saturating_sub(begun.elapsed());
            match tokio::time::timeout(left, self.client.next()).await {
                Ok(Ok(Some(FromEngine::Change(change)))) => {
                    self.mirror.apply(*change);
                }
                Ok(Ok(Some(FromEngine::Reply(_)))) => {}
                other => panic!("{what}: {other:?}; last picture: {:#?}", self.mirror),
            }
        }
    }
}

fn declare(title: &str) -> Command {
    Command::Declare { title: title.into(), severity: None, services: ["api".to_owned()].into(), onset: None }
}

fn note(text: &str) -> Command {
    Command::Note { incident: None, text: text.into(), happened_at: None }
}

const CONFIG: &str = r#"
[system]
name = "shop"
environment = "production"
[defaults]
every = "300ms"
timeout = "200ms"
retry_interval = "100ms"
incident_interval = "200ms"
[[service]]
name = "api"
tier = 1
rto = "10m"
control = { restart = ["sh", "-c", "touch DIR/up"], stop = ["rm", "-f", "DIR/up"], start = ["sh", "-c", "true"] }
[[service.exec]]
run = ["sh", "-c", "test -e DIR/up || exit 2"]
[[service]]
name = "web"
tier = 2
depends_on = ["api"]
[[service.exec]]
run = ["sh", "-c", "test -e DIR/up || exit 2"]
[[action]]
name = "slow"
run = ["sh", "-c", "echo begun; exec sleep 60"]
service = "web"
[[action]]
name = "missing"
run = ["/no/such/program"]
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_viewers_see_the_same_and_a_wall_cannot_act() {
    let w = World::start(CONFIG).await;
    let mut one = w.viewer(Access::Responder).await.follow().await;
    let mut two = w.viewer(Access::ReadOnly).await.follow().await;
    let Answer::Done { incident: Some(id), recorded: true, .. } = one.act(declare("api down")).await else {
        panic!("not declared")
    };
    for v in [&mut one, &mut two] {
        v.until("the incident", |m| m.incidents.contains_key(&id)).await;
    }
    let refused = two.act(note("from the wall")).await;
    assert!(matches!(&refused, Answer::Refused(r) if r.reason.contains("read-only")), "{refused:?}");
    for ask in [
        Ask::Plan(Work::Restart { service: "api".into() }),
        Ask::Start { plan: "x".into(), confirm: "y".into(), reason: String::new(), unlogged: false },
        Ask::Reload,
        Ask::Stop,
        Ask::Refresh { service: None, backup: None },
    ] {
        assert!(matches!(two.ask(ask.clone()).await, Answer::Refused(_)), "{ask:?}");
    }
    let Answer::Done { seq, .. } = one.act(note("seen by both")).await else { panic!("no note") };
    two.until("the note's position", |m| m.seq >= seq).await;
    let query = TimelineQuery { incident: Some(id.clone()), after: None, before: None, limit: 10 };
    let Answer::Timeline { rows, .. } = two.ask(Ask::Timeline(query)).await else { panic!("no rows") };
    assert!(
        rows.iter()
            .any(|r| r.text == "seen by both"
                && r.actor == mayday::sys::peer::user_name(mayday::sys::peer::current_uid()))
    );
    let file = w.state().join("incidents").join(&id).join("timeline.md");
    assert!(std::fs::read_to_string(&file).unwrap().contains("seen by both"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_clock_that_jumps_back_is_noted_and_the_incident_timer_does_not_run_backwards() {
    let w = World::start(CONFIG).await;
    let mut v = w.viewer(Access::Responder).await.follow().await;
    let Answer::Done { incident: Some(id), .. } = v.act(declare("x")).await else { panic!() };
    w.clock.advance(600_000);
    v.act(note("ten minutes later")).await;
    v.until("ten minutes", |m| m.incidents.get(&id).is_some_and(|i| i.elapsed_ms >= 600_000)).await;
    w.clock.set_wall(T0 - 3_600_000);
    v.act(note("an hour back")).await;
    let id2 = id.clone();
    v.until("the timer goes on", |m| m.incidents.get(&id2).is_some_and(|i| i.elapsed_ms >= 600_000)).await;
    let told = |rows: &[mayday::domain::timeline::Row]| rows.iter().any(|r| r.kind == "clock.stepped");
    let begun = Instant::now();
    loop {
        let query = TimelineQuery { limit: 100, ..TimelineQuery::default() };
        let Answer::Timeline { rows, .. } = v.ask(Ask::Timeline(query)).await else { panic!() };
        if told(&rows) {
            break;
        }
        assert!(begun.elapsed() < WAIT, "the step is not in the timeline: {rows:#?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_that_dies_before_the_samples_are_sealed_leaves_it_to_the_next() {
    let mut w = World::start(CONFIG).await;
    std::fs::write(w.path("up"), "").unwrap();
    let mut v = w.viewer(Access::Responder).await.follow().await;
    v.until("up", |m| m.services.get("api").is_some_and(|s| s.state == Health::Up)).await;
    let Answer::Done { incident: Some(id), .. } = v.act(declare("x")).await else { panic!() };
    let samples = w.state().join("incidents").join(&id).join("samples.jsonl");
    until("samples", || samples.exists()).await;
    let resolve = Command::SetStatus { incident: None, status: Status::Resolved, reason: "x".into(), force: true };
    // The answer comes with the sync of the entry; the samples are sealed a tick later, which this engine does not see.
    let Answer::Done { .. } = v.act(resolve).await else { panic!("not resolved") };
    w.stop_engine().await;
    w.start_engine().await;
    let journal = w.state().join("journal.jsonl");
    let record = || std::fs::read_to_string(&journal).unwrap();
    until("the samples are sealed", || record().contains("incident.sealed")).await;
    let bytes = std::fs::read(&samples).unwrap();
    assert!(record().contains(&hex::encode(<sha2::Sha256 as sha2::Digest>::digest(&bytes))), "of the file as it is");
    let lines = bytes.iter().filter(|b| **b == b'\n').count();
    assert!(lines > 0 && record().contains(&format!("\"samples\":{lines}")), "{lines} samples");
    // Once is enough.
    w.stop_engine().await;
    w.start_engine().await;
    let mut v = w.viewer(Access::Responder).await.follow().await;
    v.act(note("after")).await;
    assert_eq!(record().matches("incident.sealed").count(), 1);
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < WAIT, "{what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// How long api has been down, by what a screen is told.
fn down_for(m: &Mirror) -> Option<i64> {
    m.services.get("api").and_then(|s| s.down_since).map(|since| m.at.ms_since(since))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_is_stepped_does_not_bend_how_long_a_service_is_down() {
    let mut w = World::start(CONFIG).await;
    let mut v = w.viewer(Access::Responder).await.follow().await;
    v.until("down", |m| m.services.get("api").is_some_and(|s| s.state == Health::Down)).await;
    w.clock.advance(120_000);
    v.act(declare("down for two minutes")).await;
    let about = |min: i64| move |m: &Mirror| down_for(m).is_some_and(|ms| (ms - min * 60_000).abs() < 10_000);
    v.until("two minutes", about(2)).await;
    // An hour back: at no moment is anything else told than two minutes and what passes.
    w.clock.set_wall(T0 - 3_600_000);
    v.until("the step", |m| m.at.ms() < T0 - 3_000_000).await;
    assert!(about(2)(&v.mirror), "{:?}", down_for(&v.mirror));
    // A day ahead, unseen by any engine.
    w.stop_engine().await;
    w.clock.set_wall(T0 + 86_400_000);
    w.clock.advance(60_000);
    w.start_engine().await;
    let mut v = w.viewer(Access::Responder).await.follow().await;
    assert!(about(3)(&v.mirror), "{:?}", down_for(&v.mirror));
    let elapsed = v.mirror.incidents.values().next().unwrap().elapsed_ms;
    assert!((60_000..70_000).contains(&elapsed), "{elapsed}");
    // Nor does the first result by the new clock bend it.
    let seen = v.mirror.services["api"].observed_at;
    v.until("probed anew", |m| m.services["api"].observed_at > seen.max(Some(m.at.minus(Duration::from_secs(5)))))
        .await;
    assert!(about(3)(&v.mirror), "{:?}", down_for(&v.mirror));
    // And after another boot the sum of the steps is known from the record.
    w.stop_engine().await;
    w.clock.reboot("boot-2", 60_000);
    w.start_engine().await;
    let v = w.viewer(Access::Responder).await.follow().await;
    let elapsed = v.mirror.incidents.values().next().unwrap().elapsed_ms;
    assert!((120_000..130_000).contains(&elapsed), "{elapsed}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_down_because_of_another_and_back() {
    let w = World::start(CONFIG).await;
    let mut v = w.viewer(Access::Responder).await.follow().await;
    let state = |m: &Mirror, s: &str| m.services.get(s).map(|s| s.state);
    v.until("both down", |m| state(m, "api") == Some(Health::Down) && state(m, "web") == Some(Health::Down)).await;
    v.until("the cause", |m| m.services["web"].because.as_deref() == Some("api")).await;
    let Answer::Done { incident: Some(id), .. } = v.act(declare("down")).await else { panic!() };
    let refused = v
        .act(Command::SetStatus { incident: None, status: Status::Resolved, reason: String::new(), force: false })
        .await;
    assert!(matches!(&refused, Answer::Refused(r) if r.reason.contains("api (tier 1) is down")), "{refused:?}");
    let Answer::Plan { plan, .. } = v.ask(Ask::Plan(Work::Restart { service: "api".into() })).await else { panic!() };
    let begin = |confirm: &str| Ask::Start {
        plan: plan.id.clone(),
        confirm: confirm.into(),
        reason: String::new(),
        unlogged: false,
    };
    assert!(matches!(v.ask(begin("")).await, Answer::Refused(_)), "a disruptive run needs its y");
    let Answer::Done { run: Some(run), .. } = v.ask(begin("y")).await else { panic!() };
    assert!(matches!(v.ask(begin("y")).await, Answer::Refused(_)), "a plan is started once");
    v.until("the run's end", |m| m.runs.get(&run).is_some_and(|r| r.state.is_over())).await;
    assert_eq!(v.mirror.runs[&run].state, RunState::Succeeded, "{:?}", v.mirror.runs[&run]);
    assert_eq!(v.mirror.runs[&run].verdict, Some(Verdict::Verified), "{:?}", v.mirror.runs[&run]);
    v.until("both up", |m| state(m, "api") == Some(Health::Up) && state(m, "web") == Some(Health::Up)).await;
    v.until("resolvable", |m| m.incidents[&id].against_resolving.is_empty()).await;
    v.act(Command::SetStatus { incident: None, status: Status::Resolved, reason: String::new(), force: false }).await;
    v.until("resolved", |m| m.incidents[&id].incident.status == Status::Resolved).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repeated_request_is_carried_out_once() {
    let w = World::start(CONFIG).await;
    let mut v = w.viewer(Access::Responder).await;
    let stream = tokio::net::UnixStream::connect(EngineFile::read(&w.state()).unwrap().unwrap().socket).await.unwrap();
    let (read, mut write) = stream.into_split();
    let mut read = tokio::io::BufReader::new(read);
    let hello = Hello {
        protocol: (1, 1),
        version: "test".into(),
        access: Access::Responder,
        client: "command".into(),
        sudo_user: Some("\u{1b}[31mmallory".into()),
        ssh_connection: None,
    };
    frame::write(&mut write, &hello).await.unwrap();
    assert!(matches!(frame::read::<Welcome, _>(&mut read, 1 << 20).await.unwrap(), Some(Welcome::Welcome { .. })));
    let request =
        mayday::wire::Request { id: 7, key: "once".into(), via: String::new(), ask: Ask::Do(declare("once")) };
    let mut seqs = Vec::new();
    for _ in 0..3 {
        frame::write(&mut write, &request).await.unwrap();
        let Some(FromEngine::Reply(reply)) = frame::read(&mut read, 1 << 20).await.unwrap() else { panic!() };
        let Answer::Done { seq, .. } = reply.answer else { panic!("{:?}", reply.answer) };
        seqs.push(seq);
    }
    assert_eq!(seqs, [seqs[0]; 3]);
    // What is not understood is answered, and the connection stays.
    tokio::io::AsyncWriteExt::write_all(&mut write, b"{\"id\":8,\"ask\":\"dance\"}\nnonsense\n").await.unwrap();
    for _ in 0..2 {
        let Some(FromEngine::Reply(reply)) = frame::read(&mut read, 1 << 20).await.unwrap() else { panic!() };
        assert!(matches!(reply.answer, Answer::Failed { .. }));
    }
    let Answer::Picture(change) = v.ask(Ask::Picture).await else { panic!() };
    assert_eq!(change.incidents.len(), 1);
    let journal = std::fs::read_to_string(w.state().join("journal.jsonl")).unwrap();
    assert!(!journal.contains("\\u001b"), "a claimed name is cleaned before it is written");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_protocols_are_told_which_side_to_change() {
    let w = World::start(CONFIG).await;
    for (protocol, word) in [((0, 0), "too old for the engine"), ((9, 12), "the engine")] {
        let socket = EngineFile::read(&w.state()).unwrap().unwrap().socket;
        let stream = tokio::net::UnixStream::connect(socket).await.unwrap();
        let (read, mut write) = stream.into_split();
        let mut read = tokio::io::BufReader::new(read);
        let hello = Hello {
            protocol,
            version: "9.9".into(),
            access: Access::Responder,
            client: "viewer".into(),
            sudo_user: None,
            ssh_connection: None,
        };
        frame::write(&mut write, &hello).await.unwrap();
        match frame::read::<Welcome, _>(&mut read, 1 << 20).await.unwrap() {
            Some(Welcome::No { reason, instead }) => assert!(reason.contains(word) && !instead.is_empty(), "{reason}"),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restarted_engine_knows_everything_and_carries_on() {
    let mut w = World::start(CONFIG).await;
    let mut v = w.viewer(Access::Responder).await.follow().await;
    let Answer::Done { incident: Some(id), .. } = v.act(declare("long one")).await else { panic!() };
    let Answer::Plan { plan, .. } = v.ask(Ask::Plan(Work::Act { action: "slow".into() })).await else { panic!() };
    let start = Ask::Start { plan: plan.id.clone(), confirm: "y".into(), reason: String::new(), unlogged: false };
    let Answer::Done { run: Some(run), .. } = v.ask(start).await else { panic!() };
    v.until("running", |m| m.runs.get(&run).is_some_and(|r| r.state == RunState::Running)).await;
    let epoch = v.mirror.epoch.clone();
    w.stop_engine().await;
    w.start_engine().await;
    let mut v = w.viewer(Access::Responder).await.follow().await;
    assert_ne!(v.mirror.epoch, epoch);
    assert_eq!(v.mirror.incidents[&id].incident.title, "long one");
    let file = std::fs::read_to_string(w.state().join("incidents").join(&id).join("timeline.md")).unwrap();
    assert_eq!(file.matches("declared").count(), 1, "what stands there is not written again: {file}");
    assert_eq!(v.mirror.runs[&run].state, RunState::Running);
    // The service it holds is still held, against everybody.
    let Answer::Plan { plan, .. } = v.ask(Ask::Plan(Work::Act { action: "slow".into() })).await else { panic!() };
    let start = Ask::Start { plan: plan.id, confirm: "y".into(), reason: String::new(), unlogged: false };
    let refused = v.ask(start).await;
    assert!(matches!(&refused, Answer::Refused(r) if r.reason.contains(&run)), "{refused:?}");
    v.act(Command::Cancel { run: run.clone(), reason: "enough".into() }).await;
    v.until("cancelled", |m| m.runs[&run].state == RunState::Cancelled).await;
    let Answer::Output(chunk) = v.ask(Ask::Output { run, offset: 0, limit: 1000 }).await else { panic!() };
    assert!(chunk.text.contains("begun") && chunk.over, "{chunk:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_that_does_not_exist_is_refused_in_the_plan() {
    let w = World::start(CONFIG).await;
    let mut v = w.viewer(Access::Responder).await;
    let Answer::Plan { plan, .. } = v.ask(Ask::Plan(Work::Act { action: "missing".into() })).await else { panic!() };
    assert!(plan.blockers().any(|p| p.detail.contains("/no/such/program")), "{:?}", plan.preconditions);
    let start = Ask::Start { plan: plan.id, confirm: "y".into(), reason: String::new(), unlogged: false };
    assert!(matches!(v.ask(start).await, Answer::Refused(_)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_save_keeps_the_old_configuration_and_is_told() {
    let w = World::start(CONFIG).await;
    let mut v = w.viewer(Access::Responder).await.follow().await;
    std::fs::write(w.path("mayday.toml"), "[system]\nname = \"shop\"\nbogus = 1\n").unwrap();
    v.until("the fault", |m| m.head.config_faults.iter().any(|f| f.contains("bogus"))).await;
    assert_eq!(v.mirror.services.len(), 2, "the old configuration stays in force");
    let dir = w.dir.path().display().to_string();
    let more = format!("{}\n[[service]]\nname = \"third\"\n", CONFIG.replace("DIR", &dir));
    std::fs::write(w.path("mayday.toml"), more).unwrap();
    v.until("the new one", |m| m.services.len() == 3 && m.head.config_faults.is_empty()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_without_a_good_configuration_still_takes_notes() {
    let mut w = World::start(CONFIG).await;
    w.stop_engine().await;
    std::fs::write(w.path("mayday.toml"), "this is [ not toml").unwrap();
    w.start_engine().await;
    let mut v = w.viewer(Access::Responder).await.follow().await;
    assert!(!v.mirror.head.config_faults.is_empty());
    assert_eq!(v.mirror.services.len(), 2, "the last good one is in force");
    assert!(matches!(v.act(note("still here")).await, Answer::Done { recorded: true, .. }));
    w.stop_engine().await;
    std::fs::remove_file(w.state().join("config.last.toml")).unwrap();
    w.start_engine().await;
    let mut v = w.viewer(Access::Responder).await.follow().await;
    assert!(matches!(v.act(declare_without("nothing configured")).await, Answer::Done { recorded: true, .. }));
}

fn declare_without(title: &str) -> Command {
    Command::Declare { title: title.into(), severity: None, services: Default::default(), onset: None }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_nobody_claimed_expires_and_a_pause_ends_by_itself() {
    let w = World::start(CONFIG).await;
    let mut v = w.viewer(Access::Responder).await.follow().await;
    let until = mayday::domain::Time::from_ms(T0 + 60_000);
    v.act(Command::Pause { service: "api".into(), until, reason: "upgrade".into() }).await;
    v.until("paused", |m| m.services["api"].state == Health::Paused).await;
    w.clock.advance(61_000);
    v.until("resumed", |m| m.services["api"].state != Health::Paused).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_engine_is_refused_and_a_stale_socket_is_taken_over() {
    let mut w = World::start(CONFIG).await;
    let options = Options {
        state_dir: w.state(),
        config: None,
        clock: Arc::new(w.clock.clone()),
        exe: PathBuf::from("mayday"),
        sandbox: false,
    };
    let told = engine::start(options).await.err().expect("refused").to_string();
    assert!(told.contains("an engine runs already"), "{told}");
    let file = EngineFile::read(&w.state()).unwrap().unwrap();
    w.stop_engine().await;
    let gone = Client::connect(&w.state(), "viewer", Access::Responder, WAIT).await.unwrap_err();
    assert!(matches!(gone, ConnectError::NotRunning(_)), "{gone}");
    // What a killed engine leaves behind: its file, and a socket nobody listens on.
    drop(std::os::unix::net::UnixListener::bind(&file.socket).unwrap());
    std::fs::write(w.state().join(EngineFile::NAME), serde_json::to_vec(&file).unwrap()).unwrap();
    let stale = Client::connect(&w.state(), "viewer", Access::Responder, WAIT).await.unwrap_err();
    assert!(matches!(stale, ConnectError::Stale { .. }), "{stale}");
    w.start_engine().await;
    w.viewer(Access::Responder).await;
}

/// Takes the journal away from the engine by putting a folder where its file was: every write fails from then on.
fn files(dir: &Path) -> Vec<String> {
    std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().to_string_lossy().into_owned()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn notes_spooled_while_no_engine_answered_are_taken_in() {
    let mut w = World::start(CONFIG).await;
    w.stop_engine().await;
    let spool = w.state().join("spool");
    std::fs::create_dir_all(&spool).unwrap();
    let kept = Command::Note {
        incident: None,
        text: "written in the dark".into(),
        happened_at: Some(mayday::domain::Time::from_ms(T0)),
    };
    std::fs::write(spool.join("1.json"), serde_json::to_vec(&kept).unwrap()).unwrap();
    std::fs::write(spool.join("2.json"), "rubbish").unwrap();
    w.start_engine().await;
    let mut v = w.viewer(Access::Responder).await.follow().await;
    let begun = Instant::now();
    loop {
        let query = TimelineQuery { limit: 100, ..TimelineQuery::default() };
        let Answer::Timeline { rows, .. } = v.ask(Ask::Timeline(query)).await else { panic!() };
        let found = rows.iter().filter(|r| r.text == "written in the dark").collect::<Vec<_>>();
        if let [row] = found.as_slice()
            && !files(&spool).contains(&"1.json".to_owned())
        {
            assert!(row.via.contains("spooled"), "{row:?}");
            break;
        }
        assert!(begun.elapsed() < WAIT, "not taken in: {rows:#?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(files(&spool).contains(&"2.unread".to_owned()), "what is no note is kept aside: {:?}", files(&spool));
    assert_eq!(v.mirror.head.recording, Recording::On);
}

async fn rows_of(v: &mut Viewer) -> Vec<mayday::domain::timeline::Row> {
    let query = TimelineQuery { limit: 1000, ..TimelineQuery::default() };
    match v.ask(Ask::Timeline(query)).await {
        Answer::Timeline { rows, .. } => rows,
        other => panic!("{other:?}"),
    }
}

/// What the record says now, folded from nothing.
fn replayed(state: &Path) -> mayday::domain::state::State {
    let reader = mayday::journal::Reader::open(state).unwrap();
    let entries: Vec<_> = reader.entries(1).unwrap().map(Result::unwrap).collect();
    mayday::domain::state::State::replay(entries.iter())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_happens_while_nothing_can_be_recorded_is_told_kept_and_numbered_as_it_will_be() {
    let w = World::start(CONFIG).await;
    let mut v = w.viewer(Access::Responder).await.follow().await;
    let Answer::Done { incident: Some(first), .. } = v.act(declare("before")).await else { panic!() };
    let Answer::Plan { plan, .. } = v.ask(Ask::Plan(Work::Act { action: "slow".into() })).await else { panic!() };
    let journal = w.state().join("journal.jsonl");
    let file = std::fs::File::options().read(true).write(true).open(&journal).unwrap();
    let whole = std::fs::read(&journal).unwrap();
    // Entries are gone from it: nothing is written behind that.
    file.set_len(whole.len() as u64 - 5).unwrap();
    // The one that finds out, and one after it.
    let mut seqs = Vec::new();
    for title in ["finds out", "after"] {
        let Answer::Done { seq, recorded: false, .. } = v.act(declare(title)).await else { panic!("{title}") };
        seqs.push((title, seq));
    }
    v.until("told in red", |m| matches!(m.head.recording, Recording::Off { .. })).await;
    let start = |unlogged| Ask::Start { plan: plan.id.clone(), confirm: "y".into(), reason: String::new(), unlogged };
    let refused = v.ask(start(false)).await;
    assert!(matches!(&refused, Answer::Refused(r) if r.instead.contains("unlogged")), "{refused:?}");
    let Answer::Done { run: Some(run), recorded: false, .. } = v.ask(start(true)).await else { panic!() };
    v.until("it runs all the same", |m| m.runs.get(&run).is_some_and(|r| r.state == RunState::Running)).await;
    assert!(v.mirror.runs[&run].unlogged);
    std::os::unix::fs::FileExt::write_all_at(&file, &whole, 0).unwrap();
    v.until("recording again", |m| m.head.recording == Recording::On).await;
    v.act(Command::Cancel { run: run.clone(), reason: String::new() }).await;
    v.until("cancelled", |m| m.runs[&run].state == RunState::Cancelled).await;
    let rows = rows_of(&mut v).await;
    let gap = rows.iter().position(|r| r.kind == "journal.gap").expect("the gap is told");
    assert!(rows[gap + 1].text.contains("finds out"), "the kept entries follow it: {rows:#?}");
    for (title, seq) in seqs {
        assert!(rows.iter().any(|r| r.seq == seq && r.text.contains(title)), "{title} {seq}: {rows:#?}");
    }
    let state = replayed(&w.state());
    for (id, view) in &v.mirror.incidents {
        let known = &state.incidents[id];
        assert_eq!(known.declared_seq, view.incident.declared_seq, "{id}");
        let own = rows.iter().filter(|r| r.incident.as_deref() == Some(id)).map(|r| r.seq).max();
        assert_eq!(own, Some(view.incident.last_seq), "{id}");
        let file = std::fs::read_to_string(w.state().join("incidents").join(id).join("timeline.md")).unwrap();
        for row in rows.iter().filter(|r| r.incident.as_deref() == Some(id) && r.kind == "incident.declared") {
            assert!(file.contains(&format!(" · {}\n", row.seq)), "{id}: {file}");
        }
    }
    assert!(v.mirror.incidents.contains_key(&first));
    assert!(mayday::journal::verify(&w.state(), None).unwrap().is_whole());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_large_notes_at_once_do_not_stop_the_record() {
    let w = World::start("[system]\nname = \"x\"\n").await;
    let text: Arc<str> = "0123456789abcde\n".repeat(3900).into();
    let mut tasks = Vec::new();
    for _ in 0..11 {
        let (state, text) = (w.state(), Arc::clone(&text));
        tasks.push(tokio::spawn(async move {
            let mut client = Client::connect(&state, "viewer", Access::Responder, WAIT).await.unwrap();
            let mut ids = std::collections::BTreeSet::new();
            for _ in 0..30 {
                ids.insert(client.send("test", Ask::Do(note(&text))).await.unwrap());
            }
            while !ids.is_empty() {
                match tokio::time::timeout(3 * WAIT, client.next()).await.unwrap().unwrap().unwrap() {
                    FromEngine::Reply(reply) => {
                        assert!(matches!(reply.answer, Answer::Done { recorded: true, .. }), "{:?}", reply.answer);
                        ids.remove(&reply.id);
                    }
                    FromEngine::Change(_) => {}
                }
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_comes_twice_at_once_is_done_once_and_both_are_told() {
    let w = World::start(CONFIG).await;
    let mut sockets = Vec::new();
    for _ in 0..4 {
        let socket = EngineFile::read(&w.state()).unwrap().unwrap().socket;
        let (read, mut write) = tokio::net::UnixStream::connect(socket).await.unwrap().into_split();
        let mut read = tokio::io::BufReader::new(read);
        let hello = Hello {
            protocol: (1, 1),
            version: "test".into(),
            access: Access::Responder,
            client: "command".into(),
            sudo_user: None,
            ssh_connection: None,
        };
        frame::write(&mut write, &hello).await.unwrap();
        frame::read::<Welcome, _>(&mut read, 1 << 20).await.unwrap().unwrap();
        sockets.push((read, write));
    }
    for round in 0..20 {
        let request =
            mayday::wire::Request { id: 1, key: format!("k{round}"), via: String::new(), ask: Ask::Do(note("one")) };
        for (_, write) in &mut sockets {
            frame::write(write, &request).await.unwrap();
        }
        let mut seqs = std::collections::BTreeSet::new();
        for (read, _) in &mut sockets {
            let Some(FromEngine::Reply(reply)) = frame::read(read, 1 << 20).await.unwrap() else { panic!() };
            let Answer::Done { seq, .. } = reply.answer else { panic!("{:?}", reply.answer) };
            seqs.insert(seq);
        }
        assert_eq!(seqs.len(), 1, "round {round}");
    }
    // Who asks and hangs up his asking side is still answered; a monstrous key is not remembered.
    let (mut read, mut write) = sockets.pop().unwrap();
    let request = mayday::wire::Request { id: 2, key: "k".repeat(1000), via: String::new(), ask: Ask::Do(note("no")) };
    frame::write(&mut write, &request).await.unwrap();
    let request = mayday::wire::Request { id: 3, key: String::new(), via: String::new(), ask: Ask::Do(note("last")) };
    frame::write(&mut write, &request).await.unwrap();
    tokio::io::AsyncWriteExt::shutdown(&mut write).await.unwrap();
    let mut answers = std::collections::BTreeMap::new();
    while let Some(FromEngine::Reply(reply)) = frame::read(&mut read, 1 << 20).await.unwrap() {
        answers.insert(reply.id, reply.answer);
    }
    assert!(matches!(answers[&2], Answer::Failed { .. }) && matches!(answers[&3], Answer::Done { .. }), "{answers:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_that_hangs_does_not_keep_the_cockpit_shut_and_a_renewed_one_is_taken_up() {
    let w = World::start(
        r#"
[system]
name = "x"
[defaults]
every = "300ms"
timeout = "200ms"
[[service]]
name = "api"
tier = 1
[[service.exec]]
run = ["sh", "-c", "test -e /"]
[[action]]
name = "show"
run = ["sh", "-c", "echo is $TOKEN; test $TOKEN = $(cat DIR/token)"]
env = { TOKEN = { file = "DIR/token" }, SLOW = { command = ["sh", "-c", "test -e DIR/go || sleep 3; echo slow-secret"] } }
"#,
    )
    .await;
    std::fs::write(w.path("token"), "first-secret-value\n").unwrap();
    let begun = Instant::now();
    let mut v = w.viewer(Access::Responder).await.follow().await;
    assert!(matches!(v.act(note("at once")).await, Answer::Done { .. }));
    assert!(begun.elapsed() < Duration::from_secs(2), "notes do not wait for secrets: {:?}", begun.elapsed());
    std::fs::write(w.path("go"), "").unwrap();
    std::fs::write(w.path("token"), "second-secret-value\n").unwrap();
    assert!(matches!(v.ask(Ask::Reload).await, Answer::Ok));
    v.until("set up", |m| m.services["api"].observed_at.is_some()).await;
    let Answer::Plan { plan, .. } = v.ask(Ask::Plan(Work::Act { action: "show".into() })).await else { panic!() };
    let start = Ask::Start { plan: plan.id.clone(), confirm: "y".into(), reason: String::new(), unlogged: false };
    let answer = v.ask(start).await;
    let Answer::Done { run: Some(run), .. } = answer else { panic!("{answer:?}") };
    v.until("its end", |m| m.runs.get(&run).is_some_and(|r| r.state.is_over())).await;
    assert_eq!(v.mirror.runs[&run].state, RunState::Succeeded, "{:?}", v.mirror.runs[&run]);
    assert!(support::files_containing(&w.state(), "second-secret").is_empty(), "the renewed secret is masked");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_ran_when_the_host_was_restarted_is_lost_and_what_was_only_asked_for_is_never_started() {
    let mut w = World::start(CONFIG).await;
    let mut v = w.viewer(Access::Responder).await.follow().await;
    let Answer::Plan { plan, .. } = v.ask(Ask::Plan(Work::Act { action: "slow".into() })).await else { panic!() };
    let start = Ask::Start { plan: plan.id.clone(), confirm: "y".into(), reason: String::new(), unlogged: false };
    let Answer::Done { run: Some(run), .. } = v.ask(start).await else { panic!() };
    v.until("running", |m| m.runs.get(&run).is_some_and(|r| r.state == RunState::Running)).await;
    w.stop_engine().await;
    // What a restart of the host leaves: no process, and the claim of another boot.
    let claim = w.state().join("runs").join(&run).join("claim");
    let text = std::fs::read_to_string(&claim).unwrap();
    let mut value: serde_json::Value = serde_json::from_str(&text).unwrap();
    let pid = i32::try_from(value["pid"].as_i64().unwrap()).unwrap();
    // SAFETY: the runner that this test had started.
    unsafe { libc::kill(pid, libc::SIGKILL) };
    value["boot"] = "00000000-1111-2222-3333-444444444444".into();
    std::fs::write(&claim, value.to_string()).unwrap();
    w.clock.reboot("boot-2", 60_000);
    w.start_engine().await;
    let mut v = w.viewer(Access::Responder).await.follow().await;
    v.until("lost", |m| m.runs[&run].state == RunState::Lost).await;
    assert!(v.mirror.runs[&run].detail.contains("restarted"), "{}", v.mirror.runs[&run].detail);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn asking_for_a_reload_tells_what_came_of_it() {
    let w = World::start(CONFIG).await;
    let mut v = w.viewer(Access::Responder).await.follow().await;
    assert!(matches!(v.ask(Ask::Reload).await, Answer::Ok));
    std::fs::write(w.path("mayday.toml"), "[system]\nname = \"shop\"\nbogus = 1\n").unwrap();
    let answer = v.ask(Ask::Reload).await;
    assert!(matches!(&answer, Answer::Failed { reason } if reason.contains("bogus")), "{answer:?}");
    v.until("told to all", |m| !m.head.config_faults.is_empty()).await;
    assert!(matches!(v.act(note("it goes on")).await, Answer::Done { .. }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fast_pair_of_saves_ends_with_the_second() {
    let w = World::start(CONFIG).await;
    let mut v = w.viewer(Access::Responder).await.follow().await;
    let dir = w.dir.path().display().to_string();
    for n in 0..6 {
        let more = format!("{}\n[[service]]\nname = \"extra{n}\"\n", CONFIG.replace("DIR", &dir));
        std::fs::write(w.path("mayday.toml"), more).unwrap();
        v.client.send("test", Ask::Reload).await.unwrap();
    }
    v.until("the last", |m| m.services.contains_key("extra5")).await;
    let Answer::Ok = v.ask(Ask::Reload).await else { panic!() };
    assert_eq!(v.mirror.services.keys().filter(|k| k.starts_with("extra")).count(), 1);
    v.until("still looked at", |m| m.services["api"].observed_at.is_some()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_is_not_on_record_waits_and_one_that_is_goes_out() {
    let server = support::HttpScript::start(vec![support::Answer::ok("fine")]);
    let w = World::start(&format!(
        "[system]\nname = \"x\"\n[[channel]]\nname = \"hook\"\nwebhook = {{ url = \"{}\" }}\nauto = [\"declared\"]\n",
        server.url("/hook")
    ))
    .await;
    let mut v = w.viewer(Access::Responder).await.follow().await;
    // By configuration, at the declaration.
    let Answer::Done { incident: Some(_), .. } = v.act(declare_without("down")).await else { panic!() };
    v.until("delivered", |m| m.messages.values().any(mayday::domain::message::Message::is_done)).await;
    assert_eq!(server.requests().len(), 1);
    let journal = w.state().join("journal.jsonl");
    let file = std::fs::File::options().read(true).write(true).open(&journal).unwrap();
    let whole = std::fs::read(&journal).unwrap();
    file.set_len(whole.len() as u64 - 5).unwrap();
    let send = Command::Send {
        incident: None,
        template: mayday::domain::message::Template::Update,
        subject: "still down".into(),
        body: "we are on it".into(),
        channels: vec!["hook".into()],
    };
    let Answer::Done { message: Some(id), recorded: false, .. } = v.act(send).await else { panic!() };
    v.until("told", |m| matches!(m.head.recording, Recording::Off { .. })).await;
    // A further turn of the engine, in which it could have gone out.
    assert!(matches!(v.act(note("wait")).await, Answer::Done { recorded: false, .. }));
    assert_eq!(server.requests().len(), 1, "what is not on record is not sent");
    std::os::unix::fs::FileExt::write_all_at(&file, &whole, 0).unwrap();
    v.until("delivered in the end", |m| m.messages.get(&id).is_some_and(|m| m.is_done())).await;
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_whose_file_could_not_be_written_is_found_all_the_same() {
    let w = World::start(CONFIG).await;
    std::fs::remove_file(w.state().join(EngineFile::NAME)).unwrap();
    let mut v = w.viewer(Access::Responder).await;
    assert!(matches!(v.act(note("found")).await, Answer::Done { .. }));
    std::fs::write(w.state().join(EngineFile::NAME), "").unwrap();
    w.viewer(Access::Responder).await;
}

#[test]
fn four_commands_at_once_on_a_fresh_machine_share_one_engine() {
    let home = support::Home::new();
    home.write_config("[system]\nname = \"x\"\n");
    let commands: Vec<_> = (0..4)
        .map(|n| {
            let mut command = home.mayday(&["note", &format!("note {n}")]);
            command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap()
        })
        .collect();
    for command in commands {
        let done = command.wait_with_output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }
    let second = home.mayday(&["engine", "run"]).output().unwrap();
    assert_eq!(second.status.code(), Some(3), "the lock is a refusal: {}", String::from_utf8_lossy(&second.stderr));
    let status = home.mayday(&["status"]).output().unwrap();
    assert!(!String::from_utf8_lossy(&status.stdout).contains(" d "), "nothing began in 1970");
    // A folder named relative to where the person stands is the same one for the engine.
    let near = home.mayday(&["--state-dir", "near", "note", "here"]).output().unwrap();
    assert!(near.status.success(), "{}", String::from_utf8_lossy(&near.stderr));
    assert!(home.work().join("near/journal.jsonl").is_file());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mirror_that_does_not_get_on_is_told_until_it_does() {
    let config = format!("{CONFIG}[journal]\nmirror = \"DIR/other/record.jsonl\"\n");
    let w = World::start(&config).await;
    let mut v = w.viewer(Access::Responder).await.follow().await;
    let told = |m: &Mirror| m.head.warnings.iter().any(|w| w.contains("its mirror") && w.contains("record.jsonl"));
    v.until("the missing folder is told", told).await;
    let Answer::Done { recorded: true, .. } = v.act(note("goes on all the same")).await else { panic!() };
    std::fs::create_dir(w.path("other")).unwrap();
    v.until("it is mended", |m| !told(m)).await;
    let has = |text: &str| std::fs::read_to_string(w.path("other/record.jsonl")).is_ok_and(|t| t.contains(text));
    until("it has caught up", || has("goes on all the same")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mirror_command_that_ends_is_told_with_what_it_lacks() {
    let run = "test -e DIR/mounted || { echo no such disk >&2; exit 7; }; cat >> DIR/record.jsonl";
    let config = format!("{CONFIG}[journal]\nmirror = {{ run = [\"sh\", \"-c\", \"{run}\"] }}\n");
    let w = World::start(&config).await;
    let mut v = w.viewer(Access::Responder).await.follow().await;
    let told = |m: &Mirror, words: &str| m.head.warnings.iter().any(|w| w.contains("its mirror") && w.contains(words));
    v.until("its last words are told", |m| told(m, "no such disk")).await;
    let Answer::Done { seq, recorded: true, .. } = v.act(note("goes on all the same")).await else { panic!() };
    v.until("what it lacks is told", |m| {
        (seq..seq + 20).any(|last| told(m, &format!("lacks entries 1 to {last}: feed the journal to sh: it ended")))
    })
    .await;
    std::fs::write(w.path("mounted"), "").unwrap();
    v.until("it is mended", |m| !told(m, "")).await;
    let has = |text: &str| std::fs::read_to_string(w.path("record.jsonl")).is_ok_and(|t| t.contains(text));
    until("it has caught up", || has("goes on all the same")).await;
}
