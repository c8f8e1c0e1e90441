//! Running a screen: keys, news from the engine, signals and time go in, frames come out.
//!
//! A [`Face`] is a screen's model: the cockpit and the wall are two of them. It is told everything through
//! [`Face::update`] and drawn through [`Face::draw`], which changes nothing. To run one: `screen::run(face, setup)`; the
//! rest (terminal, link, ticks, frame rate) is done here.
//!
//! A key press is drawn at once, everything else at most ten times a second.

use std::time::{Duration, Instant};

use crossterm::event::KeyEvent;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use super::input::{self, Typed};
use super::link::{self, News, Peer, Question};
use super::terminal::{self, Frame, Painter};
use crate::cli::{Failure, Place, connect};
use crate::domain::{Access, Time};
use crate::wire::{Answer, Change, Client, EvidenceAsk};

/// Between two frames that no key press asked for.
const GAP: Duration = Duration::from_millis(100);
/// Between two frames in which nothing but measured values moves.
const CALM_GAP: Duration = Duration::from_secs(1);
/// Longest wait for the engine on the way out.
const PARTING: Duration = Duration::from_millis(300);
/// The first frame waits this long for the first picture, so that it is not an empty one.
const FIRST: Duration = Duration::from_millis(300);
/// After this long the code that only starting needs is not kept in memory any more.
const SETTLED: Duration = Duration::from_secs(2);

/// When it is, by this machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Microseconds of a clock that never steps, from an arbitrary start.
    pub mono_us: u64,
    /// The wall clock.
    pub wall: Time,
}

impl Now {
    pub const fn ms(self) -> u64 {
        self.mono_us / 1000
    }
}

/// Something that happened to a screen.
#[derive(Debug)]
pub enum Input {
    /// A key, and when it was read (microseconds of [`Now::mono_us`]).
    Key(KeyEvent, u64),
    Paste(String),
    Resize(u16, u16),
    LinkUp(Peer),
    LinkDown(String),
    Change(Box<Change>),
    Answer(u64, Result<Answer, String>),
    /// The frame with this mark is on the terminal since then (microseconds).
    Drawn(u64, u64),
    Tick,
    /// The screen is ended from outside: what must not be lost is to be handed out now.
    Ending,
}

/// What a screen wants done.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    Ask(Question),
    /// Put text into the terminal's clipboard (OSC 52).
    Copy(String),
    Repaint,
    Suspend,
    /// Start an engine where none runs.
    StartEngine,
    /// Read a file and hand it over to be kept as evidence; the answer comes under `tag`.
    Attach {
        tag: u64,
        key: String,
        via: String,
        path: std::path::PathBuf,
        ask: Box<EvidenceAsk>,
    },
    /// Keep a note for the next engine, because this screen ends before it could be handed over.
    Spool {
        text: String,
        incident: Option<String>,
        at: Time,
    },
    /// Leave, and say this afterwards.
    Quit(Vec<String>),
}

/// A screen's model.
pub trait Face {
    /// Takes in what happened.
    fn update(&mut self, input: Input, now: Now) -> Vec<Effect>;
    /// Draws everything. Gives the cursor's place, when a text is being edited.
    fn draw(&self, area: Rect, buffer: &mut Buffer) -> Option<(u16, u16)>;
    /// What is to be named back when the next frame is on the terminal; 0 for nothing.
    fn mark(&self) -> u64 {
        0
    }
    /// Milliseconds until something shown changes with time alone.
    fn next_tick(&self) -> u64;
    /// The last update changed what is shown.
    fn is_changed(&self) -> bool {
        true
    }
    /// The input brings nothing that anybody would have to see within a second. Asked before the update.
    fn is_calm(&self, _: &Input) -> bool {
        false
    }
    /// The input must be shown at once.
    fn is_urgent(&self, input: &Input) -> bool {
        matches!(input, Input::Key(..) | Input::Paste(_) | Input::Resize(..))
    }
}

/// What a screen runs with.
#[derive(Debug)]
pub struct Setup {
    pub place: Place,
    /// `viewer` or `wall`: how the engine counts it.
    pub client: &'static str,
    pub access: Access,
}

impl Setup {
    /// Connects, starting the engine where none runs. Needs a tokio runtime.
    pub async fn attach(&self) -> Result<Client, Failure> {
        connect::attach(&self.place, self.client, self.access).await
    }
}

/// The small runtime all screens use.
pub fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

#[derive(Debug)]
enum Event {
    Typed(Typed, u64),
    Drawn(u64, u64),
    /// What was asked beside the link.
    Answer(u64, Result<Answer, String>),
    Gone,
}

/// Runs a screen until it is left. Attaches first, so that what stands against it is said on a whole terminal.
pub fn run(face: &mut impl Face, setup: &Setup) -> Result<u8, Failure> {
    run_with(face, setup, true)
}

/// Runs a screen that needs no engine, and starts none: with the news of one that runs, if one does.
pub fn run_alone(face: &mut impl Face, setup: &Setup) -> Result<u8, Failure> {
    run_with(face, setup, false)
}

fn run_with(face: &mut impl Face, setup: &Setup, needs_engine: bool) -> Result<u8, Failure> {
    let runtime = runtime()?;
    let after = runtime.block_on(async {
        let client = match needs_engine {
            true => Some(setup.attach().await?),
            false => Client::connect(&setup.place.state_dir, setup.client, setup.access, connect::CONNECT).await.ok(),
        };
        terminal::leave_on_panic();
        terminal::enter().map_err(|e| Failure::failed(format!("take the terminal: {e}")))?;
        let link = match client {
            Some(client) => link::start(setup.place.clone(), client, setup.client, setup.access),
            None => link::none(),
        };
        let end = Loop::new(face, setup, link)?.run().await;
        terminal::leave();
        end
    });
    terminal::leave();
    // A task that waits for a dead engine must not hold up the way out.
    runtime.shutdown_timeout(Duration::from_millis(50));
    let after = after?;
    keep(&setup.place, &after)?;
    for effect in &after {
        if let Effect::Quit(lines) = effect {
            lines.iter().for_each(|line| crate::cli::say(line));
        }
    }
    Ok(0)
}

/// Hands a file over on a connection of its own: it may take a while, and the screen's link is for what is shown.
async fn attach(
    (place, access): (Place, Access),
    key: String,
    via: &str,
    path: std::path::PathBuf,
    ask: EvidenceAsk,
) -> Result<Answer, String> {
    let read = tokio::task::spawn_blocking(move || crate::cli::evidence::read(&path)).await;
    let (_, bytes) = match read.map_err(|e| e.to_string())? {
        Ok(read) => read,
        Err(no) => return Ok(Answer::Failed { reason: no.text }),
    };
    let mut client = connect::reach(&place, access).await.map_err(|e| e.text)?;
    // Whether it is on record is not known then: the same key asks for it once more.
    let lost = |e: std::io::Error| format!("{}: {e}", link::LOST);
    crate::wire::upload::evidence(&mut client, via, key, &bytes, ask).await.map_err(lost)
}

/// Writes down what could not be handed to the engine.
fn keep(place: &Place, effects: &[Effect]) -> Result<(), Failure> {
    for effect in effects {
        if let Effect::Spool { text, incident, at } = effect {
            let why = "the engine could not be reached";
            let at = Some(at.to_string());
            crate::cli::incident::spool(&place.state_dir, std::slice::from_ref(text), incident.clone(), at, why)?;
        }
    }
    Ok(())
}

struct Loop<'a, F: Face> {
    face: &'a mut F,
    setup: &'a Setup,
    link: link::Link,
    events: mpsc::Receiver<Event>,
    tell_me: mpsc::Sender<Event>,
    painter: Painter,
    begun: Instant,
    size: (u16, u16),
    dirty: bool,
    /// What changed is not only calm.
    soon: bool,
    whole: bool,
    also: Vec<u8>,
    last_frame: Option<Instant>,
    /// Questions to the engine that it has not answered.
    unanswered: usize,
    /// What is left to do after leaving; `Some` ends the loop.
    after: Option<Vec<Effect>>,
    spool: Vec<Effect>,
    starting: Option<tokio::task::JoinHandle<Result<(), Failure>>>,
}

impl<'a, F: Face> Loop<'a, F> {
    fn new(face: &'a mut F, setup: &'a Setup, link: link::Link) -> Result<Self, Failure> {
        let begun = Instant::now();
        let (send, events) = mpsc::channel(256);
        let us = move |at: Instant| u64::try_from(at.saturating_duration_since(begun).as_micros()).unwrap_or(0);
        let (typed, gone, drawn, tell_me) = (send.clone(), send.clone(), send.clone(), send);
        input::start(
            move |one, at| typed.blocking_send(Event::Typed(one, us(at))).is_ok(),
            move || {
                let _ = gone.blocking_send(Event::Gone);
            },
        )?;
        let painter = Painter::start(move |mark| {
            if mark != 0 {
                // A full channel means that keys wait: then those were pressed before this frame anyway.
                let _ = drawn.try_send(Event::Drawn(mark, us(Instant::now())));
            }
        })?;
        Ok(Loop {
            face,
            setup,
            link,
            events,
            tell_me,
            painter,
            begun,
            size: terminal::size().unwrap_or((80, 24)),
            dirty: true,
            soon: true,
            whole: true,
            also: Vec::new(),
            last_frame: None,
            unanswered: 0,
            after: None,
            spool: Vec::new(),
            starting: None,
        })
    }

    fn now(&self) -> Now {
        Now {
            mono_us: u64::try_from(self.begun.elapsed().as_micros()).unwrap_or(0),
            wall: Time::from_ms(crate::sys::clock::now_ms()),
        }
    }

    async fn run(mut self) -> Result<Vec<Effect>, Failure> {
        let mut term = signal(SignalKind::terminate())?;
        let mut hup = signal(SignalKind::hangup())?;
        let mut int = signal(SignalKind::interrupt())?;
        let mut stop = signal(SignalKind::from_raw(libc::SIGTSTP))?;
        let mut cont = signal(SignalKind::from_raw(libc::SIGCONT))?;
        let mut winch = signal(SignalKind::window_change())?;
        self.tell(Input::Resize(self.size.0, self.size.1));
        self.first_picture().await;
        self.paint();
        tokio::spawn(async {
            tokio::time::sleep(SETTLED).await;
            let _ = crate::sys::memory::forget_start_up_code();
        });
        let mut tick_from = Instant::now();
        while self.after.is_none() {
            let tick = tick_from + Duration::from_millis(self.face.next_tick().max(20));
            let gap = if self.soon { GAP } else { CALM_GAP };
            let frame = self.last_frame.map_or_else(Instant::now, |at| at + gap);
            tokio::select! {
                biased;
                _ = hup.recv() => self.hung_up(),
                _ = term.recv() => {
                    terminal::leave();
                    self.tell(Input::Ending);
                    self.last_answers().await;
                    return Ok(std::mem::take(&mut self.spool));
                }
                _ = int.recv() => {}
                _ = stop.recv() => self.suspend(),
                _ = cont.recv() => self.resumed()?,
                _ = winch.recv() => self.resized(),
                event = self.events.recv() => match event {
                    Some(Event::Typed(Typed::Key(key), at)) => self.tell(Input::Key(key, at)),
                    Some(Event::Typed(Typed::Paste(text), _)) => self.tell(Input::Paste(text)),
                    Some(Event::Drawn(mark, at)) => self.tell(Input::Drawn(mark, at)),
                    Some(Event::Answer(tag, answer)) => self.tell(Input::Answer(tag, answer)),
                    Some(Event::Gone) | None => self.hung_up(),
                },
                news = self.link.news.recv() => match news {
                    Some(news) => self.hear(news),
                    None => return Err(Failure::failed("the link to the engine ended by itself")),
                },
                () = tokio::time::sleep_until(frame.into()), if self.dirty => self.paint(),
                () = tokio::time::sleep_until(tick.into()) => {
                    tick_from = Instant::now();
                    self.tell(Input::Tick);
                }
            }
        }
        let mut after = self.after.take().unwrap_or_default();
        self.last_answers().await;
        after.append(&mut self.spool);
        Ok(after)
    }

    /// What was asked for last goes out before the connection ends; an engine that is slow is not waited for.
    async fn last_answers(&mut self) {
        let until = tokio::time::Instant::now() + PARTING;
        while self.unanswered > 0 {
            match tokio::time::timeout_at(until, self.link.news.recv()).await {
                Ok(Some(News::Answer(..))) => self.unanswered -= 1,
                Ok(Some(News::Change(_) | News::Up(_))) => {}
                _ => return,
            }
        }
    }

    /// The first picture with what was asked for it, unless that takes too long.
    async fn first_picture(&mut self) {
        let until = tokio::time::Instant::now() + FIRST;
        let mut there = false;
        while let Ok(Some(news)) = tokio::time::timeout_at(until, self.link.news.recv()).await {
            there |= matches!(news, News::Change(_));
            self.hear(news);
            if there && self.unanswered == 0 {
                return;
            }
        }
    }

    fn hear(&mut self, news: News) {
        let input = match news {
            News::Up(peer) => Input::LinkUp(peer),
            News::Down(why) => Input::LinkDown(why),
            News::Change(change) => Input::Change(change),
            News::Answer(tag, answer) => {
                self.unanswered = self.unanswered.saturating_sub(1);
                Input::Answer(tag, answer)
            }
        };
        self.tell(input);
    }

    fn tell(&mut self, input: Input) {
        let urgent = self.face.is_urgent(&input);
        let (quiet, calm) = (matches!(input, Input::Drawn(..)), self.face.is_calm(&input));
        let effects = self.face.update(input, self.now());
        if !quiet && self.face.is_changed() {
            self.dirty = true;
            self.soon |= !calm;
        }
        for effect in effects {
            self.carry_out(effect);
        }
        if urgent && self.after.is_none() {
            self.paint();
        }
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Ask(question) => {
                let tag = question.tag;
                self.unanswered += 1;
                if self.link.ask.try_send(question).is_err() {
                    self.unanswered -= 1;
                    let why = "too many questions wait for the engine; try again".to_owned();
                    let more = self.face.update(Input::Answer(tag, Err(why)), self.now());
                    // One level only: an answer to a failed question asks nothing that could fail the same way.
                    for effect in more {
                        if !matches!(effect, Effect::Ask(_)) {
                            self.carry_out(effect);
                        }
                    }
                }
            }
            Effect::Copy(text) => self.also.extend_from_slice(&super::clipboard::osc52(&text)),
            Effect::Repaint => self.whole = true,
            // Everybody of this terminal's job is to stop, so the shell takes over; our own handler leaves first.
            // SAFETY: plain system call to our own process group.
            Effect::Suspend => unsafe {
                libc::kill(0, libc::SIGTSTP);
            },
            Effect::StartEngine => {
                if self.starting.as_ref().is_none_or(tokio::task::JoinHandle::is_finished) {
                    let place = self.setup.place.clone();
                    self.starting = Some(tokio::spawn(async move { connect::start_engine(&place).await }));
                }
            }
            Effect::Attach { tag, key, via, path, ask } => {
                let (setup, tell_me) = ((self.setup.place.clone(), self.setup.access), self.tell_me.clone());
                tokio::spawn(async move {
                    let answer = attach(setup, key, &via, path, *ask).await;
                    let _ = tell_me.send(Event::Answer(tag, answer)).await;
                });
            }
            Effect::Spool { .. } => self.spool.push(effect),
            Effect::Quit(_) => self.after = Some(vec![effect]),
        }
    }

    /// The terminal is gone: nobody can be asked anything any more.
    fn hung_up(&mut self) -> ! {
        terminal::leave();
        self.tell(Input::Ending);
        let effects = std::mem::take(&mut self.spool);
        // Telling about it fails on a dead terminal; the files are written before that.
        std::panic::set_hook(Box::new(|_| {}));
        let _ = std::panic::catch_unwind(|| keep(&self.setup.place, &effects));
        terminal::end_now(129)
    }

    fn resized(&mut self) {
        let size = terminal::size().unwrap_or(self.size);
        if size != self.size {
            self.size = size;
            self.whole = true;
            self.tell(Input::Resize(size.0, size.1));
        }
    }

    fn suspend(&mut self) {
        terminal::leave();
        // SAFETY: plain system call on ourselves; SIGCONT brings us back.
        unsafe { libc::raise(libc::SIGSTOP) };
    }

    fn resumed(&mut self) -> Result<(), Failure> {
        terminal::enter().map_err(|e| Failure::failed(format!("take the terminal again: {e}")))?;
        self.size = terminal::size().unwrap_or(self.size);
        self.whole = true;
        self.tell(Input::Resize(self.size.0, self.size.1));
        Ok(())
    }

    fn paint(&mut self) {
        (self.dirty, self.soon) = (false, false);
        self.last_frame = Some(Instant::now());
        let (columns, rows) = self.size;
        if columns == 0 || rows == 0 {
            return;
        }
        let area = Rect::new(0, 0, columns, rows);
        let mut buffer = self.painter.spare().unwrap_or_default();
        if buffer.area != area {
            buffer = Buffer::empty(area);
        } else {
            buffer.reset();
        }
        let cursor = self.face.draw(area, &mut buffer);
        let mark = self.face.mark();
        let also = std::mem::take(&mut self.also);
        self.painter.post(Frame { buffer, cursor, whole: std::mem::take(&mut self.whole), mark, also });
    }
}
