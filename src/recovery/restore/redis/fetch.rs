//! Fetching the live data as a replica does: `SYNC` makes the server send an RDB file of this moment (replication.c).

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt};

use super::client::{Conn, Target};
use super::scratch::{self, RunAs};
use crate::recovery::op::{OpContext, OpError};
use crate::text;

/// Longest silence of the server: it sends an empty line now and then while it prepares.
const SILENCE: Duration = Duration::from_secs(60);
/// Length of the mark that ends a transfer of unknown length.
const MARK: usize = 40;

/// Fetches everything into the file `name` of a folder. Bytes written.
pub async fn run(
    target: &Target,
    folder: &Path,
    name: &str,
    user: Option<&RunAs>,
    ctx: &OpContext,
) -> Result<u64, OpError> {
    let failed = |why: String| OpError::Failed(format!("fetch what is live at {}: {why}", target.label()));
    let mut conn = Conn::open(target).await.map_err(|e| failed(e.to_string()))?;
    // Without this the server writes the file to its own disk first.
    conn.say(&["REPLCONF", "capa", "eof"]).await.map_err(|e| failed(e.to_string()))?;
    conn.send(&["SYNC"]).await.map_err(|e| failed(e.to_string()))?;
    let broken = |e: std::io::Error| failed(format!("the connection broke: {e}"));
    let silent = || failed(format!("nothing came for {}", text::duration(SILENCE)));
    let line = loop {
        let mut line = Vec::new();
        let read = conn.stream.read_until(b'\n', &mut line);
        let n = tokio::select! {
            n = tokio::time::timeout(SILENCE, read) => n.map_err(|_| silent())?.map_err(broken)?,
            () = ctx.cancel.cancelled() => return Err(OpError::Cancelled),
        };
        if n == 0 {
            return Err(failed("it closed the connection: look at its log, mostly it cannot fork or save".into()));
        }
        let line = String::from_utf8_lossy(&line).trim().to_owned();
        if !line.is_empty() {
            break line;
        }
    };
    let mut file = scratch::file(folder, name, user).map_err(failed)?;
    let (mut left, mark) = match line.strip_prefix('$') {
        Some(rest) => match rest.strip_prefix("EOF:") {
            Some(mark) if mark.len() == MARK => (u64::MAX, mark.as_bytes().to_vec()),
            _ => (rest.parse().map_err(|_| failed(format!("it answered {}", text::clean(&line))))?, Vec::new()),
        },
        None => {
            return Err(failed(format!(
                "it answered {}: the user may have to be allowed to replicate",
                text::clean(&line)
            )));
        }
    };
    let mut held: Vec<u8> = Vec::new();
    let mut written = 0u64;
    let mut buffer = vec![0; 1 << 18];
    while left > 0 {
        let room = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let n = tokio::select! {
            n = tokio::time::timeout(SILENCE, conn.stream.read(buffer.get_mut(..room).unwrap_or_default())) => {
                n.map_err(|_| silent())?.map_err(broken)?
            }
            () = ctx.cancel.cancelled() => return Err(OpError::Cancelled),
        };
        if n == 0 {
            return Err(failed("it closed the connection in the middle".into()));
        }
        held.extend_from_slice(buffer.get(..n).unwrap_or_default());
        let ended = !mark.is_empty() && held.ends_with(&mark);
        let sure = if ended || !mark.is_empty() { held.len().saturating_sub(MARK) } else { held.len() };
        file.write_all(held.get(..sure).unwrap_or_default())
            .map_err(|e| failed(format!("write {}: {e}", folder.display())))?;
        held.drain(..sure);
        written += sure as u64;
        left = if ended {
            0
        } else if mark.is_empty() {
            left - n as u64
        } else {
            left
        };
        ctx.sink.progress(written, 0, "keeping what is live");
    }
    file.sync_all().map_err(|e| failed(format!("{}: {e}", folder.display())))?;
    Ok(written)
}
