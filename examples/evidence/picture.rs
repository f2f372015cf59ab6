//! The comparison as a picture: for each truth, how often each judge rolls back.

use std::fmt::Write as _;

use crate::peers::{Row, TRUTHS};

const LEFT: f64 = 250.0;
const BAR: f64 = 150.0;
const PANEL: f64 = 240.0;
const LINE: f64 = 30.0;
const TOP: f64 = 64.0;

pub fn svg(rows: &[Row]) -> String {
    let (width, height) = (LEFT + PANEL * TRUTHS.len() as f64, TOP + LINE * rows.len() as f64 + 24.0);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" font-size=\"13\">\n\
         <rect width=\"{width}\" height=\"{height}\" fill=\"white\"/>\n\
         <text x=\"10\" y=\"22\" font-size=\"15\" font-weight=\"bold\">Rolled back within 8 h 20 min, and after how many minutes</text>\n"
    );
    for (i, (truth, times)) in TRUTHS.iter().enumerate() {
        let x = LEFT + PANEL * i as f64;
        let _ = writeln!(out, "<text x=\"{x}\" y=\"50\" font-weight=\"bold\">{truth}</text>");
        for (k, row) in rows.iter().enumerate() {
            let y = TOP + LINE * k as f64;
            let cell = row.cells[i];
            // Right is: never when as good, always when worse.
            let right = (cell.share > 0.5) == (*times > 1.0);
            let colour = if right { "#2a7f62" } else { "#c0392b" };
            let length = BAR * cell.share;
            let _ =
                writeln!(out, "<rect x=\"{x}\" y=\"{y}\" width=\"{BAR}\" height=\"20\" fill=\"#eeeeee\"/>");
            let _ = writeln!(
                out,
                "<rect x=\"{x}\" y=\"{y}\" width=\"{length:.1}\" height=\"20\" fill=\"{colour}\"/>"
            );
            let minutes =
                if cell.share == 0.0 { String::new() } else { format!(", {:.1} min", cell.minutes) };
            let _ = writeln!(
                out,
                "<text x=\"{}\" y=\"{}\" font-size=\"11\" fill=\"black\">{:.1} %{minutes}</text>",
                x + 4.0,
                y + 14.0,
                100.0 * cell.share
            );
        }
    }
    for (k, row) in rows.iter().enumerate() {
        let y = TOP + LINE * k as f64 + 14.0;
        let _ = writeln!(out, "<text x=\"10\" y=\"{y}\">{}</text>", row.judge);
    }
    out + "</svg>\n"
}
