//! The configuration through its public face.

use std::path::Path;

use mayday::config;

#[test]
fn a_small_file_loads() {
    let text =
        "[system]\nname = \"shop\"\n[[service]]\nname = \"api\"\n[service.http]\nurl = \"http://127.0.0.1:3000/\"\n";
    let config = config::parse(text, Path::new("/etc/mayday/shop.toml")).unwrap();
    assert_eq!(config.catalog().services["api"].probe_every_ms, Some(10_000));
}
