//! Slack incoming webhooks, within the limits of Block Kit (docs.slack.dev: incoming webhooks, blocks).
//!
//! A message is a header, sections and a context line, as plain text: what was previewed is what is shown, and nothing in
//! it can mention a channel or hide a link. Documented limits: 50 blocks, header 150, section 3000, text 40 000; beyond
//! about 13 200 characters over all blocks Slack answers `msg_blocks_too_long` although no page says so. Success is
//! status 200 and the body `ok`, nothing else. Where the blocks are refused, the text alone is sent in the same attempt.

use reqwest::Client;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use super::limit::{cut, cut_end, slack_units, weight};
use super::{Attempt, Outgoing, Try, http};
use crate::config::secret::MaybeSecret;
use crate::domain::message::Delivery;

const HEADER: usize = 150;
const SECTION: usize = 2900;
/// For the body; header and context have their room beside it.
const BODY: usize = 11_500;
const PREVIEW: usize = 3000;
const TEXT: usize = 39_000;
const CONTEXT: usize = 500;

pub(super) async fn send(client: &Client, webhook: &MaybeSecret, out: &Outgoing, this: &Try) -> Attempt {
    match attempt(client, webhook, out, this).await {
        Ok(attempt) | Err(attempt) => attempt,
    }
}

async fn attempt(client: &Client, webhook: &MaybeSecret, out: &Outgoing, this: &Try) -> Result<Attempt, Attempt> {
    let address = this.resolve_maybe(webhook).await?;
    // Whoever has the address can post: it is a secret even where it was written down plainly.
    let url = http::address(address.expose_secret(), true, this)?;
    let first = http::post(client, &url, headers(), body(&payload(out))?, this).await?;
    let attempt = judge(&first);
    if attempt.result != Delivery::Refused || !blocks_refused(&first) {
        return Ok(attempt);
    }
    let second = http::post(client, &url, headers(), body(&plain(out))?, this).await?;
    let mut attempt = judge(&second);
    attempt.answer = format!("{} (as plain text: blocks refused with {})", attempt.answer, first.body.trim());
    Ok(attempt)
}

fn headers() -> HeaderMap {
    HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"))])
}

fn body(payload: &Value) -> Result<Vec<u8>, Attempt> {
    serde_json::to_vec(payload).map_err(|e| Attempt::refused(format!("the message cannot be written as JSON: {e}")))
}

fn judge(answer: &http::Answer) -> Attempt {
    let by_status = answer.attempt();
    match (answer.status, answer.body.trim()) {
        (200, "ok") => Attempt::accepted("ok"),
        // A proxy's page, or an answer cut short: the same key cannot tell Slack, so it may show twice, never not at all.
        (200..=299, _) => Attempt::retrying(format!("not Slack's \"ok\": {}", by_status.answer)),
        _ => by_status,
    }
}

/// The far end dislikes the form, not the sender.
fn blocks_refused(answer: &http::Answer) -> bool {
    let said = answer.body.as_str();
    answer.status == 400 && (said.contains("block") || said.contains("invalid_payload") || said.contains("too_long"))
}

/// The message as blocks, with a short text for notifications.
pub(super) fn payload(out: &Outgoing) -> Value {
    let headline = out.headline();
    let text = out.text();
    let mut blocks = vec![json!({ "type": "header", "text": plain_text(&cut_end(&headline, HEADER, slack_units)) })];
    for part in sections(&cut(&text, BODY, slack_units)) {
        blocks.push(json!({ "type": "section", "text": plain_text(&part) }));
    }
    blocks.push(json!({
        "type": "context",
        "elements": [plain_text(&cut_end(&out.footer(), CONTEXT, slack_units))],
    }));
    let preview = cut(&format!("{headline}\n{text}"), PREVIEW, slack_units);
    json!({ "text": escape(&preview), "mrkdwn": false, "blocks": blocks })
}

/// The message as text alone.
pub(super) fn plain(out: &Outgoing) -> Value {
    let footer = cut_end(&out.footer(), CONTEXT, slack_units);
    let text = cut(&format!("{}\n\n{}", out.headline(), out.text()), TEXT - CONTEXT - 2, slack_units);
    json!({ "text": format!("{}\n\n{}", escape(&text), escape(&footer)), "mrkdwn": false })
}

fn plain_text(text: &str) -> Value {
    json!({ "type": "plain_text", "text": escape(text), "emoji": false })
}

/// The three characters that Slack treats as control characters, and no others.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// `text` in parts that a section takes, cut between lines where lines allow; none of them empty.
fn sections(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut used = 0;
    let mut push = |piece: &str, line_end: bool| {
        let cost = weight(piece, slack_units) + usize::from(line_end);
        if used + cost > SECTION {
            parts.push(String::new());
            used = 0;
        }
        if let Some(part) = parts.last_mut() {
            part.push_str(piece);
            if line_end {
                part.push('\n');
            }
        }
        used += cost;
    };
    for line in text.split('\n') {
        if weight(line, slack_units) < SECTION {
            push(line, true);
            continue;
        }
        for c in line.chars() {
            push(c.encode_utf8(&mut [0; 4]), false);
        }
        push("", true);
    }
    parts.into_iter().map(|p| p.trim_matches('\n').to_owned()).filter(|p| !p.trim().is_empty()).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::notify::tests::outgoing;

    /// The documented limits, checked on the finished payload.
    pub(crate) fn within_limits(payload: &Value) -> Result<(), String> {
        let units = |v: &Value| v.as_str().map_or(0, |s| s.encode_utf16().count());
        if units(&payload["text"]) > 40_000 || units(&payload["text"]) == 0 {
            return Err(format!("text has {}", units(&payload["text"])));
        }
        let blocks = payload["blocks"].as_array().cloned().unwrap_or_default();
        if blocks.len() > 50 {
            return Err(format!("{} blocks", blocks.len()));
        }
        let mut total = 0;
        for block in &blocks {
            let (limit, text) = match block["type"].as_str() {
                Some("header") => (150, &block["text"]["text"]),
                Some("section") => (3000, &block["text"]["text"]),
                Some("context") => (2000, &block["elements"][0]["text"]),
                other => return Err(format!("block {other:?}")),
            };
            let n = units(text);
            total += n;
            if n == 0 || n > limit {
                return Err(format!("a {} of {n}", block["type"]));
            }
        }
        if total > 13_200 { Err(format!("{total} in all")) } else { Ok(()) }
    }

    #[test]
    fn escapes_three_characters_and_cuts_in_the_middle() {
        let mut out = outgoing();
        out.subject = "<!channel> & co".into();
        out.body = (0..2000).map(|n| format!("row {n} <x>\n")).collect();
        let payload = payload(&out);
        within_limits(&payload).unwrap();
        assert_eq!(payload["blocks"][0]["text"]["text"], "&lt;!channel&gt; &amp; co");
        let all: String = payload["blocks"].as_array().unwrap().iter().map(ToString::to_string).collect();
        assert!(all.contains("row 0 ") && all.contains("row 1999 ") && all.contains(" lines cut)…"));
        assert!(all.contains("journal 9f3a12cd"));
    }

    #[test]
    fn an_empty_message_is_still_a_message() {
        let mut out = outgoing();
        out.subject = String::new();
        out.body = "\n \n".into();
        within_limits(&payload(&out)).unwrap();
        within_limits(&plain(&out)).unwrap();
    }

    proptest::proptest! {
        #[test]
        fn any_text_fits(subject in "(\\PC|[&<>\\x00-\\x1f]){0,300}", line in "(\\PC|[&<>\n\\x1b]){0,200}", times in 0_usize..400) {
            let mut out = outgoing();
            out.subject = subject;
            out.body = line.repeat(times);
            for payload in [payload(&out), plain(&out)] {
                if let Err(why) = within_limits(&payload) {
                    proptest::prop_assert!(false, "{}", why);
                }
                let bytes = serde_json::to_vec(&payload).unwrap();
                proptest::prop_assert!(serde_json::from_slice::<Value>(&bytes).unwrap() == payload);
            }
        }
    }
}
