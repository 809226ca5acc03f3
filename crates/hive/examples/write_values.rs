//! Writes a hive of many values, and says how long it took: `write_values OUT [COUNT]`.
//!
//! Half of the values are numbers, half are text, in keys of a thousand values each.

use cv_hive::write::Plan;
use cv_hive::{Key, Value, ValueType, WriteOptions};
use std::fs::File;
use std::time::Instant;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let output = arguments.next().ok_or("write_values OUT [COUNT]")?;
    let count: u32 = arguments.next().map_or(Ok(1_000_000), |count| count.parse())?;

    let started = Instant::now();
    let mut root = Key::new("root");
    for number in 0..count.div_ceil(1000) {
        let mut key = Key::new(&*format!("Key {number:08}"));
        let values = number * 1000..count.min((number + 1) * 1000);
        key.values.reserve_exact(values.len());
        key.values.extend(values.map(value));
        root.subkeys.push(key);
    }
    let built = started.elapsed();

    let mut plan = Plan::new(&root, &WriteOptions::default())?;
    plan.write(&mut File::create(output)?)?;
    let written = started.elapsed().saturating_sub(built);
    println!(
        "{} bytes: tree made in {built:.2?}, hive written in {written:.2?}",
        plan.len()
    );
    Ok(())
}

fn value(number: u32) -> Value {
    let name = format!("Value {number:08}");
    if number.is_multiple_of(2) {
        return Value::new(&*name, ValueType::DWORD, number.to_le_bytes());
    }
    let text = format!("C:\\Program Files\\Application\\{number}.dll\0");
    let bytes: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    Value::new(&*name, ValueType::SZ, bytes)
}
