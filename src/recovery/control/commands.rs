//! Services controlled by commands of one's own. A restart without a command of its own is a stop and a start.

use super::{LOCAL, Verb, past};
use crate::config::{CheckKind, CommandControl};
use crate::domain::command::Refusal;
use crate::recovery::plan::draft::{Command, Draft};
use crate::recovery::plan::look;

pub async fn plan(
    draft: &mut Draft<'_>,
    verb: Verb,
    service: &str,
    control: &CommandControl,
) -> Result<Option<CheckKind>, Refusal> {
    let CommandControl { restart, stop, start, cwd, env, timeout, .. } = control;
    let steps: Vec<(&str, &Vec<String>)> = match (verb, restart, stop, start) {
        (Verb::Restart, Some(restart), _, _) => vec![("restart", restart)],
        (Verb::Restart, None, Some(stop), Some(start)) => vec![("stop", stop), ("start", start)],
        (Verb::Stop, _, Some(stop), _) => vec![("stop", stop)],
        (Verb::Start, _, _, Some(start)) => vec![("start", start)],
        _ => {
            return Err(Refusal::new(
                format!("no command is configured by which {service} is {}", past(verb)),
                format!("add `{} = [\"…\"]` to its `control`", verb.word()),
            ));
        }
    };
    draft.effects(&format!("{}s {service} by its own commands", verb.word()));
    if let Some(dir) = cwd {
        draft.look(look::folder("working folder", dir).await);
    }
    for (name, argv) in steps {
        let mut command = Command::new(argv.iter().cloned(), timeout.unwrap_or(LOCAL));
        command.cwd.clone_from(cwd);
        command.env.clone_from(env);
        draft.look(draft.tools().program(argv, cwd.as_deref(), &command.plain_env()).await);
        if let Some(warning) = look::arguments(argv) {
            draft.look(warning);
        }
        draft.phase(&format!("{name} {service}"), command);
    }
    Ok(None)
}
