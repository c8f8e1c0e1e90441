//! The sandbox's configuration: an ordinary file, to be read and copied from.

use std::path::Path;

use super::service::{FAULTS, Settings, can_break};

/// The file's text.
pub fn config(dir: &Path, settings: &Settings) -> String {
    let at = dir.display();
    let control = |name: &str| {
        let verb =
            |verb: &str| format!("[{:?}, \"demo-service\", {verb:?}, {:?}, {name:?}]", text(&settings.exe), text(dir));
        format!("control = {{ restart = {}, stop = {}, start = {} }}", verb("restart"), verb("stop"), verb("start"))
    };
    let mut out = format!(
        r#"# The sandbox of `mayday demo`: an ordinary configuration of services that run on this host only.

[system]
name = "demo-shop"
environment = "sandbox"
availability_target = 99.9
downtime_cost = {{ per_hour = 12000, currency = "EUR" }}

[defaults]
every = "2s"
timeout = "1500ms"
retry_interval = "500ms"
incident_interval = "1s"

[[service]]
name = "web"
tier = 2
rto = "10m"
impact = "customers cannot order"
depends_on = ["api"]
{web}
[[service.http]]
url = "http://127.0.0.1:{web_port}/"

[[service]]
name = "api"
tier = 1
rto = "5m"
impact = "no order is taken"
depends_on = [{needs}]
{api}
[[service.http]]
url = "http://127.0.0.1:{api_port}/health"
latency_below = "400ms"
json = [{{ path = "status", equals = "ok" }}]

[[service]]
name = "documents"
tier = 2
rto = "30m"
impact = "invoices are missing"
[[service.exec]]
run = ["sh", "-c", "n=$(ls '{at}/documents'/*.txt 2>/dev/null | wc -l); echo \"$n documents\"; [ \"$n\" -gt 0 ] || exit 2"]

[[backup]]
name = "documents"
service = "documents"
rpo = "24h"
every = "24h"
files = {{ path = "{at}/backups/documents", pattern = "*.tar.gz", settle = "1s" }}
restore = {{ folder = {{ path = "{at}/documents", strip = 1 }} }}

[[contact]]
name = "Ann (on call)"
levels = ["on-call"]
phone = "+49 30 23125 101"

[[contact]]
name = "Hosting support"
vendor = true
phone = "+49 30 23125 900"
notes = "nobody real: numbers of the sandbox are set aside for films"
"#,
        web = control("web"),
        api = control("api"),
        web_port = settings.web_port,
        api_port = settings.api_port,
        needs = if settings.postgres.is_some() { "\"postgres\", \"documents\"" } else { "\"documents\"" },
    );
    if let Some(server) = &settings.postgres {
        out.push_str(&format!(
            r#"
[[service]]
name = "postgres"
tier = 1
rto = "15m"
impact = "no order can be stored"
{control}
[[service.postgres]]
dsn = "{dsn}"
role = "primary"

[[backup]]
name = "orders"
service = "postgres"
rpo = "1h"
every = "1h"
files = {{ path = "{at}/backups/orders", pattern = "*.dump", settle = "1s" }}
[backup.restore.postgres_dump]
database = "shop"
dsn = "{dsn}"
verify = ["select count(*) > 10000 from orders", "select count(*) = 500 from customers"]
grace = "1s"

[[playbook]]
use = "database-corruption"
with = {{ database = "postgres", backup = "orders", application = "api" }}
"#,
            control = control("postgres"),
            dsn = server.dsn,
        ));
    }
    if let Some(server) = &settings.redis {
        out.push_str(&format!(
            "\n[[service]]\nname = \"redis\"\ntier = 3\nrto = \"30m\"\nimpact = \"pages are slow\"\n{}\n[[service.redis]]\nurl = \"{}\"\nrole = \"master\"\n",
            control("redis"),
            server.dsn,
        ));
    }
    for (fault, doc) in FAULTS.iter().filter(|(fault, _)| can_break(settings, fault)) {
        out.push_str(&format!(
            "\n[[action]]\nname = \"break: {fault}\"\ndoc = {doc:?}\nrisk = \"observe\"\nrun = [{:?}, \"demo-service\", \"break\", {:?}, {fault:?}]\ntimeout = \"20s\"\n",
            text(&settings.exe),
            text(dir),
        ));
    }
    out
}

fn text(path: &Path) -> String {
    path.display().to_string()
}
