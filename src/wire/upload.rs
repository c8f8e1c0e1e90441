//! Handing bytes over to the engine, which alone writes the state folder: in pieces, because a line has a limit.

use std::io;
use std::time::Duration;

use super::client::Client;
use super::request::{Answer, Ask, EVIDENCE_LIMIT, EvidenceAsk, EvidenceSource};

/// Bytes of one piece; in hex and with what stands around it well below [`super::MAX_REQUEST`].
const PIECE: usize = 256 << 10;
/// Longest wait for a piece to be taken, and for what is handed over to be on disk.
const TAKEN: Duration = Duration::from_secs(30);
const KEPT: Duration = Duration::from_secs(120);

/// Why `size` bytes are not taken.
pub fn too_large(size: u64) -> Option<String> {
    (size > EVIDENCE_LIMIT).then(|| {
        let (size, limit) = (crate::text::size(size), EVIDENCE_LIMIT >> 20);
        format!("it has {size}, and {limit} MiB are the most that is kept: cut out the part that shows it")
    })
}

/// Hands `bytes` over under `name` and has them kept as evidence. `key` makes a repeat harmless. The answer is the
/// engine's, also where it is no. Errors: those of the connection.
pub async fn evidence(
    client: &mut Client,
    via: &str,
    key: String,
    bytes: &[u8],
    mut ask: EvidenceAsk,
) -> io::Result<Answer> {
    if let EvidenceSource::Upload { upload, .. } = &mut ask.source {
        *upload = uuid::Uuid::now_v7().to_string();
        let size = bytes.len() as u64;
        let mut offset = 0;
        // Nothing at all is a piece too: an empty file can be evidence.
        for piece in bytes.chunks(PIECE).chain(bytes.is_empty().then_some(&[][..])) {
            let data = hex::encode(piece);
            let ask = Ask::Upload { upload: upload.clone(), offset, size, data };
            match client.ask_keyed(via, String::new(), ask, TAKEN).await? {
                Answer::Ok => offset += piece.len() as u64,
                no => return Ok(no),
            }
        }
    }
    client.ask_keyed(via, key, Ask::Evidence(ask), KEPT).await
}
