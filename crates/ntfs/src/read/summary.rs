//! What a file's record says at a glance, without gathering its attributes.

use crate::error::FileError;
use crate::read::listing::FileSummary;
use crate::read::volume::Volume;
use crate::structure::file_name::FileNameHeader;
use crate::structure::{AttributeType, FileReference, Form, Namespace, StandardInformation, Structure};
use cv_disk::Damage;

/// A file whose one record says all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Glance {
    /// What the record says.
    pub summary: FileSummary,
    /// How many of its names are 8.3 names of a long one.
    pub short_names: u16,
}

impl Volume {
    /// What the record of a file says of it, many times as fast as [`file_by_reference`](Self::file_by_reference).
    ///
    /// `None` where it takes more than that record: files of several records, those with a reparse point, and damaged ones,
    /// of which [`file_by_reference`](Self::file_by_reference) says what there is to say.
    pub fn glance(&self, reference: FileReference) -> Result<Option<Glance>, FileError> {
        let number = reference.record();
        let record = self.inner.record(number)?;
        let found = record.header.sequence_number;
        let is_meant = reference.sequence() == 0 || found == reference.sequence();
        if !record.header.is_in_use() || !record.header.is_base() || !is_meant {
            return Ok(None);
        }
        let mut glance = Glance {
            summary: FileSummary {
                reference: record.reference(),
                is_directory: record.is_directory(),
                information: StandardInformation::default(),
                size: 0,
                stored: 0,
                link_count: 0,
            },
            short_names: 0,
        };
        let Ok(attributes) = record.attributes() else {
            return Ok(None);
        };
        for attribute in attributes {
            let Ok(attribute) = attribute else { return Ok(None) };
            if matches!(
                attribute.type_code(),
                AttributeType::ATTRIBUTE_LIST | AttributeType::REPARSE_POINT
            ) {
                return Ok(None);
            }
            let is_data = attribute.type_code() == AttributeType::DATA && !attribute.has_name();
            let taken = match attribute.form {
                Form::Resident { value, .. } if is_data => {
                    glance.summary.size = value.len() as u64;
                    Ok(())
                }
                Form::NonResident {
                    header,
                    total_allocated,
                    ..
                } if is_data => {
                    glance.summary.size = header.file_size;
                    glance.summary.stored = total_allocated.unwrap_or(header.allocated_length);
                    Ok(())
                }
                Form::Resident { value, .. } => glance.take(attribute.type_code(), value),
                Form::NonResident { .. } => Ok(()),
            };
            if taken.is_err() {
                return Ok(None);
            }
        }
        Ok(Some(glance))
    }
}

impl Glance {
    fn take(&mut self, type_code: AttributeType, value: &[u8]) -> Result<(), Damage> {
        match type_code {
            AttributeType::STANDARD_INFORMATION => self.summary.information = StandardInformation::parse(value)?,
            AttributeType::FILE_NAME => {
                let header = FileNameHeader::read_from(value, 0)?;
                self.summary.link_count = self.summary.link_count.saturating_add(1);
                if Namespace(header.flags) == Namespace::DOS {
                    self.short_names = self.short_names.saturating_add(1);
                }
            }
            _ => {}
        }
        Ok(())
    }
}
