//! Recovery: a hive that was not written to its end, and the transaction logs that hold what is missing.
//!
//! Everything happens in memory: [`recover`] gives the bytes of the whole hive.
//!
//! Both forms of logs are applied as far as Windows does. A log of the old form is applied where it is of the same time as
//! the hive, up to the first hive bin that is not one. The entries of logs of the new form are applied from the sequence
//! number on that the hive had reached, one after the other, up to the first that is damaged or missing. Where the base block
//! itself is damaged, that of the later log takes its place, and that log alone is applied.
//!
//! Source: M. Suhanov's "Windows registry file format specification", transaction log files.

mod new_log;
mod old_log;

use crate::structure::transaction_log::{DIRTY_VECTOR_SIGNATURE, SECTOR};
use crate::structure::{BASE_BLOCK_SIZE, BaseBlock, Structure};
use cv_disk::Damage;

/// A hive after its recovery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovered {
    /// The bytes of the hive.
    pub bytes: Vec<u8>,
    /// Which of the logs were applied, by their places.
    pub logs: Vec<usize>,
    /// How many log entries were applied; a log of the old form counts as one.
    pub entries: usize,
    /// Bytes that were written to the hive bins.
    pub written: u64,
    /// Whether the base block was damaged, and that of a log has taken its place.
    pub is_base_block_from_log: bool,
    /// Why what a log holds besides was not applied: the first damage, and the place of the log that it is in.
    pub stopped: Option<(usize, Damage)>,
}

/// Why a hive could not be recovered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecoverError {
    /// There is no log that could be applied.
    #[error("no transaction log holds what is missing")]
    NoLog(#[source] Damage),
    /// There is no log at all.
    #[error("there is no transaction log")]
    NoLogs,
}

/// Recovers a hive from its logs (`.LOG1` and `.LOG2`, or `.LOG`), or says that it needs no recovery.
///
/// ```no_run
/// let hive = std::fs::read("NTUSER.DAT")?;
/// let log = std::fs::read("NTUSER.DAT.LOG1")?;
/// if let Some(recovered) = cv_hive::recover(&hive, &[&log])? {
///     println!("{} log entries were applied", recovered.entries);
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn recover(hive: &[u8], logs: &[&[u8]]) -> Result<Option<Recovered>, RecoverError> {
    let base_block = BaseBlock::parse(hive, 0)
        .ok()
        .filter(|block| block.signature == BaseBlock::SIGNATURE && BaseBlock::has_valid_checksum(hive));
    if let Some(block) = &base_block
        && block.primary_sequence_number == block.secondary_sequence_number
    {
        return Ok(None);
    }
    let mut refusal = None;
    let mut usable: Vec<Log<'_>> = Vec::new();
    for (place, bytes) in logs.iter().enumerate() {
        // Logs that were never used are empty files.
        if bytes.is_empty() {
            continue;
        }
        match Log::open(place, bytes) {
            Ok(log) => usable.push(log),
            Err(damage) => refusal = refusal.or(Some(damage)),
        }
    }
    let is_new = |log: &Log<'_>| !log.is_old;
    let mut recovery = Recovery::new(hive, base_block);
    if usable.iter().any(is_new) {
        usable.retain(is_new);
        new_log::apply(&mut recovery, usable);
    } else {
        old_log::apply(&mut recovery, usable);
    }
    if recovery.entries == 0 {
        let damage = recovery.stopped.map(|(_, damage)| damage).or(refusal);
        return Err(damage.map_or(RecoverError::NoLogs, RecoverError::NoLog));
    }
    Ok(Some(recovery.finish()))
}

/// A log whose base block is sound.
struct Log<'a> {
    /// Its place among the logs.
    place: usize,
    bytes: &'a [u8],
    base_block: BaseBlock,
    is_old: bool,
}

impl<'a> Log<'a> {
    fn open(place: usize, bytes: &'a [u8]) -> Result<Self, Damage> {
        let base_block = BaseBlock::parse(bytes, 0)?;
        if base_block.signature != BaseBlock::SIGNATURE {
            let found = format!("{:02x?}", base_block.signature);
            return Err(Damage::new("base block of the log, signature", 0, "\"regf\"", found));
        }
        if !BaseBlock::has_valid_checksum(bytes) {
            let expected = format!("{:#010x}", BaseBlock::checksum_of(bytes));
            let found = format!("{:#010x}", base_block.checksum);
            return Err(Damage::new("base block of the log, checksum", 508, expected, found));
        }
        if base_block.file_type == BaseBlock::PRIMARY_FILE {
            return Err(Damage::new("base block of the log, file type", 28, "a log", "a hive"));
        }
        let is_old = bytes[SECTOR..].starts_with(&DIRTY_VECTOR_SIGNATURE);
        Ok(Self {
            place,
            bytes,
            base_block,
            is_old,
        })
    }
}

/// A hive while logs are applied to it.
struct Recovery {
    bytes: Vec<u8>,
    /// The base block of the hive, where it is sound.
    base_block: Option<BaseBlock>,
    logs: Vec<usize>,
    entries: usize,
    written: u64,
    is_base_block_from_log: bool,
    stopped: Option<(usize, Damage)>,
}

impl Recovery {
    fn new(hive: &[u8], base_block: Option<BaseBlock>) -> Self {
        Self {
            bytes: hive.to_vec(),
            base_block,
            logs: Vec::new(),
            entries: 0,
            written: 0,
            is_base_block_from_log: false,
            stopped: None,
        }
    }

    /// Bytes of the hive bins that the file holds.
    fn bins_length(&self) -> usize {
        self.bytes.len().saturating_sub(BASE_BLOCK_SIZE)
    }

    /// Writes to the hive bins data; the file grows as needed.
    fn write(&mut self, offset: usize, page: &[u8]) {
        let start = BASE_BLOCK_SIZE + offset;
        let end = start + page.len();
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        self.bytes[start..end].copy_from_slice(page);
        self.written += page.len() as u64;
    }

    /// Has the base block of a log take the place of the hive's.
    fn take_base_block(&mut self, log: &Log<'_>) {
        self.base_block = Some(BaseBlock {
            file_type: BaseBlock::PRIMARY_FILE,
            ..log.base_block.clone()
        });
        self.is_base_block_from_log = true;
    }

    fn stop(&mut self, log: usize, damage: Damage) {
        self.stopped.get_or_insert((log, damage));
    }

    fn finish(mut self) -> Recovered {
        if let Some(block) = &self.base_block {
            if self.bytes.len() < BASE_BLOCK_SIZE {
                self.bytes.resize(BASE_BLOCK_SIZE, 0);
            }
            self.bytes[..BaseBlock::SIZE].copy_from_slice(&block.to_sealed_bytes());
        }
        Recovered {
            bytes: self.bytes,
            logs: self.logs,
            entries: self.entries,
            written: self.written,
            is_base_block_from_log: self.is_base_block_from_log,
            stopped: self.stopped,
        }
    }
}
