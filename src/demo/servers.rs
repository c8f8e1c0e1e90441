//! PostgreSQL and Redis for the sandbox, where their programs are found on this host.

use std::io;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::service::Server;
use crate::sys::{peer, pg, proc};

/// A port that nobody listens on right now.
pub fn free_port() -> io::Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// The newest PostgreSQL whose server programs are installed: its folder of programs and its version.
pub fn find_postgres() -> Option<(PathBuf, String)> {
    let mut found: Vec<(u32, PathBuf)> = std::fs::read_dir("/usr/lib/postgresql")
        .ok()?
        .filter_map(Result::ok)
        .filter_map(|e| Some((e.file_name().to_str()?.parse().ok()?, e.path().join("bin"))))
        .filter(|(_, bin)| ["initdb", "postgres", "pg_dump"].iter().all(|p| bin.join(p).is_file()))
        .collect();
    found.sort();
    if let Some((version, bin)) = found.pop() {
        return Some((bin, version.to_string()));
    }
    let initdb = proc::which("initdb", std::env::var_os("PATH").unwrap_or_default())?;
    let bin = initdb.parent()?.to_owned();
    ["postgres", "pg_dump"].iter().all(|p| bin.join(p).is_file()).then(|| (bin, String::new()))
}

/// Makes a cluster. PostgreSQL refuses to run as root, so root hands it to an unprivileged user.
pub fn make_postgres(dir: &Path, bin: &Path, version: &str) -> io::Result<Server> {
    let data = dir.join("postgres");
    let sockets = dir.join("sockets");
    for folder in [&data, &sockets] {
        std::fs::create_dir_all(folder)?;
    }
    let uid = if peer::current_uid() == 0 {
        let name = if peer::user_id("postgres").is_some() { "postgres" } else { "nobody" };
        let uid = peer::user_id(name).ok_or_else(|| io::Error::other("no unprivileged user for PostgreSQL"))?;
        let gid = peer::group_id(name).or_else(|| peer::group_id("nogroup")).unwrap_or(uid);
        for folder in [&data, &sockets] {
            chown(folder, Some(uid), Some(gid))?;
        }
        Some((uid, gid))
    } else {
        None
    };
    let mut initdb = Command::new(bin.join("initdb"));
    initdb
        .args(["-D", &data.display().to_string(), "-U", "shop", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C"])
        .current_dir(&data)
        .stdin(Stdio::null());
    if let Some((uid, gid)) = uid {
        initdb.uid(uid).gid(gid);
    }
    let made = initdb.output()?;
    if !made.status.success() {
        let said = String::from_utf8_lossy(&made.stderr).trim().to_owned();
        return Err(io::Error::other(format!("initdb failed: {said}")));
    }
    let port = free_port()?;
    let argv = [
        bin.join("postgres").display().to_string(),
        "-D".into(),
        data.display().to_string(),
        "-p".into(),
        port.to_string(),
        "-h".into(),
        "127.0.0.1".into(),
        "-k".into(),
        sockets.display().to_string(),
        "-c".into(),
        "shared_buffers=16MB".into(),
        "-c".into(),
        "max_connections=40".into(),
        "-c".into(),
        "fsync=off".into(),
    ];
    let dsn = format!("postgresql://shop@127.0.0.1:{port}/shop");
    Ok(Server { argv: argv.to_vec(), port, uid, dsn, version: version.to_owned() })
}

/// Runs statements, each on its own, on a server that may still be starting.
pub fn execute(dsn: &str, statement: &str) -> io::Result<()> {
    let target = pg::PgTarget::parse(dsn).map_err(|e| io::Error::other(e.to_string()))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let begun = Instant::now();
        let conn = loop {
            match pg::connect(&target, Duration::from_secs(2)).await {
                Ok(conn) => break conn,
                Err(pg::PgError::Refused { .. } | pg::PgError::Recovering(..) | pg::PgError::TimedOut(_))
                    if begun.elapsed() < Duration::from_secs(10) =>
                {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                Err(e) => return Err(io::Error::other(e.to_string())),
            }
        };
        conn.client.batch_execute(statement).await.map_err(|e| io::Error::other(pg::PgError::from(e).to_string()))
    })
}

/// The database of the shop, with something to lose.
pub fn fill(server: &Server) -> io::Result<()> {
    let maintenance = format!("postgresql://shop@127.0.0.1:{}/postgres", server.port);
    execute(&maintenance, "create database shop")?;
    execute(
        &server.dsn,
        "create table customers (id int primary key, name text not null);
         insert into customers select n, 'customer ' || n from generate_series(1, 500) n;
         create table orders (id int primary key, customer int not null references customers, total numeric not null,
             placed timestamptz not null default now());
         insert into orders select n, 1 + n % 500, (n * 37 % 9000) / 100.0, now() - n * interval '7 minutes'
             from generate_series(1, 20000) n;
         create index on orders (customer)",
    )
}

/// A dump of the shop's database, in PostgreSQL's own format.
pub fn dump(server: &Server, bin: &Path, to: &Path) -> io::Result<()> {
    let made = Command::new(bin.join("pg_dump"))
        .args(["-Fc", "-h", "127.0.0.1", "-p", &server.port.to_string(), "-U", "shop", "-f"])
        .arg(to)
        .arg("shop")
        .stdin(Stdio::null())
        .output()?;
    if made.status.success() {
        return Ok(());
    }
    Err(io::Error::other(format!("pg_dump failed: {}", String::from_utf8_lossy(&made.stderr).trim())))
}

/// Redis, where it is installed.
pub fn make_redis(dir: &Path) -> io::Result<Option<Server>> {
    let Some(program) = proc::which("redis-server", std::env::var_os("PATH").unwrap_or_default()) else {
        return Ok(None);
    };
    let data = dir.join("redis");
    std::fs::create_dir_all(&data)?;
    let port = free_port()?;
    let argv = [
        program.display().to_string(),
        "--port".into(),
        port.to_string(),
        "--bind".into(),
        "127.0.0.1".into(),
        "--dir".into(),
        data.display().to_string(),
        "--daemonize".into(),
        "no".into(),
    ];
    let dsn = format!("redis://127.0.0.1:{port}");
    Ok(Some(Server { argv: argv.to_vec(), port, uid: None, dsn, version: String::new() }))
}
