//! Docker Compose services: `docker compose [-f FILE] [--project-directory DIR] restart|stop SERVICE`, and for a start
//! `up -d --no-recreate SERVICE`, which makes a container that is missing and replaces none. Source: docs.docker.com
//! reference of `docker compose`, version 2.

use std::path::Path;

use super::{LOCAL, Verb};
use crate::config::CheckKind;
use crate::domain::command::Refusal;
use crate::domain::run::Checked;
use crate::recovery::plan::draft::{Command, Draft};
use crate::recovery::plan::look::{self, failed, passed, said, warned};

pub async fn plan(
    draft: &mut Draft<'_>,
    verb: Verb,
    project_dir: Option<&Path>,
    file: Option<&Path>,
    service: &str,
) -> Result<Option<CheckKind>, Refusal> {
    draft.effects(&format!("{}s Compose service {service}", verb.word()));
    let base = base(draft, project_dir, file, service).await;
    let tail: &[&str] = match verb {
        Verb::Restart => &["restart", service],
        Verb::Stop => &["stop", service],
        Verb::Start => &["up", "-d", "--no-recreate", service],
    };
    let argv = base.into_iter().chain(tail.iter().map(|a| (*a).to_owned()));
    draft.phase(&format!("{} {service}", verb.word()), Command::new(argv, LOCAL).in_folder(project_dir));
    Ok(None)
}

/// The program and where its project is, after a look whether the service is in it.
pub(super) async fn base(
    draft: &mut Draft<'_>,
    project_dir: Option<&Path>,
    file: Option<&Path>,
    service: &str,
) -> Vec<String> {
    if let Some(dir) = project_dir {
        draft.look(look::folder("project folder", dir).await);
    }
    if let Some(file) = file {
        draft.look(look::file("compose file", file).await);
    }
    let program = program(draft).await;
    let mut base: Vec<String> = program.clone().unwrap_or_else(|| vec!["docker".to_owned(), "compose".to_owned()]);
    if let Some(file) = file {
        base.extend(["-f".to_owned(), file.to_string_lossy().into_owned()]);
    }
    if let Some(dir) = project_dir {
        base.extend(["--project-directory".to_owned(), dir.to_string_lossy().into_owned()]);
    }
    if program.is_some() && !draft.is_blocked() {
        known(draft, &base, project_dir, service).await;
    }
    base
}

/// `docker compose`, else the older `docker-compose`.
async fn program(draft: &mut Draft<'_>) -> Option<Vec<String>> {
    let docker = draft.tools().tool("docker", "docker-ce-cli and docker-compose-plugin");
    let mut why = "docker is not installed".to_owned();
    if docker.result == Checked::Passed {
        let answer = draft.tools().ask(&["docker", "compose", "version", "--short"].map(str::to_owned), None).await;
        if answer.success() {
            draft.look(passed("tool docker compose", format!("version {}", answer.stdout.text().trim())));
            return Some(vec!["docker".to_owned(), "compose".to_owned()]);
        }
        why = said(&answer);
    }
    let older = draft.tools().tool("docker-compose", "docker-compose-plugin");
    if older.result == Checked::Passed {
        let detail = format!("docker compose does not work ({why}); docker-compose is used: {}", older.detail);
        draft.look(warned("tool docker compose", detail));
        return Some(vec!["docker-compose".to_owned()]);
    }
    draft.look(failed("tool docker compose", format!("{why}: install docker-compose-plugin")));
    None
}

/// The compose file names the service; one behind a profile is found by asking with all profiles.
async fn known(draft: &mut Draft<'_>, base: &[String], dir: Option<&Path>, service: &str) {
    let question =
        |extra: &[&str]| -> Vec<String> { base.iter().cloned().chain(extra.iter().map(|a| (*a).to_owned())).collect() };
    let name = format!("service {service}");
    let answer = draft.tools().ask(&question(&["config", "--services"]), dir).await;
    if !answer.success() {
        draft.look(failed(name, format!("the compose file does not read: {}", said(&answer))));
        return;
    }
    let listed = answer.stdout.text();
    if listed.lines().any(|line| line.trim() == service) {
        draft.look(passed(name, "in the compose file"));
        return;
    }
    let all = draft.tools().ask(&question(&["--profile", "*", "config", "--services"]), dir).await;
    if all.success() && all.stdout.text().lines().any(|line| line.trim() == service) {
        draft.look(passed(name, "in the compose file, behind a profile"));
        return;
    }
    let there: Vec<&str> = listed.lines().map(str::trim).filter(|l| !l.is_empty()).collect();
    draft.look(failed(name, format!("the compose file has no such service; it has {}", there.join(", "))));
}
