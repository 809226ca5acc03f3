//! Zips, and so wheels: stored entries are read by offset, deflated ones unpacked while they are written.

use super::SourceError;
use super::archive::{Adder, ArchiveEntry};
use super::file_at::FileAt;
use crate::content::{Origin, Stream, StreamContent};
use cv_hive::Name;
use cv_ntfs::structure::NtfsTime;
use cv_ntfs::write::{OpenStream, SourceError as StreamError};
use flate2::read::DeflateDecoder;
use std::io::{self, BufReader, Read};
use std::path::Path;
use std::sync::Arc;
use zip::{CompressionMethod, ExtraField, ZipArchive};

/// Bytes of a symbolic link's target at most.
const MAX_TARGET: u64 = 4096;

/// Where an entry is, and how it is stored.
#[derive(Debug, Clone, Copy)]
struct Member {
    start: u64,
    packed: u64,
    size: u64,
    crc: u32,
    is_deflated: bool,
}

/// A zip; an item is the number of a member.
#[derive(Debug)]
struct ZipOrigin {
    file: FileAt,
    members: Vec<Member>,
}

impl Origin for ZipOrigin {
    fn open(&self, item: u64) -> Result<OpenStream<'_>, StreamError> {
        let member = self.members.get(item as usize).ok_or("there is no such member")?;
        Ok(OpenStream::Reader(unpack(&self.file, *member)))
    }
}

/// The content of a member; its end is an error unless the checksum is right.
fn unpack(file: &FileAt, member: Member) -> Box<dyn Read + Send> {
    let packed = BufReader::with_capacity(1 << 16, file.at(member.start).take(member.packed));
    let inner: Box<dyn Read + Send> = if member.is_deflated {
        Box::new(DeflateDecoder::new(packed))
    } else {
        Box::new(packed)
    };
    Box::new(Checked {
        inner,
        hash: crc32fast::Hasher::new(),
        rest: member.size,
        crc: member.crc,
    })
}

struct Checked {
    inner: Box<dyn Read + Send>,
    hash: crc32fast::Hasher,
    rest: u64,
    crc: u32,
}

impl Read for Checked {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let most = (buf.len() as u64).min(self.rest) as usize;
        let count = self.inner.read(&mut buf[..most])?;
        if most > 0 && count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.hash.update(&buf[..count]);
        self.rest -= count as u64;
        if self.rest == 0 && count > 0 && self.hash.clone().finalize() != self.crc {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the checksum in the zip is another",
            ));
        }
        Ok(count)
    }
}

pub(super) fn add(adder: &mut Adder<'_>, file: &FileAt, path: &Path) -> Result<(), SourceError> {
    let failed = |source: io::Error| SourceError::Archive {
        archive: path.to_path_buf(),
        source,
    };
    let refuse = |name: &str, reason: String| SourceError::Refused {
        path: format!("{}: {}", path.display(), name.escape_debug()),
        reason,
    };
    let mut archive = ZipArchive::new(file.clone()).map_err(|error| failed(error.into()))?;
    let mut members = Vec::new();
    let mut entries = Vec::new();
    let mut packed = 0_u64;
    for number in 0..archive.len() {
        let entry = archive.by_index_raw(number).map_err(|error| failed(error.into()))?;
        let name = entry.name().to_owned();
        adder.count(path, entry.size())?;
        let is_deflated = match entry.compression() {
            CompressionMethod::Stored => false,
            CompressionMethod::DEFLATE => true,
            other => return Err(refuse(&name, format!("compressed by {other}, which is not known here"))),
        };
        if entry.encrypted() {
            return Err(refuse(&name, "it is encrypted".to_owned()));
        }
        // Members that share their bytes make a bomb of a small file.
        packed = packed.saturating_add(entry.compressed_size());
        if packed > file.len() {
            return Err(refuse(&name, "the members overlap".to_owned()));
        }
        if !is_deflated && entry.compressed_size() != entry.size() {
            return Err(refuse(&name, "a stored member whose sizes differ".to_owned()));
        }
        members.push(Member {
            start: entry.data_start(),
            packed: entry.compressed_size(),
            size: entry.size(),
            crc: entry.crc32(),
            is_deflated,
        });
        entries.push((name, entry.unix_mode(), modified(&entry), entry.is_dir()));
    }
    let origin = Arc::new(ZipOrigin {
        file: file.clone(),
        members,
    });
    for (number, (name, mode, modified, is_directory)) in entries.into_iter().enumerate() {
        let described = ArchiveEntry {
            path: &name,
            mode,
            modified,
        };
        let member = origin.members[number];
        let kind = mode.map_or(0, |mode| mode & 0o170_000);
        if is_directory {
            adder.directory(&described)?;
        } else if kind == 0o120_000 {
            if member.size > MAX_TARGET {
                return Err(refuse(&name, format!("a link of {} bytes", member.size)));
            }
            let mut target = String::new();
            let mut content = unpack(file, member).take(member.size);
            content.read_to_string(&mut target).map_err(failed)?;
            adder.link(&described, &target)?;
        } else if kind == 0 || kind == 0o100_000 {
            let origin: Arc<dyn Origin> = origin.clone();
            adder.file(&described, |metadata| {
                metadata.streams.push(Stream {
                    name: Name::default(),
                    size: member.size,
                    content: StreamContent::Origin {
                        origin,
                        item: number as u64,
                    },
                    data: None,
                    known: None,
                });
            })?;
        } else {
            adder.left_out.push(name);
        }
    }
    Ok(())
}

/// The modification time: the one in seconds since 1970 where there is one, else that of DOS, taken for UTC.
fn modified<R: Read>(entry: &zip::read::ZipFile<'_, R>) -> NtfsTime {
    for field in entry.extra_data_fields() {
        if let ExtraField::ExtendedTimestamp(times) = field
            && let Some(seconds) = times.mod_time()
        {
            return NtfsTime::from_unix(i64::from(seconds), 0).unwrap_or_default();
        }
    }
    let date = entry.last_modified().unwrap_or_default();
    let civil = jiff::civil::DateTime::new(
        i16::try_from(date.year()).unwrap_or(1980),
        date.month().cast_signed(),
        date.day().cast_signed(),
        date.hour().cast_signed(),
        date.minute().cast_signed(),
        date.second().min(59).cast_signed(),
        0,
    );
    let utc = civil.and_then(|civil| civil.to_zoned(jiff::tz::TimeZone::UTC));
    utc.ok()
        .and_then(|time| NtfsTime::from_unix(time.timestamp().as_second(), 0))
        .unwrap_or_default()
}
