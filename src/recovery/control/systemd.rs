//! systemd units: `systemctl [--user] restart|stop|start UNIT`. Source: systemctl(1) and org.freedesktop.systemd1(5),
//! systemd 252.

use std::collections::BTreeMap;

use super::{LOCAL, Verb};
use crate::config::{CheckKind, SystemdCheck};
use crate::domain::command::Refusal;
use crate::domain::run::Precondition;
use crate::recovery::plan::draft::{Command, Draft};
use crate::recovery::plan::look::{failed, passed, said, warned};

const PROPERTIES: &str = "LoadState,ActiveState,SubState,NeedDaemonReload,RefuseManualStart,RefuseManualStop";

pub async fn plan(draft: &mut Draft<'_>, verb: Verb, unit: &str, user: bool) -> Result<Option<CheckKind>, Refusal> {
    let manager: &[&str] = if user { &["systemctl", "--user"] } else { &["systemctl"] };
    draft.effects(&format!("{}s systemd unit {unit}", verb.word()));
    let there = draft.tool("systemctl", "systemd");
    if there {
        let question: Vec<String> =
            manager.iter().copied().chain(["show", unit, "--property", PROPERTIES]).map(str::to_owned).collect();
        let answer = draft.tools().ask(&question, None).await;
        let name = format!("unit {unit}");
        if answer.success() {
            for found in judge(&name, unit, verb, &answer.stdout.text()) {
                draft.look(found);
            }
        } else {
            draft.look(failed(name, format!("systemctl cannot tell: {}", said(&answer))));
        }
    }
    if !user && crate::sys::peer::current_uid() != 0 {
        let detail =
            "the engine does not run as root: polkit has to allow this, and nobody can be asked for a password";
        draft.look(warned("permission", detail));
    }
    draft.phase(
        &format!("{} {unit}", verb.word()),
        Command::new(manager.iter().copied().chain([verb.word(), unit]), LOCAL),
    );
    Ok(Some(CheckKind::Systemd(SystemdCheck { unit: unit.to_owned(), user })))
}

/// What `systemctl show` says about a unit, for what is to be done to it.
fn judge(name: &str, unit: &str, verb: Verb, text: &str) -> Vec<Precondition> {
    let is: BTreeMap<&str, &str> = text.lines().filter_map(|line| line.trim().split_once('=')).collect();
    let value = |key: &str| is.get(key).copied().unwrap_or_default();
    let state = format!("{}, {} ({})", value("LoadState"), value("ActiveState"), value("SubState"));
    let refused = match verb {
        Verb::Restart => value("RefuseManualStart") == "yes" || value("RefuseManualStop") == "yes",
        Verb::Stop => value("RefuseManualStop") == "yes",
        Verb::Start => value("RefuseManualStart") == "yes",
    };
    let mut found = vec![match (value("LoadState"), value("ActiveState"), verb) {
        ("not-found", _, _) => failed(name, format!("systemd knows no unit {unit}: correct the name")),
        ("masked", _, Verb::Restart | Verb::Start) => failed(name, format!("it is masked: systemctl unmask {unit}")),
        ("error" | "bad-setting", _, _) => failed(name, format!("its file has errors: systemctl status {unit}")),
        ("", _, _) => failed(name, "systemctl did not say its state".to_owned()),
        _ if refused => failed(name, format!("{state}; the unit refuses to be {} by hand", super::past(verb))),
        (_, "active" | "reloading" | "activating", Verb::Start) => warned(name, format!("{state}: it runs already")),
        (_, "inactive" | "failed", Verb::Stop) => warned(name, format!("{state}: it does not run")),
        _ => passed(name, state),
    }];
    if value("NeedDaemonReload") == "yes" {
        let detail = "its file has changed on disk; the old one is used until systemctl daemon-reload";
        found.push(warned("unit file", detail));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::run::Checked::{self, Failed, Passed, Warned};

    // Answers of systemctl 252 (Debian 12), `systemctl show UNIT --property …`.
    const RUNNING: &str = "LoadState=loaded\nActiveState=active\nSubState=running\nNeedDaemonReload=no\nRefuseManualStart=no\nRefuseManualStop=no\n";
    const MISSING: &str = "LoadState=not-found\nActiveState=inactive\nSubState=dead\nNeedDaemonReload=no\nRefuseManualStart=no\nRefuseManualStop=no\n";
    const DEAD: &str = "LoadState=loaded\nActiveState=failed\nSubState=failed\nNeedDaemonReload=yes\nRefuseManualStart=no\nRefuseManualStop=no\n";
    const MASKED: &str = "LoadState=masked\nActiveState=inactive\nSubState=dead\nNeedDaemonReload=no\nRefuseManualStart=no\nRefuseManualStop=no\n";
    const MANUAL: &str = "LoadState=loaded\nActiveState=active\nSubState=running\nNeedDaemonReload=no\nRefuseManualStart=no\nRefuseManualStop=yes\n";

    #[test]
    fn each_state_of_a_unit_is_judged_for_the_verb() {
        let results: [(&str, Verb, &[Checked], &str); 11] = [
            (RUNNING, Verb::Restart, &[Passed], "loaded, active (running)"),
            (RUNNING, Verb::Start, &[Warned], "runs already"),
            (RUNNING, Verb::Stop, &[Passed], ""),
            (MISSING, Verb::Restart, &[Failed], "knows no unit api.service"),
            (DEAD, Verb::Restart, &[Passed, Warned], "failed (failed)"),
            (DEAD, Verb::Stop, &[Warned, Warned], "does not run"),
            (MASKED, Verb::Start, &[Failed], "systemctl unmask api.service"),
            (MASKED, Verb::Stop, &[Warned], "does not run"),
            (MANUAL, Verb::Stop, &[Failed], "refuses"),
            (MANUAL, Verb::Start, &[Warned], "runs already"),
            ("", Verb::Restart, &[Failed], "did not say"),
        ];
        for (answer, verb, wanted, words) in results {
            let found = judge("unit api.service", "api.service", verb, answer);
            let got: Vec<Checked> = found.iter().map(|p| p.result).collect();
            assert_eq!(got, wanted, "{verb:?} {answer}");
            assert!(found[0].detail.contains(words), "{verb:?}: {}", found[0].detail);
        }
    }
}
