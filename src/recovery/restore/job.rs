//! What the phases of a plan are told: the arguments of each operation, as they stand in the plan.
//!
//! They are plain facts that were true while planning. Whatever could have changed since and matters (a database that was
//! dropped and made anew under its old name, a file that has grown) is pinned here by identity and looked at again.

use std::collections::BTreeMap;
use std::path::PathBuf;

use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::format::{Kind, Wrap};
use super::only::Relation;
use super::pg::amcheck::Amcheck;
use super::pg::carry::Properties;
use super::secrets::Reach;
use crate::config::FolderCompare;
use crate::domain::backup::Copy;
use crate::recovery::op::OpError;
use crate::sys::vault::{Access, VaultTool};

/// A restore of a PostgreSQL dump beside the live database.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PgRestore {
    pub reach: Reach,
    pub backup: String,
    pub run: String,
    pub live: String,
    /// The database that is made.
    pub side: String,
    pub copy: Copy,
    pub kind: Kind,
    pub wrap: Wrap,
    /// `pg_restore` or `psql`.
    pub tool: PathBuf,
    pub jobs: u32,
    pub verify: Vec<String>,
    pub test: bool,
    /// Tables or schemas that are taken out of the copy; the whole of it when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub only: Vec<String>,
    /// The tables meant by `only`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub chosen: Vec<Relation>,
    /// Patterns of the tables that it is made of, where these are moved by hand and it never takes the live place.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub by_hand: Vec<String>,
    /// Whether `pg_amcheck` looks at it.
    #[serde(default)]
    pub amcheck: Amcheck,
    /// Side databases of runs that ended without removing them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub leftovers: Vec<Pinned>,
    /// Entries of the archive, for progress.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entries: Option<u64>,
    /// Tables that the copy has, where its table of contents says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tables: Option<u64>,
    /// Statements that the archive itself gives for making the database, used when there is no live one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub create_as: Option<CreateAs>,
    /// What the archive says of the database that was dumped; of a plain dump it is known when it was read to its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost: Option<Described>,
    /// A tablespace of the copy is missing on the server: everything comes into the database's own.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub no_tablespaces: bool,
    /// Folders whose file systems are watched while it loads.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub watch: Vec<PathBuf>,
}

/// What a database was like that cannot be asked any more.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Described {
    #[serde(default)]
    pub create: CreateAs,
    #[serde(default)]
    pub like: Properties,
    /// What of it nobody knows, in words: `connection limit`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unsaid: Vec<String>,
}

/// Encoding, locale and owner of a database, for making one when there is no live one to take them from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CreateAs {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoding: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collate: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ctype: Option<String>,
    /// `icu`, `builtin`; libc when there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// Of a provider other than libc.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locale: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
}

/// A database by name and by what the server calls it inside, so that another of the same name is not taken for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pinned {
    pub name: String,
    pub oid: u32,
}

/// Putting one database in the place of another: a cut-over or its undo.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PgSwap {
    pub reach: Reach,
    pub backup: String,
    pub run: String,
    pub live: String,
    /// What comes into the live place.
    pub enter: Pinned,
    /// What is in the live place now; `None` when there is nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leave: Option<Pinned>,
    /// The name that it is kept under.
    pub kept_as: String,
    pub undo: bool,
    pub grace_ms: u64,
    pub verify: Vec<String>,
    pub copy: Copy,
    /// What the live database was like, where there is none to ask.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost: Option<Described>,
}

/// Taking away a side or kept database.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PgDrop {
    pub reach: Reach,
    pub live: String,
    pub run: String,
    pub gone: Pinned,
}

/// Putting restored tables beside the live ones, in the live database.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PgTables {
    pub reach: Reach,
    pub backup: String,
    pub run: String,
    pub live: Pinned,
    pub side: Pinned,
    pub copy: Copy,
    pub tables: Vec<Relation>,
}

/// Taking such tables away again.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PgTablesDrop {
    pub reach: Reach,
    pub live: String,
    pub run: String,
    /// What they are listed as.
    pub listed: String,
    pub tables: Vec<PinnedTable>,
}

/// A table by name and by what the server calls it inside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinnedTable {
    #[serde(flatten)]
    pub table: Relation,
    pub oid: u32,
}

/// What a side carries beyond [`SideArgs`] when it is about single tables.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct SideTables {
    /// Of a side database: the tables that were asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub chosen: Vec<Relation>,
    /// In the live database: the tables that were put there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub put: Vec<PinnedTable>,
}

impl SideTables {
    pub fn of(args: &serde_json::Value) -> SideTables {
        serde_json::from_value(args.clone()).unwrap_or_default()
    }

    /// Adds them to what a side carries.
    pub fn add_to(&self, args: &SideArgs) -> serde_json::Value {
        let mut all = write(args);
        if let (Some(all), serde_json::Value::Object(own)) = (all.as_object_mut(), write(self)) {
            all.extend(own);
        }
        all
    }
}

/// A restore of a folder beside the live one.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FolderRestore {
    pub backup: String,
    pub run: String,
    /// The live folder, links resolved.
    pub live: PathBuf,
    /// The folder that is made; while it is not complete its name ends in `.partial`.
    pub side: PathBuf,
    pub copy: Copy,
    pub kind: Kind,
    pub strip: u32,
    /// Names of links that may lead out of the folder, as patterns.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<String>,
    pub verify: Vec<Vec<String>>,
    pub test: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub leftovers: Vec<PathBuf>,
    /// How the copy is wrapped.
    #[serde(default)]
    pub wrap: Wrap,
    /// Patterns of the names that come back; all of them when there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub only: Vec<String>,
    #[serde(default)]
    pub compare: FolderCompare,
    /// With which `age` decrypts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<PathBuf>,
    /// The repository, of a copy in one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vault: Option<VaultCopy>,
}

/// A copy in a repository of restic or borg, and how the repository is reached: what is secret by name.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct VaultCopy {
    pub tool: VaultTool,
    pub program: PathBuf,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository_secret: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_secret: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// Variable → name of the secret.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub secret_env: BTreeMap<String, String>,
    /// As the program takes it.
    pub id: String,
    /// The folder in it that becomes the side folder, as the program writes it; `.` for all of it.
    pub inside: String,
}

impl VaultCopy {
    /// How the repository is reached, with the values of the secrets given by name.
    pub fn access(&self, secrets: &BTreeMap<String, SecretString>) -> Result<Access, String> {
        let value = |name: &String| {
            let missing = || format!("the secret {name} was not handed over: start the run again from its plan");
            secrets.get(name).cloned().ok_or_else(missing)
        };
        let repository = match (&self.repository, &self.repository_secret) {
            (Some(plain), _) => plain.clone().into(),
            (None, Some(name)) => value(name)?,
            (None, None) => return Err("no repository is configured".into()),
        };
        let mut env: Vec<(String, SecretString)> =
            self.env.iter().map(|(k, v)| (k.clone(), v.clone().into())).collect();
        for (variable, name) in &self.secret_env {
            env.push((variable.clone(), value(name)?));
        }
        Ok(Access {
            tool: self.tool,
            program: self.program.clone(),
            repository,
            password: self.password_secret.as_ref().map(value).transpose()?,
            env,
        })
    }
}

/// Copying names of one folder into another, one by one: what they replace is kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FolderCopyIn {
    pub backup: String,
    pub run: String,
    pub live: PathBuf,
    /// Where the names come from: a side folder, or for an undo what an earlier copying in has kept.
    pub enter: PinnedFolder,
    pub leave: PinnedFolder,
    pub kept_as: PathBuf,
    #[serde(default)]
    pub only: Vec<String>,
    pub undo: bool,
    pub verify: Vec<Vec<String>>,
    pub copy: Copy,
}

/// What was different between a side folder and the live one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Differences {
    pub same: u64,
    pub added: u64,
    pub changed: u64,
    pub gone: u64,
    pub unread: u64,
    /// Where every single one is listed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub list: Option<PathBuf>,
}

/// A folder by path and inode. Not by device: those get other numbers when a host starts again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinnedFolder {
    pub path: PathBuf,
    pub inode: u64,
}

/// Putting one folder in the place of another.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FolderSwap {
    pub backup: String,
    pub run: String,
    pub live: PathBuf,
    pub enter: PinnedFolder,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leave: Option<PinnedFolder>,
    pub kept_as: PathBuf,
    pub undo: bool,
    pub verify: Vec<Vec<String>>,
    pub copy: Copy,
}

/// Taking away a side or kept folder.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FolderDrop {
    pub live: PathBuf,
    pub run: String,
    pub gone: PinnedFolder,
}

/// What a [`Side`](crate::domain::run::Side) carries for the steps that may follow.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct SideArgs {
    pub backup: String,
    pub copy: Copy,
    /// Of a database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oid: Option<u32>,
    /// Of a folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder: Option<PinnedFolder>,
    /// Of a folder that holds chosen names only, or of a database with tables to be moved by hand: their patterns.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub only: Vec<String>,
    /// Of what was kept when names were copied in one by one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub copied_in: bool,
    /// Of a folder: how it differed from the live one when it was restored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub differences: Option<Differences>,
    /// Of a database: what the live one was like when it was restored, or what the copy says of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost: Option<Described>,
    /// The restore did not finish: it may be dropped and nothing else.
    #[serde(default)]
    pub incomplete: bool,
    /// Of a cluster: it is paused at its target, and its verification failed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unverified: bool,
}

/// Reads an operation's arguments.
pub fn read<T: serde::de::DeserializeOwned>(op: &str, args: &serde_json::Value) -> Result<T, OpError> {
    serde_json::from_value(args.clone()).map_err(|e| {
        OpError::Failed(format!(
            "{op}: its arguments cannot be read ({e}): the plan was made by another version of mayday; plan it anew"
        ))
    })
}

/// An operation's arguments as they are written into a plan.
pub fn write<T: Serialize>(job: &T) -> serde_json::Value {
    // Maps with text keys, numbers and texts: this cannot fail.
    serde_json::to_value(job).unwrap_or_default()
}
