//! A hive as a whole.

use super::key::KeyRef;
use super::walk::Walk;
use crate::Name;
use crate::structure::{BASE_BLOCK_SIZE, BaseBlock, Cells, HiveBin, Structure, u32_at};
use cv_disk::{Damage, ReadAt, ReadError};

/// Bytes of the largest hive: offsets of cells have 31 bits.
pub const MAX_HIVE_SIZE: u64 = (1 << 31) + BASE_BLOCK_SIZE as u64;

/// Bytes that are worth a thread's while.
const PIECE: usize = 4 << 20;

/// Why bytes could not be opened as a hive.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// They do not begin with the base block of a hive.
    #[error("not a registry hive")]
    NotAHive(#[source] Damage),
    /// The file is larger than it may be.
    #[error("a hive of {size} bytes, at most {limit} are read")]
    TooLarge {
        /// Bytes of the file.
        size: u64,
        /// Bytes that it may have.
        limit: u64,
    },
    /// The bytes could not be read.
    #[error("cannot read the hive")]
    Read(#[source] ReadError),
}

/// A hive in memory, opened for reading.
///
/// ```
/// use cv_hive::{Hive, Key, Value, ValueType, WriteOptions};
///
/// let mut root = Key::new("root");
/// let key = root.subkey_or_insert("Software");
/// key.values.push(Value::new("Version", ValueType::DWORD, [7, 0, 0, 0]));
/// let bytes = cv_hive::write_to_vec(&root, &WriteOptions::default())?;
///
/// let hive = Hive::open(&bytes)?;
/// let software = hive.key("SOFTWARE")?.ok_or("no such key")?;
/// for value in software.values() {
///     let value = value?;
///     assert_eq!(value.name().to_string(), "Version");
///     assert_eq!(value.data()?[..], [7, 0, 0, 0]);
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Hive<'a> {
    bytes: &'a [u8],
    base_block: BaseBlock,
    cells: Cells<'a>,
}

impl<'a> Hive<'a> {
    /// Opens the hive that is `bytes`.
    ///
    /// A hive that was not written to its end is opened as it stands ([`is_dirty`](Self::is_dirty)), and so is one that was
    /// cut off. Bytes behind the last hive bin are ignored.
    pub fn open(bytes: &'a [u8]) -> Result<Self, OpenError> {
        let base_block = BaseBlock::parse(bytes, 0).map_err(OpenError::NotAHive)?;
        check_signature(&base_block)?;
        let data = bytes.get(BASE_BLOCK_SIZE..).unwrap_or_default();
        let mut length = (base_block.hive_bins_data_size as usize).min(data.len());
        if is_dirty(bytes, &base_block) {
            // The bins may have grown before the base block said so.
            length = bins_from(data, length);
        }
        Ok(Self {
            bytes,
            base_block,
            cells: Cells::new(&data[..length]),
        })
    }

    /// The bytes of the whole file.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The base block.
    pub fn base_block(&self) -> &BaseBlock {
        &self.base_block
    }

    /// The minor version; the major one is 1.
    pub fn minor_version(&self) -> u32 {
        self.base_block.minor_version
    }

    /// The cells of all hive bins.
    pub fn cells(&self) -> Cells<'a> {
        self.cells
    }

    /// Whether the last write to it was not completed: transaction logs may hold what is missing.
    pub fn is_dirty(&self) -> bool {
        is_dirty(self.bytes, &self.base_block)
    }

    /// The root.
    pub fn root(&self) -> Result<KeyRef<'a>, Damage> {
        self.key_at(self.base_block.root_cell_offset)
    }

    /// The key whose key node is at `offset`.
    pub fn key_at(&self, offset: u32) -> Result<KeyRef<'a>, Damage> {
        KeyRef::at(self.cells, self.base_block.minor_version, offset)
    }

    /// The key at the end of a path from the root, whose own name is not part of it; `\` separates the names.
    ///
    /// Fails where damage on the way leaves open whether there is one.
    pub fn key(&self, path: impl Into<Name>) -> Result<Option<KeyRef<'a>>, Damage> {
        let path = path.into();
        let mut key = self.root()?;
        for name in path.units().split(|unit| *unit == u16::from(b'\\')) {
            if name.is_empty() {
                continue;
            }
            match key.find_subkey(name)? {
                Some(subkey) => key = subkey,
                None => return Ok(None),
            }
        }
        Ok(Some(key))
    }

    /// All keys from the root on, each before its subkeys.
    pub fn walk(&self) -> Walk<'a> {
        Walk::new(self.cells, self.root())
    }
}

fn check_signature(base_block: &BaseBlock) -> Result<(), OpenError> {
    if base_block.signature == BaseBlock::SIGNATURE {
        return Ok(());
    }
    let found = format!("{:?}", String::from_utf8_lossy(&base_block.signature));
    let damage = Damage::new("base block, signature", 0, "\"regf\"", found);
    Err(OpenError::NotAHive(damage))
}

fn is_dirty(bytes: &[u8], base_block: &BaseBlock) -> bool {
    base_block.primary_sequence_number != base_block.secondary_sequence_number || !BaseBlock::has_valid_checksum(bytes)
}

/// The end of the bins that follow each other from `start` on.
fn bins_from(data: &[u8], start: usize) -> usize {
    let mut end = start;
    while let Some(bin) = data.get(end..)
        && bin.starts_with(&HiveBin::SIGNATURE)
        && u32_at(bin, 4) as usize == end
    {
        let size = u32_at(bin, 8);
        if size == 0 || !size.is_multiple_of(HiveBin::UNIT) || size as usize > bin.len() {
            break;
        }
        end += size as usize;
    }
    end
}

/// Reads a hive into memory: from a volume, an image, a layer. One larger than `limit` bytes, or than a hive can be, is
/// refused before anything but its start is read.
pub fn read_to_memory(source: &dyn ReadAt, limit: u64) -> Result<Vec<u8>, OpenError> {
    let size = source.len();
    let limit = limit.min(MAX_HIVE_SIZE);
    if size >= BaseBlock::SIZE as u64 {
        let mut start = [0; BaseBlock::SIZE];
        source.read_at(&mut start, 0).map_err(OpenError::Read)?;
        check_signature(&BaseBlock::parse(&start, 0).map_err(OpenError::NotAHive)?)?;
    }
    if size > limit {
        return Err(OpenError::TooLarge { size, limit });
    }
    let mut bytes = vec![0; size as usize];
    // Half of the time goes into giving the memory its pages, which threads do at once.
    let threads = std::thread::available_parallelism().map_or(1, |count| count.get().min(4));
    let piece = bytes.len().div_ceil(threads).max(PIECE);
    std::thread::scope(|scope| {
        let pieces = bytes.chunks_mut(piece).zip((0..).step_by(piece));
        let read = |(part, offset): (&mut [u8], u64)| source.read_at(part, offset);
        let readers: Vec<_> = pieces.map(|part| scope.spawn(move || read(part))).collect();
        let mut results = readers.into_iter().map(std::thread::ScopedJoinHandle::join);
        results.try_for_each(|result| result.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })
    .map_err(OpenError::Read)?;
    Ok(bytes)
}
