//! What the host says of the whole: room and use; and that it keeps what was written.

use super::View;
use crate::member::{Entry, Member};
use crate::view::State;
use cv_disk::ReadAt;
use cv_overlay::Role;
use rustix::io::Errno;

/// What `statfs` shows.
#[derive(Debug, Clone, Copy)]
pub struct Sizes {
    /// Blocks.
    pub blocks: u64,
    /// Free ones.
    pub free: u64,
    /// Free ones for everybody.
    pub available: u64,
    /// Inodes.
    pub files: u64,
    /// Free inodes.
    pub free_files: u64,
    /// Bytes of a block.
    pub block_size: u32,
}

impl View {
    /// Room and use: that of the writable folder's host, else that of the base.
    pub fn sizes(&self) -> Sizes {
        let state = self.read();
        let folder = state.members.iter().find(|member| member.facts.role == Role::Writable);
        let folder = folder.or_else(|| state.members.iter().find(|member| member.facts.role == Role::Base));
        if let Some(folder) = folder.and_then(|member| member.member.folder())
            && let Ok(host) = rustix::fs::fstatvfs(folder.root_fd())
        {
            let is_writable = self.is_writable();
            return Sizes {
                blocks: host.f_blocks,
                free: if is_writable { host.f_bfree } else { 0 },
                available: if is_writable { host.f_bavail } else { 0 },
                files: host.f_files,
                free_files: if is_writable { host.f_ffree } else { 0 },
                block_size: u32::try_from(host.f_frsize).unwrap_or(4096),
            };
        }
        let bytes: u64 = state
            .members
            .iter()
            .filter_map(|member| member.member.ntfs())
            .map(|ntfs| ntfs.volume().disk().len())
            .sum();
        Sizes {
            blocks: bytes / 4096,
            free: 0,
            available: 0,
            files: 0,
            free_files: 0,
            block_size: 4096,
        }
    }

    /// Makes what was done in a directory safe from a loss of power.
    pub fn sync_directory(&self, state: &State, number: u64) -> Result<(), Errno> {
        let place = self.directory(state, number)?;
        let winner = place.winner();
        if let (Member::Folder(folder), Entry::Folder(entry)) = (&**state.member(winner.position)?, &winner.entry)
            && state.takes_writes(&place)
        {
            rustix::fs::fsync(folder.open_directory(&entry.path)?)?;
        }
        Ok(())
    }
}
