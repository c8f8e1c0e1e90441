//! A million keys beside the live ones, and over.

use crate::kit::{LIMIT, best, drop_left, restore, rounds, secs, verdict};
use crate::support::{Cockpit, Home, Redis, wait_until};

const KEYS: u32 = 1_000_000;

pub fn redis() -> bool {
    let server = Redis::start(&[]);
    let fill = "for i=1,tonumber(ARGV[1]) do redis.call('set','session:'..i,'a value of some length, as sessions have: '..i) end";
    server.cli(&["eval", fill, "0", &KEYS.to_string()]);
    server.cli(&["save"]);
    let home = Home::new();
    let copies = home.path().join("copies");
    std::fs::create_dir(&copies).expect("a folder for copies");
    // The user of scratch servers has to get to their folders.
    let open = |path: &std::path::Path| {
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("let others in");
    };
    open(home.path());
    std::fs::copy(server.dir().join("dump.rdb"), copies.join("dump.rdb")).expect("copy the dump");
    let shop = Cockpit::in_home(
        home,
        &format!(
            "[system]\nname = \"shop\"\n[[backup]]\nname = \"sessions\"\nrpo = \"26h\"\n\
             files = {{ path = \"HOME/copies\", pattern = \"*.rdb\", settle = \"10ms\" }}\n\
             [backup.restore.redis]\nurl = \"{}\"\ndirectory = \"HOME/side\"\nat_least = {{ \"*\" = {KEYS} }}\n",
            server.url()
        ),
    );
    shop.start();
    wait_until("it can be restored", LIMIT, || shop.run(&["restore", "sessions", "--plan"]).code == 0);
    let (mut side, mut over, mut peak) = (Vec::new(), Vec::new(), 0);
    for _ in 0..rounds() {
        let timed = restore(&shop, &["sessions", "--yes"]);
        println!("       side load {:.2} s: {}", secs(timed.wall), timed.said());
        side.push(timed.wall);
        peak = peak.max(timed.peak_kib);
        let plan = shop.run(&["restore", "sessions", "--cut-over", "--plan", "--json"]).ok().json();
        let target = plan["plan"]["target"].as_str().expect("what is typed").to_owned();
        let cut = restore(&shop, &["sessions", "--cut-over", "--confirm", &target]);
        println!("       hand-over {:.2} s: {}", secs(cut.wall), cut.detail);
        over.push(cut.wall);
        peak = peak.max(cut.peak_kib);
        drop_left(&shop, "sessions", &cut.id);
    }
    let mib = peak as f64 / 1024.0;
    let words = format!(
        "{KEYS} keys loaded and verified beside the live ones in {:.2} s, handed over in {:.2} s, everything included; the \
         runner took at most {mib:.1} MiB",
        secs(best(&side)),
        secs(best(&over))
    );
    verdict("redis", mib <= 32.0, &words)
}
