//! Playbooks and checklists, as they are in force: parameters filled in.

use std::time::Duration;

use super::out::{Out, list, path, string};
use crate::config::types::Config;
use crate::domain::playbook::{Does, Step};
use crate::domain::run::{Risk, Work};

pub(super) fn all(config: &Config, out: &mut Out) {
    if let Some(folder) = &config.playbook_folder {
        out.table("[playbooks]");
        out.put("folder", Some(path(folder)));
    }
    for p in &config.playbooks {
        out.table("[[playbook]]");
        out.text("name", &p.name);
        out.text("title", &p.title);
        out.text("doc", &p.doc);
        for rule in &p.suggest {
            out.table("[[playbook.suggest]]");
            out.texts("services", &rule.services);
            out.text("when", if rule.all { "all" } else { "any" });
        }
        p.steps.iter().for_each(|s| step(s, config, out));
    }
    for c in &config.checklists {
        out.table("[[checklist]]");
        out.text("name", &c.name);
        out.text("title", &c.title);
        out.put("items", Some(list(c.items.iter().map(|i| string(i)))));
    }
}

fn step(s: &Step, config: &Config, out: &mut Out) {
    let texts = |items: &[String]| Some(list(items.iter().map(|i| string(i))));
    out.table("[[playbook.step]]");
    out.text("name", &s.name);
    out.text("title", &s.title);
    out.text("phase", &s.phase);
    out.duration("within", s.within_ms.map(Duration::from_millis));
    out.text("owner", &s.owner);
    out.put("go", s.go.as_deref().map(string));
    if !matches!(s.does, Does::Manual { .. } | Does::Decide { .. }) {
        out.text("text", &s.text);
    }
    match &s.does {
        Does::Manual { evidence } => {
            out.put("manual", Some(string(&s.text)));
            out.put("evidence", evidence.then(|| "true".to_owned()));
        }
        Does::Act { work } => match work {
            Work::Act { action } => {
                let looks = config.actions.iter().any(|a| a.name == *action && a.risk == Risk::Observe);
                out.text(if looks { "command" } else { "action" }, action);
            }
            other => out.text(other.verb(), other.object()),
        },
        Does::Recover { recovery } => out.text("recovery", recovery),
        Does::Check { services } => out.put("check", texts(services)),
        Does::Wait { services } => out.put("wait", texts(services)),
        Does::Decide { options } => {
            out.put("decide", Some(string(&s.text)));
            for option in options {
                out.table("[[playbook.step.option]]");
                out.text("name", &option.name);
                out.text("title", &option.title);
                out.text("go", &option.go);
            }
        }
        Does::Message { template, channels } => {
            out.text("message", template.word());
            out.texts("channels", channels);
        }
        Does::Checklist { checklist } => out.text("checklist", &checklist.name),
        Does::Hold { services, reason } => {
            out.put("hold", texts(services));
            out.text("reason", reason);
        }
    }
}
