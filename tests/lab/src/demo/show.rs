//! Showing the demo while it is played: the live view on a terminal, else one line a change.

use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use tokio::sync::mpsc;

use super::snapshot::{Line, Snapshot};
use super::view::{self, Theme};

/// Between two frames when nothing is pressed.
const FRAME: Duration = Duration::from_millis(200);
/// Between two looks for lines.
const LOOK: Duration = Duration::from_millis(100);

/// Where the demo is shown.
pub(super) enum Show {
    /// On the whole terminal.
    Screen(Screen),
    /// As lines.
    Lines(Lines),
}

impl Show {
    /// Shows what `look` returns until the person wants to leave. Dropping the future is fine at any time.
    pub(super) async fn until_quit(&mut self, look: impl Fn() -> Snapshot) -> Result<()> {
        match self {
            Self::Screen(screen) => screen.until_quit(look).await,
            Self::Lines(lines) => lines.until_quit(look).await,
        }
    }

    /// The last look, and the terminal as it was.
    pub(super) fn end(self, snapshot: &Snapshot) {
        match self {
            Self::Screen(screen) => drop(screen),
            Self::Lines(mut lines) => lines.print(snapshot),
        }
    }
}

/// The live view. Dropped: the terminal is as it was.
pub(super) struct Screen {
    terminal: DefaultTerminal,
    theme: Theme,
    keys: mpsc::UnboundedReceiver<Event>,
    closed: Arc<AtomicBool>,
}

impl Screen {
    /// Takes the terminal.
    pub(super) fn open() -> Result<Self> {
        // Also makes panics restore the terminal before they are printed.
        let terminal = ratatui::try_init().context("the terminal cannot be drawn on; try --plain")?;
        let closed = Arc::new(AtomicBool::new(false));
        let (sender, keys) = mpsc::unbounded_channel();
        let stop = Arc::clone(&closed);
        // Reading a terminal blocks, and the thread must end with the screen: hence the short polls.
        let read = move || {
            while !stop.load(Ordering::Relaxed) {
                match event::poll(Duration::from_millis(100)) {
                    Ok(true) => {
                        let Ok(event) = event::read() else { return };
                        if sender.send(event).is_err() {
                            return;
                        }
                    }
                    Ok(false) => {}
                    Err(_) => return,
                }
            }
        };
        std::thread::Builder::new().name("keys".to_owned()).spawn(read)?;
        Ok(Self { terminal, theme: Theme::from_environment(), keys, closed })
    }

    async fn until_quit(&mut self, look: impl Fn() -> Snapshot) -> Result<()> {
        loop {
            let snapshot = look();
            self.terminal.draw(|frame| view::draw(frame, &snapshot, &self.theme))?;
            match tokio::time::timeout(FRAME, self.keys.recv()).await {
                Ok(Some(event)) if is_quit(&event) => return Ok(()),
                // Other keys and a new size: draw again. Without keys: as long as it takes.
                Ok(Some(_)) | Err(_) => {}
                Ok(None) => tokio::time::sleep(FRAME).await,
            }
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.closed.store(true, Ordering::Relaxed);
        ratatui::restore();
    }
}

/// `q`, Escape or ctrl-c, which arrives as a key on a raw terminal.
fn is_quit(event: &Event) -> bool {
    let Event::Key(KeyEvent { code, modifiers, kind: KeyEventKind::Press, .. }) = event else { return false };
    match code {
        KeyCode::Char('q') | KeyCode::Esc => true,
        KeyCode::Char('c') => modifiers.contains(KeyModifiers::CONTROL),
        _ => false,
    }
}

/// One line a change.
pub(super) struct Lines {
    /// To standard error, because standard output is for the table as JSON.
    pub(super) to_stderr: bool,
    printed: Option<Line>,
}

impl Lines {
    pub(super) fn new(to_stderr: bool) -> Self {
        Self { to_stderr, printed: None }
    }

    async fn until_quit(&mut self, look: impl Fn() -> Snapshot) -> Result<()> {
        let mut every = tokio::time::interval(LOOK);
        loop {
            tokio::select! {
                _ = every.tick() => self.print(&look()),
                interrupted = tokio::signal::ctrl_c() => return interrupted.context("ctrl-c cannot be received"),
            }
        }
    }

    /// Prints the lines that came since the last time.
    fn print(&mut self, snapshot: &Snapshot) {
        let from = match &self.printed {
            None => 0,
            Some(last) => snapshot.lines.iter().rposition(|line| line == last).map_or(0, |place| place + 1),
        };
        for line in &snapshot.lines[from..] {
            let text = line.plain(snapshot.began);
            // A reader that has gone away is no reason to stop the demo.
            let _ = if self.to_stderr {
                writeln!(std::io::stderr(), "{text}")
            } else {
                writeln!(std::io::stdout(), "{text}")
            };
        }
        if let Some(last) = snapshot.lines.last() {
            self.printed = Some(last.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn q_escape_and_ctrl_c_leave_and_other_keys_do_not() {
        let key = |code, modifiers| Event::Key(KeyEvent::new(code, modifiers));
        assert!(is_quit(&key(KeyCode::Char('q'), KeyModifiers::NONE)));
        assert!(is_quit(&key(KeyCode::Esc, KeyModifiers::NONE)));
        assert!(is_quit(&key(KeyCode::Char('c'), KeyModifiers::CONTROL)));
        assert!(!is_quit(&key(KeyCode::Char('c'), KeyModifiers::NONE)));
        assert!(!is_quit(&Event::Resize(80, 24)));
    }
}
