//! The lab itself, tested as whoever uses it would.

fn main() -> anyhow::Result<()> {
    lab::inside()?;
    Ok(())
}
