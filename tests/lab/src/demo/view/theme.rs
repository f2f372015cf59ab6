//! Colours, or none: <https://no-color.org>.

use ratatui::style::{Color, Modifier, Style};

use crate::demo::snapshot::Tone;

/// How things are painted. Nothing is told by colour alone.
#[derive(Clone, Copy, Debug)]
pub struct Theme {
    /// The stable version.
    pub stable: Style,
    /// The candidate.
    pub candidate: Style,
    /// Rules and labels.
    pub faint: Style,
    /// What counts most.
    pub strong: Style,
    /// A step forward.
    pub good: Style,
    /// A step back.
    pub bad: Style,
}

impl Theme {
    /// Colours of the terminal's own palette.
    pub fn coloured() -> Self {
        let fg = |colour| Style::new().fg(colour);
        Self {
            stable: fg(Color::Blue),
            candidate: fg(Color::Yellow),
            faint: fg(Color::DarkGray),
            strong: Style::new().add_modifier(Modifier::BOLD),
            good: fg(Color::Green),
            bad: fg(Color::Red).add_modifier(Modifier::BOLD),
        }
    }

    /// No colour; only bold.
    pub fn plain() -> Self {
        let (none, bold) = (Style::new(), Style::new().add_modifier(Modifier::BOLD));
        Self { stable: none, candidate: none, faint: none, strong: bold, good: none, bad: bold }
    }

    /// As the environment asks: `NO_COLOR`, when set and not empty, means none.
    pub fn from_environment() -> Self {
        let none = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        if none { Self::plain() } else { Self::coloured() }
    }

    /// The style of an event.
    pub fn tone(&self, tone: Tone) -> Style {
        match tone {
            Tone::Plain => Style::new(),
            Tone::Good => self.good,
            Tone::Bad => self.bad,
        }
    }
}
