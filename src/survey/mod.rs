//! Looking at a host: what `mayday init` makes a starter from, and what `mayday doctor` says about this place.
//!
//! Nothing here is needed for anything else, and nothing that it looks at needs to exist: no systemd, no Docker, no
//! PostgreSQL, no `/proc` of other users' processes. Every question has a time limit, every file system is asked on a
//! thread of its own, and what does not answer is left out. It only reads: a connection is opened, greeted and closed;
//! an HTTP port is asked for its health page; nothing is written, logged in with a guessed password, or changed.
//!
//! | file | looks at |
//! | --- | --- |
//! | [`ports`] | listening TCP ports and whose they are, from `/proc` |
//! | [`units`] | running services of systemd, containers of Docker |
//! | [`servers`] | PostgreSQL, Redis and HTTP behind those ports |
//! | [`folders`] | the usual places of backups, and what lies there |
//! | [`doctor`] | whether this is a good place for mayday: tools, secrets, terminal, state folder, clock, … |

pub mod doctor;
pub mod folders;
pub mod ports;
pub mod servers;
pub mod units;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use crate::config::starter::Survey;
use crate::config::starter::{FoundContainer, FoundPort, FoundUnit};
use crate::sys::clock;
pub use doctor::{Finding, Level, Place, doctor};

/// Where to look, and for how long. A value, so that a test can hand in a host of its own.
#[derive(Clone, Debug)]
pub struct Host {
    /// `/`: `/proc`, `/etc` and the folders of backups are below.
    pub root: PathBuf,
    /// Where tools are looked for, in the form of `$PATH`.
    pub path: OsString,
    /// The home folder of the user.
    pub home: Option<PathBuf>,
    /// For each single question.
    pub limit: Duration,
    /// Address under which the ports of this host are asked.
    pub address: std::net::IpAddr,
}

impl Host {
    /// This one.
    pub fn this() -> Self {
        Host {
            root: PathBuf::from("/"),
            path: std::env::var_os("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin".into()),
            home: directories::BaseDirs::new().map(|d| d.home_dir().to_owned()),
            limit: Duration::from_secs(3),
            address: std::net::Ipv4Addr::LOCALHOST.into(),
        }
    }

    /// A path of the host.
    pub fn at(&self, path: impl AsRef<Path>) -> PathBuf {
        let path = path.as_ref();
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }
}

/// Runs blocking work on a thread of its own. `None`: it took longer than `limit` and is left alone. Not a blocking
/// task of the runtime, which would be waited for at the end of the program.
pub(crate) async fn in_thread<T: Send + 'static>(
    limit: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let (tx, rx) = tokio::sync::oneshot::channel();
    std::thread::Builder::new().name("survey".to_owned()).spawn(move || tx.send(work())).ok()?;
    tokio::time::timeout(limit, rx).await.ok()?.ok()
}

/// Ports that are asked what they are.
const ASKED: usize = 64;
/// Containers and units that are taken into a starter.
const TAKEN: usize = 40;

/// Looks at this host. Takes a few seconds at the most; what did not answer in time is not in it.
pub async fn host() -> Survey {
    survey(&Host::this()).await
}

/// Looks at a host.
pub async fn survey(host: &Host) -> Survey {
    let listening = {
        let host = host.clone();
        in_thread(host.limit, move || ports::listening(&host))
    };
    let (listening, found_units, containers, backups) =
        tokio::join!(listening, units::running(host), units::containers(host), folders::backups(host));
    let mut listening = listening.unwrap_or_default();
    listening.truncate(ASKED);
    for port in &mut listening {
        port.container = container_of(port, &containers);
    }
    let databases = servers::databases(host, &listening).await;
    let taken: BTreeSet<u16> =
        databases.postgres.iter().map(|p| p.port).chain(databases.redis.iter().map(|r| r.port)).collect();
    let rest: Vec<_> =
        listening.iter().filter(|p| !taken.contains(&p.port) && !ports::is_of_the_system(p)).cloned().collect();
    let ports: Vec<FoundPort> = servers::ask(host, &rest).await;
    let units = worth_watching(found_units, &listening, &taken);
    Survey {
        host: clock::hostname(),
        postgres: databases.postgres,
        redis: databases.redis,
        ports: one_of_each(ports),
        units,
        containers: containers
            .into_iter()
            .take(TAKEN)
            .map(|c| FoundContainer { name: c.name, image: c.image, compose: c.compose })
            .collect(),
        backups,
    }
}

/// The container that a port belongs to: the one of the process, or the one that publishes it.
fn container_of(port: &ports::Listening, containers: &[units::Container]) -> Option<String> {
    let of_process = port.container.as_ref().and_then(|id| containers.iter().find(|c| c.id.starts_with(id.as_str())));
    let publishing = || containers.iter().find(|c| c.ports.contains(&port.port));
    of_process.or_else(publishing).map(|c| c.name.clone())
}

/// One process often listens on several ports; those that answered HTTP come first, and further silent ones of the
/// same owner are left out.
fn one_of_each(mut ports: Vec<FoundPort>) -> Vec<FoundPort> {
    ports.sort_by_key(|p| (p.http.is_none(), p.port));
    let mut owners: BTreeMap<String, u32> = BTreeMap::new();
    ports.retain(|p| {
        let Some(owner) = p.container.clone().or_else(|| p.unit.clone()) else { return true };
        let seen = owners.entry(owner).or_default();
        *seen += 1;
        *seen == 1 || p.http.is_some()
    });
    ports.sort_by_key(|p| p.port);
    ports
}

/// Units that listen come by their ports; of the others those that an administrator put there.
fn worth_watching(found: Vec<units::Unit>, listening: &[ports::Listening], taken: &BTreeSet<u16>) -> Vec<FoundUnit> {
    let of_database: BTreeSet<&str> =
        listening.iter().filter(|p| taken.contains(&p.port)).filter_map(|p| p.unit.as_deref()).collect();
    let listens = |name: &str| listening.iter().any(|p| p.unit.as_deref() == Some(name));
    found
        .into_iter()
        .filter(|u| !of_database.contains(u.name.as_str()))
        .filter(|u| u.of_administrator || (listens(&u.name) && !units::is_of_the_system(&u.name)))
        .take(TAKEN)
        .map(|u| FoundUnit { name: u.name, description: u.description, user: u.user })
        .collect()
}
