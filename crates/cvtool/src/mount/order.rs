//! `cvtool order`.

use super::{ask, status};
use crate::Outcome;
use anyhow::bail;
use clap::Args;
use layerfs::control::{Order, Reply, Request};
use std::path::PathBuf;

/// Which layer of which mount, and where it is to stand.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The mount
    mountpoint: PathBuf,

    /// The layer: its disk image, its name, its id, or its number in `cvtool status`
    layer: String,

    #[command(flatten)]
    to: To,

    /// Print the new order as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct To {
    /// Give it this priority: higher stands above, of equal ones the later attached
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
    priority: Option<i32>,

    /// Put it right above this layer
    #[arg(long, value_name = "LAYER")]
    above: Option<String>,

    /// Put it right below this layer
    #[arg(long, value_name = "LAYER")]
    below: Option<String>,

    /// Put it above all layers
    #[arg(long)]
    top: bool,

    /// Put it below all layers
    #[arg(long)]
    bottom: bool,
}

impl Arguments {
    /// Moves the layer, and shows the stack.
    pub fn run(&self) -> anyhow::Result<Outcome> {
        let to = match &self.to {
            To {
                priority: Some(priority),
                ..
            } => Order::Priority(*priority),
            To { above: Some(other), .. } => Order::Above(other.clone()),
            To { below: Some(other), .. } => Order::Below(other.clone()),
            To { top: true, .. } => Order::Top,
            To { .. } => Order::Bottom,
        };
        let layer = self.layer.clone();
        let Reply::Ordered(stack) = ask(&self.mountpoint, &Request::Order { layer, to })? else {
            bail!("the mount gave another answer than expected");
        };
        status::show(&stack, self.json)?;
        Ok(Outcome::Done)
    }
}
