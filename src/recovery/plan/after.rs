//! Which checks show that something took effect, and how they are said.

use crate::config::{Check, CheckKind};
use crate::text;

/// The checks that can show that a service came up: all but those of the host and of certificates, which say nothing
/// about it; those only when there is nothing else.
pub fn of_service(checks: &[Check]) -> Vec<(String, &CheckKind)> {
    let speaks = |c: &&Check| !matches!(c.kind, CheckKind::Host(_) | CheckKind::Tls(_));
    let some: Vec<&Check> = checks.iter().filter(speaks).collect();
    let used = if some.is_empty() { checks.iter().collect() } else { some };
    used.into_iter().map(|c| (c.name.clone(), &c.kind)).collect()
}

/// The checks that fail once a service is stopped: those that talk to it.
pub fn of_stopped(checks: &[Check]) -> Vec<(String, &CheckKind)> {
    let talks = |c: &&Check| {
        matches!(
            c.kind,
            CheckKind::Http(_)
                | CheckKind::Tcp(_)
                | CheckKind::Postgres(_)
                | CheckKind::Redis(_)
                | CheckKind::Systemd(_)
                | CheckKind::Docker(_)
        )
    };
    checks.iter().filter(talks).map(|c| (c.name.clone(), &c.kind)).collect()
}

/// What a check looks at, for people. No secret: passwords in addresses are masked.
pub fn shown(kind: &CheckKind) -> String {
    let said = match kind {
        CheckKind::Http(c) => {
            let status: Vec<String> = c
                .status
                .iter()
                .map(|(from, to)| if from == to { from.to_string() } else { format!("{from}–{to}") })
                .collect();
            let wanted = if status.is_empty() { "200–299".to_owned() } else { status.join(", ") };
            format!("{} {} answers {wanted}", if c.method.is_empty() { "GET" } else { &c.method }, c.url.describe())
        }
        CheckKind::Tcp(c) => format!("{} accepts connections", c.address),
        CheckKind::Tls(c) => format!("{} shows a valid certificate", c.address),
        CheckKind::Dns(c) => format!("{} has an answer of type {}", c.name, c.record),
        CheckKind::Postgres(c) => format!("PostgreSQL answers at {}", c.dsn.describe()),
        CheckKind::Redis(c) => format!("Redis answers at {}", c.url.describe()),
        CheckKind::Host(_) => "the host is within its limits".to_owned(),
        CheckKind::Systemd(c) => format!("unit {} is active", c.unit),
        CheckKind::Docker(c) => format!("container {} is running and healthy", c.container),
        CheckKind::Exec(c) => {
            format!("exit 0 of {}", c.run.iter().map(|a| text::shell_word(a)).collect::<Vec<_>>().join(" "))
        }
    };
    text::clean(&text::Mask::default().apply(&said)).into_owned()
}
