//! Reading shortcuts.

use super::structure::{
    DARWIN_BLOCK, ENVIRONMENT_BLOCK, ICON_ENVIRONMENT_BLOCK, LINK_CLSID, LinkFlags, LinkInfoHeader, ShellLinkHeader,
    TEXTS_BLOCK_SIZE,
};
use super::{MAX_SIZE, ShellLink, Window, items};
use crate::bytes::{Rest, ansi_text, u32_at, utf16_text};
use binrw::BinRead;
use cv_disk::Damage;
use std::io::Cursor;

impl ShellLink {
    /// Reads a shortcut. Blocks behind its texts that are damaged are passed over.
    pub fn parse(bytes: &[u8]) -> Result<Self, Damage> {
        if bytes.len() as u64 > MAX_SIZE {
            let found = format!("{} bytes", bytes.len());
            return Err(Damage::new("shortcut", 0, format!("at most {MAX_SIZE} bytes"), found));
        }
        let mut rest = Rest::new(bytes, 0);
        let header = header(&mut rest)?;
        let flags = LinkFlags::from_bits_truncate(header.link_flags);
        let mut link = Self {
            icon_index: header.icon_index,
            hot_key: header.hot_key,
            is_elevated: flags.contains(LinkFlags::RUN_AS_USER),
            is_directory: header.file_attributes & 0x10 != 0,
            window: match header.show_command {
                3 => Window::Maximized,
                7 => Window::Minimized,
                _ => Window::Normal,
            },
            ..Self::default()
        };
        if flags.contains(LinkFlags::HAS_LINK_TARGET_ID_LIST) {
            let size = rest.u16("IDListSize")?;
            link.item_path = items::path(rest.take(size.into(), "IDList")?);
        }
        if flags.contains(LinkFlags::HAS_LINK_INFO) && !flags.contains(LinkFlags::FORCE_NO_LINK_INFO) {
            link.path = link_info(&mut rest)?;
        }
        let is_unicode = flags.contains(LinkFlags::IS_UNICODE);
        let mut text = |flag, what| -> Result<Option<String>, Damage> {
            flags
                .contains(flag)
                .then(|| string_data(&mut rest, is_unicode, what))
                .transpose()
        };
        link.description = text(LinkFlags::HAS_NAME, "NAME_STRING")?;
        link.relative_path = text(LinkFlags::HAS_RELATIVE_PATH, "RELATIVE_PATH")?;
        link.directory = text(LinkFlags::HAS_WORKING_DIR, "WORKING_DIR")?;
        link.arguments = text(LinkFlags::HAS_ARGUMENTS, "COMMAND_LINE_ARGUMENTS")?;
        link.icon = text(LinkFlags::HAS_ICON_LOCATION, "ICON_LOCATION")?;
        link.extra_data(rest, flags);
        Ok(link)
    }

    fn extra_data(&mut self, mut rest: Rest<'_>, flags: LinkFlags) {
        while let Ok(size) = rest.u32("BlockSize") {
            let Some(Ok(block)) = (size as usize).checked_sub(4).map(|size| rest.take(size, "ExtraData")) else {
                return;
            };
            let Some(signature) = u32_at(block, 0) else { return };
            let text = || {
                let (ansi, unicode) = block.get(4..TEXTS_BLOCK_SIZE - 4)?.split_at(260);
                let texts = [utf16_text(unicode), ansi_text(ansi)];
                texts.into_iter().find(|text| !text.is_empty())
            };
            match signature {
                ENVIRONMENT_BLOCK if flags.contains(LinkFlags::HAS_EXP_STRING) => self.environment_path = text(),
                ICON_ENVIRONMENT_BLOCK if flags.contains(LinkFlags::HAS_EXP_ICON) => {
                    self.icon = text().or(self.icon.take());
                }
                DARWIN_BLOCK if flags.contains(LinkFlags::HAS_DARWIN_ID) => self.installer_descriptor = text(),
                _ => {}
            }
        }
    }
}

fn header(rest: &mut Rest<'_>) -> Result<ShellLinkHeader, Damage> {
    let bytes = rest.take(ShellLinkHeader::SIZE, "ShellLinkHeader")?;
    let header = ShellLinkHeader::read(&mut Cursor::new(bytes))
        .map_err(|error| Damage::new("ShellLinkHeader", 0, "a header", error.to_string()))?;
    if header.header_size as usize != ShellLinkHeader::SIZE {
        let found = header.header_size.to_string();
        return Err(Damage::new("HeaderSize", 0, ShellLinkHeader::SIZE.to_string(), found));
    }
    if header.link_clsid != LINK_CLSID {
        let found = format!("{:02x?}", header.link_clsid);
        return Err(Damage::new("LinkCLSID", 4, "that of shortcuts", found));
    }
    Ok(header)
}

/// The path that a `LinkInfo` has.
fn link_info(rest: &mut Rest<'_>) -> Result<Option<String>, Damage> {
    let place = rest.place();
    let size = u32_at(rest.bytes(), 0).unwrap_or_default() as usize;
    let bytes = rest.take(size.max(4), "LinkInfo")?;
    let Ok(header) = LinkInfoHeader::read(&mut Cursor::new(bytes)) else {
        return Err(Damage::new("LinkInfo", place, "28 bytes", format!("{size} bytes")));
    };
    let has_unicode = header.header_size as usize >= LinkInfoHeader::UNICODE_SIZE;
    let unicode_at = |at: usize| {
        let offset = has_unicode
            .then(|| u32_at(bytes, at))
            .flatten()
            .filter(|offset| *offset != 0)?;
        bytes.get(offset as usize..).map(utf16_text)
    };
    let ansi_at = |offset: u32| {
        let offset = Some(offset as usize).filter(|offset| *offset != 0)?;
        bytes.get(offset..).map(ansi_text)
    };
    let suffix = unicode_at(32)
        .or_else(|| ansi_at(header.common_path_suffix_offset))
        .unwrap_or_default();
    if header.flags & LinkInfoHeader::VOLUME_ID_AND_LOCAL_BASE_PATH != 0 {
        let base = unicode_at(28).or_else(|| ansi_at(header.local_base_path_offset));
        return Ok(base.map(|base| joined(base, &suffix)));
    }
    if header.flags & LinkInfoHeader::COMMON_NETWORK_RELATIVE_LINK != 0 {
        let link = bytes.get(header.common_network_relative_link_offset as usize..);
        return Ok(link.and_then(net_name).map(|name| joined(name, &suffix)));
    }
    Ok(None)
}

/// `NetName` of a `CommonNetworkRelativeLink` (section 2.3.2).
fn net_name(link: &[u8]) -> Option<String> {
    let offset = u32_at(link, 8)?;
    if offset > 0x14 {
        let unicode = u32_at(link, 0x14)?;
        return link.get(unicode as usize..).map(utf16_text);
    }
    link.get(offset as usize..).map(ansi_text)
}

fn joined(mut base: String, suffix: &str) -> String {
    if !suffix.is_empty() && !base.is_empty() && !base.ends_with('\\') {
        base.push('\\');
    }
    base + suffix
}

fn string_data(rest: &mut Rest<'_>, is_unicode: bool, what: &str) -> Result<String, Damage> {
    let count = usize::from(rest.u16(what)?);
    Ok(if is_unicode {
        utf16_text(rest.take(count * 2, what)?)
    } else {
        ansi_text(rest.take(count, what)?)
    })
}
