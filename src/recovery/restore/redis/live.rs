//! The live server: what stands against taking over its data, its settings while it is handed over, and writes held.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::client::{Conn, Fault, Info};
use crate::sys::disk;
use crate::text;

/// Where the values are kept that settings had. They may be secrets, so they stand in the private folder only.
const SETTINGS: &str = "settings.json";

/// What is told of a server by its own words.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    pub info: Info,
    pub databases: u32,
    /// Connections of Sentinels that watch it.
    pub sentinels: bool,
    /// `CONFIG` is forbidden, and why.
    pub closed: Option<String>,
}

/// Looks at a server.
pub async fn look(conn: &mut Conn) -> Result<Facts, Fault> {
    let mut facts = Facts { info: conn.info().await?, databases: 16, ..Facts::default() };
    if facts.info.get("redis_mode") == "sentinel" {
        return Ok(facts);
    }
    match conn.setting("databases").await {
        Ok(value) => facts.databases = value.and_then(|v| v.parse().ok()).unwrap_or(16),
        Err(e) if e.is_loading() => {}
        Err(e) => facts.closed = Some(e.text),
    }
    if let Ok(list) = conn.say(&["CLIENT", "LIST"]).await {
        facts.sentinels = list.text().lines().any(|l| l.contains("name=sentinel-"));
    }
    Ok(facts)
}

impl Facts {
    /// Why this server cannot be given other data, and what to do.
    pub fn obstacle(&self, at: &str) -> Option<String> {
        let info = &self.info;
        if info.get("redis_mode") == "sentinel" {
            return Some(format!("{at} is a Sentinel and holds no data: name the server that it watches in `url`"));
        }
        if info.get("cluster_enabled") == "1" || info.get("redis_mode") == "cluster" {
            return Some(format!(
                "{at} is a node of a cluster, whose data lie on several: restore node by node, by hand"
            ));
        }
        if info.get("role") == "slave" {
            let master = format!("{}:{}", info.get("master_host"), info.get("master_port"));
            return Some(format!(
                "{at} is a replica of {master}: name that one in `url`, or make this one a master first (REPLICAOF NO ONE)"
            ));
        }
        if info.get("loading") == "1" {
            let share = info.get("loading_loaded_perc");
            return Some(format!("{at} is loading its data ({share} %): wait until it has"));
        }
        None
    }

    /// Why it cannot follow a scratch server for a moment.
    pub fn no_follower(&self, at: &str) -> Option<String> {
        if let Some(why) = &self.closed {
            return Some(format!("its settings cannot be changed for the hand-over ({why}): use by = \"file\""));
        }
        self.sentinels.then(|| {
            format!("{at} is watched by Sentinel, which would take the hand-over for a failover: end that first, or use by = \"file\"")
        })
    }
}

/// Settings of the live server while it follows the scratch one. Who had `replica-read-only` off could write into data that
/// are about to go.
fn wanted(password: Option<&str>) -> Vec<(&'static str, &str)> {
    // What is kept is fetched at once, not after waiting for more replicas.
    let mut wanted = vec![("repl-diskless-sync-delay", "0")];
    if let Some(password) = password {
        wanted.extend([
            ("masterauth", password),
            ("masteruser", ""),
            ("tls-replication", "no"),
            ("replica-read-only", "yes"),
        ]);
    }
    wanted
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Saved(BTreeMap<String, String>);

/// Keeps the values that settings have in the folder, then sets them: those for following a server with this password, or
/// only those for being followed.
pub async fn set(conn: &mut Conn, folder: &Path, password: Option<&str>) -> Result<(), String> {
    let mut saved = Saved::default();
    let mut change = Vec::new();
    for (name, value) in wanted(password) {
        // Older servers do not have all of them.
        if let Some(now) = conn.setting(name).await.map_err(|e| e.to_string())?
            && now != value
        {
            saved.0.insert(name.to_owned(), now);
            change.push((name, value));
        }
    }
    let text = serde_json::to_vec(&saved).map_err(|e| e.to_string())?;
    disk::write_atomic(&folder.join(SETTINGS), &text, 0o600).map_err(|e| format!("{}: {e}", folder.display()))?;
    for (name, value) in change {
        conn.say(&["CONFIG", "SET", name, value]).await.map_err(|e| e.to_string())?;
    }
    Ok(())
}

/// Puts settings back, when any were changed. Safe to do again.
pub async fn put_back(conn: &mut Conn, folder: &Path) -> Result<(), String> {
    let path = folder.join(SETTINGS);
    let Ok(text) = std::fs::read(&path) else { return Ok(()) };
    let saved: Saved = serde_json::from_slice(&text).map_err(|e| format!("{}: {e}", path.display()))?;
    for (name, value) in &saved.0 {
        conn.say(&["CONFIG", "SET", name, value]).await.map_err(|e| e.to_string())?;
    }
    std::fs::remove_file(&path).map_err(|e| format!("{}: {e}", path.display()))
}

/// A server that was started again has its own settings.
pub fn forget(folder: &Path) {
    let _ = std::fs::remove_file(folder.join(SETTINGS));
}

/// How long writes stay held when nobody holds on.
const HOLD: Duration = Duration::from_secs(8);
const RENEW: Duration = Duration::from_secs(2);

/// Writes are held as long as this is renewed; by themselves they go on when this process dies. Servers before 6.2 cannot.
pub struct Hold {
    pub since: Instant,
    /// The server can do it.
    pub holds: bool,
    renewed: Instant,
}

impl Hold {
    pub async fn begin(conn: &mut Conn) -> Hold {
        let now = Instant::now();
        let mut hold = Hold { since: now, holds: false, renewed: now };
        hold.holds = hold.pause(conn).await;
        hold
    }

    async fn pause(&mut self, conn: &mut Conn) -> bool {
        let ms = HOLD.as_millis().to_string();
        self.renewed = Instant::now();
        conn.say(&["CLIENT", "PAUSE", &ms, "WRITE"]).await.is_ok()
    }

    /// Holds on until `work` is done.
    pub async fn during<T>(&mut self, conn: &mut Conn, work: impl Future<Output = T>) -> T {
        tokio::pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return done,
                () = tokio::time::sleep(RENEW) => {
                    if self.holds && self.renewed.elapsed() >= RENEW {
                        self.pause(conn).await;
                    }
                }
            }
        }
    }

    pub async fn end(&self, conn: &mut Conn) {
        if self.holds {
            let _ = conn.say(&["CLIENT", "UNPAUSE"]).await;
        }
    }
}

/// Waits until a server that saves has saved what it has now. What is to be said about it.
pub async fn saved(conn: &mut Conn, limit: Duration) -> Option<String> {
    let save = conn.setting("save").await.ok().flatten().unwrap_or_default();
    let info = conn.info().await.ok()?;
    let aof = info.get("aof_enabled") == "1";
    if save.is_empty() && !aof {
        return None;
    }
    // A save that is on its way began before; this one is asked for behind it.
    if !save.is_empty() {
        let _ = conn.say(&["BGSAVE", "SCHEDULE"]).await;
    }
    let until = Instant::now() + limit;
    while Instant::now() < until {
        let info = conn.info().await.ok()?;
        let busy = ["rdb_bgsave_in_progress", "aof_rewrite_in_progress", "aof_rewrite_scheduled"];
        if busy.iter().all(|k| info.get(k) != "1") {
            let failed = [("rdb_last_bgsave_status", !save.is_empty()), ("aof_last_bgrewrite_status", aof)];
            let failed = failed.iter().any(|(k, counts)| *counts && info.get(k) == "err");
            return Some(match failed {
                true => "it could NOT save it to its disk: look at its log".to_owned(),
                false if aof => "its append-only file was written anew".to_owned(),
                false => "it has saved it".to_owned(),
            });
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Some(format!("it was still saving it after {}", text::duration(limit)))
}
