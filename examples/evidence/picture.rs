//! The comparison as a picture: for each truth, how often each judge rolls back.

use understudy::plot::{Anchor, Area, Svg};

use crate::peers::{Row, TRUTHS};

const LEFT: f64 = 250.0;
const BAR: f64 = 150.0;
const PANEL: f64 = 240.0;
const LINE: f64 = 30.0;
const TOP: f64 = 64.0;
const TITLE: &str = "Rolled back within 8 h 20 min, and after how many minutes";

pub fn svg(rows: &[Row]) -> String {
    let (width, height) = (LEFT + PANEL * TRUTHS.len() as f64, TOP + LINE * rows.len() as f64 + 24.0);
    let mut page = Svg::new(width, height, TITLE);
    page.text("title", (10.0, 24.0), Anchor::Start, TITLE);
    for (i, (truth, times)) in TRUTHS.iter().enumerate() {
        let x = LEFT + PANEL * i as f64;
        page.text("bold", (x, 50.0), Anchor::Start, truth);
        for (k, row) in rows.iter().enumerate() {
            let y = TOP + LINE * k as f64;
            let cell = row.cells[i];
            // Right is: never when as good, always when worse.
            let right = (cell.share > 0.5) == (*times > 1.0);
            let bar = Area { x, y, width: BAR, height: 20.0 };
            page.area("track", bar);
            page.area(if right { "right" } else { "wrong" }, Area { width: BAR * cell.share, ..bar });
            let minutes =
                if cell.share == 0.0 { String::new() } else { format!(", {:.1} min", cell.minutes) };
            let text = format!("{:.1} %{minutes}", 100.0 * cell.share);
            page.text("small", (x + 4.0, y + 14.0), Anchor::Start, &text);
        }
    }
    for (k, row) in rows.iter().enumerate() {
        let y = TOP + LINE * k as f64 + 14.0;
        page.text("plain", (10.0, y), Anchor::Start, row.judge);
    }
    page.finish()
}
