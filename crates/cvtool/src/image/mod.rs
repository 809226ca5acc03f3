//! `cvtool image …`: containers by themselves.

mod check;
mod commit;
mod compact;
mod compare;
mod convert;
pub mod create;
mod info;
mod map;
#[cfg(any(target_os = "linux", windows))]
mod pack;
mod rebase;
mod resize;
pub mod source;

use crate::Outcome;
use clap::Subcommand;

/// The commands on images.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show what an image is: format, sizes, identities, its chain of parents
    Info(info::Arguments),
    /// Look for faults in an image; exit 1 if there are any
    Check(check::Arguments),
    /// List which parts of the disk hold data, and which file of the chain holds them
    Map(map::Arguments),
    /// Make an empty image, or a differencing child of another
    Create(create::Arguments),
    /// Write the disk that an image holds as another image, of any format
    Convert(convert::Arguments),
    /// Change the size of the disk in place
    Resize(resize::Arguments),
    /// Give back the room that zeros and unused blocks take
    Compact(compact::Arguments),
    /// Give a differencing image another parent, or none
    Rebase(rebase::Arguments),
    /// Move what a differencing image holds into its parent
    Commit(commit::Arguments),
    /// Compare the disks that two images hold; exit 1 if they differ
    Compare(compare::Arguments),
    /// Make a disk image with one NTFS volume of a folder
    #[cfg(any(target_os = "linux", windows))]
    Pack(Box<pack::Arguments>),
}

impl Command {
    /// Does what the user asked.
    pub fn run(&self) -> anyhow::Result<Outcome> {
        match self {
            Self::Info(arguments) => arguments.run(),
            Self::Check(arguments) => arguments.run(),
            Self::Map(arguments) => arguments.run(),
            Self::Create(arguments) => arguments.run(),
            Self::Convert(arguments) => arguments.run(),
            Self::Resize(arguments) => arguments.run(),
            Self::Compact(arguments) => arguments.run(),
            Self::Rebase(arguments) => arguments.run(),
            Self::Commit(arguments) => arguments.run(),
            Self::Compare(arguments) => arguments.run(),
            #[cfg(any(target_os = "linux", windows))]
            Self::Pack(arguments) => arguments.run(),
        }
    }
}
