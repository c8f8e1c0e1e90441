//! TCP: a connection, and where asked a line sent and a text that must come back.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::ProbeEnv;
use super::http::seconds;
use super::look::{Finding, Look, Phase, Progress};
use super::net::{self, Resolver};
use crate::config::{Family, TcpCheck};
use crate::domain::health::Reason;
use crate::text::clean::clean_to;
use crate::text::{clean_bytes, duration};

/// Bytes of an answer looked through for what is expected.
const ANSWER: usize = 64 * 1024;

pub(super) struct Tcp {
    host: String,
    port: u16,
    family: Family,
    send: Option<String>,
    expect: Option<String>,
    latency_below: Option<Duration>,
    resolver: Resolver,
}

impl Tcp {
    pub(super) fn new(check: &TcpCheck, env: &ProbeEnv) -> Result<Self, String> {
        let (host, port) = net::host_port(&check.address)?;
        Ok(Tcp {
            host,
            port,
            family: check.family,
            send: check.send.clone(),
            expect: check.expect.clone(),
            latency_below: check.latency_below,
            resolver: env.resolver.clone(),
        })
    }

    async fn ask(&self, progress: &Progress) -> Result<Finding, Finding> {
        let (mut stream, address) = net::connect(&self.resolver, &self.host, self.port, self.family, progress).await?;
        let mut shown = format!("connected to {address}");
        if self.send.is_some() || self.expect.is_some() {
            progress.enter(Phase::Answer);
            let at = address.to_string();
            if let Some(text) = &self.send {
                stream.write_all(text.as_bytes()).await.map_err(|e| net::exchange_words(&e, &at))?;
            }
            if let Some(wanted) = &self.expect {
                shown = answer(&mut stream, wanted, &at).await?;
            }
        }
        let took = progress.elapsed();
        Ok(match self.latency_below {
            Some(limit) if took > limit => {
                Finding::warn(Reason::Slow, format!("{shown} in {}, over {}", seconds(took), duration(limit)))
            }
            _ => Finding::ok(shown),
        })
    }
}

async fn answer(stream: &mut tokio::net::TcpStream, wanted: &str, at: &str) -> Result<String, Finding> {
    let mut seen = Vec::new();
    let mut buffer = [0; 4096];
    let wanted_shown = clean_to(wanted, 80);
    while seen.len() < ANSWER {
        let n = stream.read(&mut buffer).await.map_err(|e| net::exchange_words(&e, at))?;
        seen.extend_from_slice(buffer.get(..n).unwrap_or_default());
        if contains(&seen, wanted.as_bytes()) {
            return Ok(format!("{at} answered \"{wanted_shown}\""));
        }
        if n == 0 {
            let text = clean_bytes(&seen);
            let said = if text.is_empty() { "nothing".into() } else { format!("\"{}\"", clean_to(&text, 120)) };
            return Err(Finding::fail(
                Reason::Assertion,
                format!("{at} answered {said} and closed, expected \"{wanted_shown}\""),
            ));
        }
    }
    Err(Finding::fail(Reason::TooLarge, format!("{at} answered {ANSWER} bytes without \"{wanted_shown}\"")))
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    part.is_empty() || text.windows(part.len()).any(|w| w == part)
}

impl Look for Tcp {
    fn look<'a>(&'a self, progress: &'a Arc<Progress>) -> BoxFuture<'a, Finding> {
        Box::pin(async move { self.ask(progress).await.unwrap_or_else(|e| e) })
    }
}
