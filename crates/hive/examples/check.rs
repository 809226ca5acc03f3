//! Says what is wrong with a hive: `check HIVE`.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).ok_or("check HIVE")?;
    let faults = cv_hive::check::check(&std::fs::read(path)?)?;
    for fault in faults.listed() {
        println!("{fault}");
    }
    println!("{} faults", faults.listed().len() as u64 + faults.omitted());
    Ok(())
}
