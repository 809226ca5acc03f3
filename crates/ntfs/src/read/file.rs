//! A file or directory.

use crate::error::FileError;
use crate::read::attribute::{Content, FileAttribute, Gathered};
use crate::read::directory::Directory;
use crate::read::index::Index;
use crate::read::stream::Stream;
use crate::read::volume::Volume;
use crate::structure::extended_attribute::ExtendedAttribute;
use crate::structure::object_id::ObjectId;
use crate::structure::reparse::{ReparsePoint, WofAlgorithm};
use crate::structure::system_file::WOF_COMPRESSED_DATA;
use crate::structure::{
    AttributeFlags, AttributeType, FileName, FileRecordHeader, FileReference, RecordFlags, StandardInformation, within,
};
use cv_disk::{Damage, ReadAt};
use std::sync::Arc;

/// The longest value that is read as a whole: security descriptors, extended attributes, reparse data.
const MAX_VALUE: u64 = 1 << 20;

/// A file or directory with all its attributes.
#[derive(Debug, Clone)]
pub struct File {
    volume: Volume,
    reference: FileReference,
    header: FileRecordHeader,
    attributes: Vec<FileAttribute>,
    damage: Vec<Damage>,
}

/// A stream of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamInfo {
    /// Its name, empty for the content proper.
    pub name: Vec<u16>,
    /// Its bytes.
    pub size: u64,
    /// How it is stored.
    pub flags: AttributeFlags,
}

impl File {
    pub(crate) fn open(volume: &Volume, number: u64) -> Result<Self, FileError> {
        let record = volume.inner.record(number)?;
        if !record.header.is_in_use() {
            return Err(FileError::NotInUse { record: number });
        }
        if !record.header.is_base() {
            return Err(FileError::NotABase {
                record: number,
                base: record.header.base_file_record_segment,
            });
        }
        let Gathered { attributes, damage } = volume.inner.gather(&record);
        Ok(Self {
            volume: volume.clone(),
            reference: record.reference(),
            header: record.header,
            attributes,
            damage,
        })
    }

    /// The volume it is on.
    pub fn volume(&self) -> &Volume {
        &self.volume
    }

    /// Number and sequence number of its first record.
    pub fn reference(&self) -> FileReference {
        self.reference
    }

    /// The header of its first record.
    pub fn header(&self) -> &FileRecordHeader {
        &self.header
    }

    /// What of it cannot be read. The rest can.
    pub fn damage(&self) -> &[Damage] {
        &self.damage
    }

    /// Whether it is a directory.
    pub fn is_directory(&self) -> bool {
        self.header.flags.contains(RecordFlags::FILE_NAME_INDEX_PRESENT)
    }

    /// All its attributes, as they are stored.
    pub fn attributes(&self) -> &[FileAttribute] {
        &self.attributes
    }

    /// Its attribute of that type and name.
    pub fn attribute(&self, type_code: AttributeType, name: &[u16]) -> Option<&FileAttribute> {
        self.attributes
            .iter()
            .find(|attribute| attribute.type_code == type_code && attribute.name == name)
    }

    fn damaged(&self, damage: Damage) -> FileError {
        let record = self.reference.record();
        FileError::damaged(record, within(damage, format_args!("file record {record}")))
    }

    /// The whole value of its attribute of that type without name; `None` where it has none.
    pub fn value(&self, type_code: AttributeType) -> Result<Option<Vec<u8>>, FileError> {
        let Some(attribute) = self.attribute(type_code, &[]) else {
            return Ok(None);
        };
        if let Content::Resident(value) = &attribute.content {
            return Ok(Some(value.clone()));
        }
        if attribute.size() > MAX_VALUE {
            return Err(self.damaged(Damage::new(
                type_code.to_string(),
                0,
                format!("at most {MAX_VALUE} bytes"),
                attribute.size().to_string(),
            )));
        }
        let stream = self.volume.inner.stream(self.reference.record(), attribute)?;
        let mut value = vec![0; stream.len() as usize];
        stream
            .read_at(&mut value, 0)
            .map_err(|error| FileError::read(self.reference.record(), error))?;
        Ok(Some(value))
    }

    /// The value of its attribute of that type, taken apart; `None` where it has none.
    fn parsed<T>(
        &self,
        type_code: AttributeType,
        parse: impl Fn(&[u8]) -> Result<T, Damage>,
    ) -> Result<Option<T>, FileError> {
        self.value(type_code)?
            .map(|value| parse(&value))
            .transpose()
            .map_err(|damage| self.damaged(damage))
    }

    /// Times, attributes and security id; `None` where the file has none, which is against the rules.
    pub fn standard_information(&self) -> Result<Option<StandardInformation>, FileError> {
        self.parsed(AttributeType::STANDARD_INFORMATION, StandardInformation::parse)
    }

    /// Its names: one for each hard link, and 8.3 names. One that is damaged is left out.
    pub fn names(&self) -> impl Iterator<Item = FileName> + '_ {
        self.attributes.iter().filter_map(|attribute| match &attribute.content {
            Content::Resident(value) if attribute.type_code == AttributeType::FILE_NAME => FileName::parse(value).ok(),
            _ => None,
        })
    }

    /// Its streams, as Windows shows them: of a file compressed by WOF the content without the stream that it is stored in.
    pub fn streams(&self) -> Vec<StreamInfo> {
        let wof = self.wof();
        self.attributes
            .iter()
            .filter(|attribute| attribute.type_code == AttributeType::DATA)
            .filter(|attribute| wof.is_none() || attribute.name != WOF_COMPRESSED_DATA)
            .map(|attribute| StreamInfo {
                name: attribute.name.clone(),
                size: attribute.size(),
                flags: attribute.flags,
            })
            .collect()
    }

    /// How WOF compressed its content, where it did.
    pub fn wof(&self) -> Option<WofAlgorithm> {
        match self.reparse_point() {
            Ok(Some(ReparsePoint::WofFile(algorithm))) => Some(algorithm),
            _ => None,
        }
    }

    /// Its content: the stream without name, with any compression undone, WOF's too.
    pub fn content(&self) -> Result<Stream, FileError> {
        self.stream(&[])
    }

    /// The stream of that name (any case), with any compression undone, WOF's too.
    pub fn stream(&self, name: &[u16]) -> Result<Stream, FileError> {
        match self.wof() {
            Some(algorithm) if name.is_empty() => {
                let content = self.data(&[])?;
                let compressed = self.stored_stream(&WOF_COMPRESSED_DATA)?;
                Ok(Stream::of_wof(
                    self.reference.record(),
                    algorithm,
                    content.size(),
                    compressed,
                ))
            }
            _ => self.stored_stream(name),
        }
    }

    /// The stream of that name (any case) as NTFS itself has it: of a file compressed by WOF the content is a hole, and
    /// `WofCompressedData` can be read.
    pub fn stored_stream(&self, name: &[u16]) -> Result<Stream, FileError> {
        self.volume.inner.stream(self.reference.record(), self.data(name)?)
    }

    fn data(&self, name: &[u16]) -> Result<&FileAttribute, FileError> {
        let folded = |attribute: &&FileAttribute| {
            attribute.type_code == AttributeType::DATA && self.volume.upcase().equal(&attribute.name, name)
        };
        self.attribute(AttributeType::DATA, name)
            .or_else(|| self.attributes.iter().find(folded))
            .ok_or_else(|| match self.damage.first() {
                Some(damage) => FileError::damaged(self.reference.record(), damage.clone()),
                None => FileError::NoStream {
                    record: self.reference.record(),
                    name: cv_winname::wtf8::display(name),
                },
            })
    }

    /// The value of one of its [`attributes`](Self::attributes) as a stream, with NTFS's compression undone.
    pub fn attribute_stream(&self, attribute: &FileAttribute) -> Result<Stream, FileError> {
        self.volume.inner.stream(self.reference.record(), attribute)
    }

    /// Its reparse data, taken apart; `None` where it has none.
    pub fn reparse_point(&self) -> Result<Option<ReparsePoint>, FileError> {
        self.parsed(AttributeType::REPARSE_POINT, ReparsePoint::parse)
    }

    /// Its security descriptor in self-relative form: from `$Secure`, or its own; `None` where it has none.
    pub fn security_descriptor(&self) -> Result<Option<Arc<[u8]>>, FileError> {
        let id = self
            .standard_information()?
            .and_then(|information| information.security_id());
        let shared = match id {
            Some(id) => self.volume.security_descriptor(id),
            None => Ok(None),
        };
        match (shared, self.value(AttributeType::SECURITY_DESCRIPTOR)?) {
            (Ok(Some(shared)), _) => Ok(Some(shared)),
            (_, Some(own)) => Ok(Some(own.into())),
            (Err(error), None) => Err(error),
            (Ok(None), None) => match id {
                Some(id) => Err(self.damaged(Damage::new(
                    "$STANDARD_INFORMATION, security id",
                    0x34,
                    "a security descriptor in $Secure",
                    format!("{id:#x}"),
                ))),
                None => Ok(None),
            },
        }
    }

    /// Its extended attributes.
    pub fn extended_attributes(&self) -> Result<Vec<ExtendedAttribute>, FileError> {
        let parse = |value: &[u8]| ExtendedAttribute::parse_all(value).collect::<Result<Vec<_>, _>>();
        Ok(self.parsed(AttributeType::EA, parse)?.unwrap_or_default())
    }

    /// Its object id.
    pub fn object_id(&self) -> Result<Option<ObjectId>, FileError> {
        self.parsed(AttributeType::OBJECT_ID, ObjectId::parse)
    }

    /// Its index of that name: `$I30` of a directory, and those of the volume's own files.
    pub fn index(&self, name: &[u16]) -> Result<Index, FileError> {
        Index::open(self, name)
    }

    /// It as a directory.
    pub fn directory(&self) -> Result<Directory, FileError> {
        Directory::open(self)
    }
}
