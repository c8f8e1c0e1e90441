//! The low, impure floor: what several folders need from the operating system and from protocols, once.
//!
//! Nothing here knows what mayday is for. It must never log, never hold a policy (thresholds, retries, names of
//! services), never read the configuration, and never put a secret into an error, a `Debug` output or an argument
//! list. Everything that can wait takes a time limit or says in its documentation that it may block.
//!
//! | file | gives |
//! | --- | --- |
//! | [`clock`] | wall, boot and monotonic time, the boot id; a settable clock for tests of other folders |
//! | [`tls`] | one ring provider, one store of roots, a verifier that records instead of hiding what it saw |
//! | [`pg`] | connecting to PostgreSQL with libpq's meaning of `sslmode` and errors a person can act on |
//! | [`proc`] | short commands without a shell, ended as a group; identity of processes |
//! | [`pty`] | a terminal for a command, the person's own one in raw mode meanwhile |
//! | [`relay`] | signals to be passed on, and where they came from |
//! | [`archive`] | reading compressed backups to the end |
//! | [`rdb`] | files of Redis, read to their end |
//! | [`disk`] | free space, durable writes, exchanging two names |
//! | [`digest`] | the SHA-256 of a file |
//! | [`manifest`] | what lies beside a copy and says what is in it |
//! | [`peer`] | who is at the other end of a Unix socket |
//! | [`runtime`] | a user's private folders beside the state folder |
//! | [`vault`] | repositories of restic and borg: command lines, answers, faults in words |
//! | [`wal`] | the archived log of PostgreSQL: names, timelines, contents, and where it is kept |
//! | [`notify_socket`] | telling systemd how the engine is |

pub mod archive;
pub mod clock;
pub mod digest;
pub mod disk;
pub mod manifest;
pub mod memory;
pub mod notify_socket;
pub mod peer;
pub mod pg;
pub mod proc;
pub mod pty;
pub mod rdb;
pub mod relay;
pub mod runtime;
pub mod tls;
pub mod vault;
pub mod wal;

/// Makes text of a server or an operating system fit for one line of an error: control characters become spaces and
/// the length is bounded. Display goes through `text::clean` besides; this only keeps errors to one line.
pub(crate) fn one_line(text: &str) -> String {
    const MAX: usize = 300;
    let mut out = String::new();
    for (n, c) in text.trim().chars().enumerate() {
        if n == MAX {
            out.push('…');
            break;
        }
        out.push(if c.is_control() { ' ' } else { c });
    }
    out
}
