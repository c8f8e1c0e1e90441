//! A channel's messages of a Slack export: an array, or an object with `messages`.
//! Format: <https://slack.com/help/articles/220556107>.

use serde::Deserialize;
use serde_json::Value;

use super::{Line, Reading};
use crate::domain::time::Time;

#[derive(Deserialize)]
struct Message {
    #[serde(default)]
    r#type: String,
    #[serde(default)]
    subtype: String,
    #[serde(default)]
    ts: String,
    #[serde(default)]
    user: String,
    #[serde(default)]
    username: String,
    #[serde(default)]
    text: String,
    #[serde(default)]
    user_profile: Profile,
    #[serde(default)]
    bot_profile: Profile,
    #[serde(default)]
    files: Vec<Value>,
    #[serde(default)]
    attachments: Vec<Value>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Profile {
    real_name: String,
    display_name: String,
    name: String,
}

pub fn read(text: &str) -> Result<Reading, String> {
    let wrong = |e: serde_json::Error| format!("it is no Slack export: {e}");
    let value: Value = serde_json::from_str(text).map_err(wrong)?;
    let messages = match value {
        Value::Array(list) => list,
        Value::Object(mut map) => match map.remove("messages") {
            Some(Value::Array(list)) => list,
            _ => return Err("it is no Slack export: it has no messages".into()),
        },
        _ => return Err("it is no Slack export: neither a list nor an object".into()),
    };
    let mut reading = Reading::default();
    let (mut joined, mut other) = (0, 0);
    for (i, value) in messages.into_iter().enumerate() {
        let Ok(message) = serde_json::from_value::<Message>(value) else {
            other += 1;
            continue;
        };
        if !matches!(message.r#type.as_str(), "" | "message") {
            other += 1;
            continue;
        }
        if matches!(message.subtype.as_str(), "channel_join" | "channel_leave" | "channel_topic" | "channel_purpose") {
            joined += 1;
            continue;
        }
        let mut text = plain(&message.text);
        for attachment in &message.attachments {
            for field in ["title", "text", "fallback"] {
                if let Some(more) = attachment.get(field).and_then(Value::as_str).filter(|t| !text.contains(*t)) {
                    text.push('\n');
                    text.push_str(&plain(more));
                    break;
                }
            }
        }
        for file in &message.files {
            let name = file.get("name").and_then(Value::as_str).unwrap_or("without a name");
            text.push_str(&format!("\n(file {name})"));
        }
        let names = [
            &message.user_profile.display_name,
            &message.user_profile.real_name,
            &message.username,
            &message.bot_profile.name,
            &message.user_profile.name,
            &message.user,
        ];
        let author = names.into_iter().find(|n| !n.is_empty()).cloned().unwrap_or_default();
        reading.lines.push(Line { place: i + 1, at: moment(&message.ts), author, text, ..Line::default() });
    }
    reading.lines.sort_by_key(|l| (l.at, l.place));
    if joined > 0 {
        reading.left_out.push(format!("{joined} of joining, leaving and topics"));
    }
    if other > 0 {
        reading.left_out.push(format!("{other} that are no messages"));
    }
    Ok(reading)
}

/// `1795142287.000200`: seconds, and a number that tells messages of one second apart.
fn moment(ts: &str) -> Option<Time> {
    let (seconds, rest) = ts.split_once('.').unwrap_or((ts, ""));
    let milli: String = rest.chars().chain("000".chars()).take(3).collect();
    let ms = seconds.parse::<i64>().ok()?.checked_mul(1000)?.checked_add(milli.parse().ok()?)?;
    (ms > 0).then(|| Time::from_ms(ms))
}

/// `<@U123>`, `<https://x|label>`, `&lt;` as people read them.
fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('<') {
        let (before, link) = rest.split_at(at);
        out.push_str(before);
        let Some(end) = link.find('>') else {
            rest = link;
            break;
        };
        let inner = link.get(1..end).unwrap_or_default();
        match inner.split_once('|') {
            Some((target, label)) if target.starts_with("http") && !label.contains("://") => {
                out.push_str(&format!("{label} ({target})"));
            }
            Some((target, label)) => {
                out.push_str(if target.starts_with('#') { "#" } else { "" });
                out.push_str(label);
            }
            None => out.push_str(inner),
        }
        rest = link.get(end + 1..).unwrap_or_default();
    }
    out.push_str(rest);
    out.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}
