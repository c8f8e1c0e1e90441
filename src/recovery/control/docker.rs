//! Docker containers: `docker restart|stop|start NAME`. Source: docs.docker.com reference of `docker container inspect`,
//! Docker 28.2.

use serde::Deserialize;

use super::{LOCAL, Verb};
use crate::config::{CheckKind, DockerCheck};
use crate::domain::command::Refusal;
use crate::domain::run::Precondition;
use crate::recovery::plan::draft::{Command, Draft};
use crate::recovery::plan::look::{failed, passed, said, warned};

/// `.State` of `docker container inspect`, as far as it is used.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct State {
    status: String,
    paused: bool,
    exit_code: i64,
    #[serde(rename = "OOMKilled")]
    oom_killed: bool,
    health: Option<HealthState>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct HealthState {
    status: String,
}

pub async fn plan(draft: &mut Draft<'_>, verb: Verb, container: &str) -> Result<Option<CheckKind>, Refusal> {
    draft.effects(&format!("{}s container {container}", verb.word()));
    let there = draft.tool("docker", "docker-ce-cli (or docker.io)");
    if there {
        let question = ["docker", "container", "inspect", "--format", "{{json .State}}", container];
        let answer = draft.tools().ask(&question.map(str::to_owned), None).await;
        let name = format!("container {container}");
        draft.look(match answer.success() {
            true => judge(&name, verb, &answer.stdout.text()),
            false => failed(name, format!("docker cannot tell: {}", said(&answer))),
        });
    }
    draft.phase(&format!("{} {container}", verb.word()), Command::new(["docker", verb.word(), container], LOCAL));
    Ok(Some(CheckKind::Docker(DockerCheck { container: container.to_owned() })))
}

fn judge(name: &str, verb: Verb, json: &str) -> Precondition {
    let Ok(state) = serde_json::from_str::<State>(json.trim()) else {
        return warned(name, "docker did not say its state in a form that is understood");
    };
    let mut text = state.status.clone();
    if let Some(health) = state.health.filter(|h| !h.status.is_empty()) {
        text.push_str(&format!(", {}", health.status));
    }
    if state.status == "exited" {
        text.push_str(&format!(", exit {}", state.exit_code));
    }
    if state.oom_killed {
        text.push_str(", killed for lack of memory");
    }
    match verb {
        Verb::Start if state.paused => failed(name, format!("{text}: docker unpause it")),
        Verb::Start if state.status == "running" => warned(name, format!("{text}: it runs already")),
        Verb::Stop if matches!(state.status.as_str(), "exited" | "created" | "dead") => {
            warned(name, format!("{text}: it does not run"))
        }
        _ => passed(name, text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::run::Checked;

    // `docker container inspect --format '{{json .State}}'` of Docker 28 (fields shortened).
    const RUNNING: &str = r#"{"Status":"running","Running":true,"Paused":false,"Restarting":false,"OOMKilled":false,"Dead":false,"Pid":4711,"ExitCode":0,"Error":"","StartedAt":"2026-11-20T01:02:03.4Z","FinishedAt":"0001-01-01T00:00:00Z","Health":{"Status":"unhealthy","FailingStreak":3,"Log":[]}}"#;
    const EXITED: &str = r#"{"Status":"exited","Running":false,"Paused":false,"Restarting":false,"OOMKilled":true,"Dead":false,"Pid":0,"ExitCode":137,"Error":"","StartedAt":"2026-11-20T01:02:03.4Z","FinishedAt":"2026-11-20T01:05:00Z"}"#;
    const PAUSED: &str = r#"{"Status":"paused","Running":true,"Paused":true}"#;

    #[test]
    fn each_state_of_a_container_is_judged_for_the_verb() {
        for (json, verb, result, words) in [
            (RUNNING, Verb::Restart, Checked::Passed, "running, unhealthy"),
            (RUNNING, Verb::Start, Checked::Warned, "runs already"),
            (EXITED, Verb::Restart, Checked::Passed, "exited, exit 137, killed for lack of memory"),
            (EXITED, Verb::Stop, Checked::Warned, "does not run"),
            (PAUSED, Verb::Start, Checked::Failed, "unpause"),
            ("no json", Verb::Restart, Checked::Warned, "understood"),
        ] {
            let found = judge("container api", verb, json);
            assert_eq!(found.result, result, "{verb:?} {json}: {}", found.detail);
            assert!(found.detail.contains(words), "{}", found.detail);
        }
    }
}
