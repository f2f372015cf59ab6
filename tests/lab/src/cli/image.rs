//! `lab image`.

use crate::images;
use crate::paths::images_dir;
use anyhow::Result;
use clap::Args;
use std::collections::BTreeMap;

#[derive(Args)]
pub(super) struct Image {
    /// A repository (`lab/model-server`: all its tags and digests) or a whole reference.
    reference: String,
    /// A variable for its containers (can be given more than once).
    #[arg(long = "env", value_name = "NAME=VALUE", value_parser = variable)]
    variables: Vec<(String, String)>,
    /// The program and its first arguments, after `--`.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
    command: Vec<String>,
}

pub(super) fn run(image: &Image) -> Result<()> {
    let env: BTreeMap<_, _> = image.variables.iter().cloned().collect();
    images::register(
        &images_dir(),
        &image.reference,
        &images::Image { command: image.command.clone(), env },
    )?;
    println!("Pods with image {} run: {}", image.reference, image.command.join(" "));
    Ok(())
}

fn variable(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("use NAME=VALUE")?;
    Ok((name.into(), value.into()))
}
