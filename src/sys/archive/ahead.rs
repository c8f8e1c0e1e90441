//! Decoding on a thread of its own, a little ahead of whoever looks at what was decoded.
//!
//! Looking at a dump costs about as much as decoding it: one after the other they take twice as long as the decoder alone.
//! Only an end that the decoder reported is an end; a thread that is gone without a word is an error.

use std::io::{self, Read};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

/// Bytes of a piece, and pieces that may wait: what this takes of memory is their product and two more.
const PIECE: usize = 1 << 18;
const WAITING: usize = 3;

/// A stream that is read ahead.
#[derive(Debug)]
pub struct Ahead {
    pieces: Receiver<io::Result<Vec<u8>>>,
    /// Read pieces go back to be filled again.
    back: SyncSender<Vec<u8>>,
    piece: Vec<u8>,
    at: usize,
    over: bool,
}

/// Reads `from` ahead on a thread, which ends with what is given back. Errors: no thread can be had.
pub fn ahead(from: impl Read + Send + 'static) -> io::Result<Ahead> {
    let (filled, pieces) = sync_channel(WAITING);
    let (back, empty) = sync_channel::<Vec<u8>>(WAITING + 2);
    let thread = std::thread::Builder::new().name("decode".to_owned());
    thread.spawn(move || fill_all(from, &filled, &empty))?;
    Ok(Ahead { pieces, back, piece: Vec::new(), at: 0, over: false })
}

/// An empty piece says that the end was reached.
fn fill_all(mut from: impl Read, filled: &SyncSender<io::Result<Vec<u8>>>, empty: &Receiver<Vec<u8>>) {
    loop {
        let mut piece = empty.try_recv().unwrap_or_default();
        piece.resize(PIECE, 0);
        let read = super::fill(&mut from, &mut piece);
        let (end, told) = match read {
            Ok(n) => {
                piece.truncate(n);
                (n == 0, Ok(piece))
            }
            Err(e) => (true, Err(e)),
        };
        if filled.send(told).is_err() || end {
            return;
        }
    }
}

impl Read for Ahead {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.at >= self.piece.len() {
            if self.over || buffer.is_empty() {
                return Ok(0);
            }
            let gone = || io::Error::other("its decoder ended without a word");
            let next = self.pieces.recv().map_err(|_| gone())?.inspect_err(|_| self.over = true)?;
            self.over = next.is_empty();
            let old = std::mem::replace(&mut self.piece, next);
            self.at = 0;
            match self.back.try_send(old) {
                Ok(()) | Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {}
            }
        }
        let from = self.piece.get(self.at..).unwrap_or_default();
        let n = from.len().min(buffer.len());
        if let (Some(to), Some(from)) = (buffer.get_mut(..n), from.get(..n)) {
            to.copy_from_slice(from);
        }
        self.at += n;
        Ok(n)
    }
}
