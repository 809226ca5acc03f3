//! Reads every key and value of a hive, and counts: `walk HIVE`.

use cv_disk::RawFile;
use cv_hive::Hive;
use cv_hive::read::{MAX_HIVE_SIZE, read_to_memory};
use std::path::Path;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).ok_or("walk HIVE")?;
    let bytes = read_to_memory(&RawFile::open(Path::new(&path))?, MAX_HIVE_SIZE)?;
    let hive = Hive::open(&bytes)?;
    let (mut keys, mut values, mut units, mut size) = (0, 0, 0, 0);
    for (_, key) in hive.walk() {
        let key = key?;
        keys += 1;
        units += key.name().len();
        for value in key.values() {
            let value = value?;
            values += 1;
            units += value.name().len();
            size += value.data()?.len();
        }
    }
    println!("{keys} keys, {values} values, {units} units of names, {size} bytes of data");
    Ok(())
}
