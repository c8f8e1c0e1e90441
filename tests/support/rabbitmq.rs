//! A RabbitMQ server of the installed version, with its management API.

use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use super::guard::{self, Guarded};
use super::{free_port, port_open, program, scratch};

/// User and password of the administrator.
pub const USER: &str = "guest";
pub const PASSWORD: &str = "guest";
/// It takes ten seconds on an idle machine.
const START: Duration = Duration::from_secs(120);

/// A running server.
pub struct RabbitMq {
    dir: tempfile::TempDir,
    port: u16,
    _server: Guarded,
    _epmd: Guarded,
}

/// The one server of this test process: each test takes vhosts, users and policies of its own names.
pub fn shared() -> &'static RabbitMq {
    static SHARED: OnceLock<RabbitMq> = OnceLock::new();
    SHARED.get_or_init(RabbitMq::start)
}

impl RabbitMq {
    #[track_caller]
    fn start() -> Self {
        let dir = scratch();
        let at = |name: &str| dir.path().join(name);
        let (amqp, port, dist, epmd_port) = (free_port(), free_port(), free_port(), free_port());
        // The name server of Erlang nodes would be started as a daemon by the first node and stay.
        let mut epmd = Command::new(program("epmd", "erlang-base"));
        epmd.arg("-port").arg(epmd_port.to_string()).env("ERL_EPMD_ADDRESS", "127.0.0.1");
        let mut epmd = guard::start(epmd, "epmd", &at("epmd.log"));
        epmd.wait_ready(START, || port_open(epmd_port));

        std::fs::write(at("plugins"), "[rabbitmq_management].\n").expect("a file");
        let conf = format!(
            "listeners.tcp.1 = 127.0.0.1:{amqp}\nmanagement.tcp.ip = 127.0.0.1\nmanagement.tcp.port = {port}\n\
             disk_free_limit.absolute = 1MB\n"
        );
        std::fs::write(at("rabbit.conf"), conf).expect("a file");
        // The command in PATH changes to another user; this is the one behind it.
        program("rabbitmq-server", "rabbitmq-server");
        let mut command = Command::new("/usr/lib/rabbitmq/bin/rabbitmq-server");
        let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/usr/bin:/sbin:/bin";
        command.env_clear().env("PATH", path).env("HOME", dir.path()).env("LC_ALL", "C.UTF-8").current_dir(dir.path());
        command.env("ERL_EPMD_PORT", epmd_port.to_string()).env("ERL_EPMD_ADDRESS", "127.0.0.1");
        command.env("RABBITMQ_NODENAME", format!("mayday{port}@localhost"));
        command.env("RABBITMQ_DIST_PORT", dist.to_string()).env("RABBITMQ_LOGS", "-");
        command.env("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", "-start_epmd false -setcookie mayday");
        for (name, file) in [
            ("RABBITMQ_MNESIA_BASE", "mnesia"),
            ("RABBITMQ_LOG_BASE", "log"),
            ("RABBITMQ_ENABLED_PLUGINS_FILE", "plugins"),
            ("RABBITMQ_CONFIG_FILE", "rabbit.conf"),
            ("RABBITMQ_PID_FILE", "pid"),
            ("RABBITMQ_CONF_ENV_FILE", "none"),
        ] {
            command.env(name, at(file));
        }
        // Under systemd the script becomes the server instead of minding one: what is killed is the server.
        command.env("RUNNING_UNDER_SYSTEMD", "1");
        let mut server = guard::start(command, "rabbitmq-server", &at("server.log"));
        let url = format!("http://127.0.0.1:{port}/api/overview");
        server.wait_ready(START, || port_open(port) && curl(&["-f", &url]).0);
        RabbitMq { dir, port, _server: server, _epmd: epmd }
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// A request to the API: its status and its body.
    #[track_caller]
    pub fn api(&self, method: &str, path: &str, body: &str) -> (u16, String) {
        let url = format!("{}/api/{path}", self.url());
        let mut args = vec!["-X", method, "-w", "\n%{http_code}", "-H", "content-type: application/json"];
        if !body.is_empty() {
            args.extend(["-d", body]);
        }
        args.push(&url);
        let (_, said) = curl(&args);
        let (body, status) = said.rsplit_once('\n').expect("curl says the status");
        (status.parse().expect("a status"), body.to_owned())
    }

    /// A request that must work.
    #[track_caller]
    pub fn ok(&self, method: &str, path: &str, body: &str) -> String {
        let (status, said) = self.api(method, path, body);
        assert!((200..300).contains(&status), "{method} {path}: {status} {said}");
        said
    }
}

fn curl(args: &[&str]) -> (bool, String) {
    let mut command = Command::new(program("curl", "curl"));
    command.args(["-s", "--max-time", "30", "-u", &format!("{USER}:{PASSWORD}")]).args(args);
    let output = command.output().expect("curl");
    (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
}
