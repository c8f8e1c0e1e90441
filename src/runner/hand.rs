//! Taking over the secrets: one line of JSON on standard input, read once, then standard input is closed for good.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use secrecy::{ExposeSecret, SecretString};

pub(super) use crate::sys::proc::silence;
use crate::text::Mask;

/// Longest wait for the engine to say them.
const PATIENCE: Duration = Duration::from_secs(10);
const LARGEST: usize = 1 << 20;

/// Reads the line. With `engine` it has to come, were it empty: a closed input then means that the engine died, and what
/// it would have handed over to be masked is not known. Without, a closed input means no secrets. Errors say what was
/// wrong with what came; nothing of its content is in them.
pub(super) fn receive(engine: bool) -> Result<BTreeMap<String, SecretString>, String> {
    let stdin = io::stdin();
    let mut bytes = read_line(stdin.as_fd())?;
    let _ = silence(stdin.as_fd());
    let parsed = match bytes.as_slice() {
        [] if engine => Err("standard input ended before the secrets came".to_owned()),
        [] => Ok(BTreeMap::new()),
        line => serde_json::from_slice::<BTreeMap<String, String>>(line)
            .map(|all| all.into_iter().map(|(name, value)| (name, SecretString::from(value))).collect())
            .map_err(|_| "what came on standard input is not a line of secrets".to_owned()),
    };
    bytes.fill(0);
    parsed
}

fn read_line(fd: BorrowedFd<'_>) -> Result<Vec<u8>, String> {
    let until = Instant::now() + PATIENCE;
    // Allocated once, so that no copy of a secret is left behind by growing.
    let mut bytes = Vec::with_capacity(LARGEST);
    let mut buffer = [0u8; 4096];
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let wait = Timespec { tv_sec: i64::try_from(left.as_secs()).unwrap_or(1), tv_nsec: left.subsec_nanos().into() };
        match poll(&mut [PollFd::new(&fd, PollFlags::IN)], Some(&wait)) {
            Ok(0) => return Err(format!("no secrets came within {} s", PATIENCE.as_secs())),
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(format!("standard input cannot be waited for: {e}")),
        }
        let n = match rustix::io::read(fd, &mut buffer) {
            Ok(n) => n,
            Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => continue,
            // A closed descriptor: started by hand, without an input.
            Err(rustix::io::Errno::BADF) => 0,
            Err(e) => return Err(format!("standard input cannot be read: {e}")),
        };
        let got = buffer.get(..n).unwrap_or_default();
        if bytes.len() + n > LARGEST {
            return Err("more than a mebibyte of secrets came".to_owned());
        }
        match got.iter().position(|b| *b == b'\n') {
            Some(end) => {
                bytes.extend_from_slice(got.get(..end).unwrap_or_default());
                buffer.fill(0);
                return Ok(bytes);
            }
            None if n == 0 && bytes.is_empty() => return Ok(bytes),
            None if n == 0 => return Err("standard input ended within the line of secrets".to_owned()),
            None => bytes.extend_from_slice(got),
        }
    }
}

/// Everything that must not be in the output: the values handed over, and secrets of the environment that commands
/// inherit.
pub(super) fn mask(secrets: &BTreeMap<String, SecretString>) -> Mask {
    let handed = secrets.values().map(|value| value.expose_secret().to_owned());
    let inherited = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .flat_map(|(name, value)| of_environment(&name, value));
    Mask::new(handed.chain(inherited))
}

/// The secrets in one variable of the environment: by its name the whole value, in any case a password in an address.
fn of_environment(name: &str, value: String) -> Vec<String> {
    const NAMES: [&str; 14] = [
        "PASS",
        "PASSWORD",
        "PASSWD",
        "PASSPHRASE",
        "PWD",
        "PW",
        "SECRET",
        "SECRETS",
        "TOKEN",
        "KEY",
        "APIKEY",
        "CREDENTIAL",
        "CREDENTIALS",
        "WEBHOOK",
    ];
    let mut found: Vec<String> = crate::text::mask::passwords_in_addresses(&value);
    let upper = name.to_ascii_uppercase();
    let named = upper.split(['_', '-', '.']).any(|part| NAMES.contains(&part) || part.ends_with("PASSWORD"));
    // PWD and OLDPWD are folders, and so is many a …_KEY: a path is no secret. Short values would blank out the text.
    let plain = upper == "PWD" || upper == "OLDPWD" || value.starts_with('/') || value.len() < 6;
    if named && !plain {
        found.push(value);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_of_the_environment_are_told_from_what_is_none() {
        for (name, value, wanted) in [
            ("PGPASSWORD", "hunter22", vec!["hunter22"]),
            ("RAILWAY_TOKEN", "abcdef-123", vec!["abcdef-123"]),
            ("api_key", "k-123456", vec!["k-123456"]),
            ("DATABASE_URL", "postgres://app:hunter22@db:5432/app?x=1", vec!["hunter22"]),
            ("BROKERS", "amqp://a:firstpw@h1/,amqp://a:secondpw@h2/", vec!["firstpw", "secondpw"]),
            ("PWD", "/home/oncall", vec![]),
            ("SSH_KEY", "/home/oncall/.ssh/id", vec![]),
            ("KEYBOARD", "de-nodeadkeys", vec![]),
            ("PATH", "/usr/bin:/bin", vec![]),
            ("SHORT_TOKEN", "on", vec![]),
        ] {
            assert_eq!(of_environment(name, value.to_owned()), wanted, "{name}");
        }
    }
}
