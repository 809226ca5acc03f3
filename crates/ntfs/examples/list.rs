//! Lists every path of an NTFS volume: `list IMAGE [record|name] [threads]`.

use cv_disk::RawFile;
use cv_ntfs::{Listing, Order, Volume};
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::Arc;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let image = arguments.next().ok_or("no image")?;
    let order = match arguments.next().as_deref() {
        Some("record") => Order::Records,
        _ => Order::Names,
    };
    let threads = arguments.next().map_or(Ok(2), |count| count.parse())?;
    let volume = Volume::open(Arc::new(RawFile::open(Path::new(&image))?))?;
    let listing = Listing::of(&volume, threads);
    let mut output = BufWriter::with_capacity(1 << 20, std::io::stdout().lock());
    let mut outcome = Ok(());
    listing.walk(&volume, order, |path, _| {
        if outcome.is_ok() {
            outcome = output.write_all(path).and_then(|()| output.write_all(b"\n"));
        }
    });
    outcome?;
    output.flush()?;
    Ok(())
}
