//! The descriptor of a new image.

use super::{Descriptor, ExtentLine, NO_PARENT_CID};

/// What a new descriptor says.
#[derive(Debug, Clone)]
pub(crate) struct Template<'a> {
    pub create_type: &'a str,
    pub cid: u32,
    pub parent: Option<(u32, Option<&'a str>)>,
    pub extents: Vec<ExtentLine>,
    pub adapter_type: &'a str,
    pub hardware_version: u32,
    pub sectors: u64,
}

impl Template<'_> {
    /// The descriptor, in the order in which VMware writes it.
    pub fn build(&self) -> Descriptor {
        let text = format!(
            "# Disk DescriptorFile\nversion=1\nencoding=\"UTF-8\"\nCID={:08x}\nparentCID={NO_PARENT_CID:08x}\n\
             createType=\"{}\"\n\n# Extent description\n\n# The Disk Data Base\n#DDB\n\n",
            self.cid, self.create_type,
        );
        let mut descriptor = Descriptor::parse(text.as_bytes());
        if let Some((cid, hint)) = self.parent {
            descriptor.set("parentCID", &format!("{cid:08x}"));
            if let Some(hint) = hint {
                descriptor.set("parentFileNameHint", hint);
            }
        }
        let heading = descriptor
            .lines
            .iter()
            .position(|line| line.bytes == b"# Extent description");
        let first = heading.map_or(descriptor.lines.len(), |heading| heading + 1);
        for (index, extent) in (first..).zip(&self.extents) {
            descriptor.insert(index, &extent.to_string());
        }
        let (cylinders, heads, sectors) = geometry(self.sectors, self.adapter_type);
        descriptor.set("ddb.adapterType", self.adapter_type);
        descriptor.set("ddb.geometry.cylinders", &cylinders.to_string());
        descriptor.set("ddb.geometry.heads", &heads.to_string());
        descriptor.set("ddb.geometry.sectors", &sectors.to_string());
        descriptor.set("ddb.virtualHWVersion", &self.hardware_version.to_string());
        descriptor
    }
}

/// Cylinders, heads and sectors of a disk of `sectors` sectors: as IDE counts them, or as SCSI adapters do, by size.
pub(crate) fn geometry(sectors: u64, adapter_type: &str) -> (u64, u64, u64) {
    const GIB_IN_SECTORS: u64 = 1 << 21;
    if adapter_type.eq_ignore_ascii_case("ide") {
        return ((sectors / (16 * 63)).clamp(1, 16_383), 16, 63);
    }
    let (heads, per_track) = match sectors {
        0..GIB_IN_SECTORS => (64, 32),
        GIB_IN_SECTORS..=0x40_0000 => (128, 32),
        _ => (255, 63),
    };
    ((sectors / (heads * per_track)).max(1), heads, per_track)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::descriptor::{Access, ExtentKindName};

    #[test]
    fn geometry_is_what_esx_writes() {
        assert_eq!(geometry(4096, "lsilogic"), (2, 64, 32));
        assert_eq!(geometry(33_554_432, "lsilogic"), (2088, 255, 63));
        assert_eq!(geometry(10_240, "ide"), (10, 16, 63));
    }

    #[test]
    fn a_new_descriptor_says_what_it_was_told() {
        let descriptor = Template {
            create_type: "monolithicSparse",
            cid: 5,
            parent: Some((0xabc, Some("base.vmdk"))),
            extents: vec![ExtentLine {
                access: Access::ReadWrite,
                sectors: 4096,
                kind: ExtentKindName::Sparse,
                name: Some("child.vmdk".into()),
                offset: None,
            }],
            adapter_type: "lsilogic",
            hardware_version: 8,
            sectors: 4096,
        }
        .build();
        assert_eq!(
            String::from_utf8(descriptor.to_bytes()).unwrap(),
            "# Disk DescriptorFile\nversion=1\nencoding=\"UTF-8\"\nCID=00000005\nparentCID=00000abc\n\
             createType=\"monolithicSparse\"\nparentFileNameHint=\"base.vmdk\"\n\n# Extent description\n\
             RW 4096 SPARSE \"child.vmdk\"\n\n# The Disk Data Base\n#DDB\n\nddb.adapterType = \"lsilogic\"\n\
             ddb.geometry.cylinders = \"2\"\nddb.geometry.heads = \"64\"\nddb.geometry.sectors = \"32\"\n\
             ddb.virtualHWVersion = \"8\"\n"
        );
    }
}
