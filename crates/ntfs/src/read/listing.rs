//! All files of a volume with their paths, from one pass over the file records.

use crate::read::scan::{self, Gather, ScannedRecord};
use crate::read::volume::Volume;
use crate::structure::file_name::FileNameHeader;
use crate::structure::system_file::ROOT;
use crate::structure::{
    Attribute, AttributeType, FileAttributes, FileName, FileReference, Form, Namespace, RecordFlags,
    StandardInformation, Structure,
};
use cv_disk::Damage;
use cv_winname::wtf8;

/// Most damage that is kept in full.
const MAX_DAMAGE: usize = 1000;

/// What the file records say of a file, without its names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileSummary {
    /// Its first record.
    pub reference: FileReference,
    /// Whether it is a directory.
    pub is_directory: bool,
    /// Times, attributes, security id.
    pub information: StandardInformation,
    /// Bytes of the unnamed stream as stored: of a file compressed by WOF, those of the content.
    pub size: u64,
    /// Bytes that its unnamed stream takes on the volume.
    pub stored: u64,
    /// Number of names, 8.3 names counted.
    pub link_count: u16,
}

/// A named stream of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedStream {
    /// The file.
    pub file: FileReference,
    /// The stream's name.
    pub name: Vec<u16>,
    /// Its bytes.
    pub size: u64,
}

/// A name of a file.
#[derive(Debug, Clone, Copy)]
struct Name {
    parent: FileReference,
    file: FileReference,
    /// Where the file stands in `Listing::files`, once all are known; [`NO_FILE`] where it does not.
    index: u32,
    /// Where its units begin in `Listing::units`.
    start: usize,
    length: u8,
    namespace: Namespace,
}

const NO_FILE: u32 = u32::MAX;

/// Every file of a volume.
///
/// Takes some 150 bytes a file. Directories are not looked at: a file that its directory's index has lost is found, and a file
/// whose directory is lost is among the [`orphans`](Self::orphans).
#[derive(Debug, Default)]
pub struct Listing {
    files: Vec<FileSummary>,
    names: Vec<Name>,
    units: Vec<u16>,
    streams: Vec<NamedStream>,
    /// Sizes that stand in further records of a file.
    late_sizes: Vec<(FileReference, u64, u64)>,
    damage: Vec<Damage>,
    omitted: u64,
}

/// A name of a listing and its file.
#[derive(Debug, Clone, Copy)]
pub struct Listed<'a> {
    /// The name.
    pub name: &'a [u16],
    /// Its directory.
    pub parent: FileReference,
    /// Which programs it is for.
    pub namespace: Namespace,
    /// The file.
    pub file: &'a FileSummary,
}

/// In which order [`Listing::walk`] shows the names of a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// That of the file records: as fast as can be.
    Records,
    /// That of the names, as a directory's index has it.
    Names,
}

impl Listing {
    /// Lists `volume` with `threads` threads; what comes out does not depend on their number.
    pub fn of(volume: &Volume, threads: usize) -> Self {
        let mut listing = scan::scan(volume, threads, Self::default).unwrap_or_default();
        for (file, size, stored) in std::mem::take(&mut listing.late_sizes) {
            if let Some(index) = listing.index_of(file) {
                listing.files[index].size = size;
                listing.files[index].stored = stored;
            }
        }
        listing.find_files();
        // So that the names of a directory stand together.
        listing.names.sort_by_key(|name| name.parent.record());
        listing
    }

    /// Looks up every name's file once; as a rule it is the last name's or the next one.
    fn find_files(&mut self) {
        let mut guess = 0;
        let mut names = std::mem::take(&mut self.names);
        for name in &mut names {
            let is = |file: Option<&FileSummary>| file.is_some_and(|file| file.reference == name.file);
            let found = [guess, guess + 1].into_iter().find(|index| is(self.files.get(*index)));
            let found = found.or_else(|| self.index_of(name.file));
            name.index = found.and_then(|index| u32::try_from(index).ok()).unwrap_or(NO_FILE);
            guess = found.unwrap_or(guess);
        }
        self.names = names;
    }

    /// The files, by record number. The volume's own are among them.
    pub fn files(&self) -> &[FileSummary] {
        &self.files
    }

    /// The named streams, by the number of the record they stand in.
    pub fn streams(&self) -> &[NamedStream] {
        &self.streams
    }

    /// What could not be read, the first thousand in full.
    pub fn damage(&self) -> &[Damage] {
        &self.damage
    }

    /// How much more could not be read.
    pub fn omitted_damage(&self) -> u64 {
        self.omitted
    }

    /// The file that `reference` is of.
    pub fn file(&self, reference: FileReference) -> Option<&FileSummary> {
        self.index_of(reference).map(|index| &self.files[index])
    }

    fn index_of(&self, reference: FileReference) -> Option<usize> {
        let record = reference.record();
        let index = self
            .files
            .binary_search_by_key(&record, |file| file.reference.record())
            .ok()?;
        let sequence = self.files[index].reference.sequence();
        (reference.sequence() == 0 || reference.sequence() == sequence).then_some(index)
    }

    fn listed(&self, name: &Name) -> Option<Listed<'_>> {
        Some(Listed {
            name: &self.units[name.start..name.start + usize::from(name.length)],
            parent: name.parent,
            namespace: name.namespace,
            file: self.files.get(name.index as usize)?,
        })
    }

    /// Where the names of the directory with that record stand in `names`.
    fn children(&self, record: u64) -> std::ops::Range<usize> {
        let start = self.names.partition_point(|name| name.parent.record() < record);
        let length = self.names[start..].partition_point(|name| name.parent.record() == record);
        start..start + length
    }

    /// Shows every name that the root leads to, 8.3 names of files with a long one left out, a directory before what is in it;
    /// `visit` is given the path in WTF-8, names separated by `/`, none before the first. A directory with several names, which
    /// is against the rules, is entered through one.
    ///
    /// A damaged or hostile volume may hold names such as `..` or `a/b`: before a path is used on the host, each name is to
    /// pass [`check_stored_component`](cv_winname::check_stored_component).
    pub fn walk(&self, volume: &Volume, order: Order, mut visit: impl FnMut(&[u8], Listed<'_>)) {
        let mut entered = vec![false; self.files.len()];
        self.walk_marking(volume, order, &mut entered, &mut visit);
    }

    /// The names that [`walk`](Self::walk) does not show because their directory is gone, or leads to itself.
    pub fn orphans(&self, volume: &Volume) -> Vec<Listed<'_>> {
        let mut entered = vec![false; self.files.len()];
        self.walk_marking(volume, Order::Records, &mut entered, &mut |_, _| {});
        let is_orphan = |name: &&Name| self.index_of(name.parent).is_none_or(|parent| !entered[parent]);
        let names = self.names.iter().filter(is_orphan);
        names.filter_map(|name| self.listed(name)).collect()
    }

    fn walk_marking(
        &self,
        volume: &Volume,
        order: Order,
        entered: &mut [bool],
        visit: &mut impl FnMut(&[u8], Listed<'_>),
    ) {
        let Some(root) = self.index_of(FileReference::new(ROOT.record, 0)) else {
            return;
        };
        let mut path = Vec::new();
        // The names still to show of each directory on the way, the next last, and how long its path is.
        let mut stack = vec![(self.names_of(volume, order, root), 0)];
        entered[root] = true;
        while let Some((names, length)) = stack.last_mut() {
            path.truncate(*length);
            let Some(index) = names.pop() else {
                stack.pop();
                continue;
            };
            let name = &self.names[index as usize];
            let Some(listed) = self.listed(name) else {
                continue;
            };
            let file = name.index as usize;
            if !path.is_empty() {
                path.push(b'/');
            }
            wtf8::encode_into(listed.name, &mut path);
            visit(&path, listed);
            if listed.file.is_directory && !entered[file] {
                entered[file] = true;
                let length = path.len();
                stack.push((self.names_of(volume, order, file), length));
            }
        }
    }

    /// The names to show of the directory that is file `index`, the first last.
    fn names_of(&self, volume: &Volume, order: Order, index: usize) -> Vec<u32> {
        let directory = self.files[index].reference;
        let is_shown = |name: &Name| {
            let is_in = name.parent.sequence() == 0 || name.parent.sequence() == directory.sequence();
            let is_root_itself = name.file.record() == ROOT.record && directory.record() == ROOT.record;
            is_in && name.namespace != Namespace::DOS && !is_root_itself
        };
        // More than 2^32 names do not fit into a volume's indexes' blocks, let alone into memory.
        let children = self.children(directory.record());
        let mut names: Vec<u32> = children
            .filter(|index| is_shown(&self.names[*index]))
            .map(|index| index as u32)
            .collect();
        if order == Order::Names {
            let units = |index: &u32| {
                let name = &self.names[*index as usize];
                &self.units[name.start..name.start + usize::from(name.length)]
            };
            names.sort_by(|left, right| volume.upcase().collate(units(left), units(right)));
        }
        names.reverse();
        names
    }

    fn attribute(
        &mut self,
        file: FileReference,
        summary: &mut FileSummary,
        attribute: &Attribute,
    ) -> Result<(), Damage> {
        match (attribute.type_code(), attribute.form) {
            (AttributeType::STANDARD_INFORMATION, Form::Resident { value, .. }) => {
                summary.information = StandardInformation::parse(value)?;
            }
            (AttributeType::FILE_NAME, Form::Resident { value, .. }) => self.name(file, value)?,
            (AttributeType::DATA, form) => {
                let (size, stored) = match form {
                    Form::Resident { value, .. } => (value.len() as u64, 0),
                    Form::NonResident { header, .. } if header.lowest_vcn != 0 => return Ok(()),
                    Form::NonResident {
                        header,
                        total_allocated,
                        ..
                    } => (header.file_size, total_allocated.unwrap_or(header.allocated_length)),
                };
                if attribute.has_name() {
                    self.streams.push(NamedStream {
                        file,
                        name: attribute.name(),
                        size,
                    });
                } else {
                    (summary.size, summary.stored) = (size, stored);
                    if summary.reference != file {
                        self.late_sizes.push((file, size, stored));
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn name(&mut self, file: FileReference, value: &[u8]) -> Result<(), Damage> {
        let header = FileNameHeader::read_from(value, 0)?;
        let name = FileName::name_bytes(value)?;
        let start = self.units.len();
        self.units
            .extend(name.chunks_exact(2).map(|unit| u16::from_le_bytes([unit[0], unit[1]])));
        self.names.push(Name {
            parent: header.parent_directory,
            file,
            index: NO_FILE,
            start,
            length: header.file_name_length,
            namespace: Namespace(header.flags),
        });
        Ok(())
    }
}

impl Gather for Listing {
    fn record(&mut self, record: ScannedRecord) {
        let file = record.file();
        let mut summary = FileSummary {
            reference: FileReference::new(record.number, record.header.sequence_number),
            is_directory: record.header.flags.contains(RecordFlags::FILE_NAME_INDEX_PRESENT),
            information: StandardInformation::default(),
            size: 0,
            stored: 0,
            link_count: record.header.reference_count,
        };
        match record.attributes() {
            Ok(attributes) => {
                for attribute in attributes {
                    let taken = attribute.and_then(|attribute| self.attribute(file, &mut summary, &attribute));
                    if let Err(damage) = taken {
                        self.damage(crate::structure::within(
                            damage,
                            format_args!("file record {}", record.number),
                        ));
                    }
                }
            }
            Err(damage) => self.damage(crate::structure::within(
                damage,
                format_args!("file record {}", record.number),
            )),
        }
        if record.header.is_base() {
            self.files.push(summary);
        }
    }

    fn damage(&mut self, damage: Damage) {
        if self.damage.len() < MAX_DAMAGE {
            self.damage.push(damage);
        } else {
            self.omitted += 1;
        }
    }

    fn append(&mut self, later: Self) {
        let shift = self.units.len();
        self.files.extend(later.files);
        self.units.extend(later.units);
        self.names.extend(later.names.into_iter().map(|name| Name {
            start: name.start + shift,
            ..name
        }));
        self.streams.extend(later.streams);
        self.late_sizes.extend(later.late_sizes);
        self.omitted += later.omitted;
        for damage in later.damage {
            self.damage(damage);
        }
    }
}

impl FileSummary {
    /// Its file attributes.
    pub fn attributes(&self) -> FileAttributes {
        self.information.base.file_attributes
    }
}
