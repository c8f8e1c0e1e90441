//! Writers, runs and a hand that kills.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use mayday::domain::Access;
use mayday::domain::command::Command;
use mayday::domain::run::Work;
use mayday::wire::{Answer, Ask, Client};

use super::support::cockpit::is_over;
use super::support::{Cockpit, PATIENCE, wait_until};
use super::{Dice, kill, rounds, runners};

const ACTIONS: usize = 400;
const ROUNDS: u64 = 25;
const WRITERS: usize = 3;

fn config() -> String {
    let mut text = String::from(
        "[system]\nname = \"shop\"\n[[service]]\nname = \"api\"\ntier = 1\n[[service.exec]]\nrun = [\"true\"]\nevery = \"1s\"\ntimeout = \"900ms\"\n",
    );
    for n in 0..ACTIONS {
        // Some are hit in their middle, some between phases, some before they begin.
        let pause = ["0", "0.05", "0.4"][n % 3];
        text.push_str(&format!(
            "[[action]]\nname = \"a{n}\"\nrisk = \"observe\"\nrun = [\"sh\", \"-c\", \"sleep {pause}; echo {n} >> HOME/lines; sleep {pause}\"]\n"
        ));
    }
    text
}

#[derive(Default)]
struct Told {
    /// Text → the position it was acknowledged with.
    notes: BTreeMap<String, u64>,
    /// Run id → action.
    runs: BTreeMap<String, usize>,
}

#[test]
fn nothing_acknowledged_is_lost_and_nothing_runs_twice() {
    let mut dice = Dice::new();
    let shop = Cockpit::new(&config());
    let begun = std::time::Instant::now();
    let incident = shop.run(&["incident", "declare", "storm"]).ok().line();
    let told = Mutex::new(Told::default());
    let over = AtomicBool::new(false);
    let next_action = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let (shop, told, over, next_action) = (&shop, &told, &over, &next_action);
            scope.spawn(move || write(shop, writer, told, over, next_action));
        }
        // A failure in here must not leave the writers running for ever.
        let _over = Ends(&over);
        let mut elapsed = 0;
        for round in 0..rounds(ROUNDS) {
            dice.pass(Duration::from_millis(700));
            let blow = dice.below(4);
            eprintln!("round {round}: blow {blow}, T+ {elapsed} ms, {:?}", begun.elapsed());
            if blow != 0
                && let Some(pid) = runners(&shop.home).last()
            {
                kill(*pid);
            }
            if blow != 1
                && let Some(pid) = shop.engine_pid().filter(|pid| is_engine(*pid))
            {
                kill(pid);
            }
            // At any moment, whoever writes just now: what is there is whole.
            shop.verify();
            elapsed = not_backwards(&shop, &incident, elapsed, round);
        }
    });
    let told = told.into_inner().unwrap();
    eprintln!("{} notes and {} runs were acknowledged", told.notes.len(), told.runs.len());
    assert!(told.notes.len() > 20 && told.runs.len() > 5, "the storm was no storm");
    wait_until("every run is over", Duration::from_secs(60), || {
        let runs = shop.run(&["runs", "--json"]).ok().json();
        runs.as_array().unwrap().iter().all(|r| is_over(r["state"].as_str().unwrap()))
    });
    shop.verify();
    accounts(&shop, &told);
}

/// Ends the writers when dropped.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Only what still is an engine is killed: the number in the file may belong to somebody else by now.
fn is_engine(pid: i32) -> bool {
    let cmdline = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&cmdline).contains("engine\0run")
}

/// Starts an engine where none runs, and gives the T+ of the incident in milliseconds.
fn not_backwards(shop: &Cockpit, incident: &str, before: u64, round: u64) -> u64 {
    // Nobody else kills meanwhile: this thread is the hand that does.
    let shown = shop.run(&["incident", "show", incident, "--json"]).ok().json();
    let elapsed = shown["incident"]["elapsed_ms"].as_u64().unwrap();
    assert!(elapsed >= before, "round {round}: T+ went back from {before} to {elapsed} ms");
    elapsed
}

fn write(shop: &Cockpit, writer: usize, told: &Mutex<Told>, over: &AtomicBool, next_action: &AtomicU64) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (mut n, mut misses) = (0, 0);
    while !over.load(Ordering::SeqCst) {
        let wait = Duration::from_secs(5);
        let connected = runtime.block_on(Client::connect(&shop.state(), "command", Access::Responder, wait));
        let Ok(mut client) = connected else {
            misses += 1;
            assert!(misses < 2000, "no engine could be reached any more");
            // Several start one at once; one wins, and the others find it.
            let started = shop.run(&["engine", "start"]);
            assert!(
                started.code == 0 || started.err.contains("ended at once") || started.err.contains("gone"),
                "{started:#?}"
            );
            continue;
        };
        runtime.block_on(async {
            while !over.load(Ordering::SeqCst) {
                n += 1;
                let text = format!("note {n} of writer {writer}");
                let note = Command::Note { incident: None, text: text.clone(), happened_at: None };
                match client.ask("test", Ask::Do(note), wait).await {
                    Ok(Answer::Done { seq, recorded: true, .. }) => {
                        told.lock().unwrap().notes.insert(text, seq);
                    }
                    Ok(Answer::Failed { .. }) | Err(_) => return,
                    Ok(other) => panic!("{other:?}"),
                }
                // People and scripts pause between two notes; the journal must stay small enough to be read every round.
                tokio::time::sleep(Duration::from_millis(10)).await;
                if n % 10 == writer {
                    let action = next_action.fetch_add(1, Ordering::SeqCst) as usize;
                    if action >= ACTIONS || !begin(&mut client, action, told).await {
                        return;
                    }
                }
            }
        });
    }
}

async fn begin(client: &mut Client, action: usize, told: &Mutex<Told>) -> bool {
    let wait = Duration::from_secs(5);
    let work = Work::Act { action: format!("a{action}") };
    let Ok(Answer::Plan { plan, .. }) = client.ask("test", Ask::Plan(work), wait).await else { return false };
    let start = Ask::Start { plan: plan.id, confirm: String::new(), reason: String::new(), unlogged: false };
    match client.ask("test", start, wait).await {
        Ok(Answer::Done { run: Some(run), recorded: true, .. }) => {
            told.lock().unwrap().runs.insert(run, action);
            true
        }
        Ok(Answer::Failed { .. }) | Err(_) => false,
        Ok(other) => panic!("{other:?}"),
    }
}

/// Holds journal, picture and the lines that the runs wrote against what was told.
fn accounts(shop: &Cockpit, told: &Told) {
    let entries = shop.entries();
    let seqs: Vec<u64> = entries.iter().map(|e| e["seq"].as_u64().unwrap()).collect();
    assert_eq!(seqs, (1..=seqs.len() as u64).collect::<Vec<_>>(), "positions without holes");
    let by_seq: BTreeMap<u64, &serde_json::Value> = entries.iter().map(|e| (e["seq"].as_u64().unwrap(), e)).collect();
    for (text, seq) in &told.notes {
        assert_eq!(by_seq[seq]["payload"]["text"], text.as_str(), "entry {seq} is another");
    }
    let of = |kind: &str| entries.iter().filter(|e| e["kind"] == kind).collect::<Vec<_>>();
    let mut requested = BTreeMap::new();
    for entry in of("run.requested") {
        let plan = &entry["payload"]["plan"];
        let action: usize = plan["work"]["action"].as_str().unwrap()[1..].parse().unwrap();
        requested.insert(plan["id"].as_str().unwrap().to_owned(), action);
    }
    for run in told.runs.keys() {
        assert!(requested.contains_key(run), "run {run} was acknowledged and is not on record");
    }
    let mut finished: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for entry in of("run.finished") {
        let (run, state) = (&entry["payload"]["run"], &entry["payload"]["state"]);
        finished.entry(run.as_str().unwrap().into()).or_default().push(state.as_str().unwrap().into());
    }
    let lines = std::fs::read_to_string(shop.path("lines")).unwrap_or_default();
    let mut written: BTreeMap<usize, usize> = BTreeMap::new();
    for line in lines.lines() {
        *written.entry(line.parse().unwrap()).or_default() += 1;
    }
    let mut endings: BTreeMap<&str, usize> = BTreeMap::new();
    for (run, action) in &requested {
        let ends = finished.get(run).unwrap_or_else(|| panic!("run {run} has no end on record"));
        assert_eq!(ends.len(), 1, "run {run} ended more than once: {ends:?}");
        let times = written.remove(action).unwrap_or(0);
        assert!(times <= 1, "run {run} was executed {times} times");
        match ends[0].as_str() {
            "succeeded" => assert_eq!(times, 1, "run {run} succeeded without a trace"),
            "expired" => assert_eq!(times, 0, "run {run} expired and was executed"),
            "lost" | "failed" => {}
            other => panic!("run {run} ended {other}"),
        }
        *endings.entry(ends[0].as_str()).or_default() += 1;
    }
    assert!(written.is_empty(), "executed without a request on record: {written:?}");
    eprintln!("{endings:?}");
    let known: BTreeSet<String> = shop
        .run(&["runs", "--json"])
        .ok()
        .json()
        .as_array()
        .unwrap()
        .iter()
        .map(|r| r["id"].as_str().unwrap().to_owned())
        .collect();
    // The picture keeps the newest; whatever it keeps is on record.
    assert!(known.iter().all(|run| requested.contains_key(run)));
    wait_until("no runner is left", PATIENCE, || runners(&shop.home).is_empty());
}
