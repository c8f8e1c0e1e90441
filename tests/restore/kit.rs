//! A configuration, a sink that remembers, and running plans as the runner does: phase by phase, and what is left open
//! taken back at the end.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use mayday::config::{
    Backup, BackupSource, Config, FilesSource, FolderRestore, MaybeSecret, PostgresRestore, Restore, SecretRef,
};
use mayday::domain::Time;
use mayday::domain::backup::Copy;
use mayday::domain::command::Refusal;
use mayday::domain::run::{Checked, Phase, Plan, Run, RunState, Side, Step, Verdict, Work};
use mayday::recovery::op::{Compensation, OpContext, OpError, Sink};
use mayday::recovery::plan::{PlanContext, Planned};
use mayday::recovery::restore;
use mayday::sys::clock;
use secrecy::{ExposeSecret, SecretString};
use tokio_util::sync::CancellationToken;

use crate::support::postgres::PASSWORD;
use crate::support::{Postgres, scratch};

/// What a run said and left.
#[derive(Default)]
pub struct Told {
    pub lines: Vec<String>,
    pub sides: Vec<Side>,
    pub gone: Vec<String>,
    pub open: Option<Compensation>,
    /// Every compensation that was ever open, in order.
    pub opened: Vec<Compensation>,
    pub progress: Vec<(u64, u64, String)>,
}

type Watch = Box<dyn Fn(&str) + Send + Sync>;

/// Remembers everything; a watch is called with every line and with the name of every progress.
#[derive(Default)]
pub struct TestSink {
    pub told: Mutex<Told>,
    watch: Mutex<Option<Watch>>,
}

impl TestSink {
    fn watch(&self, text: &str) {
        if let Some(watch) = &*self.watch.lock().unwrap() {
            watch(text);
        }
    }
}

impl Sink for TestSink {
    fn line(&self, text: &str) {
        self.told.lock().unwrap().lines.push(text.to_owned());
        self.watch(text);
    }
    fn progress(&self, done: u64, total: u64, what: &str) {
        self.told.lock().unwrap().progress.push((done, total, what.to_owned()));
        self.watch(what);
    }
    fn side(&self, side: &Side) -> std::io::Result<()> {
        let mut told = self.told.lock().unwrap();
        told.sides.retain(|s| s.name != side.name);
        told.sides.push(side.clone());
        Ok(())
    }
    fn gone(&self, name: &str) -> std::io::Result<()> {
        let mut told = self.told.lock().unwrap();
        told.sides.retain(|s| s.name != name);
        told.gone.push(name.to_owned());
        Ok(())
    }
    fn compensation(&self, what: Option<&Compensation>) -> std::io::Result<()> {
        let mut told = self.told.lock().unwrap();
        told.open = what.cloned();
        told.opened.extend(what.cloned());
        drop(told);
        self.watch(if what.is_some() { "compensation opened" } else { "compensation closed" });
        Ok(())
    }
}

/// A system with one backup, and the runs made so far.
pub struct Desk {
    pub dir: tempfile::TempDir,
    pub ctx: PlanContext,
    runtime: tokio::runtime::Runtime,
}

/// How a run ended.
pub struct Ended {
    pub id: String,
    pub plan: Plan,
    pub result: Result<Vec<String>, OpError>,
    pub sink: Arc<TestSink>,
}

impl Ended {
    /// What was verified; fails the test when the run did not succeed.
    #[track_caller]
    pub fn verified(&self) -> String {
        match &self.result {
            Ok(said) => said.join("; "),
            Err(e) => panic!("{}: {e}\n{}", self.plan.title, self.output()),
        }
    }

    /// Why it failed; fails the test when it succeeded.
    #[track_caller]
    pub fn error(&self) -> String {
        match &self.result {
            Ok(said) => panic!("{} should have failed: {said:?}\n{}", self.plan.title, self.output()),
            Err(e) => e.to_string(),
        }
    }

    pub fn output(&self) -> String {
        self.sink.told.lock().unwrap().lines.join("\n")
    }

    pub fn side(&self) -> Side {
        let told = self.sink.told.lock().unwrap();
        told.sides.first().cloned().unwrap_or_else(|| panic!("{} left nothing", self.plan.title))
    }

    pub fn open(&self) -> Option<Compensation> {
        self.sink.told.lock().unwrap().open.clone()
    }
}

impl Desk {
    /// A desk for a PostgreSQL database of this server.
    pub fn postgres(server: &Postgres, database: &str, verify: &[&str]) -> Desk {
        let restore = Restore::PostgresDump(PostgresRestore {
            database: database.to_owned(),
            dsn: MaybeSecret::Plain(format!("postgres://postgres@127.0.0.1:{}/postgres", server.port())),
            password: Some(SecretRef::Literal(PASSWORD.into())),
            verify: verify.iter().map(|v| (*v).to_owned()).collect(),
            only: Vec::new(),
            amcheck: None,
            jobs: Some(2),
            grace: None,
            timeout: None,
            extra_ca: Vec::new(),
        });
        Desk::new(restore)
    }

    pub fn folder(live: &Path, strip: u32, verify: &[&[&str]]) -> Desk {
        let own = |argv: &&[&str]| argv.iter().map(|a| (*a).to_owned()).collect();
        let verify = verify.iter().map(own).collect();
        Desk::new(Restore::Folder(FolderRestore {
            path: live.to_path_buf(),
            strip,
            verify,
            ..FolderRestore::default()
        }))
    }

    pub fn new(restore: Restore) -> Desk {
        mayday::sys::tls::install_provider();
        let dir = scratch();
        let copies = dir.path().join("copies");
        std::fs::create_dir(&copies).unwrap();
        let files = FilesSource { path: copies, pattern: "*".into(), ..FilesSource::default() };
        let backup = Backup {
            name: "full".into(),
            service: None,
            rpo: Some(std::time::Duration::from_secs(3600)),
            every: None,
            grace: None,
            head_start: None,
            warm_up: Vec::new(),
            smoke: Vec::new(),
            source: BackupSource::Files(files),
            restore: Some(restore),
        };
        let config = Config { backups: vec![backup], ..Config::default() };
        let ctx = PlanContext {
            config: Arc::new(config),
            now: Time::from_ms(clock::now_ms()),
            state_dir: dir.path().join("state"),
            ..PlanContext::default()
        };
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        Desk { dir, ctx, runtime }
    }

    /// Changes the configured restore.
    pub fn configure(&mut self, change: impl FnOnce(&mut Restore)) {
        let mut config = (*self.ctx.config).clone();
        change(config.backups[0].restore.as_mut().unwrap());
        self.ctx.config = Arc::new(config);
    }

    pub fn configure_folder(&mut self, change: impl FnOnce(&mut FolderRestore)) {
        self.configure(|r| match r {
            Restore::Folder(f) => change(f),
            _ => panic!("no folder"),
        });
    }

    /// Another source of copies; what it lists now is what can be restored.
    pub fn source(&mut self, source: BackupSource) {
        let mut config = (*self.ctx.config).clone();
        config.backups[0].source = source;
        let listed = mayday::backup::source_of(&config.backups[0]).list(100, &Default::default()).unwrap();
        self.ctx.copies.insert("full".into(), listed.copies.into_iter().map(|s| s.found.copy).collect());
        self.ctx.config = Arc::new(config);
    }

    pub fn configure_pg(&mut self, change: impl FnOnce(&mut PostgresRestore)) {
        self.configure(|r| match r {
            Restore::PostgresDump(r) => change(r),
            _ => panic!("no dump"),
        });
    }

    /// Where a copy of this name is to be put.
    pub fn copy_path(&self, name: &str) -> PathBuf {
        self.dir.path().join("copies").join(name)
    }

    /// Lists what lies in the folder of copies now, as the catalogue would: this one the newest.
    pub fn list(&mut self, name: &str) {
        let path = self.copy_path(name);
        let size = if path.is_dir() { 0 } else { path.metadata().map(|m| m.len()).unwrap_or(0) };
        let copy = Copy {
            id: name.to_owned(),
            place: path.display().to_string(),
            taken_at: Time::from_ms(clock::now_ms() - 7_200_000),
            size,
            suspect: None,
            ..Copy::default()
        };
        self.ctx.copies.entry("full".into()).or_default().insert(0, copy);
    }

    #[track_caller]
    pub fn plan(&mut self, work: &Work) -> Planned {
        self.try_plan(work).unwrap_or_else(|e| panic!("{work:?}: {e}"))
    }

    pub fn try_plan(&mut self, work: &Work) -> Result<Planned, Refusal> {
        static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let n = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        self.ctx.run_id = format!("r{n}x{}", std::process::id() % 10_000);
        self.ctx.now = Time::from_ms(clock::now_ms());
        self.runtime.block_on(restore::plan(&self.ctx, work))
    }

    /// Plans and runs; fails the test when something stands against the plan.
    #[track_caller]
    pub fn run(&mut self, work: &Work) -> Ended {
        let planned = self.plan(work);
        let against: Vec<String> = planned.plan.blockers().map(|p| format!("{}: {}", p.name, p.detail)).collect();
        assert!(against.is_empty(), "{}: {against:?}", planned.plan.title);
        self.execute(planned)
    }

    /// Runs a plan whatever stands against it.
    pub fn execute(&mut self, planned: Planned) -> Ended {
        self.execute_with(planned, CancellationToken::new(), |_, _| {})
    }

    /// Runs a plan; `watch` hears every line and progress, and may cancel. As in the runner, what is open at the end is
    /// taken back.
    pub fn execute_with(
        &mut self,
        planned: Planned,
        cancel: CancellationToken,
        watch: impl Fn(&str, &CancellationToken) + Send + Sync + 'static,
    ) -> Ended {
        let (ctx, sink) = self.op_context(&planned);
        let ctx = OpContext { cancel: cancel.clone(), ..ctx };
        *sink.watch.lock().unwrap() = Some(Box::new(move |text| watch(text, &cancel)));
        let started = Time::from_ms(clock::now_ms());
        let result = self.runtime.block_on(phases(&planned.plan.phases, &ctx));
        sink.watch.lock().unwrap().take();
        let open = sink.told.lock().unwrap().open.clone();
        if let Some(open) = open {
            let ctx = OpContext { cancel: CancellationToken::new(), ..ctx };
            let _ = self.runtime.block_on(restore::execute(&open.op, &open.args, &ctx));
        }
        self.note(&planned.plan, &result, &sink, started);
        Ended { id: planned.plan.id.clone(), plan: planned.plan, result, sink }
    }

    /// The context of a run's operations, and its sink.
    pub fn op_context(&self, planned: &Planned) -> (OpContext, Arc<TestSink>) {
        let run_dir = self.ctx.state_dir.join("runs").join(&planned.plan.id);
        std::fs::create_dir_all(&run_dir).unwrap();
        let sink = Arc::new(TestSink::default());
        let secrets: BTreeMap<String, SecretString> = planned
            .secrets
            .iter()
            .map(|(name, from)| match from {
                SecretRef::Literal(value) => (name.clone(), value.clone()),
                other => panic!("{name} comes from {}", other.describe()),
            })
            .collect();
        let ctx = OpContext {
            run: planned.plan.id.clone(),
            dir: run_dir,
            secrets,
            sink: sink.clone(),
            cancel: CancellationToken::new(),
        };
        (ctx, sink)
    }

    /// Executes one operation.
    pub fn op(&self, op: &str, args: &serde_json::Value, ctx: &OpContext) -> Result<Option<String>, OpError> {
        self.runtime.block_on(restore::execute(op, args, ctx)).map(|d| d.verified)
    }

    /// What the engine would know of the run afterwards.
    pub fn note(&mut self, plan: &Plan, result: &Result<Vec<String>, OpError>, sink: &TestSink, started: Time) {
        let told = sink.told.lock().unwrap();
        for run in &mut self.ctx.runs {
            run.sides.retain(|s| !told.gone.contains(&s.name) && told.sides.iter().all(|n| n.name != s.name));
        }
        let state = match result {
            Ok(_) | Err(OpError::Contradicted(_)) => RunState::Succeeded,
            Err(OpError::Failed(_)) => RunState::Failed,
            Err(OpError::Cancelled) => RunState::Cancelled,
        };
        self.ctx.runs.push(Run {
            plan: plan.clone(),
            incident: None,
            requested_at: plan.made_at,
            requested_by: "test".into(),
            requested_seq: 0,
            requested_boot: String::new(),
            state,
            started_at: Some(started),
            finished_at: Some(Time::from_ms(clock::now_ms())),
            phase: 0,
            exit: None,
            verdict: Some(Verdict::Verified),
            detail: String::new(),
            cancel_requested: false,
            superseded: false,
            sides: told.sides.clone(),
            largest: told.sides.iter().map(|s| s.size).max().unwrap_or(0),
            unlogged: false,
            of_step: None,
            head_start: false,
        });
    }

    pub fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }
}

/// Executes native phases in order.
pub async fn phases(phases: &[Phase], ctx: &OpContext) -> Result<Vec<String>, OpError> {
    let mut verified = Vec::new();
    for phase in phases {
        let Step::Native { op, args, .. } = &phase.step else { panic!("{} is a command", phase.name) };
        if ctx.cancel.is_cancelled() {
            return Err(OpError::Cancelled);
        }
        verified.extend(restore::execute(op, args, ctx).await?.verified);
    }
    Ok(verified)
}

/// Runs a plan in a process of its own, which is killed (SIGKILL, by itself) when it says or does `at`. Returns what was
/// open by then, as it stood on disk.
pub fn killed_at(desk: &Desk, planned: &Planned, at: &str) -> Option<Compensation> {
    let output = ordered(desk, planned, at).output().unwrap();
    use std::os::unix::process::ExitStatusExt;
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.signal(), Some(libc::SIGKILL), "it was not killed at \"{at}\":\n{said}");
    open_of(desk, planned)
}

/// The process that runs a plan and kills itself when it says or does `at`.
pub fn ordered(desk: &Desk, planned: &Planned, at: &str) -> std::process::Command {
    let (ctx, _) = desk.op_context(planned);
    let secrets: BTreeMap<&str, &str> = ctx.secrets.iter().map(|(n, v)| (n.as_str(), v.expose_secret())).collect();
    let order = serde_json::json!({ "phases": planned.plan.phases, "secrets": secrets, "dir": ctx.dir, "run": ctx.run, "at": at });
    let file = ctx.dir.join("order.json");
    std::fs::write(&file, order.to_string()).unwrap();
    let mut child = std::process::Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "kit::a_run_that_is_killed", "--nocapture", "--test-threads=1"]).env(ORDER, &file);
    child
}

/// What such a process left open.
pub fn open_of(desk: &Desk, planned: &Planned) -> Option<Compensation> {
    let (ctx, _) = desk.op_context(planned);
    let journal = std::fs::read_to_string(ctx.dir.join("journal")).unwrap_or_default();
    journal.lines().last().and_then(|l| serde_json::from_str(l).unwrap())
}

const ORDER: &str = "MAYDAY_TEST_KILLED_RUN";

/// Keeps the open compensation on disk, and dies at a word.
struct Dying {
    at: String,
    journal: PathBuf,
}

impl Dying {
    fn hear(&self, text: &str) {
        eprintln!("{text}");
        if text.contains(&self.at) {
            // SAFETY: a plain system call on this process.
            unsafe { libc::kill(std::process::id().cast_signed(), libc::SIGKILL) };
            std::thread::park();
        }
    }
}

impl Sink for Dying {
    fn line(&self, text: &str) {
        self.hear(text);
    }
    fn progress(&self, _: u64, _: u64, what: &str) {
        self.hear(what);
    }
    fn side(&self, _: &Side) -> std::io::Result<()> {
        Ok(())
    }
    fn gone(&self, _: &str) -> std::io::Result<()> {
        Ok(())
    }
    fn compensation(&self, what: Option<&Compensation>) -> std::io::Result<()> {
        use std::io::Write;
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(&self.journal)?;
        writeln!(file, "{}", serde_json::to_string(&what).unwrap())?;
        file.sync_all()?;
        self.hear(if what.is_some() { "compensation opened" } else { "compensation closed" });
        Ok(())
    }
}

/// Not a test of its own: what [`killed_at`] starts.
#[test]
fn a_run_that_is_killed() {
    let Ok(order) = std::env::var(ORDER) else { return };
    let order: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(order).unwrap()).unwrap();
    let dir = PathBuf::from(order["dir"].as_str().unwrap());
    let list: Vec<Phase> = serde_json::from_value(order["phases"].clone()).unwrap();
    let secrets: BTreeMap<String, String> = serde_json::from_value(order["secrets"].clone()).unwrap();
    let ctx = OpContext {
        run: order["run"].as_str().unwrap().to_owned(),
        dir: dir.clone(),
        secrets: secrets.into_iter().map(|(n, v)| (n, SecretString::from(v))).collect(),
        sink: Arc::new(Dying { at: order["at"].as_str().unwrap().to_owned(), journal: dir.join("journal") }),
        cancel: CancellationToken::new(),
    };
    mayday::sys::tls::install_provider();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let ended = runtime.block_on(phases(&list, &ctx));
    eprintln!("it ended: {ended:?}");
}

pub fn restore_of(copy: &str) -> Work {
    Work::Restore { backup: "full".into(), copy: Some(copy.to_owned()), test: false, to: None, only: Vec::new() }
}

pub fn test_of(copy: &str) -> Work {
    Work::Restore { backup: "full".into(), copy: Some(copy.to_owned()), test: true, to: None, only: Vec::new() }
}

/// The precondition of this name.
#[track_caller]
pub fn check<'a>(plan: &'a Plan, name: &str) -> (Checked, &'a str) {
    let found = plan.preconditions.iter().find(|p| p.name == name);
    let found = found.unwrap_or_else(|| panic!("no precondition {name}: {:?}", plan.preconditions));
    (found.result, found.detail.as_str())
}
