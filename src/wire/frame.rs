//! Lines of JSON with a maximum length, for both ends of the socket.

use std::io;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncWrite, AsyncWriteExt};

/// Reads one line of at most `limit` bytes. `Ok(None)` at the end. A longer line, a torn last line and bytes that are no
/// UTF-8 JSON are errors of kind `InvalidData`: the other side cannot be followed any more.
pub async fn read_line<R: AsyncBufRead + Unpin>(from: &mut R, limit: usize) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    loop {
        let piece = from.fill_buf().await?;
        if piece.is_empty() {
            return if line.is_empty() {
                Ok(None)
            } else {
                Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the line was cut"))
            };
        }
        let (taken, whole) = match piece.iter().position(|b| *b == b'\n') {
            Some(at) => (at + 1, true),
            None => (piece.len(), false),
        };
        if line.len() + taken > limit {
            return Err(io::Error::new(io::ErrorKind::InvalidData, format!("a line of more than {limit} bytes")));
        }
        line.extend_from_slice(piece.get(..taken).unwrap_or_default());
        from.consume(taken);
        if whole {
            line.pop();
            return Ok(Some(line));
        }
    }
}

/// Reads one value. Errors as [`read_line`], and for JSON that does not fit.
pub async fn read<T: DeserializeOwned, R: AsyncBufRead + Unpin>(from: &mut R, limit: usize) -> io::Result<Option<T>> {
    match read_line(from, limit).await? {
        None => Ok(None),
        Some(line) => serde_json::from_slice(&line)
            .map(Some)
            .map_err(|e| io::Error::new(io::ErrorKind::InvalidData, format!("not understood: {e}"))),
    }
}

/// The line for `value`, with its line end.
pub fn line<T: Serialize>(value: &T) -> io::Result<Vec<u8>> {
    let mut bytes = serde_json::to_vec(value).map_err(io::Error::other)?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// Writes one value as a line and flushes.
pub async fn write<T: Serialize, W: AsyncWrite + Unpin>(to: &mut W, value: &T) -> io::Result<()> {
    to.write_all(&line(value)?).await?;
    to.flush().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_have_a_limit_and_must_be_whole() {
        let mut ok = tokio::io::BufReader::with_capacity(3, &b"12345\nab\n"[..]);
        assert_eq!(read_line(&mut ok, 6).await.unwrap().unwrap(), b"12345");
        assert_eq!(read_line(&mut ok, 6).await.unwrap().unwrap(), b"ab");
        assert!(read_line(&mut ok, 6).await.unwrap().is_none());
        let mut long = tokio::io::BufReader::with_capacity(3, &b"1234567\n"[..]);
        assert!(read_line(&mut long, 6).await.is_err());
        let mut torn = tokio::io::BufReader::new(&b"123"[..]);
        assert!(read_line(&mut torn, 6).await.is_err());
    }
}
