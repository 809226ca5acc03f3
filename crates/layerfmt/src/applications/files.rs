//! What files say: shortcuts, and tasks of the task scheduler.

use super::stream::StreamDisk;
use super::{Found, Unread, drive_path, tasks};
use crate::content::{FileTree, NodeId, NodeKind};
use crate::manifest::{RunEntry, ScheduledTask, Shortcut};
use crate::shell_link::{self, ShellLink};
use cv_ntfs::write::SourceError;
use std::convert::Infallible;

/// Where the task scheduler has its tasks.
const TASKS: &str = r"\windows\system32\tasks\";

/// What the path of a folder ends in whose shortcuts start by themselves.
const STARTUP: &str = r"\start menu\programs\startup\";

pub fn find(files: &FileTree, found: &mut Found) {
    let look = |node, path: &[u8]| {
        if files.kind(node) == NodeKind::File {
            look_at(files, node, &drive_path(path), found);
        }
        Ok::<_, Infallible>(())
    };
    let Ok(()) = files.walk_paths(FileTree::ROOT, look);
}

fn look_at(files: &FileTree, node: NodeId, path: &str, found: &mut Found) {
    let folded = path.to_ascii_lowercase();
    let result = if folded.rsplit('.').next() == Some("lnk") {
        shortcut(files, node, path, found)
    } else if folded.starts_with(TASKS) {
        task(files, node, &path[TASKS.len()..], found)
    } else {
        Ok(())
    };
    if let Err(error) = result {
        found.unread.push(Unread {
            path: path.to_owned(),
            reason: error.to_string(),
        });
    }
    starts_by_itself(path, &folded, found);
}

fn bytes_of(files: &FileTree, node: NodeId, limit: u64) -> Result<Vec<u8>, SourceError> {
    // A byte more than allowed, so that a longer stream is seen to be one.
    match StreamDisk::of(files, node, limit + 1) {
        Some(disk) => disk?.to_vec(limit),
        None => Ok(Vec::new()),
    }
}

fn shortcut(files: &FileTree, node: NodeId, path: &str, found: &mut Found) -> Result<(), SourceError> {
    let link = ShellLink::parse(&bytes_of(files, node, shell_link::MAX_SIZE)?)?;
    found.applications.shortcuts.push(Shortcut {
        path: path.to_owned(),
        target: link.target().unwrap_or_default().to_owned(),
        arguments: link.arguments.unwrap_or_default(),
        directory: link.directory.unwrap_or_default(),
        description: link.description.unwrap_or_default(),
        icon: match link.icon {
            Some(icon) if !icon.is_empty() => format!("{icon},{}", link.icon_index),
            _ => String::new(),
        },
        ..Shortcut::default()
    });
    Ok(())
}

fn task(files: &FileTree, node: NodeId, path: &str, found: &mut Found) -> Result<(), SourceError> {
    let actions = tasks::parse(&bytes_of(files, node, tasks::MAX_SIZE)?)?;
    let tasks = actions.into_iter().map(|action| ScheduledTask {
        path: path.to_owned(),
        command: action.command,
        arguments: action.arguments,
        ..ScheduledTask::default()
    });
    found.applications.tasks.extend(tasks);
    Ok(())
}

/// Everything in a startup folder is opened when a user signs in.
fn starts_by_itself(path: &str, folded: &str, found: &mut Found) {
    let Some((at, name)) = folded.rmatch_indices(STARTUP).next().map(|(at, startup)| {
        let name = at + startup.len();
        (at, path.get(name..).unwrap_or_default())
    }) else {
        return;
    };
    // Only what is in the folder itself; and Windows' own note on how to show it is none.
    if name.contains('\\') || name.eq_ignore_ascii_case("desktop.ini") {
        return;
    }
    let shortcuts = &found.applications.shortcuts;
    let target = shortcuts.last().filter(|shortcut| shortcut.path == path);
    let command = target.map_or_else(
        || path.to_owned(),
        |shortcut| {
            format!("{} {}", shortcut.target, shortcut.arguments)
                .trim_end()
                .to_owned()
        },
    );
    found.applications.run.push(RunEntry {
        name: name.to_owned(),
        command,
        place: path.get(..at + STARTUP.len() - 1).unwrap_or_default().to_owned(),
        ..RunEntry::default()
    });
}
