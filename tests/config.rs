use mayday::config;
use std::path::Path;
#[test]
fn show() {
    for n in [
        "mayday.toml",
        "examples/crazy-gary.toml",
        "examples/agent-orchestrator.toml",
        "examples/aigentable.toml",
        "examples/sutazai.toml",
    ] {
        let p = Path::new(env!("CARGO_MANIFEST_DIR")).join("config").join(n);
        match config::load_with_source(&p) {
            Ok(c) => {
                println!("{}", c.warnings.join("\n"));
                let e = config::effective(&c);
                let again = config::parse(&e, &p).unwrap_or_else(|f| panic!("{}", config::render(&f, &e, false)));
                let strip = |mut c: config::Config| {
                    c.digest.clear();
                    c.warnings.clear();
                    c
                };
                assert_eq!(strip(c), strip(again));
            }
            Err((f, s)) => println!("{}", config::render(&f, &s, false)),
        }
    }
}
