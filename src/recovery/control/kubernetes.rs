//! Kubernetes workloads by `kubectl`: a restart is `rollout restart` and `rollout status`; a stop is a scale to 0 after
//! the number of replicas was written onto the workload (annotation `mayday/replicas`), a start a scale back to it.
//! Sources: kubernetes.io reference of kubectl, version 1.32.

use serde_json::Value;

use super::{REMOTE, Verb};
use crate::config::CheckKind;
use crate::domain::command::Refusal;
use crate::recovery::plan::draft::{Command, Draft};
use crate::recovery::plan::look::{failed, passed, said, warned};

/// Where the number of replicas is remembered while a workload is stopped.
const REPLICAS: &str = "mayday/replicas";

pub async fn plan(
    draft: &mut Draft<'_>,
    verb: Verb,
    namespace: Option<&str>,
    context: Option<&str>,
    workload: &str,
) -> Result<Option<CheckKind>, Refusal> {
    let workload = named(workload, verb)?;
    let base = base(namespace, context);
    let place = namespace.map_or(String::new(), |n| format!(" in namespace {n}"));
    draft.effects(&format!("{}s {workload}{place}", verb.word()));
    let state = standing(draft, &base, &workload, verb).await;
    let command = |tail: &[&str]| -> Command {
        Command::new(base.iter().cloned().chain(tail.iter().map(|a| (*a).to_owned())), REMOTE)
    };
    let limit = format!("--timeout={}s", REMOTE.as_secs() - 10);
    match verb {
        Verb::Restart => {
            draft.phase("restart", command(&["rollout", "restart", &workload]));
            draft.phase("wait for the rollout", command(&["rollout", "status", &workload, &limit]));
        }
        Verb::Stop => {
            match state.replicas {
                Some(0) => draft.look(warned("replicas", "0: it is stopped already")),
                Some(n) => {
                    draft.plan.effects.push(format!("it has {n} replicas now; a start brings back as many"));
                    let note = format!("{REPLICAS}={n}");
                    draft.phase("remember the replicas", command(&["annotate", &workload, &note, "--overwrite"]));
                }
                None => draft.look(warned("replicas", "their number is not known: a start would bring back 1")),
            }
            draft.phase("scale to 0", command(&["scale", &workload, "--replicas=0"]));
        }
        Verb::Start => {
            let wanted = match (state.replicas, state.remembered) {
                (Some(n), _) if n > 0 => {
                    draft.look(warned("replicas", format!("{n}: it is not stopped")));
                    n
                }
                (_, Some(n)) => {
                    draft.look(passed("replicas", format!("{n}, as remembered when it was stopped")));
                    n
                }
                _ => {
                    draft.look(warned("replicas", "how many it had was not remembered: 1 is started"));
                    1
                }
            };
            draft.phase(&format!("scale to {wanted}"), command(&["scale", &workload, &format!("--replicas={wanted}")]));
            draft.phase("wait for the rollout", command(&["rollout", "status", &workload, &limit]));
        }
    }
    Ok(None)
}

/// Looks at the workload, and whether the cluster lets this user do it.
pub(super) async fn standing(draft: &mut Draft<'_>, base: &[String], workload: &str, verb: Verb) -> State {
    if !draft.tool("kubectl", "kubectl") {
        return State::default();
    }
    let state = ask_state(draft, base, workload).await;
    if state.known {
        may(draft, base, workload, verb).await;
    }
    state
}

/// `kubectl` with where it looks.
pub(super) fn base(namespace: Option<&str>, context: Option<&str>) -> Vec<String> {
    let mut base = vec!["kubectl".to_owned()];
    if let Some(context) = context {
        base.extend(["--context".to_owned(), context.to_owned()]);
    }
    if let Some(namespace) = namespace {
        base.extend(["-n".to_owned(), namespace.to_owned()]);
    }
    base
}

/// `kind/name`, with `deployment` where no kind is given. Errors: kinds that have no such verb.
pub(super) fn named(workload: &str, verb: Verb) -> Result<String, Refusal> {
    let (kind, name) = workload.split_once('/').unwrap_or(("deployment", workload));
    let plain = kind.to_ascii_lowercase();
    let plain = plain.split('.').next().unwrap_or_default();
    match (plain, verb) {
        ("deployment" | "deployments" | "deploy" | "statefulset" | "statefulsets" | "sts", _) => {}
        ("daemonset" | "daemonsets" | "ds", Verb::Restart) => {}
        ("daemonset" | "daemonsets" | "ds", _) => {
            return Err(Refusal::new(
                format!("a daemon set has no replicas, so {workload} cannot be {}", super::past(verb)),
                "restart it, or write an [[action]] that changes its node selector",
            ));
        }
        (other, _) => {
            return Err(Refusal::new(
                format!("kubectl cannot {} a {other}", verb.word()),
                "name a deployment, a stateful set or a daemon set: workload = \"deployment/api\"",
            ));
        }
    }
    Ok(format!("{kind}/{name}"))
}

/// What `kubectl get -o json` says of a workload.
#[derive(Debug, Default, PartialEq)]
pub(super) struct State {
    known: bool,
    replicas: Option<u64>,
    remembered: Option<u64>,
}

async fn ask_state(draft: &mut Draft<'_>, base: &[String], workload: &str) -> State {
    let question: Vec<String> = base
        .iter()
        .cloned()
        .chain(["get", workload, "-o", "json", "--request-timeout=6s"].map(str::to_owned))
        .collect();
    let answer = draft.tools().ask(&question, None).await;
    if !answer.success() {
        draft.look(failed(format!("workload {workload}"), format!("kubectl cannot tell: {}", said(&answer))));
        return State::default();
    }
    let (state, text) = read(&answer.stdout.text());
    draft.look(match state.known {
        true => passed(format!("workload {workload}"), text),
        false => warned(format!("workload {workload}"), "kubectl did not say its state in a form that is understood"),
    });
    state
}

fn read(json: &str) -> (State, String) {
    let Ok(value) = serde_json::from_str::<Value>(json) else { return (State::default(), String::new()) };
    let number = |pointer: &str| value.pointer(pointer).and_then(Value::as_u64);
    let remembered =
        value.pointer("/metadata/annotations").and_then(|a| a.get(REPLICAS)?.as_str()?.parse().ok()).filter(|n| *n > 0);
    let replicas = number("/spec/replicas");
    let wanted = replicas.or_else(|| number("/status/desiredNumberScheduled")).unwrap_or(0);
    let ready = number("/status/readyReplicas").or_else(|| number("/status/numberReady")).unwrap_or(0);
    let state = State { known: value.is_object(), replicas, remembered };
    (state, format!("{ready} of {wanted} ready"))
}

/// Whether the cluster lets this user do it.
async fn may(draft: &mut Draft<'_>, base: &[String], workload: &str, verb: Verb) {
    let subresource: &[&str] = if verb == Verb::Restart { &[] } else { &["--subresource=scale"] };
    let question: Vec<String> = base
        .iter()
        .cloned()
        .chain(["auth", "can-i", "patch", workload].map(str::to_owned))
        .chain(subresource.iter().map(|a| (*a).to_owned()))
        .collect();
    let answer = draft.tools().ask(&question, None).await;
    let text = answer.stdout.text();
    match text.lines().next().map(str::trim) {
        Some("yes") => draft.look(passed("permission", format!("may patch {workload}"))),
        Some(no) if no.starts_with("no") => {
            draft.look(failed("permission", format!("the cluster does not let this user patch {workload}")));
        }
        _ => draft.look(warned("permission", format!("kubectl cannot tell: {}", said(&answer)))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_without_the_verb_are_refused_in_words() {
        for (workload, verb, named_or_words) in [
            ("api", Verb::Stop, Ok("deployment/api")),
            ("statefulset/db", Verb::Restart, Ok("statefulset/db")),
            ("sts/db", Verb::Start, Ok("sts/db")),
            ("deployment.apps/api", Verb::Restart, Ok("deployment.apps/api")),
            ("daemonset/log", Verb::Restart, Ok("daemonset/log")),
            ("ds/log", Verb::Stop, Err("no replicas")),
            ("pod/api-1", Verb::Restart, Err("cannot restart a pod")),
            ("job/x", Verb::Stop, Err("cannot stop a job")),
        ] {
            match (named(workload, verb), named_or_words) {
                (Ok(got), Ok(wanted)) => assert_eq!(got, wanted),
                (Err(refusal), Err(words)) => assert!(refusal.reason.contains(words), "{refusal}"),
                (got, _) => panic!("{workload} {verb:?}: {got:?}"),
            }
        }
    }

    #[test]
    fn replicas_are_read_from_the_answer() {
        // `kubectl get deployment api -o json`, kubectl 1.32 (shortened).
        let json = r#"{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"api","annotations":{"deployment.kubernetes.io/revision":"4","mayday/replicas":"3"}},"spec":{"replicas":0},"status":{"observedGeneration":9}}"#;
        let (state, text) = read(json);
        assert_eq!(state, State { known: true, replicas: Some(0), remembered: Some(3) });
        assert_eq!(text, "0 of 0 ready");
        let json = r#"{"kind":"DaemonSet","metadata":{"name":"log"},"spec":{},"status":{"desiredNumberScheduled":5,"numberReady":4}}"#;
        assert_eq!(read(json).1, "4 of 5 ready");
        assert_eq!(read("error").0, State::default());
    }
}
