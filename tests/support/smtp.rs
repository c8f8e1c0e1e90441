//! A mail server (Debian's aiosmtpd) that keeps what it accepts, with STARTTLS and a login where asked for.

use std::process::Command;
use std::time::Duration;

use super::guard::{self, Guarded};
use super::{PATIENCE, ServerCert, free_port, scratch, wait_for_some};

/// How the server is to be.
#[derive(Default)]
pub struct SmtpOptions {
    /// Offers STARTTLS with this certificate.
    pub tls: Option<ServerCert>,
    /// Refuses mail without STARTTLS.
    pub require_tls: bool,
    /// Refuses mail without this user and password.
    pub login: Option<(String, String)>,
}

/// A message as accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// Envelope sender.
    pub from: String,
    /// Envelope recipients.
    pub to: Vec<String>,
    /// Headers and body as sent.
    pub data: String,
    /// Came over TLS.
    pub tls: bool,
    /// Who had logged in.
    pub user: Option<String>,
}

/// A running server. Recipients beginning with `refused` get 550, with `later` 451, with `greylisted` 451 once.
pub struct Smtp {
    dir: tempfile::TempDir,
    port: u16,
    server: Guarded,
}

impl Smtp {
    /// Without TLS and login.
    #[track_caller]
    pub fn start() -> Self {
        Self::start_with(SmtpOptions::default())
    }

    /// As asked for.
    #[track_caller]
    pub fn start_with(options: SmtpOptions) -> Self {
        let dir = scratch();
        let mail = dir.path().join("mail");
        std::fs::create_dir(&mail).unwrap();
        let port = free_port();
        let mut arguments = serde_json::json!({ "port": port, "dir": mail, "require_tls": options.require_tls });
        if let Some(cert) = &options.tls {
            std::fs::write(dir.path().join("cert.pem"), &cert.cert_pem).unwrap();
            std::fs::write(dir.path().join("key.pem"), &cert.key_pem).unwrap();
            arguments["cert"] = serde_json::json!(dir.path().join("cert.pem"));
            arguments["key"] = serde_json::json!(dir.path().join("key.pem"));
        }
        if let Some((user, password)) = &options.login {
            arguments["user"] = user.as_str().into();
            arguments["password"] = password.as_str().into();
        }
        // The system's Python: the package is Debian's.
        let python = "/usr/bin/python3";
        let found = Command::new(python).args(["-c", "import aiosmtpd"]).output();
        assert!(
            found.is_ok_and(|o| o.status.success()),
            "this test needs a mail server: install the package python3-aiosmtpd (.ci/run does)"
        );
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/smtp_server.py");
        let mut command = Command::new(python);
        command.arg("-u").arg(script).arg(arguments.to_string());
        let mut server = guard::start(command, "the mail server", &dir.path().join("server.log"));
        server.wait_ready(PATIENCE, || super::port_open(port));
        Smtp { dir, port, server }
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Process id.
    pub fn pid(&self) -> i32 {
        self.server.pid()
    }

    /// What it logged.
    pub fn log(&self) -> String {
        self.server.log()
    }

    /// Sends it a signal: SIGSTOP hangs it.
    pub fn signal(&self, signal: i32) {
        self.server.signal(signal);
    }

    /// Everything accepted so far, in order.
    pub fn mails(&self) -> Vec<Mail> {
        let mut files: Vec<_> = std::fs::read_dir(self.dir.path().join("mail"))
            .into_iter()
            .flatten()
            .flatten()
            .map(|e| e.path())
            .filter(|p| p.extension().is_some_and(|e| e == "json"))
            .collect();
        files.sort();
        files.iter().map(|f| read(f)).collect()
    }

    /// Waits for at least `n` messages.
    #[track_caller]
    pub fn wait_for_mails(&self, n: usize, limit: Duration) -> Vec<Mail> {
        wait_for_some(&format!("{n} messages at the mail server"), limit, || {
            Some(self.mails()).filter(|mails| mails.len() >= n)
        })
    }
}

fn read(file: &std::path::Path) -> Mail {
    let value: serde_json::Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let text = |v: &serde_json::Value| v.as_str().unwrap_or_default().to_owned();
    Mail {
        from: text(&value["from"]),
        to: value["to"].as_array().unwrap().iter().map(text).collect(),
        data: String::from_utf8_lossy(&from_base64(value["data"].as_str().unwrap())).into_owned(),
        tls: value["tls"].as_bool().unwrap(),
        user: value["user"].as_str().map(str::to_owned),
    }
}

fn from_base64(text: &str) -> Vec<u8> {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = Vec::new();
    let (mut bits, mut count) = (0u32, 0);
    for digit in text.bytes().filter_map(|b| ALPHABET.iter().position(|a| *a == b)) {
        bits = (bits << 6) | digit as u32;
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push((bits >> count) as u8);
            bits &= (1 << count) - 1;
        }
    }
    out
}
