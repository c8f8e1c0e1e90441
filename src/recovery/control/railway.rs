//! Railway services: `railway restart --service NAME [--environment ENV] --yes`, in the folder that is linked to the
//! project. Sources: docs.railway.com/cli/restart, and the client's own source (github.com/railwayapp/cli), versions
//! 4.23 to 4.61: without a terminal it does not ask but needs `--yes`; a confirmation answered with no ends with exit 0
//! and nothing done, which is why its words are looked for; `--environment` came between 4.47 and 4.61.
//!
//! There is no stop and no start: `railway down` removes the deployment, and a removed one cannot be brought back by the
//! client.

use std::path::Path;

use super::{REMOTE, Verb};
use crate::config::CheckKind;
use crate::domain::command::Refusal;
use crate::recovery::plan::draft::{Command, Draft};
use crate::recovery::plan::look::{self, failed, passed, said, warned};

/// What the client says when nothing was done, whatever its exit code: an answered question ends in `No`; a failed
/// deployment and a refusal to ask are errors in newer versions.
pub(super) const REFUSED: [&str; 4] = [
    r"(?i)\?\s*(\(y/n\)\s*)?no\.?\s*$",
    r"(?i)cannot prompt for confirmation",
    r"(?i)^deployment from service .* (failed|crashed)",
    r"(?i)^(operation |restart )?(was )?(cancell?ed|aborted)\b",
];

pub async fn plan(
    draft: &mut Draft<'_>,
    verb: Verb,
    service: &str,
    environment: Option<&str>,
    project_dir: Option<&Path>,
) -> Result<Option<CheckKind>, Refusal> {
    if verb != Verb::Restart {
        return Err(Refusal::new(
            format!("Railway's client cannot {} a service", verb.word()),
            "`railway down` removes the deployment and nothing brings that one back: restart it, or use the dashboard",
        ));
    }
    let place = environment.map_or(String::new(), |e| format!(" in its environment {e}"));
    draft.effects(&format!("restarts the latest deployment of Railway service {service}{place}"));
    if let Some(dir) = project_dir {
        draft.look(look::folder("project folder", dir).await);
    }
    let there = draft.tool("railway", "the Railway CLI (npm i -g @railway/cli)");
    if there {
        version(draft, environment.is_some()).await;
        if !draft.is_blocked() {
            linked(draft, service, project_dir).await;
        }
    }
    let mut argv = vec!["railway", "restart", "--service", service];
    if let Some(environment) = environment {
        argv.extend(["--environment", environment]);
    }
    argv.push("--yes");
    let mut command = Command::new(argv, REMOTE).in_folder(project_dir);
    command.refused_if = REFUSED.map(str::to_owned).to_vec();
    draft.phase(&format!("restart {service}"), command);
    Ok(None)
}

/// The client's own help says, without the network, whether it has what is needed.
async fn version(draft: &mut Draft<'_>, environment: bool) {
    let answer = draft.tools().ask(&["railway", "restart", "--help"].map(str::to_owned), None).await;
    let help = answer.stdout.text();
    draft.look(if !answer.success() || !help.contains("--yes") {
        failed("railway restart", format!("this client has no restart: update it ({})", said(&answer)))
    } else if environment && !help.contains("--environment") {
        let detail = "this client's restart knows no --environment: update it, or link the folder to that environment \
                      and leave `environment` out";
        failed("railway restart", detail)
    } else {
        passed("railway restart", "the client has it")
    });
}

/// Logged in, linked to a project, and the service is in it. Asks Railway; what it does not answer is a warning.
async fn linked(draft: &mut Draft<'_>, service: &str, dir: Option<&Path>) {
    let answer = draft.tools().ask(&["railway", "status", "--json"].map(str::to_owned), dir).await;
    if !answer.success() {
        let said = said(&answer);
        let surely =
            ["Unauthorized", "No linked project", "Project not found", "Project is deleted", "Invalid RAILWAY"];
        let no = surely.iter().any(|s| said.contains(s));
        draft.look(if no {
            failed("project", said)
        } else {
            warned("project", format!("Railway cannot tell: {said}"))
        });
        return;
    }
    let names = services(&answer.stdout.text());
    let same = |name: &String| name.eq_ignore_ascii_case(service);
    draft.look(match names {
        Some(names) if names.iter().any(same) => passed(format!("service {service}"), "in the linked project"),
        Some(names) => {
            let detail = format!("the linked project has no such service; it has {}", names.join(", "));
            failed(format!("service {service}"), detail)
        }
        None => warned(format!("service {service}"), "Railway did not name the project's services"),
    });
}

/// Names and ids of the services in `railway status --json`.
fn services(json: &str) -> Option<Vec<String>> {
    let value: serde_json::Value = serde_json::from_str(json).ok()?;
    let edges = value.pointer("/services/edges")?.as_array()?;
    let text = |edge: &serde_json::Value, key: &str| Some(edge.pointer(&format!("/node/{key}"))?.as_str()?.to_owned());
    Some(edges.iter().flat_map(|e| [text(e, "name"), text(e, "id")]).flatten().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recovery::exec::refused::Refusals;

    #[test]
    fn a_no_of_the_client_is_seen_although_it_exits_with_0() {
        for (output, refused) in [
            // What the client's source prints (4.23 to 4.61); the first is its prompt library's answered question.
            ("> Restart the latest deployment from service api in environment production? No\n", true),
            ("Cannot prompt for confirmation in non-interactive mode. Use --yes to skip confirmation.\n", true),
            ("Deployment from service api crashed\n", true),
            ("The latest deployment from service api has been restarted and is healthy\n", false),
            ("Restarting the latest deployment from service no...\n", false),
        ] {
            let mut watch = Refusals::new(&REFUSED.map(str::to_owned)).unwrap();
            watch.push(output.as_bytes());
            assert_eq!(watch.finish().is_some(), refused, "{output}");
        }
    }

    #[test]
    fn services_are_read_from_the_status() {
        // Shape of `railway status --json`: the client's project query, printed whole.
        let json = r#"{"id":"p1","name":"crazy-gary","services":{"edges":[{"node":{"id":"s-1","name":"api"}},{"node":{"id":"s-2","name":"web"}}]}}"#;
        assert_eq!(services(json).unwrap(), ["api", "s-1", "web", "s-2"]);
        assert_eq!(services("{}"), None);
    }
}
