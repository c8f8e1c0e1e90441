//! What things look like: roles, and themes that give each role a style.
//!
//! Drawing code names a [`Role`], never a colour. A theme file gives styles to roles by dotted names; what it leaves out
//! comes from the shorter name, then from the theme it inherits. Backgrounds are the terminal's own unless a theme
//! chooses otherwise.

use ratatui::style::{Color, Modifier, Style};

mod load;

pub use load::{Fault, Loaded, NAMES, line_of, named, parse, resolve};

macro_rules! roles {
    ($($(#[$doc:meta])* $variant:ident = $name:literal),* $(,)?) => {
        /// What a piece of the screen is.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Role { $($(#[$doc])* $variant),* }

        impl Role {
            /// All of them, in order.
            pub const ALL: &'static [Role] = &[$(Role::$variant),*];

            /// The dotted name in theme files.
            pub const fn name(self) -> &'static str {
                match self { $(Role::$variant => $name),* }
            }
        }
    };
}

roles! {
    /// What everything stands on. The terminal's own background unless a theme chooses one.
    Screen = "screen",
    Text = "text",
    Strong = "text.strong",
    Dim = "text.dim",
    Label = "text.label",
    Title = "title",
    TitleNumber = "title.number",
    Frame = "frame",
    FrameFocus = "frame.focus",
    Select = "select",
    SelectIdle = "select.idle",
    Header = "header",
    HeaderSystem = "header.system",
    HeaderEnv = "header.environment",
    HeaderProduction = "header.environment.production",
    Sev0 = "severity.p0",
    Sev1 = "severity.p1",
    Sev2 = "severity.p2",
    Sev3 = "severity.p3",
    Clock = "clock",
    Due = "due",
    DueOver = "due.over",
    Cost = "cost",
    LinkLive = "link.live",
    LinkSilent = "link.silent",
    LinkLost = "link.lost",
    BannerBad = "banner.bad",
    BannerWarn = "banner.warn",
    BannerInfo = "banner.info",
    Replay = "replay",
    Up = "state.up",
    Degraded = "state.degraded",
    Down = "state.down",
    DownLoud = "state.down.loud",
    Unknown = "state.unknown",
    Paused = "state.paused",
    Stale = "state.stale",
    RtoLeft = "rto.left",
    RtoLow = "rto.low",
    RtoOver = "rto.over",
    Spark = "spark",
    SparkFail = "spark.fail",
    BarDone = "bar.done",
    BarRest = "bar.rest",
    Running = "run.running",
    Good = "run.good",
    Bad = "run.bad",
    Unsure = "run.unsure",
    Contradicted = "run.contradicted",
    LevelDetail = "level.detail",
    LevelInfo = "level.info",
    LevelGood = "level.good",
    LevelWarn = "level.warn",
    LevelBad = "level.bad",
    Key = "key",
    KeyOff = "key.off",
    KeyDoc = "key.doc",
    Overlay = "overlay",
    OverlayFrame = "overlay.frame",
    OverlayDanger = "overlay.danger",
    OverlayTitle = "overlay.title",
    Command = "overlay.command",
    Input = "input",
    InputOff = "input.off",
    Match = "match",
    Wall = "wall",
    WallBig = "wall.big",
    WallDim = "wall.dim",
    WallStalled = "wall.stalled",
}

/// A style for each role.
#[derive(Clone, Debug, PartialEq)]
pub struct Theme {
    pub name: String,
    styles: Vec<Style>,
}

impl Theme {
    /// A theme made by a function: for tests that want to see roles.
    pub fn of(name: &str, style: impl Fn(Role) -> Style) -> Theme {
        Theme { name: name.to_owned(), styles: Role::ALL.iter().map(|r| style(*r)).collect() }
    }

    /// The style of `role`.
    pub fn style(&self, role: Role) -> Style {
        self.styles.get(role as usize).copied().unwrap_or_default()
    }

    /// The same theme without colours: shapes of letters only (`NO_COLOR`).
    pub fn without_colour(mut self) -> Theme {
        for style in &mut self.styles {
            style.fg = None;
            style.bg = None;
            style.underline_color = None;
        }
        self
    }

    /// Colours brought down to what the terminal says it can show.
    pub fn fitted(mut self, depth: Depth) -> Theme {
        for style in &mut self.styles {
            style.fg = style.fg.map(|c| depth.fit(c));
            style.bg = style.bg.map(|c| depth.fit(c));
        }
        self
    }
}

impl Default for Theme {
    fn default() -> Self {
        named("default").map(|l| l.theme).unwrap_or_else(|| Theme::of("plain", |_| Style::new()))
    }
}

/// How many colours the terminal shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    Sixteen,
    Indexed,
    Rgb,
}

impl Depth {
    /// From `COLORTERM` and `TERM`; nothing is asked of the terminal.
    pub fn of_env(get: impl Fn(&str) -> Option<String>) -> Depth {
        let colorterm = get("COLORTERM").unwrap_or_default().to_ascii_lowercase();
        let term = get("TERM").unwrap_or_default();
        if colorterm.contains("truecolor") || colorterm.contains("24bit") || term.ends_with("-direct") {
            Depth::Rgb
        } else if term.contains("256color") {
            Depth::Indexed
        } else {
            Depth::Sixteen
        }
    }

    fn fit(self, color: Color) -> Color {
        match (self, color) {
            (Depth::Indexed, Color::Rgb(r, g, b)) => Color::Indexed(nearest_256(r, g, b)),
            (Depth::Sixteen, Color::Rgb(r, g, b)) => nearest_16(r, g, b),
            (Depth::Sixteen, Color::Indexed(i)) if i > 15 => {
                let (r, g, b) = rgb_of_256(i);
                nearest_16(r, g, b)
            }
            (_, other) => other,
        }
    }
}

const STEPS: [u8; 6] = [0, 95, 135, 175, 215, 255];

fn rgb_of_256(i: u8) -> (u8, u8, u8) {
    if i >= 232 {
        let v = 8 + (i - 232) * 10;
        return (v, v, v);
    }
    let i = usize::from(i.saturating_sub(16));
    let step = |n: usize| STEPS.get(n).copied().unwrap_or(0);
    (step(i / 36), step(i / 6 % 6), step(i % 6))
}

fn distance(a: (u8, u8, u8), b: (u8, u8, u8)) -> i32 {
    let d = |x: u8, y: u8| (i32::from(x) - i32::from(y)).pow(2);
    2 * d(a.0, b.0) + 4 * d(a.1, b.1) + 3 * d(a.2, b.2)
}

fn nearest_256(r: u8, g: u8, b: u8) -> u8 {
    (16..=255u8).min_by_key(|i| distance((r, g, b), rgb_of_256(*i))).unwrap_or(7)
}

fn nearest_16(r: u8, g: u8, b: u8) -> Color {
    let table = [
        (Color::Black, (0, 0, 0)),
        (Color::Red, (170, 0, 0)),
        (Color::Green, (0, 150, 0)),
        (Color::Yellow, (170, 130, 0)),
        (Color::Blue, (0, 0, 190)),
        (Color::Magenta, (160, 0, 160)),
        (Color::Cyan, (0, 150, 150)),
        (Color::Gray, (180, 180, 180)),
        (Color::DarkGray, (100, 100, 100)),
        (Color::LightRed, (255, 85, 85)),
        (Color::LightGreen, (85, 255, 85)),
        (Color::LightYellow, (255, 230, 85)),
        (Color::LightBlue, (100, 140, 255)),
        (Color::LightMagenta, (255, 85, 255)),
        (Color::LightCyan, (85, 255, 255)),
        (Color::White, (255, 255, 255)),
    ];
    table.into_iter().min_by_key(|(_, rgb)| distance((r, g, b), *rgb)).map_or(Color::Gray, |(c, _)| c)
}

/// Modifiers by their names in theme files.
const MODIFIERS: [(&str, Modifier); 6] = [
    ("bold", Modifier::BOLD),
    ("dim", Modifier::DIM),
    ("italic", Modifier::ITALIC),
    ("underlined", Modifier::UNDERLINED),
    ("reversed", Modifier::REVERSED),
    ("crossed-out", Modifier::CROSSED_OUT),
];
