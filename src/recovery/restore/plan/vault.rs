//! Planning a restore out of a repository of restic or borg: is it reachable, is the copy still there, and which folder of
//! it is the live one.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use super::super::folder;
use super::super::job::{FolderRestore as Job, VaultCopy};
use super::super::secrets;
use super::folder::last_phases;
use super::{Draft, Say};
use crate::config::{Backup, FolderRestore, MaybeSecret, SecretRef, VaultSource};
use crate::domain::backup::{Copy, place};
use crate::recovery::plan::PlanContext;
use crate::recovery::plan::look::Tools;
use crate::sys::vault::{Access, Fault, VaultTool};
use crate::text;

/// For one question while planning.
const LIMIT: Duration = Duration::from_secs(12);

/// The repository as a plan names it, and where its secrets come from.
fn reach(set: &Backup, source: &VaultSource) -> (VaultCopy, BTreeMap<String, SecretRef>) {
    let mut secrets = BTreeMap::new();
    let mut hide = |what: &str, from: &SecretRef| {
        let name = format!("{}.{what}", set.name);
        secrets.insert(name.clone(), from.clone());
        name
    };
    let mut vault = VaultCopy {
        tool: source.tool,
        program: source.tool.word().into(),
        repository: None,
        repository_secret: None,
        password_secret: source.password.as_ref().map(|from| hide("password", from)),
        env: BTreeMap::new(),
        secret_env: BTreeMap::new(),
        id: String::new(),
        inside: String::new(),
    };
    match &source.repository {
        MaybeSecret::Plain(plain) => vault.repository = Some(plain.clone()),
        MaybeSecret::Secret(from) => vault.repository_secret = Some(hide("repository", from)),
    }
    for (variable, value) in &source.env {
        match value {
            MaybeSecret::Plain(plain) => {
                vault.env.insert(variable.clone(), plain.clone());
            }
            MaybeSecret::Secret(from) => {
                vault.secret_env.insert(variable.clone(), hide(&format!("env.{variable}"), from));
            }
        }
    }
    (vault, secrets)
}

/// The program's own name of a copy.
fn id_of(tool: VaultTool, copy: &Copy) -> Option<String> {
    let bytes = place::bytes_of(&copy.place);
    let text = String::from_utf8(bytes).ok()?;
    text.strip_prefix(tool.word())?.strip_prefix(':').map(str::to_owned)
}

/// Looks at the repository; what stands in the way becomes a failed precondition. What is known is returned all the same,
/// so that the plan can be shown.
pub(super) async fn look(
    draft: &mut Draft<'_>,
    ctx: &PlanContext,
    set: &Backup,
    source: &VaultSource,
    how: &FolderRestore,
    job: &Job,
) -> Option<VaultCopy> {
    let (mut vault, from) = reach(set, source);
    let word = source.tool.word();
    let found = Tools::of(ctx).which(word);
    match &found {
        Some(at) => draft.pass(&format!("tool {word}"), at.display().to_string()),
        None => {
            let package = source.tool.package();
            draft.fail(&format!("tool {word}"), format!("{word} is not in PATH of the engine: install {package}"));
        }
    }
    vault.program = found.clone().unwrap_or(vault.program);
    let Some(id) = id_of(source.tool, &job.copy) else {
        draft.fail("copy readable", format!("{} is no copy of {word}: look at the backup set again", job.copy.place));
        return Some(vault);
    };
    vault.id = id;
    vault.inside = how.inside.as_deref().unwrap_or(&job.live).display().to_string();
    let values = secrets::resolve(&from).await;
    draft.hand_over(from);
    let access = match values.and_then(|values| vault.access(&values)) {
        Ok(access) => access,
        Err(why) => {
            draft.fail("repository", why);
            return Some(vault);
        }
    };
    if found.is_none() {
        return Some(vault);
    }
    match inside(&access, &vault.id, how.inside.as_deref(), &job.live).await {
        Ok(Some(inside)) => {
            draft.pass("repository", format!("{word} answers"));
            let read = match source.tool {
                VaultTool::Restic => "every file is read back and compared once it is fetched",
                VaultTool::Borg => "the checksum of every piece is compared while it is fetched",
            };
            draft.pass("copy readable", format!("{} {} has {inside}; {read}", source.tool.copy(), job.copy.id));
            vault.inside = inside;
        }
        Ok(None) => {
            draft.pass("repository", format!("{word} answers"));
            draft.fail(
                "copy readable",
                format!(
                    "{} {} has no folder {}: set `inside` of the restore to the folder in it, or choose another copy",
                    source.tool.copy(),
                    job.copy.id,
                    vault.inside
                ),
            );
        }
        Err(fault) => draft.fail("repository", fault.to_string()),
    }
    Some(vault)
}

/// The folder within a copy that is the live one: as configured, else the live folder's own path, else what the copy is
/// of when that is one folder.
async fn inside(access: &Access, id: &str, configured: Option<&Path>, live: &Path) -> Result<Option<String>, Fault> {
    let text = |p: &Path| p.display().to_string();
    let mut candidates: Vec<String> = match configured {
        Some(path) => vec![text(path)],
        None => vec![text(live)],
    };
    if configured.is_none() && access.tool == VaultTool::Restic {
        let all = access.snapshots(&Default::default(), LIMIT).await?;
        if let Some([one]) = all.iter().find(|s| s.id == id).map(|s| s.paths.as_slice()) {
            candidates.push(one.clone());
            // A path that was given relative is kept by its last part.
            candidates.extend(Path::new(one).file_name().map(|n| format!("/{}", n.to_string_lossy())));
        }
    } else if configured.is_none() {
        candidates.extend(live.file_name().map(|n| n.to_string_lossy().into_owned()));
        candidates.push(".".into());
    }
    for candidate in candidates {
        let candidate = match (candidate.trim_matches('/'), access.tool) {
            ("." | "", VaultTool::Restic) => "/".to_owned(),
            ("." | "", VaultTool::Borg) => ".".to_owned(),
            (bare, VaultTool::Restic) => format!("/{bare}"),
            (bare, VaultTool::Borg) => bare.to_owned(),
        };
        // The top of a snapshot is no name in it.
        if candidate == "/" && configured.is_some() {
            return Ok(Some(candidate));
        }
        match access.has(id, &candidate, LIMIT).await {
            Ok(Some(true)) => return Ok(Some(candidate)),
            Ok(_) => {}
            Err(fault) => return Err(fault),
        }
    }
    Ok(None)
}

pub(super) fn phases(draft: &mut Draft<'_>, job: &Job, vault: &VaultCopy, args: &serde_json::Value) {
    let partial = folder::partial(&job.side);
    let word = |p: &Path| text::shell_word(&p.display().to_string());
    let access = Access {
        tool: vault.tool,
        program: vault.program.clone(),
        repository: String::new().into(),
        password: None,
        env: Vec::new(),
    };
    let line = |args: Vec<String>| {
        let words = std::iter::once(vault.program.display().to_string()).chain(args);
        words.map(|w| text::shell_word(&w)).collect::<Vec<_>>().join(" ")
    };
    let list = line(access.list_args(&vault.id, &vault.inside));
    draft.native("look at every name in the copy", 10, folder::CHECK, args, vec![list]);
    let wanted = folder::wanted(&vault.inside, &folder::Only::new(&job.only).unwrap_or_else(|_| folder::Only::all()));
    let restore = line(access.restore_args(&vault.id, &vault.inside, &wanted, &partial.display().to_string()));
    let fetch = match vault.tool {
        VaultTool::Restic => restore,
        VaultTool::Borg => format!("cd {} && {restore}", word(&partial)),
    };
    let rename = format!("mv {} {}", word(&partial), word(&job.side));
    draft.native("fetch", 70, folder::EXTRACT, args, vec![fetch, rename]);
    last_phases(draft, job, args);
}
