//! Images in memory.

use cv_disk::{MemoryDisk, ReadAt, Resize, WriteAt};
use cv_vmdk::{ExtentFiles, Vmdk, VmdkBuilder, VmdkWriter, check};
use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex};

/// The files of an image and of its parents, by name.
#[derive(Default)]
pub struct MemoryFiles {
    files: Mutex<HashMap<String, Arc<MemoryDisk>>>,
}

impl MemoryFiles {
    pub fn get(&self, name: &str) -> Option<Arc<MemoryDisk>> {
        self.files.lock().unwrap().get(name).cloned()
    }

    fn find(&self, name: &str) -> io::Result<Arc<MemoryDisk>> {
        self.get(name).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Creates the image `stem`.vmdk.
    pub fn create_image(&self, stem: &str, builder: VmdkBuilder) -> VmdkWriter {
        let file = self.create(&format!("{stem}.vmdk")).unwrap();
        builder.name(stem).create(file, self).unwrap()
    }

    /// Opens the image `name` with its parents.
    pub fn open_image(&self, name: &str) -> Vmdk {
        let image = Vmdk::open(self.find(name).unwrap(), self).unwrap();
        match self.parent_of(
            image
                .parent_reference()
                .and_then(|parent| parent.file_name_hint.as_deref()),
        ) {
            Some(parent) => {
                assert!(image.parent_reference().unwrap().matches(&parent.identity()));
                image.with_parent(Arc::new(parent))
            }
            None => image,
        }
    }

    /// Opens the image `name` with its parents, to change it.
    pub fn change_image(&self, name: &str, new_cid: u32) -> VmdkWriter {
        let mut writer = VmdkWriter::open(self.find(name).unwrap(), self, new_cid).unwrap();
        let hint = writer
            .parent_reference()
            .and_then(|parent| parent.file_name_hint.clone());
        if let Some(parent) = self.parent_of(hint.as_deref()) {
            writer.set_parent(Arc::new(parent));
        }
        writer
    }

    fn parent_of(&self, hint: Option<&str>) -> Option<Vmdk> {
        hint.map(|hint| self.open_image(hint))
    }

    /// The faults of the image `name`, as text.
    pub fn faults(&self, name: &str) -> Vec<String> {
        let file: Arc<dyn ReadAt> = self.find(name).unwrap();
        let faults = check(&file, self).unwrap();
        faults.into_iter().map(|fault| fault.to_string()).collect()
    }
}

impl ExtentFiles for MemoryFiles {
    fn open(&self, name: &str) -> io::Result<Arc<dyn ReadAt>> {
        Ok(self.find(name)?)
    }

    fn open_writable(&self, name: &str) -> io::Result<Arc<dyn Resize>> {
        Ok(self.find(name)?)
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn Resize>> {
        let file = Arc::new(MemoryDisk::new(0));
        let before = self.files.lock().unwrap().insert(name.into(), file.clone());
        assert!(before.is_none(), "{name} is created twice");
        Ok(file)
    }
}

/// All bytes of a disk.
pub fn content(disk: &dyn ReadAt) -> Vec<u8> {
    let mut bytes = vec![0; disk.len() as usize];
    disk.read_at(&mut bytes, 0).unwrap();
    bytes
}

/// Writes a few recognisable bytes.
pub fn stamp(disk: &dyn WriteAt, offset: u64, length: usize, value: u8) {
    let bytes: Vec<u8> = (0..length).map(|index| value.wrapping_add((index / 7) as u8)).collect();
    disk.write_at(&bytes, offset).unwrap();
}
