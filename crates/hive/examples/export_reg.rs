//! Exports a hive as a `.reg` file: `export_reg HIVE ROOT OUT.reg`.

use cv_disk::Faults;
use cv_hive::reg::{Exporter, Form};
use cv_hive::{Hive, KeyPath};
use std::fs::File;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [hive, root, out] = &arguments[..] else {
        return Err("usage: export_reg HIVE ROOT OUT.reg".into());
    };
    let bytes = std::fs::read(hive)?;
    let hive = Hive::open(&bytes)?;
    let mut exporter = Exporter::new(File::create(out)?, Form::Version5, &KeyPath::parse(root)?)?;
    let mut faults = Faults::new();
    hive.root()?.visit(&mut exporter, &mut faults)?;
    let (_, omitted) = exporter.finish()?;
    for fault in faults {
        eprintln!("{fault}");
    }
    for omission in omitted.listed() {
        eprintln!("left out: {omission}");
    }
    Ok(())
}
