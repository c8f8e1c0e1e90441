//! Alertmanager's webhook: one object, or several one after another. `startsAt` is when it happened; `endsAt` counts only
//! for what is resolved (it is 0001-01-01 or a time to come while an alert fires).
//! Format: <https://prometheus.io/docs/alerting/latest/configuration/#webhook_config>.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Line, Reading};
use crate::domain::time::Time;

#[derive(Deserialize)]
struct Group {
    #[serde(default)]
    receiver: String,
    #[serde(default, rename = "truncatedAlerts")]
    truncated: u64,
    #[serde(default)]
    alerts: Vec<Alert>,
}

#[derive(Deserialize)]
struct Alert {
    #[serde(default)]
    status: String,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
    #[serde(default, rename = "startsAt")]
    starts_at: String,
    #[serde(default, rename = "endsAt")]
    ends_at: String,
}

pub fn read(text: &str) -> Result<Reading, String> {
    let wrong = |e: serde_json::Error| format!("it is no webhook of Alertmanager: {e}");
    let mut groups: Vec<Group> = Vec::new();
    if text.trim_start().starts_with('[') {
        groups = serde_json::from_str(text).map_err(wrong)?;
    } else {
        for group in serde_json::Deserializer::from_str(text).into_iter::<Group>() {
            groups.push(group.map_err(wrong)?);
        }
    }
    if groups.iter().all(|g| g.alerts.is_empty()) {
        return Err("it is no webhook of Alertmanager: it has no alerts".into());
    }
    let mut reading = Reading::default();
    let (mut place, mut again) = (0, 0);
    for group in groups {
        if group.truncated > 0 {
            reading.left_out.push(format!(
                "{} that Alertmanager itself cut off (truncatedAlerts, receiver {})",
                crate::text::plural(usize::try_from(group.truncated).unwrap_or(usize::MAX), "alert"),
                crate::text::clean(&group.receiver)
            ));
        }
        for alert in group.alerts {
            place += 1;
            let begun = Line { place, at: Time::parse(&alert.starts_at).ok(), ..line(&alert, "firing") };
            let ended = (alert.status == "resolved").then(|| Line {
                place,
                at: Time::parse(&alert.ends_at).ok(),
                ..line(&alert, "resolved")
            });
            for line in [Some(begun), ended].into_iter().flatten() {
                // Every notification of a group names all its alerts anew.
                let known = reading.lines.iter().any(|l: &Line| l.at == line.at && l.text == line.text);
                again += usize::from(known);
                if !known {
                    reading.lines.push(line);
                }
            }
        }
    }
    reading.lines.sort_by_key(|l| (l.at, l.place));
    if again > 0 {
        reading.left_out.push(format!("{again} that say the same again"));
    }
    Ok(reading)
}

fn line(alert: &Alert, word: &str) -> Line {
    let name = alert.labels.get("alertname").map_or("(without a name)", String::as_str);
    let said = ["summary", "description", "message"].iter().find_map(|k| alert.annotations.get(*k));
    let said = said.map(|s| format!(": {s}")).unwrap_or_default();
    let labels: Vec<String> =
        alert.labels.iter().filter(|(k, _)| *k != "alertname").map(|(k, v)| format!("{k}={v}")).collect();
    let labels = if labels.is_empty() { String::new() } else { format!(" ({})", labels.join(", ")) };
    Line { author: "alertmanager".into(), text: format!("alert {name} {word}{said}{labels}"), ..Line::default() }
}
