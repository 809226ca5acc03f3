//! Bins, and the cells that fill them.

use super::findings::Findings;
use crate::read::{CellSet, Hive};
use crate::structure::{Cells, HiveBin, Structure, cell, in_file};
use cv_disk::{Damage, Severity};

/// The cells that the bins hold, and which of them have an owner.
pub(super) struct CellMap<'a> {
    cells: Cells<'a>,
    in_use: CellSet,
    claimed: CellSet,
}

impl<'a> CellMap<'a> {
    /// Gives the cell at `offset` to its owner; fails where there is no cell in use, or where it has another owner.
    pub fn claim(&mut self, offset: u32, what: &str) -> Result<&'a [u8], Damage> {
        let content = self.share(offset, what)?;
        if self.claimed.insert(offset) {
            Ok(content)
        } else {
            let structure = format!("cell {offset:#x} ({what})");
            Err(Damage::new(structure, in_file(offset), "one owner", "a second one"))
        }
    }

    /// The cell at `offset`, which may have any number of owners.
    pub fn share(&self, offset: u32, what: &str) -> Result<&'a [u8], Damage> {
        let content = self.cells.get(offset, what)?;
        if self.in_use.contains(offset) {
            return Ok(content);
        }
        let structure = format!("cell {offset:#x} ({what})");
        Err(Damage::new(
            structure,
            in_file(offset),
            "the start of a cell",
            "the middle of one",
        ))
    }

    /// Whether the cell has an owner.
    pub fn is_claimed(&self, offset: u32) -> bool {
        self.claimed.contains(offset)
    }

    /// Looks for cells that nothing leads to.
    pub fn check_owners(&self, findings: &mut Findings) {
        for offset in self.in_use.iter() {
            if !self.claimed.contains(offset) {
                let size = self.cells.size_field(offset).unwrap_or_default().unsigned_abs();
                let structure = format!("cell {offset:#x}");
                let found = format!("none that leads to its {size} bytes");
                let damage = Damage::new(structure, in_file(offset), "an owner", found);
                findings.add(Severity::Warning, damage);
            }
        }
    }
}

/// Looks at bins and cells from the first to the last.
pub(super) fn check<'a>(hive: &Hive<'a>, findings: &mut Findings) -> CellMap<'a> {
    let cells = hive.cells();
    let mut map = CellMap {
        cells,
        in_use: CellSet::new(cells.len()),
        claimed: CellSet::new(cells.len()),
    };
    let unit = HiveBin::UNIT as usize;
    let mut start = 0;
    while start < cells.len() {
        match bin_size(cells, start as u32) {
            Ok(size) => {
                check_cells(start as u32, size, &mut map, findings);
                start += size as usize;
            }
            Err(damage) => {
                findings.add(Severity::Error, damage);
                // The next place where one begins.
                start += unit;
                while start < cells.len() && bin_size(cells, start as u32).is_err() {
                    start += unit;
                }
            }
        }
    }
    map
}

fn bin_size(cells: Cells<'_>, start: u32) -> Result<u32, Damage> {
    let place = in_file(start);
    let bytes = cells.data().get(start as usize..).unwrap_or_default();
    let bin = HiveBin::parse(bytes, place)?;
    let damage = |field: &str, at: u64, expected: String, found: String| {
        let structure = format!("hive bin {start:#x}, {field}");
        Err(Damage::new(structure, place + at, expected, found))
    };
    if bin.signature != HiveBin::SIGNATURE {
        return damage("signature", 0, "\"hbin\"".into(), format!("{:02x?}", bin.signature));
    }
    if bin.offset != start {
        return damage("offset", 4, format!("{start:#x}"), format!("{:#x}", bin.offset));
    }
    if bin.size == 0 || !bin.size.is_multiple_of(HiveBin::UNIT) || bin.size as usize > bytes.len() {
        let expected = format!("a multiple of 4096, at most {}", bytes.len());
        return damage("size", 8, expected, bin.size.to_string());
    }
    Ok(bin.size)
}

fn check_cells(start: u32, size: u32, map: &mut CellMap<'_>, findings: &mut Findings) {
    let end = start + size;
    let mut offset = start + HiveBin::HEADER;
    let mut follows_free = false;
    while offset < end {
        let field = map.cells.size_field(offset).unwrap_or_default();
        let cell_size = field.unsigned_abs();
        if cell_size < cell::ALIGNMENT || !cell_size.is_multiple_of(cell::ALIGNMENT) || cell_size > end - offset {
            let structure = format!("cell {offset:#x}, size");
            let expected = format!("a multiple of 8, at most {}", end - offset);
            let damage = Damage::new(structure, in_file(offset), expected, field.to_string());
            findings.add(Severity::Error, damage);
            return;
        }
        let is_free = field > 0;
        if is_free && follows_free {
            let structure = format!("cell {offset:#x}");
            let damage = Damage::new(structure, in_file(offset), "one free cell", "a second one behind it");
            findings.add(Severity::Note, damage);
        }
        if !is_free {
            map.in_use.insert(offset);
        }
        follows_free = is_free;
        offset += cell_size;
    }
}
