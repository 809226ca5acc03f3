//! The kinds of image that can be created, and what each calls its parts.

use crate::descriptor::ExtentKindName;

/// The kinds of image that can be created.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Subformat {
    /// One file that grows, its descriptor within.
    #[default]
    MonolithicSparse,
    /// A descriptor, and one file with every sector.
    MonolithicFlat,
    /// A descriptor, and growing files of at most 2 GiB.
    TwoGbMaxExtentSparse,
    /// A descriptor, and files of at most 2 GiB with every sector.
    TwoGbMaxExtentFlat,
    /// A descriptor, and one file with every sector, as ESX has it on VMFS.
    Vmfs,
    /// One compressed file for transport, as ESX imports and exports it.
    StreamOptimized,
}

impl Subformat {
    /// Every one.
    pub const ALL: [Self; 6] = [
        Self::MonolithicSparse,
        Self::MonolithicFlat,
        Self::TwoGbMaxExtentSparse,
        Self::TwoGbMaxExtentFlat,
        Self::Vmfs,
        Self::StreamOptimized,
    ];

    /// `createType`, the name in the descriptor.
    pub fn create_type(self) -> &'static str {
        match self {
            Self::MonolithicSparse => "monolithicSparse",
            Self::MonolithicFlat => "monolithicFlat",
            Self::TwoGbMaxExtentSparse => "twoGbMaxExtentSparse",
            Self::TwoGbMaxExtentFlat => "twoGbMaxExtentFlat",
            Self::Vmfs => "vmfs",
            Self::StreamOptimized => "streamOptimized",
        }
    }

    /// The one with this name, whose case does not matter.
    pub fn from_create_type(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|subformat| subformat.create_type().eq_ignore_ascii_case(name))
    }

    /// Whether the image is one file, so that no extent files are asked for.
    pub fn is_single_file(self) -> bool {
        matches!(self, Self::MonolithicSparse | Self::StreamOptimized)
    }

    pub(super) fn is_split(self) -> bool {
        matches!(self, Self::TwoGbMaxExtentSparse | Self::TwoGbMaxExtentFlat)
    }

    pub(super) fn is_flat(self) -> bool {
        matches!(self, Self::MonolithicFlat | Self::TwoGbMaxExtentFlat | Self::Vmfs)
    }

    pub(super) fn extent_kind(self) -> ExtentKindName {
        match self {
            Self::MonolithicFlat | Self::TwoGbMaxExtentFlat => ExtentKindName::Flat,
            Self::Vmfs => ExtentKindName::Vmfs,
            _ => ExtentKindName::Sparse,
        }
    }

    pub(super) fn extent_name(self, stem: &str, number: usize) -> String {
        match self {
            Self::MonolithicSparse | Self::StreamOptimized => format!("{stem}.vmdk"),
            Self::MonolithicFlat | Self::Vmfs => format!("{stem}-flat.vmdk"),
            Self::TwoGbMaxExtentSparse => format!("{stem}-s{number:03}.vmdk"),
            Self::TwoGbMaxExtentFlat => format!("{stem}-f{number:03}.vmdk"),
        }
    }
}

/// `ddb.adapterType`: the controller that a virtual machine made for the disk gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AdapterType {
    /// `ide`, also for SATA.
    Ide,
    /// `buslogic`.
    BusLogic,
    /// `lsilogic`: every SCSI controller, paravirtual ones included.
    #[default]
    LsiLogic,
}

impl AdapterType {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Ide => "ide",
            Self::BusLogic => "buslogic",
            Self::LsiLogic => "lsilogic",
        }
    }
}
