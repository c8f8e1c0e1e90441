//! Incidents with what came after them: corrections, follow-ups, commands in shells, other records, samples.

use std::collections::BTreeSet;

use mayday::domain::Time;
use mayday::domain::backup::Copy;
use mayday::domain::catalog::Severity;
use mayday::domain::event;
use mayday::domain::health::Health::{Degraded, Down, Up};
use mayday::domain::hypothesis::{Basis, Stance, Standing};
use mayday::domain::incident::Status::{Closed, Identified, Investigating, Monitoring, Resolved};
use mayday::domain::message::{Delivery, Template};
use mayday::domain::run::{RunState, Verdict, Work};
use sha2::Digest as _;

use super::incidents::{Told, attempted, plan};

fn retimed(entry: u64, happened_at: Time, reason: &str) -> event::EntryRetimed {
    event::EntryRetimed { entry, happened_at, reason: reason.into() }
}

/// One of everything, as it might have been: for reading, and for looking at.
pub fn whole() -> Told {
    let mut t = Told::default();
    t.config("01:00:00");
    t.around("01:45:00", event::ConfigRejected { source: "mayday.toml".into(), faults: vec!["line 3".into()] });
    t.health("02:03:20", "api", Up, Down, "02:03:11").named("down");
    t.health("02:03:40", "web", Up, Degraded, "02:03:30");
    t.declare("02:05:00", Severity::P1, &["api", "postgres"], "human").named("declared");
    t.onset("02:05:00", "02:03:11");
    t.own("02:08:00", "ann", event::IncidentAcknowledged {}).named("ack");
    t.own("02:08:00", "ann", event::IncidentAssigned { role: "commander".into(), user: "ann".into() });
    t.note("02:08:30", "deploy 4711 went out at 02:20").named("note");
    t.note("02:08:40", "ignore me, wrong window").named("slip");
    t.sent("m-1", "02:09:00", "02:09:30", Template::Initial);
    for n in 1..=3 {
        let (from, to) = (format!("02:1{n}:00"), format!("02:1{n}:20"));
        let verdict = if n == 3 { Verdict::Verified } else { Verdict::Contradicted };
        let work = Work::Restart { service: "api".into() };
        t.run(plan(&format!("run{n}"), work, "restart api"), &from, &to, RunState::Succeeded, verdict);
    }
    t.health("02:12:10", "postgres", Up, Down, "02:12:00");
    t.health("02:15:10", "web", Degraded, Down, "02:15:00");
    t.own(
        "02:16:00",
        "ann",
        event::IncidentSeverity { from: Severity::P1, to: Severity::P0, reason: "checkout is affected".into() },
    );
    for (n, text) in ["the pool is exhausted", "the disk is full", "a bad deploy"].into_iter().enumerate() {
        t.own("02:17:00", "ann", event::HypothesisOpened { hypothesis: format!("H{}", n + 1), text: text.into() });
    }
    let (hypothesis, stance, basis) = ("H1".into(), Stance::For, Basis::Fact);
    t.own("02:18:00", "otto", event::HypothesisEvidence { hypothesis, stance, basis, text: "90 of 90 in use".into() });
    for (h, standing, reason) in [
        ("H2", Standing::Eliminated, "df: 40 % used"),
        ("H3", Standing::Eliminated, "rolled back, no change"),
        ("H1", Standing::Confirmed, "a leak in the worker"),
    ] {
        let reason = reason.into();
        t.own("02:20:00", "ann", event::HypothesisClosed { hypothesis: h.into(), standing, reason });
    }
    t.status("02:20:10", Investigating, Identified);
    // Asked for at 02:21:00, approved at 02:25:10: 4m10s.
    let work = Work::Restore { backup: "postgres-full".into(), copy: None, test: false, to: None, only: Vec::new() };
    let mut restore = plan("run4", work, "restore postgres-full beside crazy_gary");
    restore.copy =
        Some(Copy { id: "full-0130.dump".into(), taken_at: t.at("01:30:00"), size: 412_000_000, ..Copy::default() });
    restore.rpo_ms = Some(26 * 3_600_000);
    let (digest, words) = ("9f3a12cd".to_owned(), "amber river seven stone".to_owned());
    t.own(
        "02:21:00",
        "ann",
        event::ApprovalRequested {
            approval: "run4".into(),
            title: restore.title.clone(),
            digest: digest.clone(),
            words: words.clone(),
            why: "restores need a second person".into(),
            reason: String::new(),
            unlogged: false,
            plan: Some(restore.clone()),
            recovery: None,
        },
    )
    .named("asked");
    t.own(
        "02:25:10",
        "otto",
        event::ApprovalGiven {
            approval: "run4".into(),
            title: restore.title.clone(),
            digest,
            words,
            requested_by: "ann".into(),
        },
    )
    .named("approved");
    t.run(restore, "02:25:10", "02:31:00", RunState::Succeeded, Verdict::Verified);
    let over = plan("run5", Work::CutOver { of: "run4".into() }, "cut over to crazy_gary_run4");
    t.run(over, "02:32:00", "02:32:20", RunState::Succeeded, Verdict::Verified);
    let shell = |id: &str, command: &[&str], exit, ms, excerpt: &str| event::ShellFinished {
        id: id.into(),
        command: command.iter().map(|w| (*w).to_owned()).collect(),
        exit: Some(exit),
        signal: None,
        ms,
        output_digest: "5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef".into(),
        size: 2048,
        excerpt: excerpt.into(),
        file: "shell-1.log".into(),
        title: String::new(),
        happened_at: None,
    };
    let started = event::ShellStarted {
        id: "s1".into(),
        command: vec!["psql".into()],
        dir: "/".into(),
        title: String::new(),
        happened_at: None,
    };
    t.own("02:33:00", "otto", started);
    t.own("02:33:20", "otto", shell("s1", &["psql", "-c", "select count(*) from orders"], 0, 20_000, "42"));
    t.own("02:34:00", "otto", shell("s2", &["curl", "-f", "https://api/health"], 22, 1_200, "curl: (22) 503\n"));
    t.health("02:34:30", "postgres", Down, Up, "02:34:20");
    t.health("02:35:10", "api", Down, Up, "02:35:00").named("up");
    t.health("02:36:10", "web", Down, Up, "02:36:00");
    t.status("02:37:00", Identified, Monitoring).named("monitoring");
    t.sent("m-2", "02:39:00", "02:39:02", Template::Update);
    t.own("02:40:00", "ann", attempted("m-2", 2, Delivery::Retrying, "503"));
    t.note("02:41:00", "TODO: bound the worker's pool").named("todo");
    t.note("02:41:30", "TODO watch the number of connections").named("todo 2");
    t.status("02:50:00", Monitoring, Resolved).named("resolved");
    t.sent("m-3", "02:51:00", "02:51:01", Template::Resolution);
    let digest = hex::encode(sha2::Sha256::digest(samples().as_bytes()));
    t.own("02:50:10", "engine", event::IncidentSealed { file: "samples.jsonl".into(), digest, samples: 2 });
    // The day after.
    t.own(
        "09:00:00",
        "otto",
        event::NoteImported {
            text: "the worker logs \"pool timeout\" since the deploy".into(),
            happened_at: t.at("02:07:10"),
            author: "vendor".into(),
            format: "slack".into(),
            source: "incident-channel.json".into(),
            key: "k1".into(),
        },
    )
    .named("imported");
    let (note, slip, ack, todo, at) = (t.seq("note"), t.seq("slip"), t.seq("ack"), t.seq("todo"), t.at("02:06:30"));
    let corrected = "deploy 4711 went out at 02:02".to_owned();
    t.own("09:01:00", "otto", event::NoteCorrected { entry: note, text: corrected, reason: "typed wrong".into() })
        .named("corrected");
    t.own("09:02:00", "ann", retimed(ack, at, "I was on it by phone")).named("retimed");
    t.own("09:03:00", "ann", event::EntryHidden { entry: slip, hidden: true, reason: "another incident".into() })
        .named("hid");
    t.own("09:04:00", "ann", event::EntryPinned { entry: note, pinned: true, reason: String::new() });
    let entries: BTreeSet<u64> =
        t.seqs(&["run1 requested", "run1 finished", "run2 requested", "run2 finished"]).into_iter().collect();
    t.own("09:05:00", "ann", event::EntriesJoined { entries, title: "Two restarts that did not help".into() });
    t.own(
        "09:06:00",
        "otto",
        event::EvidenceAdded {
            about: Some(note),
            what: "log".into(),
            title: "deploy log".into(),
            digest: "5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef".into(),
            size: 4096,
            excerpt: "02:02:11 deploy 4711 done\n".into(),
            file: "evidence/deploy.log".into(),
            masked: false,
        },
    );
    let opened = |id: &str, text: &str, owner: &str, due, from| event::FollowupOpened {
        id: id.into(),
        text: text.into(),
        owner: owner.into(),
        due,
        class: if owner.is_empty() { String::new() } else { "prevent".into() },
        from,
    };
    let due = Time::parse("2026-11-27T00:00:00Z").unwrap();
    t.own("09:10:00", "ann", opened("INC-2026-004.1", "Bound the pool of the worker", "otto", Some(due), Some(todo)));
    t.own("09:11:00", "ann", opened("INC-2026-004.2", "Rehearse the restore", "", None, None)).named("second");
    let done =
        event::FollowupClosed { id: "INC-2026-004.1".into(), done: true, reopened: false, reason: String::new() };
    t.own("10:00:00", "otto", done);
    let meeting = Some(Time::parse("2026-11-23T13:00:00Z").unwrap());
    let (owner, status) = (Some("ann".into()), Some("in-review".into()));
    t.own("10:10:00", "ann", event::ReviewChanged { owner, status, meeting, reason: String::new() }).named("review");
    t.status("11:00:00", Resolved, Closed);
    t
}

/// Samples of the api and of postgres, 10 s apart, with an hour of lead-up, failures, and a gap.
pub fn samples() -> String {
    let begin = Time::parse("2026-11-20T01:05:00Z").unwrap();
    let mut out = String::new();
    for n in 0..630_u64 {
        let at = begin.plus(std::time::Duration::from_secs(n * 10));
        let clock = at.hms();
        // Nobody measured for four minutes.
        if ("02:40:00".."02:44:00").contains(&clock.as_str()) {
            continue;
        }
        for (service, down) in [("api", "02:03:11".."02:35:00"), ("postgres", "02:12:00".."02:34:20")] {
            let failed = down.contains(&clock.as_str());
            let slow = if ("01:55:00".."02:37:00").contains(&clock.as_str()) { 9 } else { 1 };
            let us = 3000 + (n * 7919 % 1100) * slow;
            let class = if failed { "fail" } else { "ok" };
            out.push_str(&format!(
                "{{\"service\":\"{service}\",\"check\":\"http\",\"at\":\"{at}\",\"us\":{us},\"class\":\"{class}\"}}\n"
            ));
        }
    }
    out
}

/// In the night in which the clocks of Europe go back: 02:30 local time comes twice, UTC does not care.
pub fn clocks_back() -> Told {
    let mut t = Told::default();
    t.day = Some("2026-10-25");
    t.config("00:00:00");
    t.health("00:30:10", "api", Up, Down, "00:30:00").named("down");
    t.declare("00:31:00", Severity::P0, &["api"], "human");
    t.own("00:33:00", "ann", event::IncidentAcknowledged {});
    t.sent("m-1", "00:40:00", "00:40:00", Template::Initial);
    // 03:00 summer time became 02:00 winter time at 01:00 UTC.
    t.sent("m-2", "01:10:00", "01:10:00", Template::Update);
    t.health("01:30:10", "api", Down, Up, "01:30:00").named("up");
    t.status("01:35:00", Investigating, Monitoring);
    t.status("01:40:00", Monitoring, Resolved);
    t
}

/// The clock is set back by an hour in the middle of it.
pub fn stepped_back() -> Told {
    let mut t = Told::default();
    t.config("04:00:00");
    t.health("05:00:10", "api", Up, Down, "05:00:00");
    t.declare("05:01:00", Severity::P0, &["api"], "human");
    t.own("05:03:00", "ann", event::IncidentAcknowledged {});
    t.around("04:10:00", event::ClockStepped { by_ms: -3_600_000 });
    t.health("04:20:10", "api", Down, Up, "04:20:00");
    t.status("04:25:00", Investigating, Monitoring);
    t.status("04:30:00", Monitoring, Resolved);
    t
}

/// A copy was restored that is older than one that was there, and a second one played its log up to a moment.
pub fn older_copy() -> Told {
    let mut t = Told::default();
    t.config("00:00:00");
    let copy =
        |t: &Told, id: &str, taken: &str| Copy { id: id.into(), taken_at: t.at(taken), size: 1, ..Copy::default() };
    for (clock, id) in [("01:00:05", "full-0100"), ("02:00:05", "full-0200")] {
        let copy = copy(&t, id, &clock.replace(":05", ":00"));
        t.around(clock, event::BackupArrived { backup: "postgres-full".into(), copy });
    }
    t.health("02:30:10", "postgres", Up, Down, "02:30:00");
    t.declare("02:31:00", Severity::P0, &["postgres"], "human");
    t.onset("02:31:00", "02:30:00");
    let restore = |id: &str, backup: &str| {
        let work = Work::Restore { backup: backup.into(), copy: None, test: false, to: None, only: Vec::new() };
        plan(id, work, &format!("restore {backup}"))
    };
    let mut old = restore("run1", "postgres-full");
    old.copy = Some(copy(&t, "full-0100", "01:00:00"));
    let ok = (RunState::Succeeded, Verdict::Verified);
    t.run(old, "02:35:00", "02:40:00", ok.0, ok.1);
    t.run(plan("run2", Work::CutOver { of: "run1".into() }, "cut over"), "02:41:00", "02:41:10", ok.0, ok.1);
    // A base backup of 01:00, its log played to 02:27: made at 02:45, when 18 minutes lay behind that moment.
    let mut moment = restore("run3", "postgres-wal");
    moment.copy = Some(copy(&t, "base-0100", "01:00:00"));
    moment.made_at = t.at("02:45:00");
    moment.data_lost_ms = Some(18 * 60_000);
    t.run(moment, "02:45:00", "02:50:00", ok.0, ok.1);
    t.run(plan("run4", Work::CutOver { of: "run3".into() }, "cut over"), "02:51:00", "02:51:10", ok.0, ok.1);
    t.health("02:52:10", "postgres", Down, Up, "02:52:00");
    t.status("02:55:00", Investigating, Resolved);
    t
}

/// Two people say later when things happened, and a probe's word is retimed too.
pub fn retold() -> Told {
    let mut t = Told::default();
    t.config("01:00:00");
    t.health("03:00:10", "api", Up, Down, "03:00:00").named("down");
    t.declare("03:02:00", Severity::P0, &["api"], "human").named("declared");
    t.own("03:20:00", "ann", event::IncidentAcknowledged {}).named("ack");
    t.health("03:30:10", "api", Down, Up, "03:30:00").named("up");
    t.status("03:40:00", Investigating, Monitoring).named("monitoring");
    t.status("03:50:00", Monitoring, Resolved).named("resolved");
    let (ack, at) = (t.seq("ack"), t.at("03:04:00"));
    t.own("08:00:00", "ann", retimed(ack, at, "by phone")).named("ack retimed");
    let (monitoring, at) = (t.seq("monitoring"), t.at("03:31:00"));
    t.own("08:01:00", "otto", retimed(monitoring, at, "typed late")).named("first try");
    let at = t.at("03:32:00");
    t.own("08:02:00", "otto", retimed(monitoring, at, "by the log")).named("monitoring retimed");
    // What the system recorded belongs to no incident, and so does its correction.
    let (down, at) = (t.seq("down"), t.at("02:58:00"));
    t.push("08:03:00", "otto", false, retimed(down, at, "the balancer's log")).named("down retimed");
    t
}
