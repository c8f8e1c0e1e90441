//! How this screen looks: theme, signs, time zone. Decided from the command line and the environment alone; the terminal
//! is never asked.

use std::path::PathBuf;

use super::glyphs::{self, Glyphs};
use super::theme::{self, Depth, Theme};
use crate::cli::args::Screen;
use crate::domain::Time;

/// The looks of one screen.
#[derive(Clone, Debug)]
pub struct Look {
    pub theme: Theme,
    pub g: Glyphs,
    /// Times in the local zone instead of UTC.
    pub local: bool,
    no_colour: bool,
    depth: Depth,
    themes: Option<PathBuf>,
}

impl Default for Look {
    fn default() -> Self {
        Look {
            theme: Theme::default(),
            g: glyphs::UNICODE,
            local: false,
            no_colour: false,
            depth: Depth::Rgb,
            themes: None,
        }
    }
}

/// `$XDG_CONFIG_HOME/mayday` of this user.
pub fn user_dir() -> Option<PathBuf> {
    directories::BaseDirs::new().map(|d| d.config_dir().join("mayday"))
}

impl Look {
    /// From the options and the environment. Gives what was wrong with the theme as well.
    pub fn of(screen: &Screen, env: impl Fn(&str) -> Option<String>) -> (Look, Vec<String>) {
        let mut look = Look {
            g: if screen.ascii || !glyphs::locale_is_utf8(&env) { glyphs::ASCII } else { glyphs::UNICODE },
            local: screen.local,
            // https://no-color.org: any value that is not empty.
            no_colour: env("NO_COLOR").is_some_and(|v| !v.is_empty()),
            depth: Depth::of_env(&env),
            themes: user_dir().map(|d| d.join("themes")),
            ..Look::default()
        };
        let name = screen.theme.clone().or_else(|| env("MAYDAY_THEME")).unwrap_or_else(|| "default".into());
        let faults = match look.choose(&name) {
            Ok(faults) => faults,
            Err(why) => {
                let _ = look.choose("default");
                vec![why]
            }
        };
        (look, faults)
    }

    /// Changes the theme. Gives its faults; errors when there is none of that name.
    pub fn choose(&mut self, name: &str) -> Result<Vec<String>, String> {
        let loaded = theme::resolve(name, self.themes.as_deref())?;
        self.theme = if self.no_colour {
            let mut mono = theme::named("mono").map(|l| l.theme).unwrap_or_default().without_colour();
            mono.name = loaded.theme.name;
            mono
        } else {
            loaded.theme.fitted(self.depth)
        };
        Ok(loaded.faults.iter().map(ToString::to_string).collect())
    }

    /// `02:14:07`, in the chosen zone.
    pub fn hms(&self, at: Time) -> String {
        if self.local {
            return at.to_chrono().with_timezone(&chrono::Local).format("%H:%M:%S").to_string();
        }
        at.hms()
    }

    /// `02:14`
    pub fn hm(&self, at: Time) -> String {
        if self.local {
            return at.to_chrono().with_timezone(&chrono::Local).format("%H:%M").to_string();
        }
        at.hm()
    }

    /// `UTC`, or how far the local zone is from it.
    pub fn zone(&self, at: Time) -> String {
        if self.local {
            return at.to_chrono().with_timezone(&chrono::Local).format("local time, UTC%:z").to_string();
        }
        "UTC".to_owned()
    }

    /// `2026-11-20 02:14:07 UTC`
    pub fn full(&self, at: Time) -> String {
        if self.local {
            return at.to_chrono().with_timezone(&chrono::Local).format("%Y-%m-%d %H:%M:%S %:z").to_string();
        }
        at.to_chrono().format("%Y-%m-%d %H:%M:%S UTC").to_string()
    }
}
