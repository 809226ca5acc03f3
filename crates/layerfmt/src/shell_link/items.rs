//! The list of items that leads to a target through the shell's folders: a drive, folders, a file.
//!
//! The items are the shell's own; what is known of them is in the documentation of libfwsi ("Windows Shell Item format").

use super::structure::MY_COMPUTER;
use crate::bytes::{ansi_text, u16_at, u32_at, utf16_text};
use cv_winname::{ShortNames, is_short_name};

/// Class of an item: a folder of the shell.
const ROOT_FOLDER: u8 = 0x1F;
/// Class of an item: a drive with its name.
const VOLUME: u8 = 0x2F;
/// Classes of items: something in a folder.
const FILE_ENTRY: u8 = 0x30;
/// In the class of a file entry: a directory.
const IS_DIRECTORY: u8 = 0x01;
/// In the class of a file entry: a file.
const IS_FILE: u8 = 0x02;
/// In the class of a file entry: its name is in UTF-16.
const IS_UNICODE: u8 = 0x04;
/// `FILE_ATTRIBUTE_DIRECTORY` and `FILE_ATTRIBUTE_ARCHIVE`.
const ATTRIBUTES: [u16; 2] = [0x10, 0x20];

/// Signature of the block of a file entry that has its long name.
const FILE_ENTRY_EXTENSION: u32 = 0xBEEF_0004;
/// Where a file entry's primary name begins.
const NAME_AT: usize = 14;

/// The path that the items lead to, where they are a drive and what is in it.
pub fn path(list: &[u8]) -> Option<String> {
    let mut path = String::new();
    let mut rest = list;
    while let Some(size) = u16_at(rest, 0).map(usize::from).filter(|size| *size >= 3) {
        let (item, behind) = rest.split_at_checked(size)?;
        rest = behind;
        match item[2] {
            class if class & 0x70 == 0x20 => path = ansi_text(&item[3..]),
            class if class & 0x70 == FILE_ENTRY => {
                if path.is_empty() {
                    return None;
                }
                if !path.ends_with('\\') {
                    path.push('\\');
                }
                path.push_str(&entry_name(item)?);
            }
            ROOT_FOLDER if path.is_empty() => {}
            _ => return None,
        }
    }
    (!path.is_empty()).then_some(path)
}

fn entry_name(item: &[u8]) -> Option<String> {
    if let Some(name) = long_name(item) {
        return Some(name);
    }
    let name = item.get(NAME_AT..)?;
    let name = if item[2] & IS_UNICODE != 0 {
        utf16_text(name)
    } else {
        ansi_text(name)
    };
    (!name.is_empty()).then_some(name)
}

/// The name in the extension block, whose place the last two bytes of an item give.
fn long_name(item: &[u8]) -> Option<String> {
    let place = usize::from(u16_at(item, item.len().checked_sub(2)?)?);
    let block = item.get(place..)?;
    let size = usize::from(u16_at(block, 0)?);
    let block = block.get(..size)?;
    if place < NAME_AT || u32_at(block, 4)? != FILE_ENTRY_EXTENSION {
        return None;
    }
    let name_at = match u16_at(block, 2)? {
        ..3 => return None,
        3..7 => 20,
        7 => 38,
        8 => 42,
        9.. => 46,
    };
    let name = utf16_text(block.get(name_at..)?);
    (!name.is_empty()).then_some(name)
}

/// The list of items that leads to `C:\NAME\...`, without the `TerminalID` behind it.
pub fn list(drive: char, names: &[&str], is_directory: bool) -> Vec<u8> {
    let mut list = Vec::new();
    let mut push = |data: &[u8]| {
        // No item comes near 64 KiB: names have 255 units at most.
        let size = data.len() as u16 + 2;
        list.extend(size.to_le_bytes());
        list.extend(data);
    };
    let mut root = vec![ROOT_FOLDER, 0x50];
    root.extend(MY_COMPUTER);
    push(&root);
    let mut volume = vec![VOLUME];
    volume.extend(format!("{drive}:\\").bytes());
    volume.resize(23, 0);
    push(&volume);
    for (position, name) in names.iter().enumerate() {
        push(&file_entry(name, is_directory || position + 1 < names.len()));
    }
    list
}

fn file_entry(name: &str, is_directory: bool) -> Vec<u8> {
    let units: Vec<u16> = name.encode_utf16().collect();
    let short: Vec<u16> = if is_short_name(&units) {
        units.clone()
    } else {
        ShortNames::of(&units).next().unwrap_or_default()
    };
    let mut item = vec![FILE_ENTRY | if is_directory { IS_DIRECTORY } else { IS_FILE }, 0];
    // Size and time of the target, which are not known.
    item.extend([0; 8]);
    item.extend(ATTRIBUTES[usize::from(!is_directory)].to_le_bytes());
    // Short names are ASCII.
    item.extend(short.iter().map(|unit| *unit as u8));
    item.push(0);
    if item.len() % 2 != 0 {
        item.push(0);
    }
    let place = item.len() as u16 + 2;
    let mut block = Vec::new();
    block.extend(3_u16.to_le_bytes());
    block.extend(FILE_ENTRY_EXTENSION.to_le_bytes());
    // Times of the target; a mark of Windows XP; no second name.
    block.extend([0; 8]);
    block.extend(0x14_u16.to_le_bytes());
    block.extend(0_u16.to_le_bytes());
    block.extend(units.iter().chain([&0]).flat_map(|unit| unit.to_le_bytes()));
    block.extend(place.to_le_bytes());
    item.extend((block.len() as u16 + 2).to_le_bytes());
    item.extend(block);
    item
}
