//! Writes the tables and the picture of docs/evidence.md: `make evidence`. Seeded, so that they are the same on every machine;
//! ends with an error when a promise of the page does not hold.

mod delays;
mod peers;
mod picture;
mod rates;

use std::path::Path;

const PAGE: &str = "docs/evidence.md";

fn main() -> Result<(), String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = root.join(PAGE);
    let mut text = std::fs::read_to_string(&page).map_err(|e| format!("{PAGE}: {e}"))?;
    let mut broken = Vec::new();
    for (name, (table, trouble)) in [("rates", rates::table()), ("delays", delays::table())] {
        text = put(&text, name, &table)?;
        broken.extend(trouble);
    }
    let compared = peers::compare();
    text = put(&text, "peers", &peers::table(&compared))?;
    std::fs::write(&page, text).map_err(|e| format!("{PAGE}: {e}"))?;
    std::fs::write(root.join("docs/evidence.svg"), picture::svg(&compared)).map_err(|e| e.to_string())?;
    if broken.is_empty() { Ok(()) } else { Err(broken.join("\n")) }
}

/// Replaces what stands between the markers of a table.
fn put(text: &str, name: &str, table: &str) -> Result<String, String> {
    let (from, to) = (format!("<!-- begin {name} -->\n"), format!("<!-- end {name} -->"));
    let begin = text.find(&from).ok_or(format!("{PAGE} has no {from:?}"))? + from.len();
    let end = text.find(&to).ok_or(format!("{PAGE} has no {to:?}"))?;
    Ok(format!("{}\n{table}\n{}", &text[..begin], &text[end..]))
}

/// A table in Markdown.
fn markdown(header: &[&str], rows: &[Vec<String>]) -> String {
    let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    let mut out = line(header.iter().map(|cell| (*cell).to_owned()).collect());
    out += &line(header.iter().map(|_| "---".to_owned()).collect());
    rows.iter().for_each(|row| out += &line(row.clone()));
    out
}
