//! The test ground itself: each server starts, answers, and is gone after.

use std::time::{Duration, Instant};

use super::SOON;
use crate::support::{self, *};

#[test]
fn postgres_starts_fast_and_leaves_nothing() {
    drop(Postgres::start());
    let began = Instant::now();
    let server = Postgres::start();
    let took = began.elapsed();
    let (pid, dir, port) = (server.pid(), server.socket_dir().to_path_buf(), server.port());
    let mut all = support::guard::descendants(pid);
    assert!(!all.is_empty() && port_open(port));
    all.push(pid);
    let named: Vec<_> = all.iter().map(|p| (*p, mayday::sys::proc::pid_start_time(*p).unwrap())).collect();
    drop(server);
    assert!(!named.iter().any(|(pid, start)| mayday::sys::proc::is_alive(*pid, *start)));
    assert!(!dir.exists() && !port_open(port));
    assert!(took < Duration::from_secs(5), "a start took {took:?}");
}

#[test]
fn servers_of_a_panicking_test_end_too() {
    let (tell, told) = std::sync::mpsc::sync_channel(1);
    let test = std::thread::spawn(move || {
        let redis = Redis::start(&[]);
        tell.send((redis.pid(), redis.dir().to_path_buf())).unwrap();
        panic!("on purpose: this thread plays a failing test");
    });
    let (pid, dir) = told.recv().unwrap();
    assert!(test.join().is_err());
    assert!(mayday::sys::proc::pid_start_time(pid).is_none() && !dir.exists());
}

#[test]
fn redis_answers_and_refuses() {
    let redis = Redis::start(&["--requirepass", "red1s-s3cret"]);
    assert!(redis.raw("PING\r\n").unwrap().starts_with("-NOAUTH"));
    assert_eq!(redis.cli(&["SET", "a", "1"]), "OK");
    assert_eq!(redis.cli(&["GET", "a"]), "1");
    redis.kill();
    assert!(!port_open(redis.port()));
    redis.start_again();
    assert_eq!(redis.cli(&["PING"]), "PONG");
    redis.stop();
    assert!(!port_open(redis.port()));
}

#[test]
fn sshd_lets_this_user_in_and_connections_can_be_cut() {
    let sshd = Sshd::start();
    let output = sshd.ssh_command(&["echo", "hello", "$MAYDAY_MARK"]).env("MAYDAY_MARK", "there").output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "hello there\n", "{error}\n{}", sshd.log());

    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("pid");
    let script = format!("'echo $$ > {} && exec sleep 1000'", file.display());
    let mut client = sshd.ssh_command(&["sh", "-c", &script]).stderr(std::process::Stdio::null()).spawn().unwrap();
    let pid: i32 =
        wait_for_some("the remote command runs", PATIENCE, || std::fs::read_to_string(&file).ok()?.trim().parse().ok());
    sshd.cut_connections();
    let mut end = None;
    wait_until("the client notices", PATIENCE, || {
        end = client.try_wait().unwrap();
        end.is_some()
    });
    assert!(!end.unwrap().success());
    let (port, log) = (sshd.port(), sshd.log());
    drop(sshd);
    assert!(!port_open(port), "{log}");
    // A command without a terminal is not told of a cut connection; it is ours to end.
    if let Some(start) = mayday::sys::proc::pid_start_time(pid) {
        let _ = std::process::Command::new("kill").arg("-9").arg(pid.to_string()).status();
        wait_until("the remote command is gone", PATIENCE, || !mayday::sys::proc::is_alive(pid, start));
    }
}

#[tokio::test]
async fn the_mail_server_takes_refuses_and_encrypts() {
    use lettre::transport::smtp::authentication::Credentials;
    use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
    use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
    mayday::sys::tls::install_provider();
    let message = |to: &str| {
        let mail = Message::builder().from("mayday@host.test".parse().unwrap()).to(to.parse().unwrap());
        mail.subject("API is down").body("first line\r\n.leading dot\r\nümlaut".to_owned()).unwrap()
    };
    let plain = Smtp::start();
    let transport = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous("127.0.0.1").port(plain.port()).build();
    transport.send(message("oncall@host.test")).await.unwrap();
    let mails = plain.wait_for_mails(1, PATIENCE);
    assert_eq!(
        (mails[0].from.as_str(), mails[0].to.as_slice()),
        ("mayday@host.test", &["oncall@host.test".into()][..])
    );
    assert!(mails[0].data.contains("Subject: API is down") && !mails[0].tls && mails[0].user.is_none());
    assert!(transport.send(message("refused@host.test")).await.unwrap_err().is_permanent());
    assert!(transport.send(message("later@host.test")).await.unwrap_err().is_transient());
    assert!(transport.send(message("greylisted@host.test")).await.unwrap_err().is_transient());
    transport.send(message("greylisted@host.test")).await.unwrap();
    assert_eq!(plain.mails().len(), 2);
    let (pid, port) = (plain.pid(), plain.port());
    drop(plain);
    assert!(!port_open(port) && mayday::sys::proc::pid_start_time(pid).is_none());

    let ca = TestCa::new();
    let login = Some(("mayday".to_owned(), "sm7p-s3cret".to_owned()));
    let secure = Smtp::start_with(SmtpOptions { tls: Some(ca.localhost()), require_tls: true, login });
    let to = |trusted: bool, password: &str| {
        let mut tls = TlsParameters::builder("localhost".to_owned());
        if trusted {
            tls = tls.add_root_certificate(Certificate::from_pem(ca.pem().as_bytes()).unwrap());
        }
        AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous("localhost")
            .port(secure.port())
            .tls(Tls::Required(tls.build().unwrap()))
            .credentials(Credentials::new("mayday".into(), password.into()))
            .build()
    };
    to(true, "sm7p-s3cret").send(message("oncall@host.test")).await.unwrap();
    let mail = &secure.wait_for_mails(1, PATIENCE)[0];
    assert_eq!((mail.tls, mail.user.as_deref()), (true, Some("mayday")), "{}", secure.log());
    assert!(to(true, "wrong").send(message("oncall@host.test")).await.is_err());
    assert!(to(false, "sm7p-s3cret").send(message("oncall@host.test")).await.is_err());
    assert_eq!(secure.mails().len(), 1);
}

#[tokio::test]
async fn the_scripted_web_server_answers_by_its_list() {
    mayday::sys::tls::install_provider();
    let client = reqwest::Client::builder().no_proxy().timeout(SOON).build().unwrap();
    let hook = HttpScript::start(vec![
        Answer::status(503).header("Retry-After", "7"),
        Answer::redirect("/other"),
        Answer::ok("half of this").cut_after(50),
        Answer::cut(),
        Answer::hang(),
        Answer::ok("slow").after(Duration::from_millis(50)),
        Answer::raw("no http at all"),
        Answer::ok("last"),
    ]);
    hook.route("/other", vec![Answer::ok("redirected")]);
    let get = || client.get(hook.url("/x?y=1")).send();
    let first = client.post(hook.url("/hook")).json(&serde_json::json!({"text": "down"})).send().await.unwrap();
    assert_eq!((first.status().as_u16(), first.headers()["retry-after"].to_str().unwrap()), (503, "7"));
    assert_eq!(get().await.unwrap().text().await.unwrap(), "redirected");
    assert!(get().await.unwrap().text().await.is_err(), "cut half-way");
    assert!(get().await.is_err(), "cut at once");
    let hung = client.get(hook.url("/")).timeout(Duration::from_millis(200)).send().await;
    assert!(hung.unwrap_err().is_timeout());
    assert_eq!(get().await.unwrap().text().await.unwrap(), "slow");
    assert!(get().await.is_err(), "no http");
    for _ in 0..2 {
        assert_eq!(get().await.unwrap().text().await.unwrap(), "last");
    }
    let requests = hook.requests();
    assert_eq!((requests[0].method.as_str(), requests[0].path.as_str()), ("POST", "/hook"));
    assert_eq!(requests[0].json()["text"], "down");
    assert_eq!(requests[1].path, "/x?y=1");
    assert_eq!(requests[2].path, "/other");
    assert!(hook.connections() < requests.len(), "connections are kept open");
    let port = hook.port();
    drop(hook);
    assert!(!port_open(port));

    let ca = TestCa::new();
    let secure = HttpScript::start_tls(vec![Answer::ok("over tls")], &ca.localhost());
    let root = reqwest::Certificate::from_pem(ca.pem().as_bytes()).unwrap();
    let trusting = reqwest::Client::builder().no_proxy().tls_certs_only([root]).build().unwrap();
    assert_eq!(trusting.get(secure.url("/")).send().await.unwrap().text().await.unwrap(), "over tls");
    assert!(client.get(secure.url("/")).send().await.is_err());
}

#[test]
fn a_small_disk_is_full_soon() {
    in_small_disk(64 * 1024, |dir, kind| {
        std::fs::write(dir.join("fits"), vec![0; 32 * 1024]).unwrap();
        let full = std::fs::write(dir.join("too much"), vec![0; 100 * 1024]).unwrap_err();
        let expected = match kind {
            DiskLimit::Tmpfs => libc::ENOSPC,
            DiskLimit::FileSize => libc::EFBIG,
        };
        assert_eq!(full.raw_os_error(), Some(expected), "{full}");
        if kind == DiskLimit::Tmpfs {
            assert_eq!(mayday::sys::disk::free_bytes(dir).unwrap(), 0);
            let state = dir.join("state.json");
            let refused = mayday::sys::disk::write_atomic(&state, &[0; 8192], 0o600).unwrap_err();
            assert_eq!(refused.raw_os_error(), Some(libc::ENOSPC));
            let left: Vec<_> = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name()).collect();
            assert_eq!(left.len(), 2, "a half-written file was left: {left:?}");
        }
    });
}

#[test]
fn a_program_on_a_terminal() {
    let home = Home::new().env_var("MARK", "a mark");
    let mut pty = Pty::program(&home, &["sh"], 60, 10);
    pty.send("stty size; echo \"$MARK\" \"$HOME\"; pwd\n");
    pty.wait_for("10 60");
    pty.wait_for(&format!("a mark {}", home.path().display()));
    pty.resize(40, 5);
    pty.send("stty size\n");
    pty.wait_for("5 40");
    for (columns, rows) in [(0, 0), (1, 1), (0, 7), (200, 60)] {
        pty.resize(columns, rows);
    }
    pty.send("clear; stty raw -echo; printf 'now %s\\n' quiet\n");
    pty.wait_for("now quiet");
    assert_ne!(pty.stty(), pty.stty_before());
    pty.send("stty sane; exit 7\r\n");
    assert_eq!(pty.wait_exit(PATIENCE), Exit { code: 7, signal: None });
    assert!(pty.bytes_written() > 0 && pty.raw().len() == pty.bytes_written());
}

#[test]
fn the_binary_under_test_runs_on_a_terminal() {
    let home = Home::new();
    let mut pty = Pty::mayday(&home, &["--version"], 80, 24);
    assert_eq!(pty.wait_exit(PATIENCE), Exit { code: 0, signal: None }, "{}", pty.screen());
    assert_eq!(pty.stty(), pty.stty_before());
    assert!(home.mayday(&["--version"]).status().unwrap().success());
}

#[test]
fn settings_of_the_terminal_are_compared_and_hangup_reaches_the_program() {
    let home = Home::new();
    let mut pty = Pty::program(&home, &["sh", "-c", "echo ready; cat"], 80, 24);
    pty.wait_for("ready");
    assert_eq!(pty.stty(), pty.stty_before());
    pty.hangup();
    let exit = pty.wait_exit(PATIENCE);
    assert!(exit.signal.is_some(), "ended by SIGHUP: {exit:?}");
}

#[test]
fn what_was_started_in_a_home_ends_with_it() {
    let home = Home::new();
    let dir = home.path().to_path_buf();
    let pty = Pty::program(
        &home,
        &["sh", "-c", "setsid sleep 1000 & setsid sh -c 'sleep 1000' & echo started; wait"],
        80,
        24,
    );
    pty.wait_for("started");
    wait_until("both have left the session", PATIENCE, || {
        let names =
            home.processes().into_iter().filter_map(|p| std::fs::read_to_string(format!("/proc/{p}/comm")).ok());
        names.filter(|n| n.trim() == "sleep").count() == 2
    });
    drop(pty);
    assert!(!home.processes().is_empty(), "those in sessions of their own survive the terminal");
    drop(home);
    assert!(support::guard::processes_of(&dir).is_empty() && !dir.exists());
}

#[test]
fn ports_are_given_once() {
    let mut ports: Vec<_> = (0..20).map(|_| free_port()).collect();
    ports.sort_unstable();
    ports.dedup();
    assert_eq!(ports.len(), 20);
}

/// A test process that is killed cannot run a guard; the servers end all the same.
#[test]
fn servers_end_with_a_killed_test_process() {
    use std::io::BufRead;
    use std::process::{Command, Stdio};
    const MARK: &str = "MAYDAY_TEST_TO_BE_KILLED";
    if std::env::var_os(MARK).is_some() {
        let (redis, postgres) = (Redis::start(&[]), Postgres::start());
        eprintln!("pids {} {}", redis.pid(), postgres.pid());
        loop {
            std::thread::park();
        }
    }
    let dir = scratch();
    // The servers' user must get through.
    std::fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let name = std::thread::current().name().unwrap().to_owned();
    let mut test = Command::new(std::env::current_exe().unwrap());
    test.args(["--exact", &name, "--nocapture"]).env(MARK, "1").env("TMPDIR", dir.path());
    let mut test = test.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = std::io::BufReader::new(test.stderr.take().unwrap()).lines().map_while(Result::ok);
    let line = lines.find(|l| l.starts_with("pids ")).expect("the test started its servers");
    let pids: Vec<i32> = line.split(' ').skip(1).map(|p| p.parse().unwrap()).collect();
    let mut all: Vec<i32> = pids.iter().flat_map(|pid| support::guard::descendants(*pid)).chain(pids.clone()).collect();
    all.retain(|pid| *pid > 0);
    assert!(all.len() > 4, "{all:?}");
    let named: Vec<_> = all.iter().filter_map(|p| Some((*p, mayday::sys::proc::pid_start_time(*p)?))).collect();
    test.kill().unwrap();
    test.wait().unwrap();
    wait_until("every server is gone", PATIENCE, || {
        !named.iter().any(|(pid, start)| mayday::sys::proc::is_alive(*pid, *start))
    });
}
