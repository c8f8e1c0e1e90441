//! Handing a target on to PostgreSQL's own tools.

use std::path::PathBuf;

use super::dsn::{Endpoint, PgTarget, SslMode};

/// What `psql`, `pg_dump`, `pg_restore` need in their environment to reach the same server in the same way. The
/// password is given apart ([`PgTarget::password`]), because only the runner may put it into an environment.
pub fn env_for_tools(target: &PgTarget) -> Vec<(String, String)> {
    let mut hosts = Vec::new();
    let mut addresses = Vec::new();
    let mut ports = Vec::new();
    for endpoint in target.endpoints() {
        ports.push(endpoint.port().to_string());
        match endpoint {
            Endpoint::Unix { dir, .. } => {
                hosts.push(dir.display().to_string());
                addresses.push(String::new());
            }
            Endpoint::Tcp { host, address, .. } => {
                hosts.push(host.clone());
                addresses.push(address.map(|a| a.to_string()).unwrap_or_default());
            }
        }
    }
    let mut env = vec![
        ("PGHOST".to_owned(), hosts.join(",")),
        ("PGPORT".to_owned(), ports.join(",")),
        ("PGUSER".to_owned(), target.user().to_owned()),
        ("PGDATABASE".to_owned(), target.database().to_owned()),
        ("PGSSLMODE".to_owned(), target.ssl_mode().as_str().to_owned()),
        ("PGAPPNAME".to_owned(), "mayday".to_owned()),
        // Without it a tool waits for as long as TCP does; the runner's own limit is far longer.
        ("PGCONNECT_TIMEOUT".to_owned(), "10".to_owned()),
    ];
    if addresses.iter().any(|a| !a.is_empty()) {
        env.push(("PGHOSTADDR".to_owned(), addresses.join(",")));
    }
    if let Some(file) = root_file_for_tools(target) {
        env.push(("PGSSLROOTCERT".to_owned(), file.display().to_string()));
    }
    if let Some(id) = target.identity() {
        env.push(("PGSSLCERT".to_owned(), id.certificate.display().to_string()));
        env.push(("PGSSLKEY".to_owned(), id.key.display().to_string()));
    }
    if target.wants_writable() {
        env.push(("PGTARGETSESSIONATTRS".to_owned(), "read-write".to_owned()));
    }
    if let Some(options) = target.options() {
        env.push(("PGOPTIONS".to_owned(), options.to_owned()));
    }
    env
}

/// libpq before 16 knows no `sslrootcert=system`, so the host's bundle is named where verification is demanded.
fn root_file_for_tools(target: &PgTarget) -> Option<PathBuf> {
    const BUNDLES: [&str; 3] =
        ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];
    if let Some(named) = target.ssl_root_cert() {
        return Some(named.to_path_buf());
    }
    if !matches!(target.ssl_mode(), SslMode::VerifyCa | SslMode::VerifyFull) {
        return None;
    }
    BUNDLES.iter().map(PathBuf::from).find(|p| p.is_file())
}
