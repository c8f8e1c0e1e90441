//! The command line with the real binary: exit codes, JSON for scripts, refusals, places, people.

mod support;

#[path = "cli/again.rs"]
mod again;
#[path = "cli/backups.rs"]
mod backups;
#[path = "cli/config.rs"]
mod config;
#[path = "cli/export.rs"]
mod export;
#[path = "cli/followups.rs"]
mod followups;
#[path = "cli/import.rs"]
mod import;
#[path = "cli/incident.rs"]
mod incident;
#[path = "cli/merged.rs"]
mod merged;
#[path = "cli/people.rs"]
mod people;
#[path = "cli/places.rs"]
mod places;
#[path = "cli/redact.rs"]
mod redact;
#[path = "cli/runs.rs"]
mod runs;
#[path = "cli/shell.rs"]
mod shell;
#[path = "cli/status.rs"]
mod status;
#[path = "cli/timeline.rs"]
mod timeline;

/// Services that are what the files in the home folder say, and actions of each ending.
const CONFIG: &str = r#"
[system]
name = "shop"
environment = "production"
[defaults]
every = "1s"
timeout = "900ms"
retry_interval = "50ms"
incident_interval = "200ms"
[[service]]
name = "api"
tier = 1
rto = "10m"
control = { restart = ["sh", "-c", "touch HOME/api-up; echo restarted"], stop = ["rm", "-f", "HOME/api-up"], start = ["true"] }
[[service.exec]]
run = ["sh", "-c", "test -e HOME/api-warns && exit 1; test -e HOME/api-up || exit 2"]
[[service]]
name = "web"
tier = 2
depends_on = ["api"]
[[service.exec]]
run = ["sh", "-c", "test -e HOME/api-up || exit 2"]
[[backup]]
name = "documents"
service = "web"
rpo = "26h"
every = "24h"
files = { path = "HOME/backups", pattern = "*.tar", settle = "10ms" }
restore = { folder = { path = "HOME/documents", strip = 1 } }
[[action]]
name = "works"
risk = "disruptive"
run = ["sh", "-c", "echo done; echo x >> HOME/works"]
verify = { exec = { run = ["true"] } }
[[action]]
name = "unchecked"
risk = "disruptive"
run = ["true"]
[[action]]
name = "contradicted"
risk = "disruptive"
run = ["true"]
verify = { exec = { run = ["sh", "-c", "echo still down; exit 2"] } }
verify_within = "300ms"
[[action]]
name = "fails"
risk = "disruptive"
run = ["sh", "-c", "echo no; exit 3"]
[[action]]
name = "slow"
risk = "disruptive"
run = ["sh", "-c", "echo begun; exec sleep 120"]
[[action]]
name = "late"
risk = "disruptive"
timeout = "300ms"
run = ["sleep", "120"]
[[action]]
name = "looks"
risk = "observe"
run = ["sh", "-c", "echo looked"]
[[action]]
name = "wipes"
risk = "destructive"
service = "web"
run = ["sh", "-c", "echo wiped >> HOME/wiped"]
[[action]]
name = "missing"
run = ["/no/such/program"]
"#;

/// A cockpit with [`CONFIG`], everything up, and one archive of `documents`.
#[track_caller]
fn shop() -> support::Cockpit {
    let shop = support::Cockpit::new(CONFIG);
    std::fs::write(shop.path("api-up"), "").unwrap();
    for folder in ["backups", "documents"] {
        std::fs::create_dir(shop.path(folder)).unwrap();
    }
    std::fs::write(shop.path("documents/a.txt"), "as it was").unwrap();
    let mut tar = std::process::Command::new("tar");
    tar.arg("-cf").arg(shop.path("backups/one.tar")).arg("-C").arg(shop.home.path()).arg("documents");
    assert!(tar.status().unwrap().success());
    shop
}
