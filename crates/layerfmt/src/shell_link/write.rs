//! Writing shortcuts.

use super::structure::{
    BLOCK_TEXT, ENVIRONMENT_BLOCK, ICON_ENVIRONMENT_BLOCK, LINK_CLSID, LinkFlags, LinkInfoHeader, ShellLinkHeader,
    TEXTS_BLOCK_SIZE,
};
use super::{ShellLink, Window, items};
use crate::bytes::utf16_bytes;
use binrw::BinWrite;
use std::io::Cursor;

/// Why a shortcut cannot be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ShellLinkError {
    /// A text is longer than its place.
    #[error("the {what} has {units} UTF-16 units, and {limit} are the most")]
    TooLong {
        /// What it is.
        what: &'static str,
        /// Its units.
        units: usize,
        /// The most.
        limit: usize,
    },
    /// The target's path begins with neither a drive nor a share.
    #[error(
        "the target {0:?} is neither a path on a drive, as C:\\App\\app.exe, nor on a share, as \\\\server\\share\\app.exe"
    )]
    NotAbsolute(String),
}

impl ShellLink {
    /// The shortcut's bytes, with the list of shell items and the `LinkInfo` that Windows would write for its path.
    pub fn to_bytes(&self) -> Result<Vec<u8>, ShellLinkError> {
        let mut flags = LinkFlags::IS_UNICODE;
        let mut body = Vec::new();
        if let Some(path) = &self.path {
            self.push_target(path, &mut flags, &mut body)?;
        }
        for (text, flag, what) in [
            (&self.description, LinkFlags::HAS_NAME, "description"),
            (&self.relative_path, LinkFlags::HAS_RELATIVE_PATH, "relative path"),
            (&self.directory, LinkFlags::HAS_WORKING_DIR, "directory"),
            (&self.arguments, LinkFlags::HAS_ARGUMENTS, "text of arguments"),
            (&self.icon, LinkFlags::HAS_ICON_LOCATION, "icon's path"),
        ] {
            let Some(text) = text else { continue };
            flags |= flag;
            let units: Vec<u16> = text.encode_utf16().collect();
            let count = u16::try_from(units.len()).map_err(|_| too_long(what, text, u16::MAX.into()))?;
            body.extend(count.to_le_bytes());
            body.extend(units.iter().flat_map(|unit| unit.to_le_bytes()));
        }
        if let Some(path) = &self.environment_path {
            flags |= LinkFlags::HAS_EXP_STRING | LinkFlags::PREFER_ENVIRONMENT_PATH;
            push_texts_block(&mut body, ENVIRONMENT_BLOCK, path, "target")?;
        }
        if let Some(icon) = self.icon.as_ref().filter(|icon| icon.contains('%')) {
            flags |= LinkFlags::HAS_EXP_ICON;
            push_texts_block(&mut body, ICON_ENVIRONMENT_BLOCK, icon, "icon's path")?;
        }
        // The TerminalBlock.
        body.extend([0; 4]);
        flags.set(LinkFlags::RUN_AS_USER, self.is_elevated);
        let mut bytes = to_bytes(&self.header(flags));
        bytes.extend(body);
        Ok(bytes)
    }

    fn header(&self, flags: LinkFlags) -> ShellLinkHeader {
        ShellLinkHeader {
            header_size: ShellLinkHeader::SIZE as u32,
            link_clsid: LINK_CLSID,
            link_flags: flags.bits(),
            file_attributes: if self.is_directory { 0x10 } else { 0x20 },
            creation_time: 0,
            access_time: 0,
            write_time: 0,
            file_size: 0,
            icon_index: self.icon_index,
            show_command: match self.window {
                Window::Normal => 1,
                Window::Maximized => 3,
                Window::Minimized => 7,
            },
            hot_key: self.hot_key,
            reserved: [0; 10],
        }
    }

    fn push_target(&self, path: &str, flags: &mut LinkFlags, body: &mut Vec<u8>) -> Result<(), ShellLinkError> {
        let not_absolute = || ShellLinkError::NotAbsolute(path.to_owned());
        if let Some(share) = path.strip_prefix(r"\\") {
            let end = share.match_indices('\\').nth(1).map_or(share.len(), |(at, _)| at);
            if !share[..end].contains('\\') {
                return Err(not_absolute());
            }
            *flags |= LinkFlags::HAS_LINK_INFO;
            let (name, suffix) = path.split_at(end + 2);
            body.extend(network_link_info(name, suffix.trim_start_matches('\\')));
            return Ok(());
        }
        let mut characters = path.chars();
        let drive = characters
            .next()
            .filter(char::is_ascii_alphabetic)
            .ok_or_else(not_absolute)?;
        let below = characters.as_str().strip_prefix(":\\").ok_or_else(not_absolute)?;
        let names: Vec<&str> = below.split('\\').filter(|name| !name.is_empty()).collect();
        if let Some(name) = names
            .iter()
            .find(|name| name.encode_utf16().count() > cv_winname::MAX_COMPONENT)
        {
            return Err(too_long("name", name, cv_winname::MAX_COMPONENT));
        }
        let list = items::list(drive, &names, self.is_directory);
        // The size counts the TerminalID too.
        let size = u16::try_from(list.len() + 2).map_err(|_| too_long("target", path, 32767))?;
        *flags |= LinkFlags::HAS_LINK_TARGET_ID_LIST | LinkFlags::HAS_LINK_INFO;
        body.extend(size.to_le_bytes());
        body.extend(list);
        body.extend([0; 2]);
        body.extend(local_link_info(path));
        Ok(())
    }
}

fn too_long(what: &'static str, text: &str, limit: usize) -> ShellLinkError {
    let units = text.encode_utf16().count();
    ShellLinkError::TooLong { what, units, limit }
}

fn to_bytes<T: for<'a> BinWrite<Args<'a> = ()> + binrw::meta::WriteEndian>(structure: &T) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    // Writing numbers to memory does not fail.
    let written = structure.write(&mut bytes);
    debug_assert!(written.is_ok());
    bytes.into_inner()
}

/// Text for programs that know no Unicode: what is not ASCII becomes `?`.
fn ascii(text: &str) -> impl Iterator<Item = u8> + '_ {
    text.chars().map(|c| if c.is_ascii() { c as u8 } else { b'?' })
}

/// A `LinkInfo` of a path on a fixed drive.
fn local_link_info(path: &str) -> Vec<u8> {
    // VolumeIDSize, DriveType 3 (fixed), DriveSerialNumber, VolumeLabelOffset, an empty label.
    let volume_id: Vec<u8> = [17_u32, 3, 0, 16]
        .into_iter()
        .flat_map(u32::to_le_bytes)
        .chain([0])
        .collect();
    let is_unicode = !path.is_ascii();
    let header_size = if is_unicode {
        LinkInfoHeader::UNICODE_SIZE
    } else {
        LinkInfoHeader::SIZE
    };
    let base_at = header_size + volume_id.len();
    let mut texts: Vec<u8> = ascii(path).chain([0]).collect();
    let suffix_at = base_at + texts.len();
    texts.push(0);
    let mut offsets = Vec::new();
    if is_unicode {
        if !(base_at + texts.len()).is_multiple_of(2) {
            texts.push(0);
        }
        let unicode_at = base_at + texts.len();
        texts.extend(utf16_bytes(path));
        let unicode_suffix_at = base_at + texts.len();
        texts.extend([0; 2]);
        offsets.extend((unicode_at as u32).to_le_bytes());
        offsets.extend((unicode_suffix_at as u32).to_le_bytes());
    }
    let mut bytes = to_bytes(&LinkInfoHeader {
        size: (base_at + texts.len()) as u32,
        header_size: header_size as u32,
        flags: LinkInfoHeader::VOLUME_ID_AND_LOCAL_BASE_PATH,
        volume_id_offset: header_size as u32,
        local_base_path_offset: base_at as u32,
        common_network_relative_link_offset: 0,
        common_path_suffix_offset: suffix_at as u32,
    });
    bytes.extend(offsets);
    bytes.extend(volume_id);
    bytes.extend(texts);
    bytes
}

/// A `LinkInfo` of a path on a share, `\\server\share` and what follows it.
fn network_link_info(name: &str, suffix: &str) -> Vec<u8> {
    // CommonNetworkRelativeLink: size, flags (the provider type is valid), NetNameOffset, no device, WNNC_NET_LANMAN,
    // NetNameOffsetUnicode, no device.
    let ansi_name: Vec<u8> = ascii(name).chain([0]).collect();
    let unicode_name_at = (28 + ansi_name.len()).next_multiple_of(2);
    let mut link = Vec::new();
    let size = unicode_name_at + utf16_bytes(name).len();
    for number in [size as u32, 2, 28, 0, 0x0002_0000, unicode_name_at as u32, 0] {
        link.extend(number.to_le_bytes());
    }
    link.extend(ansi_name);
    link.resize(unicode_name_at, 0);
    link.extend(utf16_bytes(name));

    let link_at = LinkInfoHeader::UNICODE_SIZE;
    let suffix_at = link_at + link.len();
    let mut texts: Vec<u8> = ascii(suffix).chain([0]).collect();
    if !(suffix_at + texts.len()).is_multiple_of(2) {
        texts.push(0);
    }
    let unicode_suffix_at = suffix_at + texts.len();
    texts.extend(utf16_bytes(suffix));
    let mut bytes = to_bytes(&LinkInfoHeader {
        size: (suffix_at + texts.len()) as u32,
        header_size: LinkInfoHeader::UNICODE_SIZE as u32,
        flags: LinkInfoHeader::COMMON_NETWORK_RELATIVE_LINK,
        volume_id_offset: 0,
        local_base_path_offset: 0,
        common_network_relative_link_offset: link_at as u32,
        common_path_suffix_offset: suffix_at as u32,
    });
    bytes.extend(0_u32.to_le_bytes());
    bytes.extend((unicode_suffix_at as u32).to_le_bytes());
    bytes.extend(link);
    bytes.extend(texts);
    bytes
}

fn push_texts_block(body: &mut Vec<u8>, signature: u32, text: &str, what: &'static str) -> Result<(), ShellLinkError> {
    let unicode = utf16_bytes(text);
    if unicode.len() > BLOCK_TEXT * 2 {
        return Err(too_long(what, text, BLOCK_TEXT - 1));
    }
    let start = body.len();
    body.extend((TEXTS_BLOCK_SIZE as u32).to_le_bytes());
    body.extend(signature.to_le_bytes());
    body.extend(ascii(text));
    body.resize(start + 8 + BLOCK_TEXT, 0);
    body.extend(unicode);
    body.resize(start + TEXTS_BLOCK_SIZE, 0);
    Ok(())
}
