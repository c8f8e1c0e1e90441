//! The host: clock, login sessions, certificates, proxies, limits.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::{Finding, Host, Place};
use crate::sys::tls;
use crate::text;

/// What the kernel says of the clock's synchronisation (adjtimex(2)).
pub fn clock() -> Option<Finding> {
    // SAFETY: a zeroed timex is a valid request that changes nothing (modes 0); the call fills it in.
    let (state, status) = unsafe {
        let mut request: libc::timex = std::mem::zeroed();
        (libc::adjtimex(&raw mut request), request.status)
    };
    clock_finding(state, status)
}

/// `state` is what adjtimex returned, `status` the flags that it filled in.
pub fn clock_finding(state: i32, status: i32) -> Option<Finding> {
    const AREA: &str = "clock";
    if state < 0 {
        return Some(Finding::note(
            AREA,
            "whether the clock is synchronised is not known here",
            "timedatectl says more",
        ));
    }
    Some(if state == libc::TIME_ERROR || status & libc::STA_UNSYNC != 0 {
        Finding::warning(
            AREA,
            "the clock is not synchronised: times in the record may be off, and ages of backups with them",
            "timedatectl set-ntp true, or chrony; in a container the host's clock counts",
        )
    } else {
        Finding::good(AREA, "the clock is synchronised")
    })
}

/// Whether processes survive the end of a login session.
pub fn session(place: &Place<'_>) -> Option<Finding> {
    const AREA: &str = "session";
    // Without logind nobody ends them.
    let kills = kill_user_processes(&place.host)?;
    if !kills {
        return Some(Finding::good(AREA, "processes outlive the login session (KillUserProcesses=no)"));
    }
    let user = &place.user;
    let lingers = place.host.at("var/lib/systemd/linger").join(user).exists();
    if user == "root" || lingers {
        return Some(Finding::good(AREA, format!("KillUserProcesses=yes, and {user} is exempt from it")));
    }
    Some(Finding::bad(
        AREA,
        "KillUserProcesses=yes: an engine started from a login, and the runs it started, end with the logout",
        format!("loginctl enable-linger {user}, or run mayday engine run as a system service"),
    ))
}

/// The setting in force (logind.conf(5)): the first main file counts, drop-ins override it, those of the same name in
/// `/etc` replace those in `/run` and `/usr`, later names win. `None` where there is no logind. What distributions
/// compile in differs; the main file they ship has it as a comment.
fn kill_user_processes(host: &Host) -> Option<bool> {
    const PLACES: [&str; 4] = ["etc/systemd", "run/systemd", "usr/local/lib/systemd", "usr/lib/systemd"];
    let main = PLACES.iter().find_map(|p| fs::read_to_string(host.at(p).join("logind.conf")).ok());
    let mut drop_ins: BTreeMap<std::ffi::OsString, String> = BTreeMap::new();
    for place in PLACES.iter().rev() {
        let Ok(entries) = fs::read_dir(host.at(place).join("logind.conf.d")) else { continue };
        for entry in entries.flatten().filter(|e| e.path().extension().is_some_and(|x| x == "conf")) {
            if let Ok(text) = fs::read_to_string(entry.path()) {
                drop_ins.insert(entry.file_name(), text);
            }
        }
    }
    if main.is_none() && drop_ins.is_empty() && !host.at("run/systemd/system").exists() {
        return None;
    }
    let compiled = main.as_deref().and_then(|text| setting(&text.replace("\n#", "\n"), "KillUserProcesses"));
    let stated = main.iter().chain(drop_ins.values()).filter_map(|text| setting(text, "KillUserProcesses")).next_back();
    Some(stated.or(compiled).is_some_and(|v| matches!(v.to_ascii_lowercase().as_str(), "yes" | "true" | "on" | "1")))
}

/// The last value of a key in the section `[Login]`.
fn setting(text: &str, key: &str) -> Option<String> {
    let mut within = false;
    let mut value = None;
    for line in text.lines().map(str::trim) {
        if line.starts_with('[') {
            within = line == "[Login]";
        } else if within
            && let Some((k, v)) = line.split_once('=')
            && k.trim() == key
        {
            value = Some(v.trim().to_owned());
        }
    }
    value
}

/// Certificates that connections are verified against.
pub fn roots(place: &Place<'_>) -> Vec<Finding> {
    const AREA: &str = "tls";
    let extra = place.config.map(|c| c.system.extra_ca.as_slice()).unwrap_or_default();
    let (store, warnings) = tls::roots(extra);
    let native = rustls_native_certs::load_native_certs().certs.len();
    let mut out = Vec::new();
    if native == 0 {
        out.push(Finding::note(
            AREA,
            format!("the host has no CA certificates: the {} built in are used", store.len()),
            "install ca-certificates; a CA of your own goes to [system] extra_ca",
        ));
    } else {
        out.push(Finding::good(AREA, format!("{} CA certificates are trusted", store.len())));
    }
    let advice = "correct [system] extra_ca, or the host's certificates";
    out.extend(warnings.into_iter().map(|w| Finding::bad(AREA, w, advice)));
    out
}

/// Proxies of the environment. Probes use none of them; channels do.
pub fn proxies(place: &Place<'_>) -> Vec<Finding> {
    const AREA: &str = "proxy";
    // Upper-case HTTP_PROXY is not used by HTTP clients, because a CGI request header could set it.
    const NAMES: [&str; 8] =
        ["http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY", "HTTP_PROXY"];
    let set: Vec<String> = NAMES.iter().filter_map(|n| Some(format!("{n}={}", without_login(place.var(n)?)))).collect();
    if set.is_empty() {
        return vec![Finding::good(AREA, "none: probes and channels connect directly")];
    }
    vec![Finding::note(
        AREA,
        format!("{}: channels send through it, probes connect directly", set.join(", ")),
        "the engine's own environment counts, which may be another than this one",
    )]
}

/// `http://user:secret@proxy:3128` → `http://…@proxy:3128`.
fn without_login(address: &str) -> String {
    let (scheme, rest) = address.split_once("://").map_or(("", address), |(s, r)| (s, r));
    let rest = match rest.rsplit_once('@') {
        Some((_, host)) => format!("…@{host}"),
        None => rest.to_owned(),
    };
    if scheme.is_empty() { rest } else { format!("{scheme}://{rest}") }
}

/// Open files for the checks, watches for the backup folders.
pub fn limits(place: &Place<'_>) -> Vec<Finding> {
    const AREA: &str = "limits";
    let mut out = Vec::new();
    let checks = place.config.map_or(0, |c| c.services.iter().map(|s| s.checks.len()).sum::<usize>());
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    // A connection for each check at worst, and as much again for viewers, runs and files.
    let wanted = 256 + 2 * checks as u64;
    if let Some(limit) = limit.filter(|l| *l < wanted) {
        out.push(Finding::warning(
            AREA,
            format!("{limit} open files are allowed, and {checks} checks may need {wanted}"),
            "ulimit -n 65536, or LimitNOFILE= in the unit",
        ));
    }
    let folders = place.config.map_or(0, |c| c.backups.len()) as u64;
    if let Some(instances) = number(&place.host.at("proc/sys/fs/inotify/max_user_instances"))
        && folders > 0
        && instances < folders + 8
    {
        out.push(Finding::warning(
            AREA,
            format!(
                "{instances} inotify instances are allowed, and {} are followed",
                text::plural(folders as usize, "backup folder")
            ),
            "sysctl fs.inotify.max_user_instances=512; until then the rest is looked at each minute",
        ));
    }
    if out.is_empty() {
        out.push(Finding::good(AREA, "open files and folder watches suffice"));
    }
    out
}

fn number(path: &Path) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;

    #[test]
    fn the_clock_in_words() {
        for (state, status, level) in [
            (libc::TIME_OK, 0, Level::Good),
            (libc::TIME_ERROR, libc::STA_UNSYNC, Level::Warning),
            (libc::TIME_OK, libc::STA_UNSYNC, Level::Warning),
            (-1, 0, Level::Note),
        ] {
            assert_eq!(clock_finding(state, status).unwrap().level, level);
        }
    }

    #[test]
    fn a_proxys_login_is_not_shown() {
        for (address, shown) in [
            ("http://proxy:3128", "http://proxy:3128"),
            ("http://me:s3cr3t@proxy:3128", "http://…@proxy:3128"),
            ("me:s3cr3t@proxy", "…@proxy"),
            ("http://me:s@cr3t@proxy", "http://…@proxy"),
        ] {
            assert_eq!(without_login(address), shown);
        }
    }
}
