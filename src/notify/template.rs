//! Filling a message from the facts. What comes out is a draft: a person edits it before it is sent.
//!
//! A template's first line is the subject, the rest the body. A fact that is not known leaves its line out. Templates see
//! the fields of [`Facts`] by name and nothing else: no files, no includes, and a bounded number of steps.

use std::sync::OnceLock;

use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, Value};

use super::Facts;
use crate::domain::message::Template;
use crate::text::clean_lines;

/// A message to be looked over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Draft {
    /// One line.
    pub subject: String,
    /// Plain text.
    pub body: String,
}

/// The built-in text of `template`.
pub const fn source(template: Template) -> &'static str {
    match template {
        Template::Initial => include_str!("templates/initial.txt"),
        Template::Update => include_str!("templates/update.txt"),
        Template::Resolution => include_str!("templates/resolution.txt"),
        Template::Test => include_str!("templates/test.txt"),
    }
}

fn environment() -> &'static Environment<'static> {
    static ENVIRONMENT: OnceLock<Environment<'static>> = OnceLock::new();
    ENVIRONMENT.get_or_init(|| {
        let mut environment = Environment::new();
        if let Ok(syntax) = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build() {
            environment.set_syntax(syntax);
        }
        for template in Template::ALL {
            // The names have no ending that means HTML, so that nothing is escaped: each channel escapes for itself.
            if let Err(e) = environment.add_template(template.word(), source(template)) {
                debug_assert!(false, "built-in template {}: {e}", template.word());
            }
        }
        environment
    })
}

/// The draft of `template` filled with `facts`. It never fails: should a template not render, the draft is the bare facts.
pub fn fill(template: Template, facts: &Facts) -> Draft {
    let rendered = environment()
        .get_template(template.word())
        .and_then(|t| t.render(facts.value()))
        .unwrap_or_else(|_| format!("{} {}\n{}", template.word(), facts.incident, facts.title));
    split(&rendered)
}

fn split(text: &str) -> Draft {
    let text = clean_lines(text.trim(), usize::MAX);
    let (subject, body) = text.split_once('\n').unwrap_or((&text, ""));
    // At most one empty line in a row: what was left out leaves no hole.
    let mut lines: Vec<&str> = Vec::new();
    for line in body.trim().lines().map(str::trim_end) {
        if !(line.is_empty() && lines.last().is_some_and(|l| l.is_empty())) {
            lines.push(line);
        }
    }
    Draft { subject: subject.trim().to_owned(), body: lines.join("\n") }
}

/// `serde_json` to template value; null is undefined, so that `{% if x %}` and `{{ x }}` agree.
pub(super) fn value(json: serde_json::Value) -> Value {
    use serde_json::Value as J;
    match json {
        J::Null => Value::UNDEFINED,
        J::Bool(b) => Value::from(b),
        J::Number(n) => match (n.as_i64(), n.as_f64()) {
            (Some(i), _) => Value::from(i),
            (None, Some(f)) => Value::from(f),
            (None, None) => Value::UNDEFINED,
        },
        J::String(s) => Value::from(s),
        J::Array(items) => Value::from(items.into_iter().map(value).collect::<Vec<_>>()),
        J::Object(fields) => Value::from_pairs(fields.into_iter().map(|(k, v)| (k, value(v)))),
    }
}
