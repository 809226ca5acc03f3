//! What a differencing disk shares with one below it.

use super::content::SharedBlocks;
use cv_disk::{Differencing, ExtentKind};
use cv_image::Image;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

/// The disks of a chain above the one that is shared: what none of them stores is the same in both.
#[derive(Debug)]
pub struct ChainBlocks {
    above: Vec<Arc<Image>>,
}

impl ChainBlocks {
    /// What `image` shares with the disk at `below`; `None` where that is not in its chain.
    pub fn new(image: &Arc<Image>, below: &Path) -> io::Result<Option<Self>> {
        let below = below.canonicalize()?;
        let mut above = Vec::new();
        let mut current = Some(image);
        while let Some(image) = current {
            if image.path().canonicalize()? == below {
                return Ok(Some(Self { above }));
            }
            above.push(image.clone());
            current = image.parent();
        }
        Ok(None)
    }
}

impl SharedBlocks for ChainBlocks {
    fn is_shared(&self, range: Range<u64>) -> bool {
        self.above.iter().all(|image| {
            let mut position = range.start;
            while position < range.end {
                match image.own_extent_at(position) {
                    Ok(extent) if extent.kind == ExtentKind::Hole => position = extent.end().max(position + 1),
                    _ => return false,
                }
            }
            true
        })
    }
}
