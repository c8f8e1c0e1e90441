//! `journalctl -o json` (and `-o json-pretty`): one object per message, fields as text or as a list of bytes.
//! Format: <https://systemd.io/JOURNAL_EXPORT_FORMATS/>.

use serde_json::{Map, Value};

use super::{Line, Reading};
use crate::domain::time::Time;

pub fn read(text: &str) -> Result<Reading, String> {
    let mut reading = Reading::default();
    let (mut seen, mut silent) = (0, 0);
    for value in serde_json::Deserializer::from_str(text).into_iter::<Map<String, Value>>() {
        // A journal that was cut while it was copied ends in half an object: what came before it counts.
        let Ok(map) = value else {
            reading.left_out.push(format!("what follows message {seen}, which is no message of journald"));
            break;
        };
        seen += 1;
        let field = |name: &str| map.get(name).map(words).unwrap_or_default();
        let message = field("MESSAGE");
        if message.trim().is_empty() {
            silent += 1;
            continue;
        }
        let micro = ["_SOURCE_REALTIME_TIMESTAMP", "__REALTIME_TIMESTAMP"];
        let at = micro.iter().find_map(|name| field(name).parse::<i64>().ok()).map(|us| Time::from_ms(us / 1000));
        let unit = field("_SYSTEMD_UNIT");
        let name = field("SYSLOG_IDENTIFIER");
        let host = field("_HOSTNAME");
        let mut author = match (name.is_empty(), unit.is_empty()) {
            (false, _) => name,
            (true, false) => unit,
            (true, true) => field("_COMM"),
        };
        if !host.is_empty() {
            author = format!("{author}@{host}");
        }
        let mark = match field("PRIORITY").parse::<u8>() {
            Ok(0..=2) => "CRITICAL: ",
            Ok(3) => "error: ",
            Ok(4) => "warning: ",
            _ => "",
        };
        reading.lines.push(Line { place: seen, at, author, text: format!("{mark}{message}"), ..Line::default() });
    }
    if seen == 0 {
        return Err("it is no output of journalctl -o json".into());
    }
    reading.lines.sort_by_key(|l| (l.at, l.place));
    if silent > 0 {
        reading.left_out.push(format!("{silent} without a message"));
    }
    Ok(reading)
}

/// A field that is no UTF-8 is a list of bytes; one that was set several times a list of fields.
fn words(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(n) => n.to_string(),
        Value::Array(items) if items.iter().all(Value::is_u64) => {
            let bytes: Vec<u8> = items.iter().filter_map(Value::as_u64).filter_map(|b| u8::try_from(b).ok()).collect();
            String::from_utf8_lossy(&bytes).into_owned()
        }
        Value::Array(items) => items.iter().map(words).collect::<Vec<_>>().join(" "),
        _ => String::new(),
    }
}
