//! Bytes from the terminal become keys and pastes.
//!
//! A sequence that arrives in pieces is put together again for [`ESC_WAIT`]; only then was it the Esc key. What still
//! trickles in after that, over a slow link, is swallowed up to its end instead of becoming plain letters: no half of an
//! arrow key ever starts an action. Unknown sequences are dropped whole. Text between the marks of a bracketed paste is
//! a [`Typed::Paste`], never keys.

use std::time::{Duration, Instant};

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// After an ESC the rest of a sequence is waited for this long.
pub const ESC_WAIT: Duration = Duration::from_millis(50);
/// After a lone Esc a late rest is recognised and swallowed this long.
const LATE: Duration = Duration::from_millis(500);
/// A paste is cut here.
const PASTE_LIMIT: usize = 256 << 10;
/// Parameters of a sequence beyond this are nonsense.
const SEQUENCE_LIMIT: usize = 64;
const PASTE_END: &[u8] = b"\x1b[201~";

/// What a person did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Typed {
    Key(KeyEvent),
    Paste(String),
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Ground,
    Esc,
    /// `ESC [` and what follows; `swallow` when it came too late to count.
    Csi {
        body: Vec<u8>,
        swallow: bool,
    },
    Ss3 {
        swallow: bool,
    },
    /// A string that a terminal sent (OSC, DCS …), up to its end: dropped.
    String {
        esc: bool,
    },
    Paste(Vec<u8>),
    Utf8 {
        bytes: Vec<u8>,
        need: usize,
    },
}

/// Puts bytes together. Time comes in as a value.
#[derive(Debug, Default)]
pub struct Parser {
    state: State,
    esc_at: Option<Instant>,
    lone_esc: Option<Instant>,
}

fn key(code: KeyCode, modifiers: KeyModifiers) -> Typed {
    Typed::Key(KeyEvent::new(code, modifiers))
}

fn plain(code: KeyCode) -> Typed {
    key(code, KeyModifiers::NONE)
}

impl Parser {
    /// Takes bytes that were read at `now`.
    pub fn feed(&mut self, bytes: &[u8], now: Instant, out: &mut Vec<Typed>) {
        for &b in bytes {
            self.byte(b, now, out);
        }
    }

    /// True while an ESC waits for its rest: call [`Parser::idle`] after [`ESC_WAIT`].
    pub fn is_waiting(&self) -> bool {
        matches!(self.state, State::Esc)
    }

    /// Nothing more came by `now`: an ESC that waited long enough was the key.
    pub fn idle(&mut self, now: Instant, out: &mut Vec<Typed>) {
        if self.is_waiting() && self.esc_at.is_none_or(|at| now.duration_since(at) >= ESC_WAIT) {
            self.state = State::Ground;
            self.lone_esc = Some(now);
            out.push(plain(KeyCode::Esc));
        }
    }

    fn byte(&mut self, b: u8, now: Instant, out: &mut Vec<Typed>) {
        if self.is_waiting() {
            self.idle(now, out);
        }
        match std::mem::take(&mut self.state) {
            State::Ground => self.ground(b, now, out),
            State::Esc => match b {
                b'[' => self.state = State::Csi { body: Vec::new(), swallow: false },
                b'O' => self.state = State::Ss3 { swallow: false },
                b']' | b'P' | b'_' | b'^' | b'X' => self.state = State::String { esc: false },
                0x1b => {
                    out.push(plain(KeyCode::Esc));
                    self.state = State::Esc;
                    self.esc_at = Some(now);
                }
                // Alt and a key, or Esc and a letter in one breath: neither may start anything.
                _ => {}
            },
            State::Csi { mut body, swallow } => match b {
                0x40..=0x7e => {
                    if body.is_empty() && b == b'[' {
                        // The Linux console sends F1 to F5 as ESC [ [ A.
                        self.state = State::Csi { body: vec![b'['], swallow };
                    } else if b == b'~' && body == b"200" {
                        self.state = State::Paste(Vec::new());
                    } else if !swallow {
                        out.extend(csi(&body, b));
                    }
                }
                0x20..=0x3f if body.len() < SEQUENCE_LIMIT => {
                    body.push(b);
                    self.state = State::Csi { body, swallow };
                }
                0x1b => {
                    self.state = State::Esc;
                    self.esc_at = Some(now);
                }
                0x20..=0x3f => self.state = State::Csi { body, swallow: true },
                _ => {}
            },
            State::Ss3 { swallow } => {
                if !swallow {
                    out.extend(ss3(b));
                }
            }
            State::String { esc } => match b {
                0x07 => {}
                b'\\' if esc => {}
                _ => self.state = State::String { esc: b == 0x1b },
            },
            State::Paste(mut text) => {
                text.push(b);
                if text.ends_with(PASTE_END) {
                    text.truncate(text.len() - PASTE_END.len());
                    out.push(Typed::Paste(String::from_utf8_lossy(&text).into_owned()));
                } else {
                    if text.len() > PASTE_LIMIT + PASTE_END.len() {
                        // The end mark must still be found: only the middle is thrown away.
                        text.drain(PASTE_LIMIT..PASTE_LIMIT + 1);
                    }
                    self.state = State::Paste(text);
                }
            }
            State::Utf8 { mut bytes, need } => {
                if (0x80..0xc0).contains(&b) {
                    bytes.push(b);
                    if bytes.len() < need {
                        self.state = State::Utf8 { bytes, need };
                    } else if let Some(c) = std::str::from_utf8(&bytes).ok().and_then(|s| s.chars().next()) {
                        out.push(plain(KeyCode::Char(c)));
                    }
                } else {
                    self.ground(b, now, out);
                }
            }
        }
    }

    fn ground(&mut self, b: u8, now: Instant, out: &mut Vec<Typed>) {
        let late = self.lone_esc.take().is_some_and(|at| now.duration_since(at) < LATE);
        match b {
            b'[' if late => self.state = State::Csi { body: Vec::new(), swallow: true },
            b'O' if late => self.state = State::Ss3 { swallow: true },
            // Letters right after a lone Esc: typed as one, or torn apart by the link.
            0x20..=0x7e if late && self.esc_at.is_some_and(|at| now.duration_since(at) < ESC_WAIT * 2) => {}
            0x1b => {
                self.state = State::Esc;
                self.esc_at = Some(now);
            }
            b'\r' => out.push(plain(KeyCode::Enter)),
            // Ctrl-J: a line end within a text.
            b'\n' => out.push(key(KeyCode::Char('j'), KeyModifiers::CONTROL)),
            b'\t' => out.push(plain(KeyCode::Tab)),
            0x7f | 0x08 => out.push(plain(KeyCode::Backspace)),
            0 => out.push(key(KeyCode::Char(' '), KeyModifiers::CONTROL)),
            1..=26 => out.push(key(KeyCode::Char(char::from(b'a' + b - 1)), KeyModifiers::CONTROL)),
            0x1c..=0x1f => {}
            0x20..=0x7e => out.push(plain(KeyCode::Char(char::from(b)))),
            0xc2..=0xdf => self.state = State::Utf8 { bytes: vec![b], need: 2 },
            0xe0..=0xef => self.state = State::Utf8 { bytes: vec![b], need: 3 },
            0xf0..=0xf4 => self.state = State::Utf8 { bytes: vec![b], need: 4 },
            _ => {}
        }
    }
}

/// `ESC [ body final`, as xterm and the Linux console send it.
fn csi(body: &[u8], last: u8) -> Option<Typed> {
    if body.first() == Some(&b'[') {
        return (b'A'..=b'E').contains(&last).then(|| plain(KeyCode::F(last - b'A' + 1)));
    }
    let text = std::str::from_utf8(body).ok()?;
    let mut parts = text.split(';');
    let first = parts.next().unwrap_or_default();
    let modifiers = parts.next().and_then(|m| m.parse::<u8>().ok()).map_or(KeyModifiers::NONE, |m| {
        let bits = m.saturating_sub(1);
        let mut out = KeyModifiers::NONE;
        out.set(KeyModifiers::SHIFT, bits & 1 != 0);
        out.set(KeyModifiers::ALT, bits & 2 != 0);
        out.set(KeyModifiers::CONTROL, bits & 4 != 0);
        out
    });
    let code = match last {
        b'A' => KeyCode::Up,
        b'B' => KeyCode::Down,
        b'C' => KeyCode::Right,
        b'D' => KeyCode::Left,
        b'H' => KeyCode::Home,
        b'F' => KeyCode::End,
        b'Z' => return Some(key(KeyCode::BackTab, KeyModifiers::SHIFT)),
        b'P'..=b'S' if first == "1" || first.is_empty() => KeyCode::F(last - b'P' + 1),
        b'~' => match first.parse::<u8>().ok()? {
            1 | 7 => KeyCode::Home,
            2 => KeyCode::Insert,
            3 => KeyCode::Delete,
            4 | 8 => KeyCode::End,
            5 => KeyCode::PageUp,
            6 => KeyCode::PageDown,
            n @ 11..=15 => KeyCode::F(n - 10),
            n @ 17..=21 => KeyCode::F(n - 11),
            n @ (23 | 24) => KeyCode::F(n - 12),
            _ => return None,
        },
        _ => return None,
    };
    Some(key(code, modifiers))
}

fn ss3(b: u8) -> Option<Typed> {
    let code = match b {
        b'A' => KeyCode::Up,
        b'B' => KeyCode::Down,
        b'C' => KeyCode::Right,
        b'D' => KeyCode::Left,
        b'H' => KeyCode::Home,
        b'F' => KeyCode::End,
        b'P'..=b'S' => KeyCode::F(b - b'P' + 1),
        b'M' => KeyCode::Enter,
        _ => return None,
    };
    Some(plain(code))
}

/// Reads the terminal in a thread of its own and hands on what was done and when it was read. `gone` is called when the
/// terminal has hung up.
pub fn start(
    hand: impl Fn(Typed, Instant) -> bool + Send + 'static,
    gone: impl FnOnce() + Send + 'static,
) -> std::io::Result<()> {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let run = move || {
        // SAFETY: descriptor 0 is open for the life of the process; the viewer never closes it.
        let stdin = unsafe { std::os::fd::BorrowedFd::borrow_raw(0) };
        let mut parser = Parser::default();
        let mut buffer = [0u8; 4096];
        let mut typed = Vec::new();
        let limit = Timespec { tv_sec: 0, tv_nsec: ESC_WAIT.subsec_nanos().into() };
        loop {
            let mut fds = [PollFd::from_borrowed_fd(stdin, PollFlags::IN)];
            match poll(&mut fds, parser.is_waiting().then_some(&limit)) {
                Ok(0) => parser.idle(Instant::now(), &mut typed),
                Err(rustix::io::Errno::INTR) => continue,
                Err(_) => break,
                Ok(_) => match super::terminal::read(&mut buffer) {
                    Ok(Some(0)) => break,
                    // We are on the way out, or about to be suspended.
                    Ok(None) => {
                        std::thread::sleep(ESC_WAIT);
                        continue;
                    }
                    Ok(Some(n)) => parser.feed(buffer.get(..n).unwrap_or_default(), Instant::now(), &mut typed),
                    Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => continue,
                    Err(_) => break,
                },
            }
            let now = Instant::now();
            for one in typed.drain(..) {
                if !hand(one, now) {
                    return;
                }
            }
        }
        gone();
    };
    std::thread::Builder::new().name("keys".into()).stack_size(256 << 10).spawn(run)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(pieces: &[(&[u8], u64)]) -> Vec<Typed> {
        let begin = Instant::now();
        let mut parser = Parser::default();
        let mut out = Vec::new();
        let mut last = 0;
        for (bytes, ms) in pieces {
            // The reading thread wakes up when an ESC has waited long enough.
            if parser.is_waiting() && ms - last >= 50 {
                parser.idle(begin + Duration::from_millis(last + 50), &mut out);
            }
            parser.feed(bytes, begin + Duration::from_millis(*ms), &mut out);
            last = *ms;
        }
        parser.idle(begin + Duration::from_millis(last + 60), &mut out);
        out
    }

    #[test]
    fn keys_as_terminals_send_them() {
        for (bytes, wanted) in [
            (&b"a"[..], plain(KeyCode::Char('a'))),
            ("é".as_bytes(), plain(KeyCode::Char('é'))),
            (b"\r", plain(KeyCode::Enter)),
            (b"\n", key(KeyCode::Char('j'), KeyModifiers::CONTROL)),
            (b"\x03", key(KeyCode::Char('c'), KeyModifiers::CONTROL)),
            (b"\x7f", plain(KeyCode::Backspace)),
            (b"\x1b[A", plain(KeyCode::Up)),
            (b"\x1bOB", plain(KeyCode::Down)),
            (b"\x1b[5~", plain(KeyCode::PageUp)),
            (b"\x1b[1;5C", key(KeyCode::Right, KeyModifiers::CONTROL)),
            (b"\x1b[Z", key(KeyCode::BackTab, KeyModifiers::SHIFT)),
            (b"\x1b[24~", plain(KeyCode::F(12))),
            (b"\x1bOP", plain(KeyCode::F(1))),
            (b"\x1b[[A", plain(KeyCode::F(1))),
            (b"\x1b", plain(KeyCode::Esc)),
            (b"\x1b[200~rm -rf\n\x1b[201~", Typed::Paste("rm -rf\n".into())),
        ] {
            assert_eq!(all(&[(bytes, 0)]), vec![wanted], "{bytes:?}");
        }
    }

    #[test]
    fn torn_sequences_never_become_letters() {
        let up = vec![plain(KeyCode::Up)];
        let esc = vec![plain(KeyCode::Esc)];
        assert_eq!(all(&[(b"\x1b", 0), (b"[A", 30)]), up);
        assert_eq!(all(&[(b"\x1b[", 0), (b"A", 900)]), up);
        assert_eq!(all(&[(b"\x1b", 0), (b"[A", 200)]), esc);
        assert_eq!(all(&[(b"\x1b", 0), (b"OA", 200)]), esc);
        assert_eq!(all(&[(b"\x1b", 0), (b"r", 20)]), vec![]);
        assert_eq!(all(&[(b"\x1b", 0), (b"r", 70)]), esc);
        assert_eq!(all(&[(b"\x1b", 0), (b"r", 700)]), vec![plain(KeyCode::Esc), plain(KeyCode::Char('r'))]);
        // A late answer to a query that somebody else made.
        assert_eq!(all(&[(b"\x1b]11;rgb:0000/0000/0000\x1b\\", 0), (b"\x1b[?62;c", 1)]), vec![]);
    }

    proptest::proptest! {
        #[test]
        fn no_byte_stream_breaks_it(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..400)) {
            let mut parser = Parser::default();
            let mut out = Vec::new();
            parser.feed(&bytes, Instant::now(), &mut out);
            proptest::prop_assert!(out.len() <= bytes.len() + 1);
        }

        #[test]
        fn a_paste_gives_no_key(text in "[ -~\\n]{0,80}", cut in 0usize..90) {
            let whole = format!("\x1b[200~{text}\x1b[201~");
            let cut = cut.min(whole.len());
            let typed = all(&[(&whole.as_bytes()[..cut], 0), (&whole.as_bytes()[cut..], 5)]);
            proptest::prop_assert_eq!(typed, vec![Typed::Paste(text)]);
        }
    }
}
