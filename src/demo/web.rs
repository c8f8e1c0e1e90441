//! The sandbox's own programs: an API that needs its database and its documents, and a front end that needs the API.
//!
//! Small on purpose: HTTP/1.1, one answer a connection, loopback only.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::sys::pg;

/// While this file stands in the sandbox, the API answers slowly.
pub const SLOW: &str = "slow";
/// How slowly.
const SLOWLY: Duration = Duration::from_millis(1200);

/// What a program of the sandbox needs to know.
#[derive(Clone, Debug)]
pub struct Setting {
    pub dir: PathBuf,
    pub port: u16,
    /// Connection string of the API's database, where there is one.
    pub database: Option<String>,
    /// The API's address, for the front end.
    pub api: String,
}

/// Serves until the process ends.
pub async fn serve(name: &str, setting: Setting) -> io::Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", setting.port)).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        let setting = setting.clone();
        let api = name == "api";
        tokio::spawn(async move {
            let _ = tokio::time::timeout(Duration::from_secs(30), answer(stream, &setting, api)).await;
        });
    }
}

async fn answer(mut stream: TcpStream, setting: &Setting, api: bool) -> io::Result<()> {
    let mut head = vec![0; 4096];
    let n = stream.read(&mut head).await?;
    let line = String::from_utf8_lossy(head.get(..n).unwrap_or_default()).into_owned();
    let path = line.split_whitespace().nth(1).unwrap_or("/").to_owned();
    let (status, kind, body) = if api { api_answer(setting, &path).await } else { web_answer(setting).await };
    let text = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(text.as_bytes()).await?;
    stream.shutdown().await
}

type Answer = (&'static str, &'static str, String);
const OK: &str = "200 OK";
const UNAVAILABLE: &str = "503 Service Unavailable";
const JSON: &str = "application/json";

async fn api_answer(setting: &Setting, path: &str) -> Answer {
    if setting.dir.join(SLOW).exists() {
        tokio::time::sleep(SLOWLY).await;
    }
    if !path.starts_with("/health") && !path.starts_with("/orders") {
        return ("404 Not Found", JSON, "{\"error\":\"there is only /health and /orders\"}".into());
    }
    let documents = count_documents(&setting.dir.join("documents"));
    let orders = match &setting.database {
        None => Ok(None),
        Some(dsn) => count_orders(dsn).await.map(Some),
    };
    match (documents, orders) {
        (Ok(documents), Ok(orders)) => {
            (OK, JSON, serde_json::json!({ "status": "ok", "orders": orders, "documents": documents }).to_string())
        }
        (documents, orders) => {
            let why: Vec<String> =
                [documents.err().map(|e| e.to_string()), orders.err()].into_iter().flatten().collect();
            (UNAVAILABLE, JSON, serde_json::json!({ "status": "failing", "why": why }).to_string())
        }
    }
}

fn count_documents(dir: &Path) -> io::Result<usize> {
    let found = std::fs::read_dir(dir)
        .map_err(|e| io::Error::new(e.kind(), format!("documents: {e}")))?
        .filter_map(Result::ok)
        .filter(|e| e.path().extension().is_some_and(|x| x == "txt"))
        .count();
    if found == 0 { Err(io::Error::other("documents: none is left")) } else { Ok(found) }
}

async fn count_orders(dsn: &str) -> Result<i64, String> {
    let target = pg::PgTarget::parse(dsn).map_err(|e| format!("orders: {e}"))?;
    let conn = pg::connect(&target, Duration::from_secs(2)).await.map_err(|e| format!("orders: {e}"))?;
    let query = conn.client.query_one("select count(*) from orders", &[]);
    match tokio::time::timeout(Duration::from_secs(2), query).await {
        Ok(Ok(row)) => row.try_get(0).map_err(|e| format!("orders: {e}")),
        Ok(Err(e)) => Err(format!("orders: {}", pg::PgError::from(e))),
        Err(_) => Err("orders: the database does not answer".into()),
    }
}

async fn web_answer(setting: &Setting) -> Answer {
    let ask = async {
        let mut stream = TcpStream::connect(&setting.api).await?;
        stream.write_all(b"GET /orders HTTP/1.1\r\nHost: api\r\nConnection: close\r\n\r\n").await?;
        let mut all = Vec::new();
        stream.take(64 * 1024).read_to_end(&mut all).await?;
        Ok::<_, io::Error>(all)
    };
    let page = |text: &str| format!("<!doctype html><title>sandbox</title><p>{text}</p>\n");
    match tokio::time::timeout(Duration::from_secs(4), ask).await {
        Ok(Ok(all)) if all.starts_with(b"HTTP/1.1 200") => (OK, "text/html", page("the shop is open")),
        Ok(Ok(_)) => (UNAVAILABLE, "text/html", page("the shop is closed: its API is failing")),
        Ok(Err(e)) => (UNAVAILABLE, "text/html", page(&format!("the shop is closed: its API is gone: {e}"))),
        Err(_) => (UNAVAILABLE, "text/html", page("the shop is closed: its API does not answer")),
    }
}
